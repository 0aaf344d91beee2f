"""Read small objects ahead in threads, with bounded memory."""

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from local_redshift.sources.stores import SourceObject, Store

SMALL = 64 << 10  # bytes; larger objects are streamed instead
AHEAD = 4  # maximum number of batches read ahead per reader; with SMALL and Store.batch, it limits memory use


class ObjectRead(NamedTuple):
    """An object and its bytes; the bytes are None if the object is larger than SMALL."""

    object: SourceObject
    data: bytes | None


def read_ahead(store: Store, objects: list[SourceObject]) -> Iterator[ObjectRead]:
    """Yield the objects in order; raise SourceError if one can't be read."""
    left = iter(objects)
    waiting: deque[Future[list[ObjectRead]]] = deque()
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


def _read_batch(store: Store, batch: list[SourceObject]) -> list[ObjectRead]:
    return [ObjectRead(found, _read_small(store, found)) for found in batch]


def _read_small(store: Store, found: SourceObject) -> bytes | None:
    if found.size is not None and found.size > SMALL:
        return None
    data = store.head(found.name, SMALL + 1)
    return data if len(data) <= SMALL else None
