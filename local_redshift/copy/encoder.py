"""Convert objects to rows.

A block of records takes the fast path if it can, otherwise the exact path, which locates errors.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from local_redshift.copy.error_log import LoadErrors
from local_redshift.copy.exact import ExactRows, FileRead, Piece
from local_redshift.copy.fast import FastRows
from local_redshift.copy.jsonpaths import JsonPath
from local_redshift.copy.records import RecordReader
from local_redshift.copy.statement import CopyStatement
from local_redshift.copy.target import Column
from local_redshift.copy.values import Converter, ParseOnServer
from local_redshift.sources import BLOCK_BYTES, ObjectRead, Store, blocks, whole_lines


class SmallFile(NamedTuple):
    """A small file's name and complete data."""

    name: str
    data: bytes


class Encoder:
    """Converts the objects of one COPY to rows; stops early if too many records are rejected."""

    def __init__(
        self,
        copy: CopyStatement,
        columns: Sequence[Column],
        paths: list[JsonPath] | None,
        parse_on_server: ParseOnServer,
        errors: LoadErrors,
    ) -> None:
        """`paths` has one path per column, taken from the JSONPaths file, or is None for 'auto'."""
        converters = [Converter(copy, column, parse_on_server) for column in columns]
        self._compression = copy.compression
        self._errors = errors
        self._exact = ExactRows(converters, paths, copy.ignores_case, errors)
        self._fast = FastRows.for_copy(converters, paths, copy.ignores_case)

    def pieces(self, store: Store, found: Iterator[ObjectRead], is_due: Callable[[], bool]) -> Iterator[Piece]:
        """Yield the rows of all objects.

        Small objects are combined into pieces of about BLOCK_BYTES. A piece ends earlier if a progress update is due
        (`is_due()`).
        """
        together: list[SmallFile] = []
        size = 0
        for read in found:
            if self._fast is not None and read.data is not None and self._compression is None:
                together.append(SmallFile(read.object.name, read.data))
                size += len(read.data)
                if size < BLOCK_BYTES and not is_due():
                    continue
                yield from self._small_files(together)
            else:
                yield from self._small_files(together)
                yield from self._object(store, read)
            together, size = [], 0
            if self._errors.too_many:
                return
        yield from self._small_files(together)

    def _small_files(self, files: list[SmallFile]) -> Iterator[Piece]:
        piece = None
        if files and self._fast is not None and _are_whole(files):
            piece = self._fast.piece(b"\n".join(file.data for file in files))
        if piece is not None:
            yield piece._replace(files=tuple(FileRead(file.name, _lines(file.data)) for file in files))
            return
        for file in files:
            yield from self._file(file.name, iter([file.data]))
            if self._errors.too_many:
                return

    def _object(self, store: Store, read: ObjectRead) -> Iterator[Piece]:
        name = read.object.name
        stream = store.open(name) if read.data is None else io.BytesIO(read.data)
        yield from self._file(name, whole_lines(blocks(store, name, stream, self._compression)))

    def _file(self, name: str, data: Iterator[bytes]) -> Iterator[Piece]:
        """Yield the rows of a file that is read in blocks.

        Blocks end at a line break unless a line is longer than a block.
        """
        reader = RecordReader()
        for block in data:
            piece = self._fast.piece(block) if self._fast is not None and reader.between_records else None
            if piece is None:
                yield from self._exact.pieces(reader.feed(block), name)
            else:
                reader.pass_over(block)
                yield piece
            if self._errors.too_many:
                return
        yield from self._exact.pieces(reader.feed(b"", final=True), name)
        if not self._errors.too_many:
            yield Piece(b"", 0, (FileRead(name, reader.lines),))


def _lines(data: bytes) -> int:
    return data.count(b"\n") + (data[-1:] not in b"\n")


def _are_whole(files: list[SmallFile]) -> bool:
    """Return whether each file holds whole records, so that the files can be joined.

    Only the first and last characters are checked. A file that is cut off after an inner closing brace passes, but then
    the next file's opening brace makes the joined JSON malformed, so the fast path rejects it.
    """
    texts = [file.data.strip(b" \t\r\n") for file in files]
    return all(text == b"" or (text[:1] == b"{" and text[-1:] == b"}") for text in texts)
