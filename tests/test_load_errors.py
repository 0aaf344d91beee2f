"""What happens to data that do not load: load_errors.csv, the message, and etl.py --check."""

import bz2
import contextlib
import csv
import gzip
import json
import re

import psycopg2
import pytest
from helpers import (
    REAL_LOAD_ERRORS,
    ROOT,
    Warehouse,
    event,
    plain_cursor,
    run_as_admin,
    song,
    upload,
)
from test_etl import load

import sql_queries
from pipeline.errors import PipelineError
from sql_queries import Copy

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
def test_message_has_the_error_of_the_copy_that_failed_not_of_a_record_left_out_before(tables: Warehouse) -> None:
    tables.configure({("S3", "MAXERROR"): "1"})
    tables.write_log([event(), event(itemInSession="x")])
    tables.write_songs([song(), song(song_id=None), song(title=None)])
    # the queries' numbers, which the system table has as numbers: 99 and 100
    database = tables.values["CLUSTER", "DB_NAME"]
    run_as_admin(tables.data_dir, "ALTER SEQUENCE local_redshift.query_ids RESTART WITH 99", database)
    assert tables.refusal().startswith(f"{tables.folder}/song-data/TR0001.json, line 1, column song_id")
    assert {row["query"]: row["colname"] for row in read_csv(tables)} == {"99": "item_in_session", "100": "title"}


@pytest.mark.stand_in_only
def test_message_counts_no_more_load_errors_than_the_csv_has(tables: Warehouse) -> None:
    tables.configure({("S3", "MAXERROR"): "29"})
    tables.write_log([event(itemInSession="x") for _ in range(30)])
    tables.write_songs([song()])
    assert "load_errors.csv has the latest 25 load errors; from this run: 25\n" in tables.refusal()
    assert len(read_csv(tables)) == 25


def test_check_whose_source_is_missing_does_not_look_for_load_errors(tables: Warehouse) -> None:
    tables.write_songs([song()])
    output = tables.failing_output("check")
    assert "see [S3] LOG_DATA" in output and "the system table has no row" not in output


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


@pytest.mark.stand_in_only
def test_check_groups_errors_by_source_column_and_reason(tables: Warehouse) -> None:
    log = tables.write_log([event(ts="soon"), *[event(userId=f"u{n}") for n in range(1000)], event()])
    tables.write_songs([song(), *[song(title=None)] * 4])
    said = tables.failing_output("check")
    lines = said.splitlines()
    assert (
        f"{log}, line 1, column ts timestamp: Invalid timestamp format or value [epochmillisecs] (error 1206)" in lines
    )
    at = lines.index("[S3] LOG_DATA: 1,000 similar load errors; the first 3:")
    assert [line.split(":")[0] for line in lines[at + 1 : at + 4]] == [
        f"{log}, line {n}, column user_id int4" for n in (2, 3, 4)
    ]
    assert "[S3] SONG_DATA: 4 similar load errors; the first 3:" in lines
    assert len([line for line in lines if ", line " in line]) == 7  # of 1,005
    assert "1,005 records would not load" in said and len(read_csv(tables)) == 1005


@pytest.mark.stand_in_only
@pytest.mark.parametrize("source", ["staging_events", "staging_songs"])
def test_check_that_maxerror_ended_says_that_there_may_be_more(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    tables.write_log([event(userId="me")] * 20)
    tables.write_songs([song(title=None)] * 20)
    with_option = Copy.with_options
    monkeypatch.setattr(
        Copy,
        "with_options",
        lambda copy, options: with_option(
            copy, options.replace("100000", "5") if f"COPY {source}" in copy else options
        ),
    )
    said = tables.failing_output("check")
    assert "25 records would not load" in said  # the other source is tried to its end
    assert "there may be more bad records" in said and "etl.py --check" not in said


@pytest.mark.stand_in_only
@pytest.mark.parametrize("serverless", [False, True])
def test_errors_of_an_older_session_of_the_same_number_are_not_taken_for_ours(
    tables: Warehouse, serverless: bool
) -> None:
    """Process numbers recur: in a container, where they begin at 1, in nearly every run."""
    tables.write_log([event()])
    tables.write_songs([song()])
    old_errors(tables)
    if serverless:
        tables.query("DROP VIEW local_redshift.stl_load_errors")
    assert "every record can be copied" in tables.output("check")
    tables.write_log([event(userId="me")])
    said = tables.failing_output()
    assert "old.json" not in said and "column user_id" in said and "from this run: 1\n" in said
    assert len(read_csv(tables)) == 25
    assert "1 record would not load" in tables.failing_output("check")
    listed = (tables.folder / "load_errors.csv").read_text()
    assert "events.json" in listed and "other.json" not in listed


@pytest.mark.stand_in_only
@pytest.mark.parametrize("query", sql_queries.session_load_errors_queries)
def test_errors_of_a_session_stay_its_own_when_other_sessions_begin(tables: Warehouse, query: str) -> None:
    bad = tables.write_log([event(userId="me")])
    with contextlib.closing(tables.connect()) as connection, connection.cursor() as cursor:
        with pytest.raises(psycopg2.Error, match="stl_load_errors"):
            cursor.execute(f"COPY staging_events FROM '{bad}' JSON 'auto' IAM_ROLE default")
        connection.rollback()
        with contextlib.closing(tables.connect()):
            cursor.execute(query)
            assert len(cursor.fetchall()) == 1


def old_errors(tables: Warehouse) -> None:
    """Leave load errors of sessions that had the numbers of the next sessions."""
    with contextlib.closing(tables.connect()) as connection, plain_cursor(connection) as cursor:
        cursor.execute(
            "INSERT INTO local_redshift.load_errors "
            "SELECT 100, 0, 1, '2018-11-01', pid, 1, 'old.json', 1, '', '', '', 0, '{', '', 1216, 'Invalid' "
            "FROM generate_series(pg_backend_pid(), pg_backend_pid() + 500) AS pid"
        )
        # and of another session that is under way
        cursor.execute(
            "INSERT INTO local_redshift.load_errors "
            "SELECT 100, 0, 1, '2099-01-01', 0, 1, 'other.json', 1, '', '', '', 0, '{', '', 1216, 'Invalid'"
        )
        connection.commit()


LOOKS = [
    (gzip.compress(json.dumps(event()).encode()), "compressed with gzip"),
    (json.dumps(event()).encode("utf-16"), "is UTF-16"),
    (json.dumps(event()).encode("utf-16-be"), "is UTF-16"),
    (json.dumps(event()).encode("utf-8-sig"), "begins with a byte order mark"),
    (b"# The logs\n\nOne file a day.\n", "does not begin with a JSON object"),
    (bz2.compress(b"{}"), "compressed with bzip2"),
]


@pytest.mark.stand_in_only
@pytest.mark.parametrize("source", ["local", "s3"])
@pytest.mark.parametrize(("data", "looks"), LOOKS)
def test_file_that_is_no_log_is_described(
    tables: Warehouse, source: str, data: bytes, looks: str, request: pytest.FixtureRequest
) -> None:
    tables.write_log([event()]).write_bytes(data)
    tables.write_songs([song()])
    if source == "s3":
        upload(request.getfixturevalue("bucket"), tables.folder)
        tables.use("s3://sparkify")
    said = tables.failing_output()
    assert "Invalid JSON format" in said and looks in said
    assert looks in tables.failing_output("check")


@pytest.mark.stand_in_only
def test_missing_brace_is_told_with_the_line_where_the_record_began(tables: Warehouse) -> None:
    good, padded = json.dumps(event()), json.dumps(event(userAgent="x" * 700))
    for broken, line in ((padded[:-1], 3), (json.dumps(event(), indent=1)[:-2], 3)):
        path = tables.write_log([])
        path.write_text(f"{good}\n{good}\n{broken}\n{good}\n{good}\n")
        tables.write_songs([song()])
        said = tables.failing_output()
        assert f"the record begins at line {line}\n" in said
        assert not re.search(rf"{re.escape(str(path))}, line {line}:", said)


@pytest.mark.stand_in_only
def test_blank_lines_at_the_beginning_are_no_reason(tables: Warehouse) -> None:
    path = tables.write_log([])
    path.write_text(f"\n \n{json.dumps(event())}\n{json.dumps(event())[:-1]}\n")
    tables.write_songs([song()])
    assert "does not begin with" not in tables.failing_output()


@pytest.mark.stand_in_only
def test_beginning_of_a_record_is_found_in_a_file_of_megabytes(tables: Warehouse) -> None:
    good = json.dumps(event(userAgent="x" * 900)) + "\n"
    tables.write_log([]).write_text(good * 2000 + json.dumps(event(userAgent="x" * 700))[:-1] + "\n" + good)
    tables.write_songs([song()])
    said = tables.failing_output()
    assert "line 2002: " in said and "the record begins at line 2001\n" in said


@pytest.mark.stand_in_only
def test_errors_of_songs_are_told_as_such_where_the_prefix_of_the_logs_has_them_too(tables: Warehouse) -> None:
    # s3://bucket/log and s3://bucket/log-songs: the songs are read as logs as well
    tables.write_log([event()])
    tables.write_song_file([song(title=None)] * 4)
    (tables.folder / "song-data").rename(tables.folder / "log-data-songs")
    tables.configure({("S3", "LOG_DATA"): "log-data", ("S3", "SONG_DATA"): "log-data-songs"})
    said = tables.failing_output("check")
    assert said.count("[S3] SONG_DATA: 4 similar load errors; the first 3:") == 2 and "[S3] LOG_DATA: 4" not in said


@pytest.mark.stand_in_only
@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"itemInSession": 2**40}, "item_in_session"),
        ({"userId": 2**31}, "user_id"),
        ({"itemInSession": -(2**31), "sessionId": 2**31 - 1, "userId": 2**31}, "user_id"),  # the others fit
        ({"status": -(2**31) - 1}, "status"),
    ],
)
def test_overflow_names_the_column(tables: Warehouse, changes: dict[str, int], column: str) -> None:
    tables.write_log([event(), event(**changes)])
    tables.write_songs([song()])
    assert f"the number belongs to column {column}\n" in tables.failing_output()
    tables.write_log([event()])
    tables.write_songs([song(year=2**31)])
    assert "the number belongs to column year\n" in tables.failing_output()


@pytest.mark.stand_in_only
def test_overflow_in_a_file_that_only_the_cluster_can_read_names_the_columns_of_that_type(
    tables: Warehouse, bucket: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write_log([event(userId=2**31)])
    tables.write_songs([song()])
    upload(bucket, tables.folder)
    tables.use("s3://sparkify")
    monkeypatch.setattr("pipeline.file_store._aws_credentials", no_credentials)
    assert "to one of these columns: item_in_session, session_id, status, user_id\n" in tables.failing_output()


def no_credentials() -> None:
    raise PipelineError("there are none")


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
    assert "every record can be copied" in output and " rows in " not in output
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
    assert (
        'can\'t read the load errors from the system tables (relation "sys_load_error_detail" does not exist)'
        in result.stderr
    )
