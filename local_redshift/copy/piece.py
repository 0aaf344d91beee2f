"""A piece of what a COPY loads: rows on their way to the server, and the files that end with them."""

from typing import NamedTuple

# The rows' format for PostgreSQL's COPY: CSV, but with the escapes of JSON, which the fast way makes good use of
ROW_FORMAT = "FORMAT csv, QUOTE '\"', ESCAPE E'\\\\', NULL 'null'"


class FileRead(NamedTuple):
    """A file that was read to its end, and how many lines it has."""

    name: str
    lines: int


class Piece(NamedTuple):
    """Rows in ROW_FORMAT, how many they are, and the files that were read to their end with them."""

    rows: bytes
    row_count: int
    files: tuple[FileRead, ...] = ()
