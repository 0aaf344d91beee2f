"""What a load means, seen from outside: the scripts are run, the tables are read back."""

import datetime as dt
import json
import re
import shutil

import moto.s3.models
import pytest
from helpers import (
    REAL_DATA,
    ROOT,
    Warehouse,
    event,
    needs_real_data,
    song,
    unstamped,
    upload,
)
from moto.core import DEFAULT_ACCOUNT_ID
from s3_front import S3Front

pytestmark = pytest.mark.also_on_cluster


DAY = 86_400_000


REAL_COUNTS = {
    "staging_events": 3574,
    "staging_songs": 40,
    "songplays": 3041,
    "users": 86,
    "songs": 2600,
    "artists": 1839,
    "time": 3039,
    "loaded_files": 0,
}


ALL_DIMENSIONS = """
SELECT COUNT(*)
FROM songplays p
JOIN users u ON u.user_id = p.user_id
JOIN songs s ON s.song_id = p.song_id
JOIN artists a ON a.artist_id = p.artist_id
JOIN time t ON t.start_time = p.start_time
"""


def load(warehouse: Warehouse, events: list[dict], songs: list[dict]) -> None:
    warehouse.write_log(events)
    warehouse.write_songs(songs)
    warehouse.load()


def test_play_of_a_catalogue_song_points_to_it(tables: Warehouse) -> None:
    load(tables, [event()], [song()])
    assert tables.query("SELECT start_time, user_id, level, song_id, artist_id, session_id FROM songplays") == [
        (dt.datetime(2018, 11, 1, 20, 57, 10, 796000), 7, "free", "SO1", "AR1", 1)
    ]
    assert tables.query("SELECT song_id, title, artist_id, year, duration FROM songs") == [
        ("SO1", "Song", "AR1", 1999, 200.5)
    ]
    assert tables.query("SELECT * FROM artists") == [("AR1", "Band", "Portland, OR", 45.5, -122.5)]
    assert tables.query("SELECT * FROM time") == [
        (dt.datetime(2018, 11, 1, 20, 57, 10, 796000), 20, 1, 44, 11, 2018, "Thursday")
    ]
    assert tables.query("SELECT user_id, first_name, last_name, gender, level FROM users") == [
        (7, "Ada", "Berg", "F", "free")
    ]


def test_play_the_catalogue_lacks_gets_an_inferred_song_and_artist(tables: Warehouse) -> None:
    load(tables, [event(song="Björk's Tune", artist="Nobody")], [song()])
    [(song_id, title, artist_id, year, duration)] = tables.query(
        "SELECT s.song_id, s.title, s.artist_id, s.year, s.duration "
        "FROM songplays p JOIN songs s ON s.song_id = p.song_id"
    )
    assert song_id.startswith("EV") and (title, year, duration) == ("Björk's Tune", None, None)
    assert tables.query(f"SELECT * FROM artists WHERE artist_id = '{artist_id}'") == [
        (artist_id, "Nobody", None, None, None)
    ]
    assert artist_id.startswith("EV")


def test_inferred_song_of_a_catalogue_artist_keeps_that_artist(tables: Warehouse) -> None:
    load(tables, [event(song="Unknown")], [song()])
    assert tables.query("SELECT artist_id FROM songplays") == [("AR1",)]
    assert tables.query("SELECT artist_id FROM artists") == [("AR1",)]


def test_closest_duration_wins_and_a_play_stays_one_row(tables: Warehouse) -> None:
    versions = [song(song_id="SO1", duration=100.0), song(song_id="SO2", duration=205.0)]
    load(tables, [event(length=200.5), event(length=110.0, itemInSession=1)], versions)
    assert tables.query("SELECT item_in_session, song_id FROM songplays ORDER BY 1") == [
        (0, "SO2"),
        (1, "SO1"),
    ]


def test_same_event_twice_in_the_logs_is_one_play(tables: Warehouse) -> None:
    load(tables, [event(), event()], [song()])
    assert tables.counts()["songplays"] == 1


def test_two_plays_at_one_moment_are_two_plays(tables: Warehouse) -> None:
    load(tables, [event(), event(itemInSession=1)], [song()])
    assert tables.counts() | {"time": 1, "songplays": 2} == tables.counts()


def test_play_of_somebody_logged_out_counts_without_a_user(tables: Warehouse) -> None:
    load(tables, [event(userId="")], [song()])
    assert tables.query("SELECT user_id FROM songplays") == [(None,)]
    assert tables.counts()["users"] == 0


def test_play_without_title_or_artist_counts(tables: Warehouse) -> None:
    nothing = event(song=None, artist=None, length=None)
    load(tables, [nothing, event(song="Song", artist=None, itemInSession=1)], [song()])
    rows = tables.query("SELECT LEFT(song_id, 2), artist_id FROM songplays ORDER BY item_in_session")
    assert rows == [(None, None), ("EV", None)]


def test_other_pages_are_no_plays_but_make_users(tables: Warehouse) -> None:
    load(tables, [event(page="Home", song=None, artist=None, length=None)], [song()])
    assert tables.counts() | {"songplays": 0, "users": 1, "time": 0} == tables.counts()


def test_user_has_the_level_of_the_latest_event(tables: Warehouse) -> None:
    latest = event(level="paid", ts=1541105830796 + DAY, page="Home", lastName="New")
    load(tables, [latest, event()], [song()])
    assert tables.query("SELECT level, last_name FROM users") == [("paid", "New")]


def test_tie_at_one_moment_goes_to_the_later_item(tables: Warehouse) -> None:
    load(tables, [event(itemInSession=10, level="paid"), event(itemInSession=9, level="free")], [song()])
    assert tables.query("SELECT level FROM users") == [("paid",)]


def test_older_log_later_does_not_bring_an_old_level_back(tables: Warehouse) -> None:
    load(tables, [event(level="paid", ts=1541105830796 + DAY)], [song()])
    load(tables, [event(level="free")], [song()])
    assert tables.query("SELECT level FROM users") == [("paid",)]
    assert tables.counts()["songplays"] == 2


def test_one_row_a_song_and_artist_the_most_complete(tables: Warehouse) -> None:
    bare = song(year=0, artist_location="", artist_latitude=None, artist_longitude=None)
    load(tables, [event()], [bare, song(), bare])
    assert tables.query("SELECT year FROM songs") == [(1999,)]
    assert tables.query("SELECT location FROM artists") == [("Portland, OR",)]
    load(tables, [event()], [bare])
    assert tables.query("SELECT year FROM songs") == [(1999,)]


def test_when_the_catalogue_catches_up_inferred_rows_are_replaced(tables: Warehouse) -> None:
    load(tables, [event(), event(song="Other", itemInSession=1)], [song(title="x", artist_name="y")])
    before = tables.counts()
    load(
        tables,
        [event(itemInSession=2)],
        [song(title="x", artist_name="y"), song(song_id="SO2", artist_id="AR2")],
    )
    assert tables.query(
        "SELECT item_in_session, song_id, artist_id FROM songplays WHERE song_title = 'Song' ORDER BY 1"
    ) == [
        (0, "SO2", "AR2"),
        (2, "SO2", "AR2"),
    ]
    assert tables.query("SELECT song_title FROM songplays WHERE artist_id = 'AR2' AND song_id LIKE 'EV%'") == [
        ("Other",)
    ]
    assert tables.query("SELECT COUNT(*) FROM artists WHERE artist_id LIKE 'EV%'") == [(0,)]
    assert tables.counts()["songs"] == before["songs"]  # one inferred song less, one of the catalogue more


def test_trailing_blanks_do_not_keep_a_play_from_its_song(tables: Warehouse) -> None:
    load(tables, [event(song="Song ", artist="Band  ")], [song()])
    assert tables.query("SELECT song_id FROM songplays") == [("SO1",)]


@pytest.mark.stand_in_only
def test_files_are_counted_on_serverless_as_well(tables: Warehouse) -> None:
    """Serverless has no STL views."""
    tables.write_log([event()])
    tables.write_songs([song()])
    tables.query("DROP VIEW local_redshift.stl_load_commits; COMMIT; SELECT 1")
    assert "read from 1 log file and 1 song file" in tables.output()


def test_rerun_adds_and_changes_nothing(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    tables.etl()
    before = tables.everything()
    output = tables.etl().stdout
    assert tables.everything() == before
    assert re.search(r"\b0 plays loaded into", output) and "1,535 already there" in output


def test_days_one_at_a_time_in_any_order_end_in_the_same_star(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    tables.etl()
    whole = tables.star()
    tables.create_tables()
    days = sorted((ROOT / "sample_data" / "log-data").rglob("*.json"))[:6]
    shutil.copytree(ROOT / "sample_data" / "log-data", tables.folder / "rest")
    for path in reversed(days):
        next((tables.folder / "rest").rglob(path.name)).unlink()
        tables.configure({("S3", "LOG_DATA"): str(path)})
        tables.load()
    tables.configure({("S3", "LOG_DATA"): "rest"})
    tables.load()
    assert tables.star() == whole


def test_output_says_what_became_of_each_table_and_reconciles(tables: Warehouse) -> None:
    other = event(song="Other", artist="X", itemInSession=1)
    load(tables, [event(), other], [song()])
    tables.write_log(
        [
            event(),
            other,
            event(page="Home", itemInSession=9),
            event(itemInSession=2),
            event(song="New", itemInSession=3),
        ]
    )
    assert said_by(tables.etl().stdout) == [
        "staged in # s: 5 events, 4 of them plays, and 1 song",
        "loaded in # s: songplays 2 new, 0 changed, 2 unchanged; users 0 new, 1 changed, 0 unchanged; "
        "songs 1 new, 0 changed, 2 unchanged; artists 0 new, 0 changed, 2 unchanged; "
        "time 0 new, 0 changed, 1 unchanged",
        "checked in # s: 27 checks passed",
        "staged plays are from 2018-11-01 20:57:10.796 to 2018-11-01 20:57:10.796 UTC; "
        "4 plays staged: 2 new, 2 already there; "
        "1 of 2 plays (50.0%) matched to the catalogue; "
        "2 songs and 1 artist are inferred: played, but not in the catalogue; "
        "read from 1 log file and 1 song file",
        "2 plays loaded into # on local in # s",
    ]


def test_v_shows_each_statement_and_each_check(tables: Warehouse) -> None:
    tables.write_log([event(), event(itemInSession=2)])
    tables.write_songs([song()])
    output = tables.run("etl.py", "-v").stdout
    assert re.search(r"^staging_events_copy: 2 rows in \d+\.\d\d s$", output, re.MULTILINE)
    assert re.search(r"^songplays_table_insert: 2 rows in \d+\.\d\d s$", output, re.MULTILINE)
    assert output.count("\n  ok  ") == 26 and "\n  ok  duplicate user_id in users\n" in output


def test_output_says_what_the_catalogue_has_caught_up_with(tables: Warehouse) -> None:
    load(tables, [event(song="Other", artist="X"), event(song="Third", artist="X", itemInSession=1)], [song()])
    tables.write_songs([song(song_id="SO2", artist_id="AR2", title="Other", artist_name="X")])
    said = said_by(tables.etl().stdout)
    assert "songplays 0 new, 2 changed, 0 removed, 0 unchanged; " in said[1]
    assert (
        "; songs 1 new, 0 changed, 1 removed, 2 unchanged; artists 1 new, 0 changed, 1 removed, 1 unchanged;" in said[1]
    )
    assert (
        "; 2 plays staged: 0 new, 2 already there; 2 earlier plays matched again: the catalogue has changed; "
        in said[3]
    )
    assert "; 1 song and 0 artists are inferred: played, but not in the catalogue; " in said[3]


def test_plays_that_are_matched_again_are_counted_outside_the_window_of_the_load_too(tables: Warehouse) -> None:
    load(tables, [event(song="Other", artist="X"), event(song="Third", artist="X", itemInSession=1)], [song()])
    tables.write_songs([song(song_id="SO2", artist_id="AR2", title="Third", artist_name="Y")])
    tables.write_log([event(ts=event()["ts"] + 86_400_000)])
    assert "songplays 1 new, 0 changed, 0 unchanged" in said_by(tables.output())[1]
    tables.write_songs([song(song_id="SO3", artist_id="AR3", title="Other", artist_name="X")])
    tables.write_log([event(ts=event()["ts"] + 2 * 86_400_000)])
    # both plays of the first day: X is in the catalogue now
    assert "songplays 1 new, 2 changed, 0 removed, 1 unchanged" in said_by(tables.output())[1]


def test_row_is_compared_with_what_is_known_of_it_though_nothing_else_is_staged(tables: Warehouse) -> None:
    load(tables, [event(level="paid")], [song()])
    load(tables, [event(level="free", ts=event()["ts"] - 1)], [song(year=0, artist_location="", artist_latitude=None)])
    assert tables.query("SELECT level FROM users") == [("paid",)]
    assert tables.query("SELECT year FROM songs") == [(1999,)]
    assert tables.query("SELECT location, latitude FROM artists") == [("Portland, OR", 45.5)]


def test_play_that_moves_is_none_of_the_new_plays_that_match(tables: Warehouse) -> None:
    load(tables, [event(song="Other", artist="X")], [song()])
    tables.write_songs([song(song_id="SO2", artist_id="AR2", title="Other", artist_name="X")])
    tables.write_log([event(song="Other", artist="X"), event(song="New", itemInSession=1)])
    said = said_by(tables.output())
    assert said[-1] == "1 play loaded into the warehouse in # s"
    assert (
        "; 2 plays staged: 1 new, 1 already there; 0 of 1 play (0.0%) matched to the catalogue: it has no song"
        in said[3]
    )


def test_load_without_a_play_reads_none(tables: Warehouse) -> None:
    load(tables, [event()], [song()])
    tables.write_log([event(page="Home")])
    said = said_by(tables.etl().stdout)
    assert said[0] == "staged in # s: 1 event, 0 of them plays, and 1 song"
    assert said[1].startswith("loaded in # s: songplays 0 new, 0 changed, 0 unchanged; users ")
    assert said[-1] == "0 plays loaded into # on local in # s"
    assert tables.counts()["songplays"] == 1


def said_by(output: str) -> list[str]:
    """The lines of a load after the first, without times and the names of databases."""
    lines = [unstamped(line) for line in output.splitlines() if " -> " not in line]
    return [re.sub(r"\w+\.public(?= on local)", "#", re.sub(r"in \d+\.\d+ s", "in # s", line)) for line in lines]


def test_every_foreign_key_finds_its_row(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    tables.etl()
    assert tables.query(ALL_DIMENSIONS) == [(1535,)]


@pytest.mark.stand_in_only
def test_from_s3_as_from_local_paths(tables: Warehouse, bucket: object, aws: dict[str, str]) -> None:
    tables.use(ROOT / "sample_data")
    tables.etl()
    local = tables.star()
    upload(bucket, ROOT / "sample_data")
    tables.create_tables()
    tables.environment = aws
    tables.use("s3://sparkify")
    tables.configure({("S3", "LOG_JSONPATH"): "s3://sparkify/log_json_path.json"})
    tables.etl()
    assert tables.star() == local


@pytest.mark.stand_in_only
@pytest.mark.parametrize("temp_dir", [None, "s3://sparkify/temp"])
def test_every_page_of_a_listing_is_loaded(
    tables: Warehouse, bucket: object, s3_front: S3Front, temp_dir: str | None
) -> None:
    # S3's have 1,000 names: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
    s3_front.page = 3
    tables.write_log([event()])
    tables.write_songs([song(song_id=f"SO{number}") for number in range(10)])
    upload(bucket, tables.folder)
    tables.use("s3://sparkify")
    tables.configure({("S3", "TEMP_DIR"): temp_dir})
    tables.load()
    assert tables.counts()["staging_songs"] == 10


@pytest.mark.stand_in_only
def test_more_objects_than_a_page_of_s3_has_names_are_loaded(
    tables: Warehouse, bucket: object, aws: dict[str, str]
) -> None:
    tables.write_log([event()])
    upload(bucket, tables.folder)
    store = moto.s3.models.s3_backends[DEFAULT_ACCOUNT_ID]["aws"]  # by HTTP this would take ten times as long
    for number in range(1001):
        store.put_object("sparkify", f"song-data/{number}.json", json.dumps(song(song_id=f"SO{number}")).encode())
    tables.use("s3://sparkify")
    for temp_dir in ("s3://sparkify/temp", None):
        tables.configure({("S3", "TEMP_DIR"): temp_dir})
        tables.load()
        assert tables.counts()["staging_songs"] == 1001
    assert not list(bucket.objects.filter(Prefix="temp/"))


@needs_real_data
def test_real_data_have_the_known_counts_twice(tables: Warehouse) -> None:
    tables.use(REAL_DATA)
    tables.etl()
    assert tables.counts() == REAL_COUNTS
    assert tables.query(ALL_DIMENSIONS) == [(3041,)]
    before = tables.everything()
    tables.etl()
    assert tables.everything() == before


@needs_real_data
def test_real_days_one_at_a_time_end_in_the_same_star(tables: Warehouse) -> None:
    tables.use(REAL_DATA)
    tables.etl()
    whole = tables.star()
    tables.create_tables()
    for path in sorted((REAL_DATA / "log-data").rglob("*.json")):
        tables.configure({("S3", "LOG_DATA"): str(path)})
        tables.load()
    assert tables.star() == whole
