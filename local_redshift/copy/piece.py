"""A piece of a COPY's data: rows for the server, and the files that end with them."""

from typing import NamedTuple

# The rows' format for PostgreSQL's COPY: CSV, but with the escapes of JSON, which the fast way makes good use of
ROW_FORMAT = "FORMAT csv, QUOTE '\"', ESCAPE E'\\\\', NULL 'null'"


class FileRead(NamedTuple):
    """A file that was read to its end, and its number of lines."""

    name: str
    lines: int


class Piece(NamedTuple):
    """Rows in ROW_FORMAT, their number, and the files that end with them."""

    rows: bytes
    row_count: int
    files: tuple[FileRead, ...] = ()
