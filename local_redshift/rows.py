"""From records to rows: every value of a record to its column, every record that fails to a load error."""

from collections.abc import Callable, Iterable, Iterator

from local_redshift import messages
from local_redshift.columns import Column, Field, FieldError, convert, found_text, literal_overflow
from local_redshift.copy_statement import CopyStatement
from local_redshift.jsonpaths import MISSING, Path, PathError, follow, source_text
from local_redshift.load_errors import LoadError
from local_redshift.records import BadRecord, Record

# The rows' format for PostgreSQL's COPY: CSV, but with the escapes of JSON, which bulk.py makes good use of
ROW_FORMAT = "FORMAT csv, QUOTE '\"', ESCAPE E'\\\\', NULL 'null'"


class LoadFailed(Exception):
    """More records failed than the COPY allows; the errors are in its `Errors`."""


class Errors:
    """The load errors of a COPY so far, and its patience with them."""

    def __init__(self, copy: CopyStatement) -> None:
        # DG copy-parameters-data-load.html: 0 and 1 both mean that the first error ends the COPY
        self._limit = None if copy.ignoreallerrors else max(copy.maxerror, 1)
        self.found: list[LoadError] = []

    def add(self, error: LoadError, fatal: bool = False) -> None:
        """Note the error. Raise LoadFailed if it is one too many, or `fatal`."""
        self.found.append(error)
        if fatal or (self._limit is not None and len(self.found) >= self._limit):
            raise LoadFailed


class RowMaker:
    """Makes the rows of one COPY.

    `paths` are those of the JSONPaths file, one a column; None for 'auto'. Rows are lines in
    ROW_FORMAT, in the order of `columns`.
    """

    def __init__(
        self,
        copy: CopyStatement,
        columns: tuple[Column, ...],
        paths: list[Path] | None,
        parse_on_server: Callable[[str, str], str | None],
        errors: Errors,
    ) -> None:
        self.copy = copy
        self.columns = columns
        self.paths = paths
        self.errors = errors
        self._parse_on_server = parse_on_server
        self._ignore_case = paths is None and copy.json == "auto ignorecase"

    def rows(self, records: Iterable[Record | BadRecord], filename: str) -> Iterator[str]:
        """The rows of those records that load; the others go to the errors."""
        for record in records:
            if isinstance(record, BadRecord):
                error = LoadError(filename, record.line, record.text, messages.BAD_LINE, record.reason)
                self.errors.add(error, record.fatal)
                continue
            row = self._row_or_error(record, filename)
            if isinstance(row, str):
                yield row
            else:
                self.errors.add(row)

    def _row_or_error(self, record: Record, filename: str) -> str | LoadError:
        try:
            paths, values = self._values(record)
        except PathError as error:
            return LoadError(filename, record.line, record.text, messages.BAD_LINE, str(error))
        for column, value in zip(self.columns, values, strict=True):
            if reason := literal_overflow(value, column):
                # seen: the row has the number alone, and no column
                return LoadError(filename, record.line, str(value), messages.BAD_LINE, reason)
        texts = []
        for column, path, value in zip(self.columns, paths, values, strict=True):
            field = self._field(column, path, value, record)
            try:
                texts.append(convert(field))
            except FieldError as error:
                shown = found_text(field) if error.shows_value else ""
                return LoadError(filename, record.line, record.text, error.code, error.reason, column, shown)
        return _csv_line(texts)

    def _values(self, record: Record) -> tuple[list[Path], list[object]]:
        if self.paths is not None:
            return self.paths, [follow(path, record.value) for path in self.paths]
        if not isinstance(record.value, dict):
            raise PathError(messages.NOT_AN_OBJECT)
        keys = {key.lower(): key for key in record.value} if self._ignore_case else record.value
        paths = [
            (keys[column.name] if self._ignore_case else column.name,) if column.name in keys else ()
            for column in self.columns
        ]
        return paths, [record.value[path[0]] if path else MISSING for path in paths]

    def _field(self, column: Column, path: Path, value: object, record: Record) -> Field:
        return Field(value, column, self.copy, lambda: source_text(path, record.text), self._parse_on_server)


def _csv_line(texts: list[str | None]) -> str:
    quoted = ("null" if text is None else f'"{_escaped(text)}"' for text in texts)
    return ",".join(quoted) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
