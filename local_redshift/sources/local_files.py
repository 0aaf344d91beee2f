"""Files on this machine as a place of objects.

A local path follows S3's rule: it is a plain prefix of the names, not a folder.
https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-source-s3.html
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from local_redshift.errors import NoSuchObject, SourceError
from local_redshift.sources.stores import SourceObject


class LocalStore:
    """Files on this machine; see Store."""

    # a file takes some microseconds, less than to hand it to a thread: so few threads and many at a time
    readers = 2
    batch = 64

    def find(self, prefix: str) -> list[SourceObject]:
        folder = prefix if prefix.endswith("/") else os.path.dirname(prefix) or "."  # noqa: PTH120
        start = len(folder) + 1 if folder == "." and not prefix.startswith(".") else 0
        found: list[SourceObject] = []
        for path, folders, names in os.walk(folder, followlinks=True):
            above = path.rstrip("/") + "/"
            # whole branches that can't match are not entered: the prefix may be next to a large tree
            folders[:] = [
                name
                for name in folders
                if _may_match(f"{above}{name}/"[start:], prefix) and not _leads_back(above, name)
            ]
            found += [SourceObject(full) for name in names if (full := (above + name)[start:]).startswith(prefix)]
        return sorted(found, key=lambda found_object: os.fsencode(found_object.name))

    def holds(self, name: str) -> bool:
        return Path(name).is_file()

    def open(self, name: str) -> BinaryIO:
        with _file_errors(name):
            return open(name, "rb", buffering=0)

    def head(self, name: str, limit: int) -> bytes:
        # a file object would take twice the time
        with _file_errors(name):
            descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            try:
                return os.read(descriptor, limit)
            finally:
                os.close(descriptor)

    def reading(self, name: str) -> AbstractContextManager[None]:
        return _file_errors(name)

    def missing(self, prefix: str) -> SourceError:
        return NoSuchObject(f"no file's path starts with {prefix}")


@contextmanager
def _file_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NoSuchObject(f"{name} does not exist") from error
    except OSError as error:
        raise SourceError(f"{name} can't be read: {error.strerror or error}") from error


def _leads_back(above: str, name: str) -> bool:
    """Whether `name` is a link to a folder that it is in itself."""
    return Path(above + name).is_symlink() and os.path.realpath(above).startswith(os.path.realpath(above + name))


def _may_match(folder: str, prefix: str) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)
