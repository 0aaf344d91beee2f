"""Stream rows to the server: made in the background, handed over as the file that psycopg2 reads from."""

import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")


_in_driver = threading.local()


@contextlib.contextmanager
def quiet_driver() -> Iterator[None]:
    """Keep the driver from printing a row of the data, for this thread and the length of the block.

    If the server ends in the middle of a COPY, psycopg2 gets two errors, prints the first with its CONTEXT, which is
    a row, and raises the second. What it prints goes through sys.excepthook.
    """
    previous = sys.excepthook
    if not getattr(previous, "is_quiet_driver", False):

        def hook(*error: Any) -> None:
            if not getattr(_in_driver, "is_copying", False):
                previous(*error)

        hook.is_quiet_driver = True  # type: ignore[attr-defined]
        sys.excepthook = hook
    _in_driver.is_copying = True
    try:
        yield
    finally:
        _in_driver.is_copying = False


class RowStream:
    """The rows as a file.

    An error while they are made ends the file, and is kept in `error`: the driver would hide an exception raised while
    it reads.
    """

    def __init__(self, rows: Iterator[bytes], check_cancelled: Callable[[], None]) -> None:
        self._rows = rows
        self._check_cancelled = check_cancelled
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        """Return the next piece, of whatever size; nothing at the end."""
        try:
            self._check_cancelled()
            # an empty piece would mean the end
            return next((piece for piece in self._rows if piece), b"")
        except BaseException as error:
            self.error = error
            return b""

    def readline(self, size: int = -1) -> bytes:
        """Like `read`: psycopg2 requires the method, but does not call it."""
        return self.read(size)

    def drain(self) -> None:
        """Read everything and discard it."""
        while self.read():
            pass


def in_background(items: Iterator[Item], ahead: int) -> Generator[Item, None, None]:
    """Yield the same items, produced by a thread that is at most `ahead` of them in front.

    What ends the items there is raised here. Close this iterator to end the thread early.
    """
    made: queue.Queue[Item | BaseException | None] = queue.Queue(ahead)
    unwanted = threading.Event()

    def make() -> None:
        try:
            for item in items:
                made.put(item)
                if unwanted.is_set():
                    return
            made.put(None)
        except BaseException as error:
            made.put(error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:  # a generator, which may hold files and threads
                close()

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        unwanted.set()
        while thread.is_alive():  # it may be waiting for a place
            with contextlib.suppress(queue.Empty):
                made.get(timeout=0.01)
