"""Decompress objects (gzip, bzip2), a block at a time."""

import bz2
import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from local_redshift import messages
from local_redshift.errors import SourceError
from local_redshift.sources.stores import Store

BLOCK_BYTES = 1 << 20  # bytes per read; larger blocks take more memory and gain nothing


def blocks(store: Store, name: str, stream: BinaryIO, compression: str | None) -> Iterator[bytes]:
    """Yield the decompressed bytes of an open object, one block at a time.

    Raise SourceError if the object does not have the compression that the COPY names, or is truncated.
    """
    with stream, store.reading(name):
        try:
            yield from _decompressed(stream, compression)
        except (EOFError, OSError, zlib.error) as error:
            if compression is None:
                raise
            problem = messages.BAD_COMPRESSION.format(name=name, compression=compression, problem=error)
            raise SourceError(problem) from error


def whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Regroup blocks to end at line breaks, unless a line is longer than a block."""
    rest = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1 or (len(piece) if len(rest) + len(piece) > BLOCK_BYTES else 0)
        if end:
            yield b"".join((rest, memoryview(piece)[:end]))
            rest = piece[end:]
        else:
            rest += piece
    if rest:
        yield rest


def _decompressed(stream: BinaryIO, compression: str | None) -> Iterator[bytes]:
    if compression == "bzip2":
        return _bunzipped(stream)
    reader = cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if compression == "gzip" else stream
    return iter(lambda: reader.read(BLOCK_BYTES), b"")


def _bunzipped(stream: BinaryIO) -> Iterator[bytes]:
    """Decompress bzip2. BZ2File would ignore a damaged stream after an intact one."""
    data = stream.read(BLOCK_BYTES)
    while data:
        unpacker = bz2.BZ2Decompressor()
        while not unpacker.eof:
            if block := unpacker.decompress(data, BLOCK_BYTES):
                yield block
            data = stream.read(BLOCK_BYTES) if unpacker.needs_input else b""
            if unpacker.needs_input and not data:
                raise EOFError("Compressed file ended before the end-of-stream marker was reached")
        data = unpacker.unused_data or stream.read(BLOCK_BYTES)
