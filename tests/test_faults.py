"""Whatever happens in the middle of a load: the tables are as before, and the next run is right."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
from helpers import (
    ROOT,
    Warehouse,
    event,
    plain_cursor,
    server_process,
    song,
    stop_server,
    unstamped,
    upload,
    wait_until_stopped,
)
from s3_front import S3Front

import sql_queries
from local_redshift.server import postgres
from pipeline.errors import PipelineError

STATEMENTS = len(
    [sql_queries.staging_lock, *sql_queries.clear_staging_queries, *sql_queries.copy_table_queries]
    + sql_queries.count_staged_queries
    + sql_queries.catalogue_queries
    + sql_queries.insert_table_queries
)
POINTS = ["copy", *map(str, range(STATEMENTS)), "commit"]
SOME_POINTS = ["0", "copy", "4", "13", "commit"]


class Paused:
    """An etl.py that has stopped at a point."""

    def __init__(self, warehouse: Warehouse, point: str, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "pausing.py"), point, *options, "--config", str(warehouse.config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | warehouse.environment,
        )
        self.wait_until_paused()

    def wait_until_paused(self) -> None:
        for line in self.process.stdout:
            if line == "paused\n":
                return
        raise AssertionError(self.process.communicate()[1])

    def error_line(self) -> str:
        """The next line that it writes to stderr."""
        return unstamped(self.process.stderr.readline())

    def go_on(self) -> None:
        """Let it go on, to the next such point or to its end."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def finish(self, code: int) -> str:
        """Let it go on, wait for its end, check its exit status; what it wrote to stderr."""
        errors = self.process.communicate("\n", timeout=120)[1]
        assert self.process.returncode == code, errors
        assert "Traceback" not in errors
        return unstamped(errors)

    def signal(self, number: int) -> str:
        """Send the signal, wait for the end; what it wrote to stderr."""
        self.process.send_signal(number)
        self.process.wait(timeout=120)  # before its input is closed, which would let it go on
        errors = self.process.communicate()[1]
        assert "Traceback" not in errors
        return unstamped(errors)


def prepare(warehouse: Warehouse) -> dict:
    """Load some; then change the source so that the next run does something in every statement."""
    warehouse.write_log([event(), event(song="Other", artist="X", itemInSession=1)])
    warehouse.write_songs([song(year=0)])
    warehouse.load()
    warehouse.write_log([event(level="paid", ts=1541200000000, itemInSession=n) for n in range(2, 1502)], "2018-11-02")
    warehouse.write_songs([song(year=2001), song(song_id="SO2", title="Other", artist_name="X", artist_id="AR2")])
    return warehouse.everything()


def cut(warehouse: Warehouse) -> None:
    """End all connections to the database, from the side of the server."""
    warehouse.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def assert_next_run_is_right(warehouse: Warehouse) -> None:
    warehouse.load()
    after = warehouse.star()
    warehouse.empty()
    warehouse.load()
    assert warehouse.star() == after
    assert len(after["songplays"]) == 1502


@pytest.fixture
def own_server(tmp_path: Path, own_data_dir: Path) -> Iterator[Warehouse]:
    """Tables on a server that nothing else uses."""
    warehouse = Warehouse(tmp_path, own_data_dir)
    warehouse.create_tables()
    yield warehouse
    stop_server(own_data_dir)


def kill_server(warehouse: Warehouse) -> None:
    """Kill the server and its children, which would otherwise finish what they are at."""
    pid = postgres.server_pid(warehouse.data_dir / "data")
    assert pid is not None
    server = psutil.Process(pid)
    for process in [server, *server.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def test_killed_at_every_step(tables: Warehouse) -> None:
    before = prepare(tables)
    for point in POINTS:
        paused = Paused(tables, point)
        paused.signal(signal.SIGKILL)
        assert tables.everything() == before, point
    assert_next_run_is_right(tables)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_ended_politely(tables: Warehouse, number: int, code: int, word: str) -> None:
    before = prepare(tables)
    for point in SOME_POINTS:
        paused = Paused(tables, point)
        assert f"{word}; nothing was changed" in paused.signal(number)
        assert paused.process.returncode == code
        assert tables.everything() == before, point
    assert_next_run_is_right(tables)


def test_ended_after_the_commit_says_so(tables: Warehouse) -> None:
    prepare(tables)
    assert "interrupted; everything had been committed" in Paused(tables, "committed").signal(signal.SIGINT)
    assert tables.counts()["songplays"] == 1502


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_statement_under_way_is_cancelled_on_the_server(tables: Warehouse, number: int, code: int) -> None:
    prepare(tables)
    holder = tables.connect()
    holder.cursor().execute("LOCK staging_events")
    waiting = Paused(tables, "0")
    waiting.process.stdin.write("\n")
    waiting.process.stdin.flush()
    with holder.cursor() as cursor:
        while True:  # until it waits for the lock
            cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                break
        waiting.signal(number)
        assert waiting.process.returncode == code
        cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
        assert cursor.fetchone()[0] == 0
    holder.close()
    assert_next_run_is_right(tables)


@pytest.mark.parametrize("point", SOME_POINTS)
def test_connection_cut(tables: Warehouse, point: str) -> None:
    before = prepare(tables)
    paused = Paused(tables, point)
    cut(tables)
    errors = paused.finish(1)
    expected = "whether it landed is not known" if point == "commit" else "nothing was changed"
    assert expected in errors
    assert tables.everything() == before
    assert_next_run_is_right(tables)


@pytest.mark.parametrize("point", ["copy", "8", "commit"])
def test_server_killed(own_server: Warehouse, point: str) -> None:
    before = prepare(own_server)
    paused = Paused(own_server, point)
    kill_server(own_server)
    paused.finish(1)
    assert own_server.everything() == before
    assert_next_run_is_right(own_server)


@pytest.mark.parametrize("point", ["copy", "commit"])
def test_no_server_is_left_behind_by_a_killed_run(own_server: Warehouse, point: str) -> None:
    before = prepare(own_server)
    stop_server(own_server.data_dir)
    Paused(own_server, point).signal(signal.SIGKILL)
    wait_until_stopped(own_server.data_dir)
    assert own_server.everything() == before
    assert_next_run_is_right(own_server)


def test_server_and_run_killed_together(own_server: Warehouse) -> None:
    before = prepare(own_server)
    paused = Paused(own_server, "copy")
    kill_server(own_server)
    paused.signal(signal.SIGKILL)
    assert own_server.everything() == before
    assert_next_run_is_right(own_server)


def test_disk_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small disk can't be mounted here")
    try:
        warehouse = Warehouse(tmp_path, disk / "data")
        warehouse.write_log([event()])
        warehouse.write_songs([song()])
        warehouse.create_tables()
        warehouse.etl()
        before = warehouse.everything()
        lines = [event(itemInSession=n, userAgent=f"{n} " + "x" * 900) for n in range(1, 30_001)]
        warehouse.write_log(lines, "2018-11-02")
        result = warehouse.etl(code=1)
        assert f"the disk that holds {disk}/data is full; free some space" in result.stderr
        assert result.stderr.count("etl.py: ") == 1  # not tried again: it does not pass by itself
        subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
        assert warehouse.everything() == before
        warehouse.etl()
        assert warehouse.counts()["songplays"] == 30_001
    finally:
        stop_server(disk / "data")
        subprocess.run(["umount", str(disk)], check=True)


def test_closed_output_is_no_traceback(tables: Warehouse) -> None:
    before = prepare(tables)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "etl.py"), "--config", str(tables.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait() == 1 and "its output was closed; nothing was changed" in errors
    process.stderr.close()
    assert tables.everything() == before


def test_psycopg2_knows_the_errors_as_its_own(tables: Warehouse) -> None:
    connection = tables.connect()
    cut(tables)
    with pytest.raises(psycopg2.OperationalError):
        connection.cursor().execute("SELECT 1")
    connection.close()


SECRETS = ("Electric Tide", "Björn", "Quiet Harbour")  # what stands in the logs of the next test
ENDS = ["terminated", "killed", "cancelled", "broken off", "a bad record"]


@pytest.mark.parametrize("end", ENDS)
def test_nothing_of_the_data_is_shown_however_a_copy_ends(
    own_server: Warehouse, s3_front: S3Front, bucket: object, end: str, capfd: pytest.CaptureFixture
) -> None:
    """At four moments for each way to end: twenty in all."""
    names = {"artist": SECRETS[0], "firstName": SECRETS[1], "song": SECRETS[2]}
    own_server.write_songs([song()])
    own_server.write_log([event(itemInSession=n, **names) for n in range(100)], "a")
    own_server.use("s3://sparkify")
    upload(bucket, own_server.folder)
    s3_front.endless = "a-events.json"
    for at in (0, 300_000, 1_000_000, 3_000_000):
        s3_front.breaks_off_at = at + 200_000 if end == "broken off" else 0
        bad = json.dumps(event(artist=SECRETS[0], sessionId=SECRETS[1])).encode() + b"\n"
        s3_front.then = (at + 200_000, bad) if end == "a bad record" else (0, b"")
        s3_front.let_go.clear()
        failures: list[BaseException] = []
        loading = threading.Thread(target=load_and_keep_failure, args=(own_server, failures))
        loading.start()
        if end in ("terminated", "killed", "cancelled"):
            end_copy(own_server, at, end)
            s3_front.let_go.set()
        loading.join()
        s3_front.let_go.set()
        shown = "".join(capfd.readouterr()) + "".join(map(str, failures))
        assert len(failures) == 1 and isinstance(failures[0], PipelineError), failures
        assert not [secret for secret in SECRETS if secret in shown] and "Traceback" not in shown


def load_and_keep_failure(warehouse: Warehouse, failures: list[BaseException]) -> None:
    try:
        warehouse.output()
    except BaseException as error:
        failures.append(error)


def end_copy(warehouse: Warehouse, at: int, how: str) -> None:
    """End the COPY that is under way from the side of the server, once so many bytes of its rows have come in."""
    with contextlib.closing(warehouse.connect()) as connection, plain_cursor(connection) as cursor:
        connection.autocommit = True
        while True:
            cursor.execute("SELECT pid FROM pg_stat_progress_copy WHERE bytes_processed > %s", [at])
            if found := cursor.fetchone():
                break
        if how == "killed":
            kill_server(warehouse)
        else:
            cursor.execute(f"SELECT pg_{'terminate' if how == 'terminated' else 'cancel'}_backend(%s)", found)


@pytest.mark.parametrize("point", ["copy", "8", "commit"])
def test_process_of_the_local_server_is_killed(own_server: Warehouse, point: str) -> None:
    """The script says that the connection was lost and tries again, with a new process; the star is right."""
    prepare(own_server)
    paused = Paused(own_server, point, "--wait", "0")
    server_process(own_server.data_dir).kill()
    errors = paused.finish(0)
    assert "server closed the connection unexpectedly" in errors and "trying again in 0 s (try 2 of 4)" in errors
    assert own_server.counts()["songplays"] == 1502
    assert_next_run_is_right(own_server)
