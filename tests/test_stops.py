"""Ctrl-C and SIGTERM end a run at any moment, say what is true of the tables, and show nothing of the data."""

import contextlib
import fcntl
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from helpers import ROOT, Warehouse, at_terminal, event, song, stop_server, unstamped, upload
from s3_front import QuietHandler, S3Front
from test_faults import Paused, assert_next_run_is_right, cut, prepare

from local_redshift.server import locks, postgres

SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
MANY = 150_000  # events: more than a COPY reads while a test looks on


class Started:
    """A script that runs, whose output is read line by line."""

    def __init__(self, warehouse: Warehouse, script: str = "etl.py") -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / script), "-v", "--config", str(warehouse.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | warehouse.environment,
        )

    def read_until(self, part: str) -> None:
        for line in self.process.stdout:
            if part in line:
                return
        raise AssertionError(self.process.communicate()[1])

    def end(self, number: int) -> tuple[int, str]:
        """Send the signal; the exit status, and all that was written to stderr."""
        self.process.send_signal(number)
        errors = self.process.communicate(timeout=120)[1]
        return self.process.returncode, unstamped(errors)


def large_source(warehouse: Warehouse) -> None:
    """Write a log that takes a while, each of whose lines names its user."""
    path = warehouse.write_log([], "2018-11-03")
    line = json.dumps(event(firstName="Kevin", lastName="Arellano")) + "\n"
    path.write_text(line * MANY)


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_in_copy_while_rows_go_to_the_server(tables: Warehouse, number: int, code: int, word: str) -> None:
    before = prepare(tables)
    large_source(tables)
    started = Started(tables)
    started.read_until("staging_songs_clear")
    watching = tables.connect()
    watching.autocommit = True
    with watching.cursor() as cursor:
        cursor.execute("SELECT 0")
        while cursor.fetchone() in (None, (0,)):
            cursor.execute("SELECT MAX(tuples_processed) FROM pg_stat_progress_copy WHERE tuples_processed > 10000")
    watching.close()
    assert started.end(number) == (code, f"etl.py: {word}; nothing was changed\n")
    assert tables.everything() == before


BEFORE_THE_COMMAND_LINE = """
import argparse, time
def parse(self):
    print("parsing", flush=True)
    time.sleep(120)
argparse.ArgumentParser.parse_args = parse
"""


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_before_the_command_line_is_read(tables: Warehouse, number: int, code: int, word: str) -> None:
    (tables.folder / "site").mkdir()
    (tables.folder / "site" / "sitecustomize.py").write_text(BEFORE_THE_COMMAND_LINE)
    tables.environment = {"PYTHONPATH": str(tables.folder / "site")}
    started = Started(tables)
    started.read_until("parsing")
    assert started.end(number) == (code, f"etl.py: {word}; nothing was changed\n")


def test_in_copy_while_s3_does_not_answer(tables: Warehouse, s3_front: S3Front, bucket: object) -> None:
    before = prepare(tables)
    upload(bucket, tables.folder)
    s3_front.held = "2018-11-01-events.json"
    tables.environment = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    tables.use("s3://sparkify")
    started = Started(tables)
    started.read_until("staging_songs_clear")
    assert s3_front.asked.wait(120)
    assert started.end(signal.SIGINT) == (130, "etl.py: interrupted; nothing was changed\n")
    tables.use(tables.folder)
    assert tables.everything() == before
    s3_front.let_go.set()


def test_while_the_local_server_starts(tmp_path: Path, own_data_dir: Path) -> None:
    starting = locks.lock(own_data_dir / "start.lock", fcntl.LOCK_EX)  # as another script holds it that starts it
    started = Started(Warehouse(tmp_path, own_data_dir), "create_tables.py")
    started.read_until("waiting for the local server to start")
    assert started.end(signal.SIGINT) == (130, "create_tables.py: interrupted; nothing was changed\n")
    os.close(starting)


def test_while_the_local_server_is_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    warehouse = Warehouse(tmp_path, tmp_path / "data")
    started = Started(warehouse, "create_tables.py")
    while not list((tmp_path / "data").glob("init-*")):
        assert started.process.poll() is None
    assert started.end(signal.SIGINT) == (130, "create_tables.py: interrupted; nothing was changed\n")
    warehouse.create_tables()
    stop_server(tmp_path / "data")


@pytest.fixture
def silent_host() -> Iterator[int]:
    """The port of a host that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


CLUSTER_SOURCE = {("S3", key): "s3://b/k" for key in ("LOG_DATA", "LOG_JSONPATH", "SONG_DATA")} | {
    ("S3", "REGION"): "us-west-2"
}


@pytest.mark.parametrize("script", ["etl.py", "create_tables.py"])
def test_host_that_never_answers(warehouse: Warehouse, silent_host: int, script: str) -> None:
    warehouse.configure({("CLUSTER", "HOST"): "127.0.0.1", ("CLUSTER", "DB_PORT"): str(silent_host), **CLUSTER_SOURCE})
    started = Started(warehouse, script)
    started.read_until(f"waiting for 127.0.0.1:{silent_host} to accept the connection")
    assert started.end(signal.SIGINT) == (130, f"{script}: interrupted; nothing was changed\n")


class Silent(QuietHandler):
    """An AWS that takes requests and does not answer them."""

    let_go = threading.Event()

    def do_POST(self) -> None:
        self.let_go.wait(120)
        with contextlib.suppress(OSError):
            self.reply(500, b"")


@pytest.fixture
def silent_aws(aws: dict[str, str]) -> Iterator[dict[str, str]]:
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=listening.serve_forever, args=(0.02,)).start()
    yield aws | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{listening.server_port}"}
    Silent.let_go.set()
    listening.shutdown()
    listening.server_close()
    Silent.let_go.clear()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({("CLUSTER", "IAM_AUTH"): "yes"}, "waiting for AWS to make temporary credentials for dwh in us-west-2"),
        ({("CREDSTASH", "KEY"): "dwh.password"}, "waiting for credstash to fetch dwh.password from AWS"),
    ],
)
def test_aws_that_never_answers(warehouse: Warehouse, silent_aws: dict[str, str], changes: dict, said: str) -> None:
    host = {("CLUSTER", "HOST"): "dwh.abc123.us-west-2.redshift.amazonaws.com"}
    warehouse.configure(host | CLUSTER_SOURCE | changes)
    warehouse.environment = silent_aws
    started = Started(warehouse)
    started.read_until(said)
    assert started.end(signal.SIGTERM) == (143, "etl.py: terminated; nothing was changed\n")


def test_while_waiting_for_the_next_try(tables: Warehouse) -> None:
    before = prepare(tables)
    paused = Paused(tables, "4", "--wait", "60")
    cut(tables)
    paused.go_on()
    lines = [paused.error_line(), paused.error_line()]
    assert "nothing was changed" in lines[0] and lines[1] == "trying again in 60 s (try 2 of 4)\n"
    assert paused.signal(signal.SIGINT) == "etl.py: interrupted; nothing was changed\n"
    assert paused.process.returncode == 130
    assert tables.everything() == before


def test_commit_under_way_is_waited_for(tables: Warehouse) -> None:
    prepare(tables)
    paused = Paused(tables, "committing")
    paused.process.send_signal(signal.SIGTERM)
    assert paused.error_line() == "waiting for the answer to the commit\n"
    assert paused.finish(143) == "etl.py: terminated; everything had been committed\n"
    assert tables.counts()["songplays"] == 1502


def test_commit_under_way_is_left_at_the_second_signal(tables: Warehouse) -> None:
    prepare(tables)
    paused = Paused(tables, "committing")
    paused.process.send_signal(signal.SIGINT)
    assert paused.error_line() == "waiting for the answer to the commit\n"
    assert "interrupted; the commit was under way; whether it landed is not known" in paused.signal(signal.SIGINT)
    assert_next_run_is_right(tables)


def test_what_was_found_out_about_a_lost_commit_is_what_is_said(tables: Warehouse) -> None:
    before = prepare(tables)
    paused = Paused(tables, "commit", "--wait", "0")
    cut(tables)
    paused.go_on()
    lines = [paused.error_line(), paused.error_line()]
    assert "whether it landed is not known" in lines[0] and "try 2 of 4" in lines[1]
    paused.wait_until_paused()
    assert paused.signal(signal.SIGINT) == "etl.py: interrupted; nothing was changed\n"
    assert tables.everything() == before


def test_at_the_question_of_create_tables(tables: Warehouse) -> None:
    before = prepare(tables)
    status, screen = at_terminal(tables, "\x03")
    assert status == 130 and "create_tables.py: interrupted; nothing was changed" in screen
    assert tables.everything() == before


@pytest.mark.parametrize("option", ["", "NOLOAD"])
def test_copy_that_is_cancelled_from_another_thread_ends_as_any_statement_does(tables: Warehouse, option: str) -> None:
    pipe = tables.folder / "pipe"
    os.mkfifo(pipe)
    connection = tables.connect()
    cursor = connection.cursor()

    def cancel_while_it_reads() -> None:
        with open(pipe, "w") as written:
            connection.cancel()
            written.write(json.dumps(song()))

    threading.Thread(target=cancel_while_it_reads).start()
    with pytest.raises(psycopg2.errors.QueryCanceled, match="cancelled on user's request"):
        # with NOLOAD nothing goes to the server, which alone would notice nothing
        cursor.execute(f"COPY staging_songs FROM '{pipe}' JSON 'auto' {option}")
    with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
        cursor.execute("SELECT 1")
    connection.rollback()
    cursor.execute("SELECT COUNT(*) FROM staging_songs")
    assert cursor.fetchone() == (0,)
    connection.close()


def test_in_a_statement_while_the_server_hangs(tmp_path: Path, own_data_dir: Path) -> None:
    warehouse = Warehouse(tmp_path, own_data_dir)
    warehouse.create_tables()
    prepare(warehouse)
    holder = warehouse.connect()
    holder.cursor().execute("LOCK staging_events")
    started = Started(warehouse)
    watching = warehouse.connect()
    watching.autocommit = True
    with watching.cursor() as cursor:
        cursor.execute("SELECT 0")
        while cursor.fetchone() == (0,):
            cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
    watching.close()
    postmaster = postgres.server_pid(own_data_dir / "data")
    os.kill(postmaster, signal.SIGSTOP)
    try:
        assert started.end(signal.SIGINT) == (130, "etl.py: interrupted; nothing was changed\n")
    finally:
        os.kill(postmaster, signal.SIGCONT)
    holder.close()
    stop_server(own_data_dir)


def test_two_signals_at_once_are_as_good_as_one(tables: Warehouse) -> None:
    before = prepare(tables)
    large_source(tables)
    started = Started(tables)
    started.read_until("staging_songs_clear")
    started.process.send_signal(signal.SIGINT)
    assert started.end(signal.SIGINT) == (130, "etl.py: interrupted; nothing was changed\n")
    assert tables.everything() == before


def test_nothing_of_the_data_is_in_a_message(tables: Warehouse) -> None:
    tables.write_log([event(firstName="Kevin")])
    tables.write_songs([song()])
    tables.query("ALTER TABLE users DROP COLUMN first_name")
    tables.query("ALTER TABLE users ADD COLUMN first_name VARCHAR(3)")
    message = tables.etl(code=1).stderr
    assert message.startswith("etl.py: users_table_insert (sql_queries.py) failed: value too long")
    assert "Kevin" not in message and "CONTEXT" not in message and "LINE" not in message
