"""What fails for a reason that passes is tried again, whole, and said; nothing else is."""

import re
import socket

import psycopg2
import pytest
from helpers import Warehouse, event, song, upload
from s3_front import S3Front
from test_faults import SOME_POINTS, Paused, assert_next_run_is_right, cut, prepare

import etl
import sql_queries
from local_redshift.connection import RedshiftConnection
from pipeline.errors import PipelineError, StatementFailed
from pipeline.retry import is_transient, try_until_done
from pipeline.run import Outcome, Run
from pipeline.session import Session
from pipeline.settings import read_settings

BEFORE_USERS = str(
    len(sql_queries.clear_staging_queries + sql_queries.copy_table_queries)
    + sql_queries.insert_table_queries.index(sql_queries.users_table_delete)
)


@pytest.mark.parametrize("point", SOME_POINTS)
def test_run_whose_connection_is_cut_is_made_again(tables: Warehouse, point: str) -> None:
    prepare(tables)
    paused = Paused(tables, point, "--wait", "0")
    cut(tables)
    errors = paused.finish(0)
    assert tries(errors) == [2]
    expected = "whether it landed is not known" if point == "commit" else "nothing was changed"
    assert expected in errors
    assert tables.counts()["songplays"] == 1502
    assert_next_run_is_right(tables)


def test_conflict_with_another_writer_is_tried_again(tables: Warehouse) -> None:
    prepare(tables)
    paused = Paused(tables, BEFORE_USERS, "--wait", "0")
    tables.query("UPDATE users SET gender = 'M'")
    assert "could not serialize access" in paused.finish(0)
    assert_next_run_is_right(tables)


def test_conflict_that_stays_ends_the_run(tables: Warehouse) -> None:
    before = prepare(tables)
    paused = Paused(tables, BEFORE_USERS)
    tables.query("UPDATE users SET gender = 'F'")
    assert "could not serialize access" in paused.finish(1)
    assert tables.everything() == before


def load(warehouse: Warehouse) -> Run:
    """Load in this process, with tries that follow each other without a wait."""
    run = Run()
    try_until_done(etl.main, read_settings(warehouse.config, needs_source=True), run, (0, 0, 0))
    return run


def tries(errors: str) -> list[int]:
    """The numbers of the tries that were announced."""
    return [int(number) for number in re.findall(r"trying again in 0 s \(try (\d) of 4\)", errors)]


def lose_answers(monkeypatch: pytest.MonkeyPatch, landing: bool) -> list[str]:
    """Have the answer to the next commit get lost; the list gets a word for each commit that is sent."""
    commit, sent = RedshiftConnection.commit, []

    def unanswered(connection: RedshiftConnection) -> None:
        sent.append("commit")
        if len(sent) == 1 and not landing:
            connection.rollback()
        else:
            commit(connection)
        if len(sent) == 1:
            connection.close()
            raise psycopg2.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(RedshiftConnection, "commit", unanswered, raising=False)
    return sent


@pytest.mark.parametrize("landing", [True, False])
def test_lost_answer_is_looked_into_before_anything_is_tried_again(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, landing: bool
) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    sent = lose_answers(monkeypatch, landing)
    load(tables)
    said = capsys.readouterr()
    assert "whether it landed is not known" in said.err
    assert ("the commit had landed" in said.out) == landing
    assert len(sent) == (1 if landing else 2)
    monkeypatch.undo()
    assert tables.counts()["songplays"] == 1


def test_refused_commit_has_changed_nothing_and_is_tried_again(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    commit, outcomes = RedshiftConnection.commit, []

    def refused_once(connection: RedshiftConnection) -> None:
        if len(outcomes) == 1:
            with connection.plain_cursor() as cursor:
                cursor.execute("SELECT local_redshift.fail('XX000', '1023', 'Serializable isolation violation')")
        commit(connection)

    def work(session: Session) -> None:
        outcomes.append(session.run.outcome)
        etl.main(session)

    monkeypatch.setattr(RedshiftConnection, "commit", refused_once, raising=False)
    run = Run()
    try_until_done(work, read_settings(tables.config, needs_source=True), run, (0, 0, 0))
    assert outcomes == [Outcome.UNCHANGED, Outcome.UNCHANGED] and run.outcome is Outcome.COMMITTED
    assert "etl.py" not in (said := capsys.readouterr().err) and "COMMIT failed: 1023" in said
    assert tables.counts()["songplays"] == 1


def test_load_of_somebody_else_is_not_taken_for_ours(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    load(tables)
    sent = lose_answers(monkeypatch, landing=False)
    load(tables)
    assert "the commit had landed" not in capsys.readouterr().out and len(sent) == 2


def test_refused_connection_is_tried_a_few_times(warehouse: Warehouse, capsys: pytest.CaptureFixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
        warehouse.configure(
            {("CLUSTER", "HOST"): "127.0.0.1", ("CLUSTER", "DB_PORT"): port, ("S3", "REGION"): "us-west-2"}
        )
        warehouse.configure({("S3", key): "s3://b/k" for key in ("LOG_DATA", "LOG_JSONPATH", "SONG_DATA")})
        with pytest.raises(PipelineError, match="Connection refused"):
            load(warehouse)
    assert tries(capsys.readouterr().err) == [2, 3, 4]


def test_bad_data_are_tried_once(tables: Warehouse, capsys: pytest.CaptureFixture) -> None:
    tables.write_log([event(userId="me")])
    tables.write_songs([song()])
    with pytest.raises(PipelineError, match="Invalid digit"):
        load(tables)
    assert tries(capsys.readouterr().err) == []


def test_busy_s3_is_tried_again(
    tables: Warehouse,
    s3_front: S3Front,
    bucket: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    tables.write_log([event()])
    tables.write_songs([song()])
    upload(bucket, tables.folder)
    tables.use("s3://sparkify")
    s3_front.busy_for = 2
    load(tables)
    errors = capsys.readouterr().err
    assert "S3ServiceException:Please reduce your request rate.,Status 503,Error SlowDown," in errors
    assert tries(errors) == [2, 3]
    assert tables.counts()["songplays"] == 1


@pytest.mark.parametrize(
    ("code", "message", "detail", "transient"),
    [
        # https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
        ("XX000", "1023", "Serializable isolation violation on table - 100, transactions forming the cycle are", True),
        # a load that waited for the lock of a table that create_tables.py dropped
        ("XX000", "1018", "Relation does not exist", True),
        ("42P01", 'relation "1018" does not exist', "", False),
        ("XX000", "could not complete because of conflict with concurrent transaction", "", True),
        ("40001", "could not serialize access due to concurrent update", "", True),
        ("57P01", "terminating connection due to administrator command", "", True),
        # https://docs.aws.amazon.com/redshift/latest/dg/s3serviceexception-error.html
        ("XX000", "S3ServiceException:Slow Down,Status 503,Error SlowDown,Rid 1,ExtRid 2,CanRetry 1", "", True),
        ("XX000", "S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid 1,CanRetry 1", "", False),
        ("XX000", "Load into table 'a' failed.  Check 'stl_load_errors' system table for details.", "", False),
        ("XX000", "Disk Full", "", False),
        ("42P01", 'relation "1023" does not exist', "", False),
    ],
)
def test_what_passes(
    database: psycopg2.extensions.connection, code: str, message: str, detail: str, transient: bool
) -> None:
    with pytest.raises(psycopg2.Error) as raised:
        database.plain_cursor().execute("SELECT local_redshift.fail(%s, %s, %s)", [code, message, detail])
    assert is_transient(StatementFailed(message, raised.value)) == transient


def test_each_load_leaves_a_mark_of_its_own(tables: Warehouse) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    marks = set()
    for _ in range(2):
        load(tables)
        marks.add(tables.query(sql_queries.staging_marked)[0][0])
    assert len(marks) == 2 and None not in marks
