"""What COPY asks of a place that objects are in."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from local_redshift.errors import SourceError


@dataclass(frozen=True)
class Credentials:
    """An access key given in a statement; never shown."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SourceObject:
    """One object to load: its full name ("s3://bucket/key" or a path) and its size in bytes if known."""

    name: str
    size: int | None = None


class Store(Protocol):
    """A place that objects are in. Each method raises SourceError for what can't be read.

    `readers` threads read small objects ahead, `batch` of them at a time.
    """

    readers: int
    batch: int

    def find(self, prefix: str) -> list[SourceObject]:
        """All objects whose name starts with `prefix`, in the order of their names; maybe none."""

    def holds(self, name: str) -> bool:
        """Whether there is an object of this very name."""

    def open(self, name: str) -> BinaryIO:
        """The object's bytes as a stream. Raise NoSuchObject if there is none of that name."""

    def head(self, name: str, limit: int) -> bytes:
        """The object's first `limit` bytes, or all of them if it has fewer. Raise as `open` does."""

    def reading(self, name: str) -> AbstractContextManager[None]:
        """Raise SourceError, naming the object, for what goes wrong in the block while its bytes are read."""

    def missing(self, prefix: str) -> SourceError:
        """The error for a prefix that no object has."""


def read_object(store: Store, name: str) -> bytes:
    """A small object whole: a manifest or a JSONPaths file."""
    with store.open(name) as stream, store.reading(name):
        return stream.read()
