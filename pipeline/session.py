"""A run and its retries: connection, statements, and the outcome of the commit."""

import contextlib
import ctypes
import enum
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import psycopg2
from psycopg2 import _psycopg, extensions

import sql_queries
from pipeline.errors import CommitUnanswered, PipelineError, Stopped
from pipeline.failures import first_line, is_connection_lost, name_of, statement_failed
from pipeline.load_errors import PackedObject
from pipeline.progress import Watch, show_progress
from pipeline.run_log import RunLog, Step
from pipeline.settings import Settings, Source
from pipeline.summary import Summary
from sql_queries import Copy


def canceller(connection: extensions.connection) -> Callable[[], None]:
    """Return a function that cancels the running statement, callable from any thread.

    The function calls libpq through ctypes, which releases the GIL. The driver's own cancel() holds the GIL until the
    server answers, which a hung server never does, so cancel() is only the fallback if libpq can't be found.
    """
    try:
        libpq = ctypes.CDLL(_psycopg.__file__)
        libpq.PQgetCancel.argtypes, libpq.PQgetCancel.restype = [ctypes.c_void_p], ctypes.c_void_p
        libpq.PQcancel.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        handle = libpq.PQgetCancel(connection.pgconn_ptr)
    except (AttributeError, OSError):
        return connection.cancel
    return lambda: libpq.PQcancel(handle, ctypes.create_string_buffer(256), 256)


class Outcome(enum.Enum):
    """The effect of a run on the warehouse so far; the values are used in messages."""

    UNCHANGED = "nothing was changed"
    UNKNOWN = "the commit was under way; whether it landed is not known"
    COMMITTED = "everything had been committed"


class Run:
    """A run of a script, including retries, from command line to exit status.

    The script works in one thread; another one calls `stop`. `outcome` is set by the commit or, if its answer was lost,
    by the next try. `advice` tells the user what to do if the outcome stays unknown.
    """

    def __init__(self, advice: str = "check the tables before you run it again", log: RunLog | None = None) -> None:
        self.log = log or RunLog()
        self.outcome = Outcome.UNCHANGED
        self._advice = advice
        self._summary: Summary | None = None
        self.is_committing = False
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._cancel: Callable[[], None] | None = None

    @property
    def outcome_text(self) -> str:
        """The outcome in words."""
        return f"{self.outcome.value}: {self._advice}" if self.outcome is Outcome.UNKNOWN else self.outcome.value

    def cancel_by(self, cancel: Callable[[], None] | None) -> None:
        """Register the function that cancels the running statement; None removes it."""
        self._cancel = cancel

    def check(self) -> None:
        """Raise Stopped if the run is stopping."""
        if self._stopping.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Wait. Raise Stopped as soon as the run is stopped."""
        if self._stopping.wait(seconds):
            raise Stopped

    def set_outcome(self, outcome: Outcome) -> None:
        """Record the outcome of a commit; if it landed, put the summary in the run log."""
        if outcome is Outcome.COMMITTED and self._summary is not None:
            self.log.summary = self._summary
        self.outcome = outcome

    @contextlib.contextmanager
    def committing(self, summary: Summary | None = None) -> Iterator[None]:
        """Track a commit sent in the block.

        The outcome is UNKNOWN until the block calls `set_outcome`. If the commit lands, `summary` is put in the run
        log. If the run is stopping, raise Stopped before the block runs.
        """
        with self._lock:
            self.check()
            self._summary = summary
            self.outcome = Outcome.UNKNOWN
            self.is_committing = True
        try:
            yield
        finally:
            self.is_committing = False

    def stop(self) -> None:
        """Stop the run: from now on no commit is sent."""
        with self._lock:
            self._stopping.set()

    def cancel(self) -> None:
        """Cancel the running statement, if there is one, but never a commit."""
        cancel = self._cancel
        if cancel is not None and not self.is_committing:
            with contextlib.suppress(psycopg2.Error):
                cancel()


Parameters = Mapping[str, Any]


class Session:
    """A connection for a `with` block; uncommitted changes are rolled back at the end.

    The connection was opened with `settings` and belongs to `run`. Methods raise Stopped if the run is stopping, and
    StatementFailed if the warehouse refuses a statement.
    """

    def __init__(self, connection: extensions.connection, settings: Settings, run: Run | None = None) -> None:
        self.connection = connection
        self.settings = settings
        self.run = run or Run()
        self.mark = ""  # identifies the load; see `mark_load`
        self.left_out: Counter[str] = Counter()  # number of bad records that COPY left out, by table
        self.copies: dict[int, Copy] = {}  # the session's COPYs, by query id
        self.packed: dict[str, PackedObject] = {}  # packed objects by name
        self.run.cancel_by(canceller(connection))

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; uncommitted changes are rolled back."""
        self.run.cancel_by(None)
        self.connection.close()

    @property
    def source(self) -> Source:
        """The source settings. Raise ValueError if they were not read."""
        if self.settings.source is None:
            raise ValueError("the settings of the source ([S3]) were not read")
        return self.settings.source

    @property
    def source_parameters(self) -> Parameters:
        """Values for the placeholders of the COPY statements."""
        return self.source.copy_parameters()

    def execute(
        self, statement: str, parameters: Parameters | None = None, watch: Watch | None = None
    ) -> extensions.cursor:
        """Run a statement; return its cursor.

        If the statement is slow, show progress, including the report of `watch` if given.
        """
        self.run.check()
        cursor = self.connection.cursor()
        try:
            with show_progress(name_of(statement), watch, self.run.log.position):
                cursor.execute(statement, parameters)
        except psycopg2.Error as error:
            self.run.check()  # raises Stopped if the statement was cancelled to stop the run
            raise statement_failed(error, statement, parameters, self.settings, self.run.outcome_text) from error
        except (TypeError, KeyError, ValueError) as error:  # raised by the driver for a bare % or a missing value
            if "%" not in statement:
                raise
            raise PipelineError(
                f"{name_of(statement)} (sql_queries.py): invalid placeholder: write a literal % as %%; "
                f"%(name)s needs a value from the scripts ({type(error).__name__}: {error}); {self.run.outcome_text}"
            ) from error
        return cursor

    @contextlib.contextmanager
    def step(self, statement: str) -> Iterator[Step]:
        """Time and log the statement in the block; the block may set the step's `rows`."""
        started = time.monotonic()
        step = Step(name_of(statement))
        yield step
        self.run.check()  # raises Stopped if the run is stopping: no step may follow its final message
        step.seconds = round(time.monotonic() - started, 3)
        self.run.log.step(step)

    def rows(self, query: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.execute(query, parameters) as cursor:
            return cursor.fetchall()

    @cached_property
    def number(self) -> int:
        """The process id of this session in the system tables."""
        return int(self.rows(sql_queries.session_number)[0][0])

    def rollback(self) -> None:
        """Undo the session's uncommitted changes."""
        try:
            self.connection.rollback()
        except psycopg2.Error as error:
            self.run.check()
            raise statement_failed(error, "ROLLBACK", None, self.settings, self.run.outcome_text) from error

    def mark_load(self) -> None:
        """Mark the transaction with a random id for `check_commit_landed`."""
        self.mark = f"staged by load {os.urandom(8).hex()}"
        self.execute(sql_queries.staging_mark, {"mark": self.mark})

    def commit(self, summary: Summary | None = None) -> None:
        """Commit; `summary` describes the load.

        Raise CommitUnanswered if the answer is lost, StatementFailed if the commit is refused.
        """
        with self.run.committing(summary):
            try:
                self.connection.commit()
            except psycopg2.Error as error:
                # only an SQLSTATE proves that the warehouse answered
                if error.pgcode is None or is_connection_lost(error):
                    raise CommitUnanswered(
                        f"COMMIT failed: {first_line(error)}; {self.run.outcome_text}", self.mark
                    ) from error
                self.run.set_outcome(Outcome.UNCHANGED)
                raise statement_failed(error, "COMMIT", None, self.settings, self.run.outcome_text) from error
            self.run.set_outcome(Outcome.COMMITTED)
