"""What happens to data that do not load: load_errors.csv, the message, and etl.py --check."""

import contextlib
import csv
import io
import re

import pytest
from helpers import (
    REAL_LOAD_ERRORS,
    ROOT,
    Warehouse,
    event,
    song,
    upload,
)
from test_etl import load

import sql_queries
from pipeline.errors import PipelineError

pytestmark = pytest.mark.also_on_cluster


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


@pytest.mark.stand_in_only
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


@pytest.mark.stand_in_only
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


@pytest.mark.stand_in_only
def test_old_load_errors_csv_stays_whole_when_a_new_one_fails_otherwise(tables: Warehouse) -> None:
    break_a_song(tables)
    tables.etl(code=1)
    before = (tables.folder / "load_errors.csv").read_bytes()
    tables.configure({("S3", "SONG_DATA"): "nothing-here"})
    result = tables.etl(code=1)
    assert "no file's path starts with" in result.stderr
    assert (tables.folder / "load_errors.csv").read_bytes() == before
    assert [path.name for path in tables.folder.iterdir() if "load_errors" in path.name] == ["load_errors.csv"]


@pytest.mark.stand_in_only
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


@pytest.mark.stand_in_only
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


@pytest.mark.stand_in_only
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


def test_check_tells_of_its_own_errors_alone(tables: Warehouse) -> None:
    break_a_song(tables)
    tables.etl(code=1)
    tables.write_songs([song()])
    tables.write_log([event(sessionId="x"), event(userId="me")])
    assert "2 records would not load" in tables.run("etl.py", "--check", code=1).stderr
    assert [row["colname"] for row in read_csv(tables)] == ["session_id", "user_id"]


def test_check_of_good_data_says_so_and_changes_nothing(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    before = tables.everything()
    output = tables.run("etl.py", "--check").stdout
    # nothing was loaded, so no rows are told
    assert "everything would load" in output and " rows in " not in output
    assert not (tables.folder / "load_errors.csv").exists()
    assert tables.everything() == before


@pytest.mark.stand_in_only
def test_serverless_errors_come_from_the_other_view(tables: Warehouse) -> None:
    break_a_song(tables)
    tables.query("DROP VIEW local_redshift.stl_load_errors")
    result = tables.etl(code=1)
    assert "TR0001.json, line 1, column artist_location varchar(256): String length exceeds" in result.stderr
    [row] = read_csv(tables)
    assert row["error_message"] == "String length exceeds DDL length" and row["column_name"] == "artist_location"


@pytest.mark.stand_in_only
def test_other_view_gives_the_latest_first_and_to_a_check_its_own(tables: Warehouse) -> None:
    break_a_song(tables)
    tables.query("DROP VIEW local_redshift.stl_load_errors")
    tables.etl(code=1)
    tables.write_log([event(sessionId="x")])
    tables.etl(code=1)
    rows = read_csv(tables)
    assert [row["column_name"] for row in rows] == ["session_id", "artist_location"]
    assert "2 records would not load" in tables.run("etl.py", "--check", code=1).stderr
    # of the check's session alone, in the order of its COPYs
    assert [row["column_name"] for row in read_csv(tables)] == ["session_id", "artist_location"]
    assert len({row["session_id"] for row in read_csv(tables)}) == 1


@pytest.mark.stand_in_only
def test_original_error_is_shown_where_neither_view_can_be_read(tables: Warehouse) -> None:
    break_a_song(tables)
    tables.query("DROP VIEW local_redshift.stl_load_errors; DROP VIEW local_redshift.sys_load_error_detail")
    result = tables.etl(code=1)
    assert "Load into table 'staging_songs' failed." in result.stderr
    assert 'can\'t be read from the system tables (relation "sys_load_error_detail" does not exist)' in result.stderr
