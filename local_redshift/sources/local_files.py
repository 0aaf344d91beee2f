"""Read objects from local files."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from local_redshift.errors import NoSuchObject, SourceError
from local_redshift.sources.stores import SourceObject
from storage.local_files import walk


class LocalStore:
    """Files on this machine; see Store."""

    # reading a small file is faster than handing it to a thread, so use few threads and large batches
    readers = 2
    batch = 64

    def __init__(self, folder: Path) -> None:
        """Resolve relative paths against `folder`."""
        self._folder = folder

    def find(self, prefix: str) -> list[SourceObject]:
        prefix = self._absolute(prefix)
        with _file_errors(prefix):
            return sorted(map(SourceObject, walk(prefix)), key=lambda found: os.fsencode(found.name))

    def holds(self, name: str) -> bool:
        return Path(self._absolute(name)).is_file()

    def open(self, name: str) -> BinaryIO:
        with _file_errors(name):
            return open(self._absolute(name), "rb", buffering=0)

    def head(self, name: str, limit: int) -> bytes:
        # opening a file object would take twice as long
        with _file_errors(name):
            descriptor = os.open(self._absolute(name), os.O_RDONLY | getattr(os, "O_BINARY", 0))
            try:
                return os.read(descriptor, limit)
            finally:
                os.close(descriptor)

    def reading(self, name: str) -> AbstractContextManager[None]:
        return _file_errors(name)

    def _absolute(self, name: str) -> str:
        return os.path.join(self._folder, name)  # noqa: PTH118  # a Path loses the slash at the end of a prefix

    def missing(self, prefix: str) -> SourceError:
        return NoSuchObject(f"no file's path starts with {prefix}")


@contextmanager
def _file_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if os.path.lexists(name):
            raise SourceError(f"{name} is a broken symbolic link") from error
        raise NoSuchObject(f"{name} does not exist") from error
    except OSError as error:
        raise SourceError(f"{error.filename or name} can't be read: {error.strerror or error}") from error
