"""One run of a script: what is true of the warehouse now, and whether somebody wants the run to stop."""

import contextlib
import enum
import threading
from collections.abc import Callable, Iterator

import psycopg2

from pipeline.errors import Stopped
from pipeline.story import Story, Summary


class Outcome(enum.Enum):
    """What is true of the warehouse if the run ended now; the value is how a message says it."""

    UNCHANGED = "nothing was changed"
    UNKNOWN = "the commit was under way; whether it landed is not known"
    COMMITTED = "everything had been committed"


class Run:
    """All tries of one script, from its command line to its exit status.

    The script does its work in one thread; `stop` is called from another. `outcome` is set by whoever
    finds out: the commit itself or, where its answer was lost, the next try. `advice` is what to do where
    nobody has found out. `story` is what it tells of itself.
    """

    def __init__(self, advice: str = "look before you run it again", story: Story | None = None) -> None:
        self.story = story or Story()
        self.outcome = Outcome.UNCHANGED
        self._advice = advice
        self._summary: Summary | None = None
        self.is_committing = False
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._cancel: Callable[[], None] | None = None

    @property
    def said(self) -> str:
        """What is true of the warehouse, for a message."""
        return f"{self.outcome.value}: {self._advice}" if self.outcome is Outcome.UNKNOWN else self.outcome.value

    def cancel_by(self, cancel: Callable[[], None] | None) -> None:
        """Set what ends the statement that is under way, from any thread; None where there is no connection."""
        self._cancel = cancel

    def check(self) -> None:
        """Raise Stopped if the run is to stop."""
        if self._stopping.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Wait. Raise Stopped as soon as the run is to stop."""
        if self._stopping.wait(seconds):
            raise Stopped

    def found_out(self, outcome: Outcome) -> None:
        """Note what became of a commit; if it landed, its summary is true from now on."""
        if outcome is Outcome.COMMITTED:
            self.story.summary = self._summary
        self.outcome = outcome

    @contextlib.contextmanager
    def committing(self, summary: Summary | None = None) -> Iterator[None]:
        """Send a commit in the block, which calls `found_out` once it knows; meanwhile `outcome` is UNKNOWN.

        `summary` is what is true if it lands. Raise Stopped, and let no commit go out, if the run is to stop.
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
        """Have the run stop: from now on no commit goes out, and `outcome` stays unless one is under way."""
        with self._lock:
            self._stopping.set()

    def cancel(self) -> None:
        """End the statement that is under way, if there is one; a commit is let finish."""
        cancel = self._cancel
        if cancel is not None and not self.is_committing:
            with contextlib.suppress(psycopg2.Error):
                cancel()
