"""The interface of a store of objects."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from local_redshift.errors import SourceError


@dataclass(frozen=True)
class Credentials:
    """An access key of a statement; never shown."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SourceObject:
    """An object to load: its full name ("s3://bucket/key" or a path), and its size in bytes if known."""

    name: str
    size: int | None = None


class Store(Protocol):
    """A store of objects. Each method raises SourceError for an object that can't be read.

    `readers` threads read small objects ahead, `batch` of them at a time.
    """

    readers: int
    batch: int

    def find(self, prefix: str) -> list[SourceObject]:
        """Return all objects whose names begin with `prefix`, sorted by name."""

    def holds(self, name: str) -> bool:
        """Tell whether there is an object of exactly this name."""

    def open(self, name: str) -> BinaryIO:
        """Return the object's bytes as a stream. Raise NoSuchObject if it does not exist."""

    def head(self, name: str, limit: int) -> bytes:
        """Return the object's first `limit` bytes, or all of a smaller one. Raise as `open` does."""

    def reading(self, name: str) -> AbstractContextManager[None]:
        """Raise SourceError, naming the object, for errors in the block that reads it."""

    def missing(self, prefix: str) -> SourceError:
        """Return the error for a prefix without objects."""


def read_object(store: Store, name: str) -> bytes:
    """Return the content of a small object: a manifest or a JSONPaths file."""
    with store.open(name) as stream, store.reading(name):
        return stream.read()
