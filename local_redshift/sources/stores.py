"""The interface of an object store."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from local_redshift.errors import SourceError


@dataclass(frozen=True)
class Credentials:
    """An access key from a statement, hidden from repr()."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SourceObject:
    """An object to load: "s3://bucket/key" or a path, and its size in bytes if known."""

    name: str
    size: int | None = None


class Store(Protocol):
    """An object store. Its methods raise SourceError if an object can't be read.

    `readers` threads read small objects ahead; each reads `batch` objects at a time.
    """

    readers: int
    batch: int

    def find(self, prefix: str) -> list[SourceObject]:
        """Return all objects whose names begin with `prefix`, sorted by name."""

    def holds(self, name: str) -> bool:
        """Tell whether an object with exactly this name exists."""

    def open(self, name: str) -> BinaryIO:
        """Return the object's bytes as a stream. Raise NoSuchObject if it does not exist."""

    def head(self, name: str, limit: int) -> bytes:
        """Return up to `limit` bytes from the object's start. Raise the same errors as `open`."""

    def reading(self, name: str) -> AbstractContextManager[None]:
        """Convert errors in the block to a SourceError that names the object."""

    def missing(self, prefix: str) -> SourceError:
        """Return the error for a prefix without objects."""


def read_object(store: Store, name: str) -> bytes:
    """Return the content of a small object: a manifest or a JSONPaths file."""
    with store.open(name) as stream, store.reading(name):
        return stream.read()
