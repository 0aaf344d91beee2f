"""A long COPY shows that it is alive: how long, and how many files and rows so far."""

import contextlib
import io
import queue
import re
import subprocess
import sys
import threading
import time

import pytest
from helpers import ROOT, Warehouse, event, run_as_admin, song, unstamped, upload
from s3_front import S3Front

import sql_queries
from pipeline import progress


class Screen(io.StringIO):
    """An output that lets the held object go once it has shown what it waits for."""

    def __init__(self, front: S3Front, waits_for: str, is_terminal: bool) -> None:
        super().__init__()
        self.front, self._waits_for, self._is_terminal = front, waits_for, is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        if re.search(self._waits_for, text):
            self.front.let_go.set()
        return super().write(text)


@pytest.fixture
def slow(
    tables: Warehouse, s3_front: S3Front, bucket: object, monkeypatch: pytest.MonkeyPatch
) -> tuple[Warehouse, S3Front]:
    """A source of two logs, the second of which does not come until it is let go."""
    # large enough not to be read ahead with the other
    tables.write_log([event(itemInSession=n) for n in range(2000)], "2018-11-01")
    tables.write_log([event(itemInSession=n) for n in range(2000, 2003)], "2018-11-02")
    tables.write_songs([song()])
    upload(bucket, tables.folder)
    tables.use("s3://sparkify")
    s3_front.held = "2018-11-02-events.json"
    monkeypatch.setattr(progress, "SHOWN_AFTER", 0.01)
    monkeypatch.setattr(progress, "UPDATED_EVERY", 0.01)
    monkeypatch.setattr(progress, "LINE_EVERY", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return tables, s3_front


def load(warehouse: Warehouse, screen: Screen) -> None:
    with contextlib.redirect_stdout(screen):
        warehouse.load()
    assert screen.front.let_go.is_set()
    assert warehouse.counts()["songplays"] == 2003


@pytest.mark.parametrize("is_terminal", [False, True])
def test_copy_shows_files_and_rows_so_far(slow: tuple[Warehouse, S3Front], is_terminal: bool) -> None:
    warehouse, front = slow
    screen = Screen(front, "1 of 2 files, 2,000 rows", is_terminal)
    warehouse.is_verbose = True
    load(warehouse, screen)
    shown = screen.getvalue()
    form = (
        r"4/\d\d staging_events_copy: .*0:00:\d\d.* 1 of 2 files"
        if is_terminal
        else r"staging_events_copy: \d+ s so far, 1 of"
    )
    assert re.search(form, shown)
    assert re.search(r"staging_events_copy: 2,003 rows in \d", shown)


@pytest.mark.parametrize("view", ["stv_load_state", "sys_load_history"])
def test_either_view_will_do(slow: tuple[Warehouse, S3Front], view: str) -> None:
    warehouse, front = slow
    other = {"stv_load_state": "sys_load_history", "sys_load_history": "stv_load_state"}[view]
    warehouse.query(f"DROP VIEW local_redshift.{other}")
    load(warehouse, Screen(front, "1 of 2 files, 2,000 rows", False))


@pytest.mark.parametrize("query", sql_queries.copy_progress_queries)
def test_progress_is_that_of_the_copy_under_way_in_one_session(tables: Warehouse, query: str) -> None:
    sessions = [tables.connect(), tables.connect()]
    ours, other = (session.get_backend_pid() for session in sessions)
    rest = "clock_timestamp() AT TIME ZONE 'UTC', '', 9, 0"
    copies = f"""
INSERT INTO local_redshift.copies (query, session, files_done, lines, status, starttime, data_source, files, tbl)
VALUES
    (1, {ours}, 5, 50, 'completed', {rest}),
    (2, {ours}, 1, 10, 'running', {rest}),
    (3, {other}, 2, 20, 'running', {rest})
"""
    run_as_admin(tables.data_dir, copies, tables.values["CLUSTER", "DB_NAME"])
    with sessions[1].cursor() as cursor:
        cursor.execute(query, {"session": ours})
        assert cursor.fetchall() == [(1, 9, 10)]
    for session in sessions:
        session.close()


def test_waits_are_those_of_the_documentation() -> None:
    assert (progress.SHOWN_AFTER, progress.LINE_EVERY) == (2, 60)


def test_first_look_tells_where_the_first_view_cant_be_read(tables: Warehouse) -> None:
    # as on Serverless: a later look would come a minute later in a log
    tables.query("DROP VIEW local_redshift.stv_load_state")
    session = tables.connect()
    running = f"""
INSERT INTO local_redshift.copies (query, session, files_done, lines, status, starttime, data_source, files, tbl)
VALUES (1, {session.get_backend_pid()}, 1, 10, 'running', clock_timestamp() AT TIME ZONE 'UTC', '', 9, 0)
"""
    run_as_admin(tables.data_dir, running, tables.values["CLUSTER", "DB_NAME"])
    watch = progress.CopyWatch(tables.connect, session.get_backend_pid())
    assert watch() == progress.SoFar(1, 9, "10 rows")
    watch.close()
    session.close()


def test_time_is_shown_where_no_view_can_be_read(slow: tuple[Warehouse, S3Front]) -> None:
    warehouse, front = slow
    warehouse.query("DROP VIEW local_redshift.stv_load_state; DROP VIEW local_redshift.sys_load_history")
    screen = Screen(front, r"staging_events_copy: \d+ s so far\n?$", False)
    load(warehouse, screen)
    assert "files" not in screen.getvalue()


def test_what_ends_soon_shows_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.001)
    with progress.show_progress("SELECT"):
        until = time.monotonic() + 0.1  # a hundred lines, if it did not wait before the first
        while time.monotonic() < until:
            pass
    assert capsys.readouterr().out == ""


def test_wait_that_fails_is_not_announced_afterwards(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(ConnectionError), progress.announce_wait("the warehouse"):
        raise ConnectionError
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
    assert capsys.readouterr().out == ""


def test_line_about_a_statement_is_out_before_the_next_has_ended(tables: Warehouse) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    blocking = tables.connect()
    blocking.cursor().execute("LOCK users")  # so the load gets no further than that
    command = [sys.executable, str(ROOT / "etl.py"), "-v", "--config", str(tables.config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout])
    reader.start()
    try:
        while not unstamped(lines.get(timeout=120)).startswith("inferred_artists_insert: 0 rows"):
            pass
    finally:
        blocking.close()
        assert process.wait(120) == 0
        reader.join()
        process.stdout.close()


def test_seconds_are_those_that_a_statement_took(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    started = time.monotonic()
    output = tables.run("etl.py", "-v").stdout
    elapsed = time.monotonic() - started
    said = [float(seconds) for seconds in re.findall(r"^\w+: .*?(\d+\.\d\d) s$", output, re.MULTILINE)]
    assert len(said) > 20 and sum(said) < elapsed
