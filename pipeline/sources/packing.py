"""Many small files in a few gzip objects."""

import gzip
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from pipeline.sources.file_list import FileList
from pipeline.sources.origins import PackedObject
from pipeline.sources.places import Place, SourceFile

# COPY takes a few large objects faster than many small ones: one of 1 MB to 1 GB, compressed, for each slice.
# https://docs.aws.amazon.com/redshift/latest/dg/c_best-practices-use-multiple-files.html
SMALL = 1 << 20  # bytes; larger files are not moved through this machine
FEW = 16  # so many small files COPY may well read by itself
MOST_OBJECTS = 16
MOST_BYTES = 4 << 30  # packed by one run; what is more goes to COPY as it is
PACKED_BYTES = 8 << 20  # of the files, for about 1 MB of gzip


class Packed(NamedTuple):
    """What came of packing: the packed objects, and the files that have to go as they are."""

    objects: list[PackedObject]
    left: list[SourceFile]


def divide(place: Place, files: FileList) -> tuple[FileList, FileList]:
    """Those of the files that are better packed, none where they are few, and those that go as they are."""
    small, others = FileList(), FileList()
    size = 0
    for file in files:
        if file.size < SMALL and size + file.size <= MOST_BYTES and place.can_read(file.name):
            small.append(file)
            size += file.size
        else:
            others.append(file)
    return (small, others) if len(small) > FEW else (FileList(), files)


Done = Callable[[SourceFile], None]
Write = Callable[[str, IO[bytes]], str]


def pack(place: Place, files: FileList, write: Write, done: Done) -> Packed:
    """Pack the files into objects of about the same size, which `write` gives their names; `done` is told of each file.

    A file that is not whole JSON objects from its first byte to its last is left: beside others it could spoil them,
    and by itself COPY names it.
    """
    count = min(MOST_OBJECTS, max(1, files.size // PACKED_BYTES))
    share = math.ceil(files.size / count)
    packed = Packed([], [])
    reading = iter(place.read(files))
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
    """Whether these bytes are JSON objects, one after the other, and nothing else."""
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
