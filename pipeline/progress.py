"""Show the progress of slow statements: elapsed time and, for COPY, files and rows."""

import contextlib
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import psycopg2
from psycopg2 import extensions

from pipeline.errors import PipelineError
from pipeline.run_log import is_terminal, say
from sql_queries import copy_progress_queries

SHOWN_AFTER = 2  # seconds before progress is shown and a second connection is opened
UPDATED_EVERY = 1  # seconds between updates at a terminal
LINE_EVERY = 60  # seconds between lines in a log


class SoFar(NamedTuple):
    """Progress: files done, total files, and an amount such as "1,761 rows"."""

    done: int
    files: int
    amount: str


class Watch(Protocol):
    """A function that returns the progress, or None if it is unknown."""

    def __call__(self) -> SoFar | None: ...

    def close(self) -> None:
        """Stop watching."""


class CopyWatch:
    """Progress of a session's COPY, read from the system tables over a second connection."""

    def __init__(self, connect: Callable[[], extensions.connection], session: int) -> None:
        """`connect` opens the second connection on demand.

        `session` is the process id of the session that runs the COPY.
        """
        self._connect = connect
        self._session = session
        self._connection: extensions.connection | None = None
        self._queries = list(copy_progress_queries)

    def __call__(self) -> SoFar | None:
        """Return the progress; None if no system table shows it."""
        for query in list(self._queries):
            try:
                found = self._ask(query)
            except (psycopg2.Error, PipelineError):
                self._queries.remove(query)
                continue
            if found is not None and found[0] is not None:
                return SoFar(found[0], found[1], f"{found[2] or 0:,} rows")
        return None

    def _ask(self, query: str) -> tuple[int | None, int, int | None] | None:
        if self._connection is None:
            self._connection = self._connect()
            self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(query, {"session": self._session})
            return cursor.fetchone()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()


@contextlib.contextmanager
def announce_wait(awaited: str) -> Iterator[None]:
    """If the block takes a while, print what it is waiting for."""
    timer = threading.Timer(SHOWN_AFTER, _say, [f"waiting for {awaited}"])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # if stdout is closed, run_script reports it
        say(line)


@contextlib.contextmanager
def show_progress(label: str, watch: Watch | None = None, position: tuple[int, int] | None = None) -> Iterator[None]:
    """Show the block's progress: one updated line at a terminal, else a line a minute.

    `position` is the number of this step and the total number of steps, if known.
    """
    done = threading.Event()
    show = functools.partial(_on_one_line, position=position) if is_terminal(sys.stdout) else _line_by_line
    thread = threading.Thread(target=_show, args=(show, label, watch, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        # wait only briefly: the thread may be opening a connection that is no longer needed
        thread.join(1)


def _show(show: Callable[..., None], label: str, watch: Watch | None, done: threading.Event) -> None:
    started = time.monotonic()
    if done.wait(SHOWN_AFTER):
        return
    with contextlib.suppress(OSError):  # if stdout is closed, run_script reports it
        show(label, watch, done, started)
    if watch is not None:
        watch.close()


def leave_terminal_in_order() -> None:
    """Show the cursor again; progress bars hide it."""
    if is_terminal(sys.stdout):
        from rich.console import Console

        Console(file=sys.stdout).show_cursor()
        say("")


def _line_by_line(label: str, watch: Watch | None, done: threading.Event, started: float) -> None:
    while not done.wait(LINE_EVERY - (time.monotonic() - started) % LINE_EVERY):
        so_far = watch() if watch else None
        if not done.is_set():
            say(f"{label}: {time.monotonic() - started:.0f} s so far{_described(so_far)}")


def _on_one_line(
    label: str, watch: Watch | None, done: threading.Event, started: float, position: tuple[int, int] | None
) -> None:
    from rich.console import Console  # imported here, because the import is slow and only slow statements need it
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}:"),
        TimeElapsedColumn(),
        BarColumn(20),  # progress of the whole run, or of this step's files if the number of steps is unknown
        TextColumn("{task.fields[so_far]}"),
    )
    step, steps = position or (1, None)
    label = f"{step}/{steps} {label}" if position else label
    console = Console(file=sys.stdout, markup=False)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task(label, total=steps, completed=step - 1, so_far="")
        progress.tasks[0].start_time = started
        while not done.wait(UPDATED_EVERY):
            so_far = watch() if watch else None
            if so_far is not None:
                described = _described(so_far).removeprefix(", ")
                done_here = so_far.done / max(so_far.files, 1)
                progress.update(task, total=steps or 1, completed=step - 1 + done_here, so_far=described)


def _described(so_far: SoFar | None) -> str:
    if so_far is None:
        return ""
    return f", {so_far.done:,} of {so_far.files:,} files, {so_far.amount}"
