"""What fails for a reason that passes is tried again, whole, and said; nothing else is."""

import argparse
import contextlib
import json
import re
import socket
from functools import partial
from pathlib import Path

import psycopg2
import pytest
from helpers import Warehouse, event, raised, song, upload
from s3_front import S3Front
from test_concurrency import start
from test_faults import SOME_POINTS, Paused, assert_next_run_is_right, cut, prepare
from test_settings import config

import etl
import sql_queries
from pipeline import script
from pipeline.errors import PipelineError, Unreachable
from pipeline.failures import is_transient_connection_failure, statement_failed
from pipeline.script import is_transient, try_until_done
from pipeline.session import Outcome, Run
from pipeline.settings import Settings, read_settings

S3_STATUS = "Status {},Error {},Rid 1,ExtRid 2,CanRetry 1"
BEFORE_USERS = str(
    len([sql_queries.staging_lock, *sql_queries.clear_staging_queries, *sql_queries.copy_table_queries])
    + len(sql_queries.count_staged_queries + sql_queries.catalogue_queries)
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
    settings = read_settings(warehouse.config, needs_source=True)
    try_until_done(lambda: etl.main(settings, run, etl.parser().parse_args([])), settings, run, (0, 0, 0))
    return run


def tries(errors: str) -> list[int]:
    """The numbers of the tries that were announced."""
    return [int(number) for number in re.findall(r"trying again in 0 s \(try (\d) of 4\)", errors)]


def lose_answers(monkeypatch: pytest.MonkeyPatch, landing: bool) -> list[str]:
    """Have the answer to the next commit get lost; the list gets a word for each commit that is sent."""
    sent = []

    class Unanswered(psycopg2.extensions.connection):
        def commit(self) -> None:
            sent.append("commit")
            if len(sent) == 1 and not landing:
                self.rollback()
            else:
                super().commit()
            if len(sent) == 1:
                self.close()
                raise psycopg2.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(psycopg2, "connect", partial(psycopg2.connect, connection_factory=Unanswered))
    return sent


@pytest.mark.parametrize("landing", [True, False])
def test_lost_answer_is_looked_into_before_anything_is_tried_again(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, landing: bool
) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    sent = lose_answers(monkeypatch, landing)
    run = load(tables)
    said = capsys.readouterr()
    assert "whether it landed is not known" in said.err
    assert ("the commit had succeeded" in said.out) == landing
    assert "1 play loaded into" in said.out or not landing
    assert run.log.summary.tables["songplays"]["new"] == 1 or not landing
    assert run.log.steps and run.log.checks  # those of the try whose commit landed
    assert len(sent) == (1 if landing else 2)
    monkeypatch.undo()
    assert tables.counts()["songplays"] == 1


def test_mark_is_kept_until_the_warehouse_can_be_asked(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    sent = lose_answers(monkeypatch, landing=True)
    connect, refused = psycopg2.connect, []

    def refuse_once(**where: object) -> psycopg2.extensions.connection:
        if sent and not refused:
            refused.append(where)
            raise psycopg2.OperationalError("connection refused")
        return connect(**where)

    monkeypatch.setattr(psycopg2, "connect", refuse_once)
    load(tables)
    said = capsys.readouterr()
    assert tries(said.err) == [2, 3] and "did not accept the connection: connection refused" in said.err
    assert "the commit had succeeded" in said.out and len(sent) == 1


def test_session_that_the_warehouse_ends_during_the_commit_is_looked_into(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    with contextlib.closing(tables.connect()) as other:
        ended = raised(other, "57P01", "terminating connection due to administrator command")
    sent = []

    class Ended(psycopg2.extensions.connection):
        def commit(self) -> None:
            super().commit()
            sent.append("commit")
            if len(sent) == 1:
                self.close()
                raise ended

    monkeypatch.setattr(psycopg2, "connect", partial(psycopg2.connect, connection_factory=Ended))
    load(tables)
    said = capsys.readouterr()
    assert "whether it landed is not known" in said.err and "the commit had succeeded" in said.out


def test_refused_commit_has_changed_nothing_and_is_tried_again(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    outcomes = []
    with contextlib.closing(tables.connect()) as other:
        refused = raised(other, "XX000", "1023", "Serializable isolation violation")

    class RefusedOnce(psycopg2.extensions.connection):
        def commit(self) -> None:
            if len(outcomes) == 1:
                raise refused
            super().commit()

    main = etl.main

    def noted(settings: Settings, run: Run, options: argparse.Namespace) -> None:
        outcomes.append(run.outcome)
        main(settings, run, options)

    monkeypatch.setattr(psycopg2, "connect", partial(psycopg2.connect, connection_factory=RefusedOnce))
    monkeypatch.setattr(etl, "main", noted)
    run = load(tables)
    assert outcomes == [Outcome.UNCHANGED, Outcome.UNCHANGED] and run.outcome is Outcome.COMMITTED
    assert "etl.py" not in (said := capsys.readouterr().err) and "COMMIT failed: 1023" in said
    assert tables.counts()["songplays"] == 1


def test_what_a_failed_try_told_is_not_in_the_report_of_the_next(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write_log([event(itemInSession=n, auth=None) for n in range(20)])
    tables.write_songs([song()])
    lose_answers(monkeypatch, landing=False)
    log = load(tables).log
    assert log.tries == 2
    assert log.warnings == ["20 of 20 records have no value for staging_events.auth"]
    assert [step.name for step in log.steps].count("staging_events_copy") == 1


def test_load_of_somebody_else_is_not_taken_for_ours(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    load(tables)
    sent = lose_answers(monkeypatch, landing=False)
    load(tables)
    assert "the commit had succeeded" not in capsys.readouterr().out and len(sent) == 2


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


@pytest.mark.parametrize("mode", ["--check", "--ping", "--status", "--verify"])
def test_every_mode_of_etl_is_tried_again(warehouse: Warehouse, mode: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
        warehouse.configure({("CLUSTER", "HOST"): "127.0.0.1", ("CLUSTER", "DB_PORT"): port})
        warehouse.configure({("S3", key): "s3://b/k" for key in ("LOG_DATA", "LOG_JSONPATH", "SONG_DATA")})
        warehouse.configure({("S3", "REGION"): "us-west-2"})
        process = start(warehouse, "etl.py", mode)
        assert any("trying again in 1 s (try 2 of 4)" in line for line in process.stderr)
        process.terminate()
        process.communicate(timeout=120)


@pytest.mark.parametrize(
    ("status", "body", "times"),
    [
        (500, b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>", [2]),
        (404, b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>", [2]),
        (403, b"<Error><Code>InvalidAccessKeyId</Code><Message>The key is not known.</Message></Error>", []),
    ],
)
def test_s3_failure_is_tried_again_if_it_passes(
    tables: Warehouse,
    s3_front: S3Front,
    bucket: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    status: int,
    body: bytes,
    times: list[int],
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    tables.write_log([event()])
    tables.write_songs([song()])
    upload(bucket, tables.folder)
    tables.use("s3://sparkify")
    s3_front.error, s3_front.busy_for = (status, body), 1
    if times:
        load(tables)
    else:
        with pytest.raises(PipelineError, match="your own AWS credentials are used"):
            load(tables)
    assert tries(capsys.readouterr().err) == times
    assert tables.counts()["songplays"] == len(times)


def test_script_tries_again_after_a_second_and_reports_the_tries(
    tables: Warehouse, s3_front: S3Front, bucket: object, aws: dict[str, str]
) -> None:
    tables.environment = aws | {"AWS_MAX_ATTEMPTS": "1"}
    tables.write_log([event()])
    tables.write_songs([song()])
    upload(bucket, tables.folder)
    tables.use("s3://sparkify")
    s3_front.busy_for = 1
    report = tables.folder / "report.json"
    assert "trying again in 1 s (try 2 of 4)" in tables.run("etl.py", "--report", str(report)).stderr
    assert json.loads(report.read_text())["tries"] == 2
    assert script.WAITS == (1, 3, 10)  # as docs/runs.md says


def test_each_wait_is_waited(tables: Warehouse) -> None:
    waited = []

    class Watched(Run):
        def sleep(self, seconds: float) -> None:
            waited.append(seconds)

    def refused() -> None:
        raise Unreachable("it may be there later")

    with pytest.raises(Unreachable):
        try_until_done(refused, read_settings(tables.config), Watched(), (1, 3, 10))
    assert waited == [1, 3, 10]


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
        # https://www.postgresql.org/docs/current/errcodes-appendix.html
        ("40P01", "deadlock detected", "Process 1 waits for ShareLock on transaction 2; blocked by process 3.", True),
        ("57P03", "the database system is starting up", "", True),
        ("57014", "canceling statement due to statement timeout", "", False),
        ("53300", "sorry, too many clients already", "", True),
        ("53100", "could not extend file: No space left on device", "", False),
        # https://docs.aws.amazon.com/redshift/latest/dg/s3serviceexception-error.html
        ("XX000", f"S3ServiceException:Slow Down,{S3_STATUS.format(503, 'SlowDown')}", "", True),
        ("XX000", f"S3ServiceException:Access Denied,{S3_STATUS.format(403, 'AccessDenied')}", "", False),
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        (
            "XX000",
            f"S3ServiceException:We encountered an internal error.,{S3_STATUS.format(500, 'InternalError')}",
            "",
            True,
        ),
        ("XX000", f"S3ServiceException:Reduce your rate.,{S3_STATUS.format(503, 'ServiceUnavailable')}", "", True),
        ("XX000", f"S3ServiceException:Your socket connection,{S3_STATUS.format(400, 'RequestTimeout')}", "", True),
        ("XX000", f"S3ServiceException:The provided token,{S3_STATUS.format(400, 'ExpiredToken')}", "", False),
        ("XX000", f"S3ServiceException:The key id,{S3_STATUS.format(403, 'InvalidAccessKeyId')}", "", False),
        ("XX000", f"S3ServiceException:Different region,{S3_STATUS.format(301, 'PermanentRedirect')}", "", False),
        ("XX000", f"S3ServiceException:No bucket,{S3_STATUS.format(404, 'NoSuchBucket')}", "", False),
        # github.com/awslabs/aws-lambda-redshift-loader issue 73: of an object that was listed a moment ago
        (
            "XX000",
            f"S3ServiceException:The specified key does not exist.,{S3_STATUS.format(404, 'NoSuchKey')}",
            "",
            True,
        ),
        # github.com/databricks/spark-redshift issue 136: a manifest that is not there
        (
            "XX000",
            f"Problem reading manifest file - S3ServiceException:No key.,{S3_STATUS.format(404, 'NoSuchKey')}",
            "",
            False,
        ),
        # https://curl.se/libcurl/c/libcurl-errors.html
        ("XX000", "S3CurlException: Connection timed out after 50001 milliseconds, CurlError 28, CanRetry 1", "", True),
        ("XX000", "S3CurlException: Recv failure: Connection reset by peer, CurlError 56, CanRetry 1", "", True),
        ("XX000", "S3CurlException: SSL peer certificate was not OK, CurlError 60, CanRetry 1", "", False),
        # github.com/harrystech/arthur-redshift-etl pull request 134
        ("XX000", "S3Query Exception Connection failed, retries exceeded.", "", True),
        # https://github.com/boto/botocore/blob/develop/botocore/exceptions.py, by way of the stand-in
        ("XX000", 'S3 can\'t be read from here: Read timeout on endpoint URL: "https://s3"', "", True),
        ("XX000", "S3 can't be read from here: Connection was closed before we received a valid response", "", True),
        ("XX000", "S3 can't be read from here: Unable to locate credentials", "", False),
        ("XX000", "/data/log-data/2018-11-01-events.json does not exist", "", True),
        ("XX000", "/data/log-data/2018-11-01-events.json can't be read: Permission denied", "", False),
        # github.com/3scale/apisonator issue 196, and the newest form
        ("XX000", "User arn:aws:redshift:x is not authorized to assume IAM Role arn:aws:iam::1:role/r", "", False),
        (
            "XX000",
            "exception name : UnauthorizedException, message: Not authorized to get credentials of role x",
            "",
            False,
        ),
        ("XX000", "The specified S3 prefix 'log-data' does not exist", "", False),
        ("XX000", "Load into table 'a' failed.  Check 'stl_load_errors' system table for details.", "", False),
        ("XX000", "Disk Full", "", False),
        ("42P01", 'relation "1023" does not exist', "", False),
    ],
)
def test_what_passes(
    database: psycopg2.extensions.connection, tmp_path: Path, code: str, message: str, detail: str, transient: bool
) -> None:
    error = raised(database, code, message, detail)
    settings = config(tmp_path, {})
    failed = statement_failed(error, "COPY staging_events FROM 's3://b/l'", None, settings, "nothing was changed")
    assert is_transient(failed) == transient


@pytest.mark.parametrize(
    ("reason", "host", "transient"),
    [
        # https://docs.aws.amazon.com/redshift/latest/mgmt/troubleshooting-connections.html
        ('connection to server at "dwh" (10.0.0.1), port 5439 failed: Connection refused', "dwh", True),
        ('connection to server at "dwh" failed: FATAL: the database system is starting up', "dwh", True),
        ('connection to server at "dwh" failed: FATAL: sorry, too many connections already', "dwh", True),
        # libpq names each address that it tried: one that refuses the password decides
        (
            'connection to server at "localhost" (::1), port 5439 failed: Connection refused connection to server at '
            '"localhost" (127.0.0.1), port 5439 failed: FATAL: password authentication failed for user "dwhuser"',
            "localhost",
            False,
        ),
        # github.com/exmergo/dex pull request 97: a workgroup that wakes up
        ('connection to server at "w" failed: server closed the connection unexpectedly', "w", True),
        (
            'connection to server at "w" failed: timeout expired',
            "w.1.us-west-2.redshift-serverless.amazonaws.com",
            True,
        ),
        ('connection to server at "c" failed: timeout expired', "c.1.us-west-2.redshift.amazonaws.com", False),
        ("SSL SYSCALL error: EOF detected", "dwh", True),
        # https://man7.org/linux/man-pages/man3/getaddrinfo.3.html
        ('could not translate host name "dwh" to address: Temporary failure in name resolution', "dwh", True),
        ('could not translate host name "dwh" to address: Name or service not known', "dwh", False),
        ('connection to server failed: FATAL: database "dhw" does not exist', "dwh", False),
        ("connection to server failed: FATAL: no pg_hba.conf entry for host", "dwh", False),
    ],
)
def test_which_connections_are_tried_again(reason: str, host: str, transient: bool) -> None:
    assert is_transient_connection_failure(reason, host) == transient


def test_each_load_leaves_a_mark_of_its_own(tables: Warehouse) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    marks = set()
    for _ in range(2):
        load(tables)
        marks.add(tables.query(sql_queries.staging_marked)[0][0])
    assert len(marks) == 2 and None not in marks
