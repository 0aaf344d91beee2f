"""What a load means, seen from outside: the scripts run as processes, the tables are read back."""

import contextlib
import csv
import datetime as dt
import io
import re
import shutil

import pytest
from helpers import (
    REAL_DATA,
    REAL_LOAD_ERRORS,
    ROOT,
    Warehouse,
    event,
    needs_real_data,
    song,
    upload,
)

import sql_queries
from pipeline.errors import PipelineError

DAY = 86_400_000

REAL_COUNTS = {
    "staging_events": 3574,
    "staging_songs": 40,
    "songplays": 3041,
    "users": 86,
    "songs": 2600,
    "artists": 1839,
    "time": 3039,
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


def test_rerun_adds_and_changes_nothing(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    tables.etl()
    before = tables.everything()
    output = tables.etl().stdout
    assert tables.everything() == before
    assert re.search(r"\b0 plays loaded now", output) and "1,535 plays already there" in output


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


def test_output_names_each_step_and_reconciles(tables: Warehouse) -> None:
    load(tables, [event(), event(page="Home"), event(song="Other", artist="X", itemInSession=1)], [song()])
    output = tables.etl().stdout
    assert re.search(r"^COPY staging_events: 3 rows in \d+\.\d\d s$", output, re.MULTILINE)
    assert re.search(r"^INSERT songplays: 0 rows in \d+\.\d\d s$", output, re.MULTILINE)
    summary = [" ".join(line.split()) for line in output.split("\n\n")[-1].strip().splitlines()]
    assert summary == [
        "3 events staged",
        "2 plays among them",
        "0 plays loaded now",
        "2 plays already there",
        "2 plays in songplays",
        "1 plays matched to the catalogue (50.0%)",
        "1 inferred songs",
        "1 inferred artists",
    ]


def test_every_foreign_key_finds_its_row(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    tables.etl()
    assert tables.query(ALL_DIMENSIONS) == [(1535,)]


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


def break_a_song(tables: Warehouse) -> dict:
    """Load good data; then make a song's location too long. Returns the song as loaded."""
    load(tables, [event()], [song()])
    narrow = sql_queries.staging_songs_table_create.replace(
        "artist_location  VARCHAR(1024)", "artist_location VARCHAR(256)"
    )
    assert narrow != sql_queries.staging_songs_table_create
    tables.query(f"DROP TABLE staging_songs; {narrow}")
    bad = song(artist_location='ORDER <a href="x">é</a> ' + "x" * 250)
    tables.write_songs([song(), bad])
    return bad


def read_csv(tables: Warehouse) -> list[dict[str, str]]:
    with open(tables.folder / "load_errors.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_failing_copy_changes_nothing_and_names_the_error(tables: Warehouse) -> None:
    break_a_song(tables)
    before = tables.everything()
    result = tables.etl(code=1)
    assert tables.everything() == before
    path = f"{tables.folder}/song-data/TR0001.json"
    assert "Load into table 'staging_songs' failed." in result.stderr
    assert f"{path}, line 1, column artist_location varchar(256): String length exceeds DDL length" in result.stderr
    assert str(tables.folder / "load_errors.csv") in result.stderr
    row = read_csv(tables)[0]
    assert row["filename"] == path and row["col_length"] == "256" and row["err_code"] == "1204"
    assert '\\\\"x\\\\"' in row["raw_line"]  # backslashes are doubled
    assert all(value == value.strip() for value in row.values())


def test_load_errors_csv_has_the_25_latest_and_the_message_the_first_of_this_run(tables: Warehouse) -> None:
    for _ in range(3):
        break_a_song(tables)
        tables.etl(code=1)
    tables.write_log([event(sessionId="x")])
    result = tables.etl(code=1)
    rows = read_csv(tables)
    assert len(rows) == 4
    assert [row["starttime"] for row in rows] == sorted((row["starttime"] for row in rows), reverse=True)
    assert rows[0]["colname"] == "session_id"
    assert "column session_id int4: Invalid digit, Value 'x', Pos 0, Type: Integer" in result.stderr


def test_old_load_errors_csv_stays_whole_when_a_new_one_fails_otherwise(tables: Warehouse) -> None:
    break_a_song(tables)
    tables.etl(code=1)
    before = (tables.folder / "load_errors.csv").read_bytes()
    tables.configure({("S3", "SONG_DATA"): "nothing-here"})
    result = tables.etl(code=1)
    assert "no file's path starts with" in result.stderr
    assert (tables.folder / "load_errors.csv").read_bytes() == before
    assert [path.name for path in tables.folder.iterdir() if "load_errors" in path.name] == ["load_errors.csv"]


@pytest.mark.skipif(not REAL_LOAD_ERRORS.exists(), reason="the rows of a real cluster are not here")
@pytest.mark.parametrize("source", ["local", "s3"])
def test_load_errors_csv_has_the_row_a_cluster_wrote(
    tables: Warehouse, source: str, request: pytest.FixtureRequest
) -> None:
    with open(REAL_LOAD_ERRORS, newline="") as file:
        real = next(csv.DictReader(file))
    break_a_song(tables)
    tables.write_songs([])
    (tables.folder / "song-data" / "TRAYFUW128F428F618.json").write_text(real["raw_line"].replace("\\\\", "\\"))
    if source == "s3":
        bucket = request.getfixturevalue("bucket")
        upload(bucket, tables.folder)
        tables.environment = request.getfixturevalue("aws")
        tables.configure({("S3", "SONG_DATA"): "s3://sparkify/song-data"})
    before = tables.everything()
    tables.etl(code=1)
    assert tables.everything() == before
    row = read_csv(tables)[0]
    compared = "colname type col_length line_number position raw_line raw_field_value err_code err_reason".split()
    assert {name: row[name] for name in compared} == {name: real[name] for name in compared}
    if source == "s3":
        assert row["filename"] == "s3://sparkify/song-data/TRAYFUW128F428F618.json"


# only trying


def test_check_reports_every_error_and_changes_nothing(tables: Warehouse) -> None:
    load(tables, [event()], [song()])
    before = tables.everything()
    log = tables.write_log([event(), event(userId="me"), event(sessionId="x"), event(song="y" * 2000)], "2018-11-02")
    tables.write_songs([song(), song(title=None)])
    result = tables.run("etl.py", "--check", code=1)
    for line, column in ((2, "user_id"), (3, "session_id"), (4, "song")):
        assert f"{log}, line {line}, column {column} " in result.stdout
    assert "TR0001.json, line 1, column title " in result.stdout
    assert "4 records would not load" in result.stderr
    assert len(read_csv(tables)) == 4
    assert tables.everything() == before


class Terminal(io.StringIO):
    """A screen that keeps what it shows."""

    def isatty(self) -> bool:
        return True


def test_check_at_a_terminal_shows_a_table(tables: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")  # less than the path: it is shown whole all the same
    log = tables.write_log([event(ts="[b]soon[/b]"), *[event(userId="me")] * 1000, event()])
    tables.write_songs([song()])
    with contextlib.redirect_stdout(Terminal()) as screen, pytest.raises(PipelineError, match="1,001 records"):
        tables.load(check=True)
    rows = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in screen.getvalue().splitlines()]
    reasons = {
        1: ("ts timestamp", "Invalid timestamp format or value [epochmillisecs]", "1206"),
        2: ("user_id int4", "Invalid digit, Value 'm', Pos 0, Type: Integer", "1207"),
    }
    for line, (column, reason, code) in reasons.items():
        assert [str(line), column, reason, code] in rows
    assert screen.getvalue().count(f"{log}\n") == 1
    assert "and 1 more, which load_errors.csv has" in screen.getvalue()
    assert len(read_csv(tables)) == 1001


def test_check_of_good_data_says_so_and_changes_nothing(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    before = tables.everything()
    assert "everything would load" in tables.run("etl.py", "--check").stdout
    assert tables.everything() == before


def test_serverless_errors_come_from_the_other_view(tables: Warehouse) -> None:
    break_a_song(tables)
    tables.query("DROP VIEW local_redshift.stl_load_errors")
    result = tables.etl(code=1)
    assert "TR0001.json, line 1, column artist_location varchar(256): String length exceeds" in result.stderr
    [row] = read_csv(tables)
    assert row["error_message"] == "String length exceeds DDL length" and row["column_name"] == "artist_location"


def test_original_error_is_shown_where_neither_view_can_be_read(tables: Warehouse) -> None:
    break_a_song(tables)
    tables.query("DROP VIEW local_redshift.stl_load_errors; DROP VIEW local_redshift.sys_load_error_detail")
    result = tables.etl(code=1)
    assert "Load into table 'staging_songs' failed." in result.stderr
    assert 'can\'t be read from the system tables (relation "sys_load_error_detail" does not exist)' in result.stderr
