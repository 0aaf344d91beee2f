"""Running a COPY: objects to records to rows to the server, with Redshift's answers."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import extensions

from local_redshift import messages
from local_redshift.copy_statement import CopyStatement, parse_copy
from local_redshift.ddl import quote
from local_redshift.errors import RedshiftError
from local_redshift.jsonpaths import Path, parse_jsonpaths
from local_redshift.load_errors import CopyRun, log_load_commits, log_load_errors
from local_redshift.manifest import objects_to_load
from local_redshift.objects import NoSuchObject, SourceError, Store, blocks, read_object, store_of
from local_redshift.records import RecordReader
from local_redshift.rows import Errors, LoadFailed, RowMaker
from local_redshift.sql_tokens import Token
from local_redshift.target import Target, find_target

if TYPE_CHECKING:
    from local_redshift.connection import RedshiftConnection

ROWS_AT_ONCE = 1000  # joined to one piece for the server
READ_BYTES = 1 << 16  # psycopg2 asks for so many at a time; our pieces are of their own size

_START = "SELECT nextval('local_redshift.query_ids')::integer, clock_timestamp()::timestamp::text"
_REMEMBER = (
    "SELECT set_config('local_redshift.last_copy_id', %s, false),"
    " set_config('local_redshift.last_copy_count', %s, false)"
)
_INFORM = "SELECT local_redshift.inform(%s)"
_IS_VALID = "SELECT pg_input_is_valid(%s, %s)"
_PARSE = "SELECT (%s::{type})::text"


def run_copy(connection: "RedshiftConnection", statement: list[Token]) -> None:
    """Run the COPY in the transaction that `connection` is in.

    Raise RedshiftError, with nothing loaded, where a cluster would fail. Load errors are written on a
    second connection, so that they outlive the rollback.
    """
    copy = parse_copy(statement)
    cursor = connection.plain_cursor()
    if not connection.autocommit:
        _Copy(connection, cursor, copy).run()
        return
    cursor.execute("BEGIN")
    try:
        _Copy(connection, cursor, copy).run()
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    cursor.execute("COMMIT")


class _Copy:
    """One COPY on its way."""

    def __init__(self, connection: "RedshiftConnection", cursor: extensions.cursor, copy: CopyStatement) -> None:
        self.connection = connection
        self.cursor = cursor
        self.copy = copy
        self.errors = Errors(copy)
        self.count = 0
        self.files: list[tuple[str, int]] = []  # read whole: name and number of lines

    def run(self) -> None:
        cursor = self.cursor
        cursor.execute(_START)
        query, started = cursor.fetchone()
        session = self.connection.get_backend_pid()
        try:
            target = find_target(cursor, self.copy)
            self.run_id = CopyRun(target.table_id, started, session, query)
            rows = self._rows(target)
            cursor.execute("SAVEPOINT local_redshift_copy")
            self._load(target, rows)
        except SourceError as error:
            raise error.with_query(query, session) from error
        cursor.execute("RELEASE SAVEPOINT local_redshift_copy")
        self._report()

    def _rows(self, target: Target) -> Iterator[bytes]:
        """The rows as they go to the server. Raise SourceError at once where the source is at fault."""
        paths = self._paths(target)
        store = store_of(self.copy.source, self.copy)
        objects = objects_to_load(self.copy, store)
        maker = RowMaker(self.copy, target.columns, paths, self._parse_on_server, self.errors)
        return self._pieces(row for found in objects for row in self._rows_of(found.name, store, maker))

    def _rows_of(self, name: str, store: Store, maker: RowMaker) -> Iterator[str]:
        reader = RecordReader()
        for block in blocks(store.open(name), name, self.copy.compression):
            yield from maker.rows(reader.feed(block), name)
        yield from maker.rows(reader.feed(b"", final=True), name)
        self.files.append((name, reader.lines))

    def _pieces(self, rows: Iterator[str]) -> Iterator[bytes]:
        while piece := list(itertools.islice(rows, ROWS_AT_ONCE)):
            self.count += len(piece)
            yield "".join(piece).encode()

    def _paths(self, target: Target) -> list[Path] | None:
        name = self.copy.json
        if name in ("auto", "auto ignorecase"):
            return None
        try:
            paths = parse_jsonpaths(read_object(store_of(name, self.copy), name), name)
        except NoSuchObject as error:
            raise SourceError(messages.JSONPATHS_MISSING.format(path=name)) from error
        if paths is not None and len(paths) != len(target.columns):
            counts = {"paths": len(paths), "columns": len(target.columns)}
            raise SourceError(messages.JSONPATHS_COUNT.format(**counts))
        return paths

    def _parse_on_server(self, text: str, sql_type: str) -> str | None:
        with self.connection.system().cursor() as cursor:
            cursor.execute(_IS_VALID, [text, sql_type])
            if not cursor.fetchone()[0]:
                return None
            cursor.execute(_PARSE.format(type=sql_type), [text])
            return cursor.fetchone()[0]

    def _load(self, target: Target, rows: Iterator[bytes]) -> None:
        stream = _RowStream(rows)
        names = ", ".join(quote(column.name) for column in target.columns)
        try:
            if self.copy.noload:
                stream.drain()
            else:
                self._copy_expert(f"COPY {target.sql_name} ({names}) FROM STDIN", stream)
        except (psycopg2.Error, LoadFailed, SourceError):
            self.cursor.execute("ROLLBACK TO SAVEPOINT local_redshift_copy")
            if not isinstance(stream.error, LoadFailed):
                raise
            log_load_errors(self.connection.system(), self.run_id, self.errors.found)
            self._remember(0)
            raise RedshiftError(messages.LOAD_FAILED.format(table=self.copy.table)) from None

    def _copy_expert(self, sql: str, stream: "_RowStream") -> None:
        try:
            self.cursor.copy_expert(sql, stream, READ_BYTES)
        except psycopg2.Error:
            if stream.error is not None:
                raise stream.error from None  # what stopped the rows, not what the driver made of it
            raise

    def _report(self) -> None:
        """Log and tell what was loaded, as a cluster does."""
        table = self.copy.table
        self._remember(self.count)
        log_load_commits(self.connection.system(), self.run_id, self.files)
        done = messages.NOLOAD_COMPLETED if self.copy.noload else messages.LOAD_COMPLETED
        self.cursor.execute(_INFORM, [done.format(table=table, count=self.count)])
        if self.errors.found:
            log_load_errors(self.connection.system(), self.run_id, self.errors.found)
            text = messages.SOME_NOT_LOADED.format(table=table, count=len(self.errors.found))
            self.cursor.execute(_INFORM, [text])

    def _remember(self, count: int) -> None:
        self.cursor.execute(_REMEMBER, [str(self.run_id.query), str(count)])


class _RowStream:
    """The rows as the file that psycopg2 reads from; keeps the error that ended them."""

    def __init__(self, rows: Iterator[bytes]) -> None:
        self._rows = rows
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        """The next piece, of whatever size; nothing at the end."""
        try:
            return next(self._rows, b"")
        except BaseException as error:
            self.error = error
            raise

    def drain(self) -> None:
        """Read all and keep nothing."""
        while self.read():
            pass
