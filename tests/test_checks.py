"""The checks: each is shown to fire, with a count and an example, on what a load touched or on the whole star."""

import contextlib
import re
import shutil
from pathlib import Path

import psycopg2
import pytest
from helpers import STAR, Warehouse, copy_database, event, song

import common
import sql_queries
from pipeline.checks import verify_star
from pipeline.errors import PipelineError
from pipeline.session import Run, Session
from pipeline.settings import read_settings

pytestmark = pytest.mark.also_on_cluster

DAY = 86_400_000
MOMENT = "2018-11-01 20:57:10.796"
SONG_ID = "'EV' || MD5(MD5('X') || 'Other')"
PLAY = (
    "start_time, user_id, level, song_id, artist_id, session_id, location, user_agent, item_in_session, song_title, "
    "artist_name, song_length"
)

# what is wrong: SQL that has it so, and the count and the example in the message
IN_SMALL_TABLES = {
    "duplicate user_id in users": ("INSERT INTO users SELECT * FROM users WHERE user_id = 7", "1, for example 7"),
    "duplicate song_id in songs": ("INSERT INTO songs SELECT * FROM songs WHERE song_id = 'SO1'", "1, for example SO1"),
    "duplicate artist_id in artists": (
        "INSERT INTO artists SELECT * FROM artists WHERE artist_id = 'AR1'",
        "1, for example AR1",
    ),
    "songs.artist_id not in artists": (
        "INSERT INTO songs (song_id, artist_id) VALUES ('SO9', 'AR9')",
        "1, for example AR9",
    ),
}
IN_PLAYS = {
    "songplays.user_id not in users": ("DELETE FROM users WHERE user_id = 7", "2, for example 7"),
    "songplays.song_id not in songs": ("DELETE FROM songs WHERE song_id = 'SO1'", "1, for example SO1"),
    "songplays.artist_id not in artists": (
        "UPDATE songplays SET artist_id = 'AR9' WHERE song_id = 'SO1'",
        "1, for example AR9",
    ),
    "songplays.start_time not in time": (
        f"DELETE FROM time WHERE start_time = '{MOMENT}'",
        f"2, for example {MOMENT}",
    ),
    "songplays with a title but no song_id": (
        "UPDATE songplays SET song_id = NULL WHERE song_id = 'SO1'",
        f"1, for example {MOMENT}",
    ),
    "songplays with an artist_name but no artist_id": (
        "UPDATE songplays SET artist_id = NULL WHERE song_id = 'SO1'",
        f"1, for example {MOMENT}",
    ),
    "songplays.artist_id differs from songs.artist_id": (
        "UPDATE songplays SET artist_id = 'EV' || MD5('X') WHERE song_id = 'SO1'",
        "1, for example SO1",
    ),
    "time has rows without a play": (
        "UPDATE songplays SET start_time = '2018-11-05' WHERE user_id = 7",
        f"1, for example {MOMENT}",
    ),
    "title or artist_name of songplays differs from songs": (
        "UPDATE songplays SET song_id = 'SO1' WHERE song_title = 'Other'",
        "1, for example SO1",
    ),
    "duplicate start_time in time": (
        f"INSERT INTO time SELECT * FROM time WHERE start_time = '{MOMENT}'",
        f"1, for example {MOMENT}",
    ),
    "duplicate key in songplays": (
        f"INSERT INTO songplays ({PLAY}) SELECT {PLAY} FROM songplays WHERE song_id = 'SO1'",
        f"1, for example {MOMENT}",
    ),
}
IN_STAGED = {
    "staged plays missing from songplays": (
        "DELETE FROM songplays WHERE song_id = 'SO1'",
        f"1, for example {MOMENT}",
    ),
    "song_id or artist_id of songplays differs from the catalogue": (
        "UPDATE songplays SET artist_id = NULL WHERE song_id = 'SO1'",
        "1, for example SO1",
    ),
    "upserted rows missing from users": ("DELETE FROM users", "1, for example 7"),
    "upserted rows missing from songs": ("DELETE FROM songs", "1, for example SO1"),
    "upserted rows missing from artists": ("DELETE FROM artists", "1, for example AR1"),
    "inferred songs without a play": (
        "UPDATE songplays SET song_id = 'SO1' WHERE song_title = 'Other'",
        "1, for example EV",
    ),
    "inferred artists without a play": (
        "UPDATE songplays SET artist_id = 'AR1' WHERE song_title = 'Other'",
        "1, for example EV",
    ),
    "song files with ids that start with EV, which inferred ones have": (
        "UPDATE staging_songs SET song_id = 'EV9'",
        "1, for example EV9",
    ),
}
IN_WHOLE_STAR = {
    "inferred songs without a play": (
        "INSERT INTO songs (song_id, title) VALUES ('EV' || MD5(MD5('') || 'T'), 'T')",
        "1, for example EV",
    ),
    "inferred artists without a play": (
        "INSERT INTO artists (artist_id, name) VALUES ('EV' || MD5('A'), 'A')",
        "1, for example EV",
    ),
    "inferred song_id does not match title and artist_name": (
        "UPDATE songs SET title = 'Othr' WHERE title = 'Other'",
        "1, for example EV",
    ),
    "inferred artist_id does not match the name": (
        "UPDATE artists SET name = 'Y' WHERE name = 'X'",
        "1, for example EV",
    ),
    "columns of time do not match start_time": (
        f"UPDATE time SET weekday = 'Friday' WHERE start_time = '{MOMENT}'",
        f"1, for example {MOMENT}",
    ),
    "inferred songs that the catalogue has": (
        "INSERT INTO songs (song_id, title, artist_name) VALUES ('SO9', 'Other', 'X ')",
        "1, for example EV",
    ),
    "inferred artists that the catalogue has": (
        "INSERT INTO songs (song_id, title, artist_name) VALUES ('SO9', 'Third', 'X')",
        "1, for example EV",
    ),
}


PASSED = r"22 checks passed in \w+\.public on local \(\d+\.\d s\)\n"


def said_by(queries: list[str]) -> set[str]:
    """What the checks of these queries say is wrong."""
    return set(re.findall(r"^SELECT\s+'([^']+)'", "\n".join(queries), re.MULTILINE))


def damaged_load(warehouse: Warehouse, damage: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Load, with a statement more before the checks; what the load fails with, having changed nothing."""
    before = warehouse.everything()
    for queries in ("insert_table_queries", "rematch_queries"):
        monkeypatch.setattr(sql_queries, queries, [*getattr(sql_queries, queries), damage])
    with pytest.raises(PipelineError, match="nothing was loaded") as raised:
        warehouse.load()
    assert warehouse.everything() == before
    return str(raised.value)


@pytest.mark.parametrize("wrong", [*IN_SMALL_TABLES, *IN_PLAYS, *IN_STAGED])
def test_check_fires_and_nothing_is_loaded(tables: Warehouse, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    damage, example = (IN_SMALL_TABLES | IN_PLAYS | IN_STAGED)[wrong]
    tables.write_log([event(), event(song="Other", artist="X", itemInSession=1)])
    tables.write_songs([song()])
    assert f"{wrong}: {example}" in damaged_load(tables, damage, monkeypatch)


@pytest.mark.parametrize(
    "wrong",
    [
        "title or artist_name of songplays differs from songs: 1, for example SO1",
        "song_id or artist_id of songplays differs from the catalogue: 1, for example SO1",
    ],
)
@pytest.mark.parametrize("unknown", ["artist", "song"])
def test_play_without_a_name_is_of_no_song_that_has_one(
    tables: Warehouse, unknown: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write_log([event(), event(itemInSession=1) | {unknown: None}])
    tables.write_songs([song()])
    damage = "UPDATE songplays SET song_id = 'SO1', artist_id = 'AR1' WHERE item_in_session = 1"
    assert wrong in damaged_load(tables, damage, monkeypatch)


WRONG_NAMES = "title or artist_name of songplays differs from songs: 1, for example SO1"
ONE_COLUMN = [  # what is damaged in one column, and what is said of it
    (
        "UPDATE songs SET artist_id = NULL WHERE song_id = 'SO1'",
        "songplays.artist_id differs from songs.artist_id: 1, for example SO1",
    ),
    ("UPDATE songs SET title = NULL WHERE song_id = 'SO1'", WRONG_NAMES),
    ("UPDATE songs SET artist_name = NULL WHERE song_id = 'SO1'", WRONG_NAMES),
    ("UPDATE songplays SET song_title = NULL", WRONG_NAMES),
    ("UPDATE songplays SET artist_name = NULL", WRONG_NAMES),
]


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        *ONE_COLUMN,
        (
            "UPDATE staging_songs SET artist_id = 'EV9'",
            "song files with ids that start with EV, which inferred ones have: 1, for example SO1",
        ),
    ],
)
def test_each_column_that_a_check_asks_is_asked(
    tables: Warehouse, damage: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    assert wrong in damaged_load(tables, damage, monkeypatch)


@pytest.mark.parametrize(("damage", "wrong"), ONE_COLUMN)
def test_each_column_that_a_check_asks_is_asked_by_verify(tables: Warehouse, damage: str, wrong: str) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    tables.load()
    tables.query(f"{damage}; COMMIT; SELECT 1")
    assert wrong in tables.failing_output("verify")


@pytest.mark.parametrize(
    ("table", "key", "lost"), [("users", "user_id", "8"), ("songs", "song_id", "SO2"), ("artists", "artist_id", "AR2")]
)
def test_lost_row_beside_others_is_found(
    tables: Warehouse, table: str, key: str, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write_log([event(), event(userId="8", itemInSession=1)])
    tables.write_songs([song(), song(song_id="SO2", artist_id="AR2", title="Second", artist_name="Two")])
    said = damaged_load(tables, f"DELETE FROM {table} WHERE {key} = '{lost}'", monkeypatch)
    assert f"upserted rows missing from {table}: 1, for example {lost}" in said


@pytest.mark.parametrize("change", [{"ts": event()["ts"] + 1}, {"sessionId": 2}, {"itemInSession": 1}])
def test_play_is_lost_though_another_has_all_but_one_of_its_keys(
    tables: Warehouse, change: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write_log([event(), event(song="Other", **change)])
    tables.write_songs([song()])
    said = damaged_load(tables, "DELETE FROM songplays WHERE song_title = 'Other'", monkeypatch)
    assert "staged plays missing from songplays: 1, " in said


@pytest.mark.parametrize(
    ("wrong", "damage"),
    [
        ("songplays.song_id not in songs", f"UPDATE songplays SET song_id = {SONG_ID} WHERE user_id = 7"),
        (
            "songplays.artist_id not in artists",
            "UPDATE songplays SET artist_id = 'EV' || MD5('X') WHERE user_id = 7",
        ),
        (
            "song_id or artist_id of songplays differs from the catalogue",
            f"UPDATE songplays SET song_id = {SONG_ID}, artist_id = 'EV' || MD5('X') WHERE user_id = 7",
        ),
        ("inferred songs without a play", f"INSERT INTO songs (song_id) VALUES ({SONG_ID})"),
        ("inferred artists without a play", "INSERT INTO artists (artist_id) VALUES ('EV' || MD5('X'))"),
    ],
)
def test_moved_plays_are_checked_outside_the_window(
    tables: Warehouse, wrong: str, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write_log([event(song="Other", artist="X")])
    tables.write_songs([song()])
    tables.load()
    tables.write_log([event(ts=event()["ts"] + DAY, userId="8")])
    tables.write_songs([song(song_id="SO2", artist_id="AR2", title="Other", artist_name="X")])
    assert f"{wrong}: 1, for example EV" in damaged_load(tables, damage, monkeypatch)


@pytest.mark.parametrize("unknown", ["song", "artist", "length"])
def test_moved_plays_without_a_value_are_checked_outside_the_window(
    tables: Warehouse, unknown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays = [event(song="Other", artist="X"), event(song="Other", artist="X", itemInSession=1) | {unknown: None}]
    tables.write_log(plays)
    tables.write_songs([song()])
    tables.load()
    tables.write_log([play | {"ts": play["ts"] + DAY} for play in plays])
    tables.write_songs([song(song_id="SO2", artist_id="AR2", title="Other", artist_name="X")])
    wrong_ids = {"song_id = 'SO1'", "artist_id = 'AR1'", "song_id = NULL", "artist_id = NULL"}
    for wrong in wrong_ids - {f"{unknown}_id = NULL"}:
        damage = f"UPDATE songplays SET {wrong} WHERE item_in_session = 1 AND start_time < '2018-11-02'"
        with monkeypatch.context() as damaging:
            said = damaged_load(tables, damage, damaging)
        assert "song_id or artist_id of songplays differs from the catalogue: 1" in said


@pytest.mark.parametrize("left_out", ["songplays_table_update", "inferred_songs_insert"])
def test_plays_of_a_song_that_has_another_title_now_have_to_move(
    tables: Warehouse, left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write_log([event()])
    tables.write_songs([song(year=0)])
    tables.load()
    tables.write_log([event(page="Home")])
    tables.write_songs([song(title="Another")])
    for queries in ("insert_table_queries", "rematch_queries"):
        kept = [query for query in getattr(sql_queries, queries) if query.name != left_out]
        monkeypatch.setattr(sql_queries, queries, kept)
    with pytest.raises(PipelineError, match="nothing was loaded") as raised:
        tables.load()
    wrong = {
        "songplays_table_update": "song_id or artist_id of songplays differs from the catalogue: 1, for example SO1",
        "inferred_songs_insert": "songplays.song_id not in songs: 1, for example EV",
    }
    assert wrong[left_out] in str(raised.value)


@pytest.mark.parametrize("table", ["users", "songs", "artists"])
def test_row_of_a_small_table_that_is_deleted_and_not_replaced_fails_the_load(
    tables: Warehouse, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write_log([event(), event(userId="8", artist="Other", itemInSession=1)])
    tables.write_songs([song(), song(song_id="SO2", artist_id="AR2", artist_name="Other")])
    tables.load()
    tables.write_log([event(page="Home", level="paid", ts=event()["ts"] + 1)])
    tables.write_songs([song(year=1998, artist_location="A better place")])
    name = f"{table}_table_delete"
    queries = sql_queries.insert_table_queries
    everything = sql_queries.Statement(f"DELETE FROM {table} WHERE 1 = 1")
    everything.name = name
    monkeypatch.setattr(
        sql_queries, "insert_table_queries", [everything if query.name == name else query for query in queries]
    )
    with pytest.raises(PipelineError, match=f"rows lost from {table}: 1"):
        tables.load()


def test_all_that_is_wrong_is_named_at_once(tables: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    said = damaged_load(tables, "DELETE FROM users; DELETE FROM time", monkeypatch)
    assert said.startswith("3 checks failed, nothing was loaded:\n  songplays.user_id not in users: 1, ")
    assert "\n  songplays.start_time not in time: 1, " in said
    assert "\n  upserted rows missing from users: 1, " in said


@pytest.fixture(scope="session")
def with_two_days(data_dir: Path, with_tables: str, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A warehouse of two days here, which tests get copies of."""
    made = Warehouse(tmp_path_factory.mktemp("two_days"), data_dir)
    copy_database(data_dir, with_tables, made.values["CLUSTER", "DB_NAME"])
    load_two_days(made)
    return made


@pytest.fixture
def two_days(place: str, warehouse: Warehouse, data_dir: Path, request: pytest.FixtureRequest) -> Warehouse:
    """A day with two plays and a song of the catalogue, then another day with a user of its own."""
    if place == "local":
        template = request.getfixturevalue("with_two_days")
        copy_database(data_dir, template.values["CLUSTER", "DB_NAME"], warehouse.values["CLUSTER", "DB_NAME"])
        shutil.copytree(template.folder / "log-data", warehouse.folder / "log-data")
        shutil.copytree(template.folder / "song-data", warehouse.folder / "song-data")
    else:
        warehouse.create_tables()
        load_two_days(warehouse)
    return warehouse


def load_two_days(warehouse: Warehouse) -> None:
    warehouse.write_songs([song()])
    warehouse.write_log([event(), event(song="Other", artist="X", itemInSession=1)])
    warehouse.load()
    warehouse.write_songs([song(song_id="SO5", artist_id="AR5", artist_name="Fifth", title="Fifth")])
    warehouse.write_log([event(ts=event()["ts"] + DAY, userId="8", artist="Fifth", song="Fifth")])
    warehouse.load()


@pytest.mark.parametrize("wrong", [*IN_SMALL_TABLES, *IN_PLAYS, *IN_WHOLE_STAR])
def test_damage_outside_the_window_is_found_by_verify(two_days: Warehouse, wrong: str) -> None:
    damage, example = (IN_SMALL_TABLES | IN_PLAYS | IN_WHOLE_STAR)[wrong]
    two_days.query(damage)
    if wrong not in IN_SMALL_TABLES:
        two_days.load()  # it has no reason to look at what was right before
    damaged = two_days.everything()
    with pytest.raises(PipelineError, match="nothing was changed") as raised:
        two_days.load("verify")
    assert f"{wrong}: {example}" in str(raised.value)
    assert two_days.everything() == damaged


@pytest.mark.parametrize("wrong", ["duplicate key in songplays", "songplays with a title but no song_id"])
def test_damage_is_mended_by_deleting_the_moment_and_loading_its_log_again(tables: Warehouse, wrong: str) -> None:
    tables.configure({("S3", "TEMP_DIR"): "temp"})
    tables.write_songs([song()])
    tables.write_log([event(), event(song="Other", artist="X", itemInSession=1)])
    tables.load()
    before = tables.star()
    tables.query(IN_PLAYS[wrong][0])
    for table in ("songplays", "time"):
        tables.query(f"DELETE FROM {table} WHERE start_time = '{MOMENT}'")
    tables.load(everything=True)
    tables.output("verify")
    assert tables.star() == before


@pytest.mark.parametrize(
    ("damage", "key", "names"),
    [
        ("UPDATE songs SET title = NULL WHERE title = 'Other'", "song_id", "title and artist_name"),
        ("UPDATE songs SET artist_name = NULL WHERE title = 'Other'", "song_id", "title and artist_name"),
        ("UPDATE artists SET name = NULL WHERE name = 'X'", "artist_id", "the name"),
    ],
)
def test_inferred_row_that_lost_its_name_is_found_by_verify(
    two_days: Warehouse, damage: str, key: str, names: str
) -> None:
    two_days.query(damage)
    wrong = f"inferred {key} does not match {names}: 1, for example EV"
    with pytest.raises(PipelineError, match=wrong):
        two_days.load("verify")


@pytest.mark.parametrize("column", ["hour", "day", "week", "month", "year"])
def test_each_column_of_time_is_verified(two_days: Warehouse, column: str) -> None:
    two_days.query(f"UPDATE time SET {column} = {column} + 1")
    with pytest.raises(PipelineError, match="columns of time do not match start_time: 2, for example 2018-11"):
        two_days.load("verify")


def test_verify_passes_where_nothing_is_damaged(two_days: Warehouse) -> None:
    assert re.fullmatch(PASSED, two_days.run("etl.py", "--verify").stdout)


@pytest.mark.parametrize("wrong", IN_SMALL_TABLES)
def test_damage_of_a_small_table_fails_the_next_load(two_days: Warehouse, wrong: str) -> None:
    damage, example = IN_SMALL_TABLES[wrong]
    two_days.query(damage)
    with pytest.raises(PipelineError, match="check failed, nothing was loaded") as raised:
        two_days.load()
    assert f"{wrong}: {example}" in str(raised.value)


def test_moments_without_a_play_are_not_taken_for_plays_without_a_moment(two_days: Warehouse) -> None:
    two_days.query(
        "INSERT INTO time (start_time, hour, day, week, month, year, weekday) "
        "SELECT '2018-11-02', hour, day, week, month, year, weekday FROM time"
    )
    two_days.query("DELETE FROM time WHERE start_time = (SELECT MAX(start_time) FROM time)")
    said = two_days.run("etl.py", "--verify", code=1).stderr
    assert "  songplays.start_time not in time: 1, for example 2018-11-02 20:57:10.796\n" in said
    assert "  time has rows without a play: 2, for example 2018-11-02 00:00:00\n" in said


def test_verify_passes_where_an_artist_of_the_catalogue_has_inferred_songs(tables: Warehouse) -> None:
    tables.write_log([event(), event(song="Other", itemInSession=1), event(artist="X", itemInSession=2)])
    tables.write_songs([song()])
    tables.load()
    assert "22 checks passed" in tables.output("verify")


def test_verify_of_an_empty_star_passes(tables: Warehouse) -> None:
    assert re.fullmatch(PASSED, tables.run("etl.py", "--verify").stdout)


def test_verify_holds_no_lock_between_its_queries(two_days: Warehouse) -> None:
    asked = []
    settings = read_settings(two_days.config)
    with contextlib.closing(two_days.connect()) as other:

        class Watched(Session):
            """Lets another session lock all tables of the star before each query of --verify."""

            def execute(self, statement: str, *others: object) -> psycopg2.extensions.cursor:
                if statement in sql_queries.verify_queries:
                    asked.append(statement)
                    with other.cursor() as cursor:
                        cursor.execute(f"SET statement_timeout TO 30000; LOCK {', '.join(STAR)}")
                    other.rollback()
                return super().execute(statement, *others)

        with Watched(common.connect(settings), settings, Run()) as session:
            verify_star(session)
    assert asked == sql_queries.verify_queries


def test_verify_neither_waits_for_a_load_nor_keeps_one_waiting(two_days: Warehouse) -> None:
    loading = two_days.connect()
    loading.cursor().execute("LOCK staging_events, staging_songs")
    two_days.run("etl.py", "--verify")
    loading.close()
    read = "".join(sql_queries.verify_queries) + sql_queries.whole_star_window
    assert not re.search(r"staging_|new_|play_songs|rematch", read)


def test_every_check_is_tried() -> None:
    # test_changed_input.py tries those of fields and moments, and of conflicts
    changed = [getattr(sql_queries, f"{name}_check") for name in ("fields", "moments", "conflicts", "lost_values")]
    tried_here = [query for query in sql_queries.check_queries if query not in changed]
    tried_here.append(sql_queries.loaded_plays_check)
    assert said_by(tried_here) == {*IN_SMALL_TABLES, *IN_PLAYS, *IN_STAGED}
    assert said_by(sql_queries.verify_queries) == {*IN_SMALL_TABLES, *IN_PLAYS, *IN_WHOLE_STAR}


def test_verify_ignores_trailing_blanks_of_titles_and_names(tables: Warehouse) -> None:
    tables.write_songs([song(title="Song  "), song(song_id="SO2", title="Tune", artist_name="Band  ")])
    tunes = [event(song="Tune", itemInSession=1), event(song="Tune", artist="Band   ", itemInSession=2)]
    tables.write_log([event(), *tunes])
    tables.load()
    assert tables.query("SELECT COUNT(*) FROM songplays WHERE song_id IN ('SO1', 'SO2')") == [(3,)]
    tables.output("verify")


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        ("UPDATE songplays SET artist_id = NULL WHERE song_id = 'SO1'", "songplays.artist_id differs"),
        ("UPDATE artists SET name = NULL WHERE artist_id LIKE 'EV%'", "inferred artist_id does not match"),
    ],
)
def test_missing_value_differs_from_any_other(two_days: Warehouse, damage: str, wrong: str) -> None:
    two_days.query(damage)
    assert wrong in two_days.failing_output("verify")
