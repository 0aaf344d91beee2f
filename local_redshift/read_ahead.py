"""Work ahead of its turn, by threads, in memory that is bounded: reading small objects, making rows."""

import contextlib
import itertools
import queue
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from local_redshift.objects import SourceObject, Store

SMALL = 64 << 10  # bytes; larger objects are streamed when it is their turn
AHEAD = 4  # batches a reader may be ahead: with SMALL and Store.batch this bounds the memory

Read = tuple[SourceObject, bytes | None]


def read_ahead(store: Store, objects: list[SourceObject]) -> Iterator[Read]:
    """Each object in its order, with its bytes if it is small and None if it is to be streamed.

    Raise SourceError, when its turn comes, for an object that can't be read.
    """
    left = iter(objects)
    waiting: deque[Future[list[Read]]] = deque()
    pool = ThreadPoolExecutor(store.readers)
    try:
        while batch := list(itertools.islice(left, store.batch)):
            waiting.append(pool.submit(_read_batch, store, batch))
            if len(waiting) >= store.readers * AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read_batch(store: Store, batch: list[SourceObject]) -> list[Read]:
    return [(found, _read_small(store, found)) for found in batch]


def _read_small(store: Store, found: SourceObject) -> bytes | None:
    if found.size is not None and found.size > SMALL:
        return None
    data = store.head(found.name, SMALL + 1)
    return data if len(data) <= SMALL else None


def in_background(items: Iterator[bytes], ahead: int) -> Iterator[bytes]:
    """The same items, made by a thread that is at most `ahead` of them in front.

    What ends the items there is raised here. Close this iterator to end the thread before its time.
    """
    made: queue.Queue[bytes | BaseException | None] = queue.Queue(ahead)
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
