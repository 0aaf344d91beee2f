"""What the system tables say of a COPY, while it runs and afterwards.

https://docs.aws.amazon.com/redshift/latest/dg/r_STV_LOAD_STATE.html
https://docs.aws.amazon.com/redshift/latest/dg/SYS_LOAD_HISTORY.html
https://docs.aws.amazon.com/redshift/latest/dg/r_STL_LOAD_COMMITS.html
"""

import threading
from collections.abc import Callable

import psycopg2
import pytest
from s3_front import S3Front

from local_redshift.client import hand_over

RUNNING = "SELECT num_files_complete, num_files, lines, pct_complete FROM stv_load_state WHERE session = %s"
HISTORY = """
SELECT status, file_count_scanned, source_file_count, loaded_rows, error_count, table_name, end_time IS NULL
FROM sys_load_history
WHERE session_id = %s
"""
COPY = "COPY numbers FROM 's3://sparkify/part' IAM_ROLE 'arn:aws:iam::123456789012:role/r' FORMAT JSON 'auto' "


@pytest.fixture
def watcher(database: psycopg2.extensions.connection) -> psycopg2.extensions.cursor:
    """A cursor of another session on the same database."""
    connection = psycopg2.connect(database.dsn)
    connection.autocommit = True
    yield connection.cursor()
    connection.close()


def rows(cursor: psycopg2.extensions.cursor, query: str, session: int) -> list[tuple]:
    cursor.execute(query, [session])
    return cursor.fetchall()


@pytest.fixture
def parts(s3_front: S3Front, bucket: object, database: psycopg2.extensions.connection) -> int:
    """Two objects of rows for the table numbers, the second not to be had yet; the session of `database`."""
    hand_over(database)
    bucket.put_object(Key="part1", Body=b'{"n": 1}\n' * 3)
    bucket.put_object(Key="part2", Body=b'{"n": 1}\n' * 2)
    bucket.put_object(Key="part3", Body=b'{"n": "x"}\n')
    bucket.put_object(Key="part4", Body=b"")
    s3_front.held = "part2"
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE numbers (n INTEGER)")
    database.commit()
    return database.get_backend_pid()


def test_running_copy_tells_how_far_it_has_got(
    database: psycopg2.extensions.connection,
    served_here: Callable[[str], psycopg2.extensions.connection],
    watcher: psycopg2.extensions.cursor,
    parts: int,
    s3_front: S3Front,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("local_redshift.copy.progress.SECONDS", 0)
    copying = served_here(database.info.dbname)
    parts = copying.get_backend_pid()
    copy = threading.Thread(target=copying.cursor().execute, args=(COPY + "MAXERROR 5",))
    copy.start()
    while rows(watcher, RUNNING, parts) != [(1, 4, 3, 25)]:
        assert copy.is_alive()
    assert rows(watcher, HISTORY, parts) == [("running", 1, 4, 3, 0, "numbers", True)]
    watcher.execute("SELECT TRIM(filename), lines_scanned FROM stl_load_commits")
    assert watcher.fetchall() == [("s3://sparkify/part1", 3)]
    s3_front.let_go.set()
    copy.join()
    watcher.execute("SELECT TRIM(filename), lines_scanned FROM stl_load_commits ORDER BY 1")
    assert watcher.fetchall() == [(f"s3://sparkify/part{n}", lines) for n, lines in ((1, 3), (2, 2), (3, 1), (4, 0))]
    copying.close()
    assert rows(watcher, RUNNING, parts) == []
    assert rows(watcher, HISTORY, parts) == [("completed", 4, 4, 5, 1, "numbers", False)]


def test_small_object_that_breaks_off_is_told_in_words_of_the_stand_in(
    database: psycopg2.extensions.connection, parts: int, s3_front: S3Front
) -> None:
    s3_front.let_go.set()
    s3_front.cut_off = "part2"  # behind its first record
    with pytest.raises(psycopg2.errors.InternalError_, match="9 read, but total bytes expected is 18"):
        database.cursor().execute(COPY + "MAXERROR 5")


def test_duration_of_a_load_is_in_microseconds(
    database: psycopg2.extensions.connection, watcher: psycopg2.extensions.cursor, parts: int, s3_front: S3Front
) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/SYS_LOAD_HISTORY.html
    s3_front.let_go.set()
    database.cursor().execute(COPY + "MAXERROR 5")
    watcher.execute("SELECT duration, DATEDIFF(microsecond, start_time, end_time) FROM sys_load_history")
    [(duration, elapsed)] = watcher.fetchall()
    assert duration == elapsed > 0


def test_failed_copy_was_aborted(
    database: psycopg2.extensions.connection, watcher: psycopg2.extensions.cursor, parts: int, s3_front: S3Front
) -> None:
    s3_front.let_go.set()
    with pytest.raises(psycopg2.Error, match="Check 'stl_load_errors'"):
        database.cursor().execute(COPY)
    [(status, *_)] = rows(watcher, HISTORY, parts)
    assert status == "aborted" and rows(watcher, RUNNING, parts) == []


def test_killed_copy_was_aborted(
    database: psycopg2.extensions.connection, watcher: psycopg2.extensions.cursor, parts: int, s3_front: S3Front
) -> None:
    copy = threading.Thread(target=pytest.raises, args=(psycopg2.Error, database.cursor().execute, COPY))
    copy.start()
    while not rows(watcher, HISTORY, parts):
        assert copy.is_alive()
    watcher.execute("SELECT pg_terminate_backend(%s, 10000)", [parts])
    assert rows(watcher, RUNNING, parts) == []
    assert rows(watcher, HISTORY, parts)[0][0] == "aborted"
    s3_front.let_go.set()
    copy.join()
