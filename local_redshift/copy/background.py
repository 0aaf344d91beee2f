"""Produce items in a background thread, before they are needed."""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

PATIENCE = 0.2  # seconds to wait for the thread to end; one that is waiting for S3 is left to end later


def in_background(
    items: Iterator[Item], ahead: int, check: Callable[[], None], seconds: float
) -> Generator[Item, None, None]:
    """Yield `items`, produced by a thread that is at most `ahead` items ahead.

    Exceptions in the thread are re-raised in the caller. `check` is called before each item and, while waiting for one,
    every `seconds` seconds; if it raises an exception, the iteration ends. Closing the iterator stops the thread, or
    abandons it if it does not end within PATIENCE seconds.
    """
    producer = _Producer(items, ahead)
    try:
        while True:
            check()
            with contextlib.suppress(queue.Empty):
                item = producer.made.get(timeout=seconds)
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
    finally:
        producer.stop()


class _Producer(Generic[Item]):
    """A thread that queues items, followed by None or the exception that ended it."""

    def __init__(self, items: Iterator[Item], ahead: int) -> None:
        self.made: queue.Queue[Item | BaseException | None] = queue.Queue(ahead)
        self._items = items
        self._unwanted = threading.Event()
        self._thread = threading.Thread(target=self._make, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._unwanted.set()
        self._thread.join(PATIENCE)

    def _make(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:  # a generator, which may hold open files and running threads
                close()

    def _put(self, item: Item | BaseException | None) -> bool:
        """Put an item into the queue; return False if the consumer is gone."""
        while not self._unwanted.is_set():
            with contextlib.suppress(queue.Full):
                self.made.put(item, timeout=PATIENCE / 4)
                return True
        return False
