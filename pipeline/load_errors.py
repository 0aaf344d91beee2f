"""Read load errors, trace them to their source files, and report them."""

import bisect
import csv
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psycopg2
from psycopg2 import extensions

from pipeline.run_log import say
from pipeline.settings import Source
from storage.local_files import replacing


class Origin(NamedTuple):
    """The source file and line that a line of a packed object came from."""

    file: str
    line: int


@dataclass
class PackedObject:
    """An object made of several source files, and the line at which each file begins."""

    name: str = ""
    # an array, because a list of hundreds of thousands of integers takes far more memory
    starts: "array[int]" = field(default_factory=lambda: array("Q"))
    files: list[str] = field(default_factory=list)
    lines: int = 0

    def add(self, name: str, data: bytes) -> None:
        """Record the next file; its data must end with a newline."""
        self.starts.append(self.lines + 1)
        self.files.append(name)
        self.lines += data.count(b"\n")

    def origin(self, line: int) -> Origin | None:
        """Map a line of the packed object to its origin; None if there is no such line."""
        if not 1 <= line <= self.lines:
            return None
        at = bisect.bisect_right(self.starts, line) - 1
        return Origin(self.files[at], line - self.starts[at] + 1)


LOAD_ERRORS_CSV = "load_errors.csv"
EXAMPLES = 3  # shown per group of errors
NAME_BYTES = 256  # maximum length of a file name in stl_load_errors

# the columns of stl_load_errors and of sys_load_error_detail, in the order of LoadError's fields
_COLUMNS = (
    ("filename", "line_number", "colname", "type", "col_length", "err_code", "err_reason", "query"),
    (
        "file_name",
        "line_number",
        "column_name",
        "column_type",
        "column_length",
        "error_code",
        "error_message",
        "query_id",
    ),
)
_FILE_COLUMNS = tuple(names[0] for names in _COLUMNS)

# parts of an error reason that differ between records, removed to group the errors
_OF_THE_VALUE = re.compile(r"Value '.*', Pos \d+, |(?<=sequence: )[0-9a-f ]+|(?<=Invalid char: ).*")


class LoadError(NamedTuple):
    """A rejected record: location, reason and query id, as strings; empty if unknown."""

    filename: str
    line: str
    column: str
    column_type: str
    column_length: str
    code: str
    reason: str
    query: str

    def traced(self, packed: Mapping[str, PackedObject]) -> "LoadError":
        """Return this error with its source file and line, if its record was in a packed object."""
        origin = origin_of(self.filename, self.line, packed)
        return self._replace(filename=origin.file, line=str(origin.line)) if origin else self

    @property
    def target(self) -> str:
        """The column with its type, such as "song varchar(1024)"; empty if the record itself is malformed."""
        if not self.column:
            return ""
        length = f"({self.column_length})" if self.column_length not in ("", "0") else ""
        return f"{self.column} {self.column_type}{length}"

    def __str__(self) -> str:
        what = f", column {self.target}" if self.column else ""
        return f"{self.filename}, line {self.line}{what}: {self.reason} (error {self.code})"


class Table(NamedTuple):
    """A query result: column names, and rows as trimmed strings."""

    columns: list[str]
    rows: list[list[str]]

    def traced(self, packed: Mapping[str, PackedObject]) -> "Table":
        """Return this table; if files were packed, add each error's source file and line."""
        at = {name: self.columns.index(name) for name in (*_FILE_COLUMNS, "line_number") if name in self.columns}
        file = next((at[name] for name in _FILE_COLUMNS if name in at), None)
        if not packed or file is None:
            return self
        rows = []
        for row in self.rows:
            name, line = row[file], row[at["line_number"]]
            origin = origin_of(name, line, packed)
            rows.append([*row, *([origin.file, str(origin.line)] if origin else [name, line])])
        return Table([*self.columns, "source_file", "source_line"], rows)


def load_errors_of(table: Table, packed: Mapping[str, PackedObject]) -> list[LoadError]:
    """Convert rows of stl_load_errors or sys_load_error_detail to load errors."""
    names = next(names for names in _COLUMNS if names[0] in table.columns)
    at = [table.columns.index(name) for name in names]
    return [LoadError(*(row[n] for n in at)).traced(packed) for row in table.rows]


def origin_of(filename: str, line: str, packed: Mapping[str, PackedObject]) -> Origin | None:
    """Map a line of a packed object to its source; None for any other file.

    Compare only the first 256 bytes of names, because the system tables truncate them.
    """
    for name, made in packed.items():
        if filename and name.encode()[:NAME_BYTES] == filename.encode()[:NAME_BYTES] and line.isdecimal():
            return made.origin(int(line))
    return None


def read_first(
    connection: extensions.connection, queries: Sequence[str], parameters: Mapping[str, object] | None = None
) -> Table:
    """Return the result of the first query that succeeds. Raise psycopg2.Error if none does."""
    for query in queries:
        try:
            with connection.cursor() as cursor:
                cursor.execute(query, parameters)
                names = [column.name for column in cursor.description or ()]
                return Table(names, [["" if value is None else str(value).strip() for value in row] for row in cursor])
        except psycopg2.Error as error:
            refused = error
        finally:
            connection.rollback()
    raise refused


def write_csv(path: Path, table: Table) -> None:
    """Write the table to a file atomically. Raise OSError on failure."""
    with replacing(path) as file:
        csv.writer(file, lineterminator="\n").writerows([table.columns, *table.rows])


def source_of(error: LoadError, source: Source) -> str | None:
    """Return the [S3] key of an error's file: log_data, song_data, or None if neither."""
    prefixes = {key: getattr(source, key) for key in ("log_data", "song_data")}
    fitting = [key for key, prefix in prefixes.items() if error.filename.startswith(prefix)]
    return max(fitting, key=lambda key: len(prefixes[key]), default=None)


def show_load_errors(errors: Sequence[LoadError], source: Source, remark: Callable[[LoadError], str]) -> None:
    """Print the errors by source, column and reason: a count and a few examples each.

    `remark` returns a further explanation of an error, or an empty string.
    """
    kinds: dict[tuple[str | None, ...], list[LoadError]] = {}
    for error in errors:
        kind = (source_of(error, source), error.target, error.code, _OF_THE_VALUE.sub("", error.reason))
        kinds.setdefault(kind, []).append(error)
    for (key, *_), alike in kinds.items():
        if len(alike) > EXAMPLES:
            source_name = f"[S3] {key.upper()}: " if key else ""
            say(f"{source_name}{len(alike):,} similar load errors; the first {EXAMPLES}:")
        for error in alike[:EXAMPLES]:
            note = remark(error)
            say(f"{error}\n  {note}" if note else str(error))
