"""The exact path: convert value by value, with one error per rejected record."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from local_redshift import messages
from local_redshift.copy.error_log import LoadError, LoadErrors
from local_redshift.copy.jsonpaths import MISSING, JsonPath, PathError, follow, source_text
from local_redshift.copy.records import BadRecord, Record
from local_redshift.copy.values import Converter, ValueRefused, literal_overflow

# The format of the rows for PostgreSQL's COPY: CSV with backslash as the escape character, because the fast path writes
# it with a JSON encoder.
ROW_FORMAT = "FORMAT csv, QUOTE '\"', ESCAPE E'\\\\', NULL 'null'"

ROWS_AT_ONCE = 1000  # number of rows sent to the server at once


class FileRead(NamedTuple):
    """A file that was read to its end, and its number of lines."""

    name: str
    lines: int


class Piece(NamedTuple):
    """Rows in ROW_FORMAT, the row count, and the files that end in this piece."""

    rows: bytes
    row_count: int
    files: tuple[FileRead, ...] = ()


class ExactRows:
    """Converts the records of one COPY.

    `paths` has one path per column, from the JSONPaths file, or is None for JSON 'auto'.
    """

    def __init__(
        self, converters: Sequence[Converter], paths: list[JsonPath] | None, ignores_case: bool, errors: LoadErrors
    ) -> None:
        self._converters = converters
        self._paths = paths
        self._ignores_case = ignores_case
        self._errors = errors

    def pieces(self, records: Iterable[Record | BadRecord], filename: str) -> Iterator[Piece]:
        """Yield the rows of accepted records; record an error for each rejected one.

        Stop when there are too many errors.
        """
        rows = self._rows(records, filename)
        while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
            yield Piece("".join(some).encode(), len(some))

    def _rows(self, records: Iterable[Record | BadRecord], filename: str) -> Iterator[str]:
        for record in records:
            if isinstance(record, BadRecord):
                error = LoadError(filename, record.line, record.text, messages.BAD_LINE, record.reason)
                self._errors.add(error, record.fatal)
            elif isinstance(row := self._row_or_error(record, filename), str):
                yield row
            else:
                self._errors.add(row)
            if self._errors.too_many:
                return

    def _row_or_error(self, record: Record, filename: str) -> str | LoadError:
        try:
            paths, values = self._values(record)
        except PathError as error:
            return LoadError(filename, record.line, record.text, messages.BAD_LINE, str(error))
        for converter, value in zip(self._converters, values, strict=True):
            if reason := literal_overflow(value, converter.column):
                # seen on a cluster: raw_line is the number itself, and colname is empty
                return LoadError(filename, record.line, str(value), messages.BAD_LINE, reason)
        texts = []
        for converter, path, value in zip(self._converters, paths, values, strict=True):

            def source(path: JsonPath = path) -> str:
                return source_text(path, record.text)

            try:
                texts.append(converter.text(value, source))
            except ValueRefused as refused:
                shown = converter.shown(value, source) if refused.shows_value else ""
                where = (filename, record.line, record.text)
                return LoadError(*where, refused.code, refused.reason, converter.column, shown)
        return _csv_line(texts)

    def _values(self, record: Record) -> tuple[Sequence[JsonPath], list[object]]:
        if self._paths is not None:
            return self._paths, [follow(path, record.value) for path in self._paths]
        if not isinstance(record.value, dict):
            raise PathError(messages.NOT_AN_OBJECT)
        keys = {(key.lower() if self._ignores_case else key): key for key in record.value}
        found = [keys.get(converter.column.name) for converter in self._converters]
        values = [MISSING if name is None else record.value[name] for name in found]
        return [() if name is None else (name,) for name in found], values


def _csv_line(texts: list[str | None]) -> str:
    quoted = ("null" if text is None else f'"{_escaped(text)}"' for text in texts)
    return ",".join(quoted) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
