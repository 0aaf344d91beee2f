"""Pack many small files into a few gzip objects."""

import gzip
import json
import math
import tempfile
from array import array
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from pipeline.file_store import FileStore, FoundFile, SourceFile
from pipeline.load_errors import PackedObject


class FileList:
    """Names and sizes of files, stored compactly: a list of tuples takes three times the memory."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._sizes = array("Q")

    def append(self, file: SourceFile | FoundFile) -> None:
        """Append a file."""
        self._names.append(file.name)
        self._sizes.append(file.size)

    def sort(self) -> None:
        """Sort the files by name."""
        order = sorted(range(len(self._names)), key=self._names.__getitem__)
        self._names = [self._names[n] for n in order]
        self._sizes = array("Q", (self._sizes[n] for n in order))

    @property
    def size(self) -> int:
        """The total size of the files in bytes."""
        return sum(self._sizes)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[SourceFile]:
        for name, size in zip(self._names, self._sizes, strict=True):
            yield SourceFile(name, size)


# COPY loads a few large objects faster than many small ones. Ideally, there is one object per slice, of 1 MB to 1 GB
# after compression.
# https://docs.aws.amazon.com/redshift/latest/dg/c_best-practices-use-multiple-files.html
SMALL = 1 << 20  # bytes; COPY reads larger files directly
FEW = 16  # with this many small files or fewer, packing is not worth it
MOST_OBJECTS = 16
MOST_BYTES = 4 << 30  # maximum bytes packed per source; COPY reads the remaining files directly
PACKED_BYTES = 8 << 20  # minimum bytes of files per packed object, if there are several; about 1 MB after gzip


class Packed(NamedTuple):
    """The packed objects, and the files that COPY has to read directly."""

    objects: list[PackedObject]
    left: list[SourceFile]


def divide(store: FileStore, files: FileList) -> tuple[FileList, FileList]:
    """Split the files into those to pack and the others. If only a few are small, pack none."""
    small, others = FileList(), FileList()
    size = 0
    for file in files:
        if file.size < SMALL and size + file.size <= MOST_BYTES and store.can_read(file.name):
            small.append(file)
            size += file.size
        else:
            others.append(file)
    return (small, others) if len(small) > FEW else (FileList(), files)


Done = Callable[[SourceFile], None]
Write = Callable[[str, IO[bytes]], str]


def pack(store: FileStore, files: FileList, write: Write, done: Done) -> Packed:
    """Pack the files into objects of about equal size.

    `write` stores an object and returns its name; `done` is called after each file. A file that is not a sequence of
    complete JSON objects is left out, because it could break the files packed with it. COPY reads it directly, and
    names it in any error.
    """
    count = min(MOST_OBJECTS, max(1, files.size // PACKED_BYTES))
    share = math.ceil(files.size / count)
    packed = Packed([], [])
    reading = iter(store.read(files))
    for number in range(1, count + 1):
        with tempfile.TemporaryFile() as spool:
            made = PackedObject()
            with gzip.GzipFile(fileobj=spool, mode="wb", compresslevel=1, mtime=0) as archive:
                for data in _share_of(reading, share, made, packed.left, done):
                    archive.write(data)
            if made.files:
                spool.seek(0)
                made.name = write(f"{number}.json.gz", spool)
                packed.objects.append(made)
    return packed


def _share_of(
    reading: Iterator[tuple[SourceFile, bytes]], share: int, made: PackedObject, left: list[SourceFile], done: Done
) -> Iterator[bytes]:
    size = 0
    for file, data in reading:
        done(file)
        if is_whole(data):
            data = data if data.endswith(b"\n") else data + b"\n"
            made.add(file.name, data)
            yield data
        else:
            left.append(file)
        size += file.size
        if size >= share:
            return


def is_whole(data: bytes) -> bool:
    """Tell whether the bytes are a sequence of JSON objects, and nothing else."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    at = _after_blanks(text, 0)
    while at < len(text):
        if text[at] != "{":
            return False
        try:
            _, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return False
        at = _after_blanks(text, at)
    return True


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _after_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at
