"""Run a COPY: its table and objects, the rows to the server, and what a cluster reports about it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

import psycopg2
from psycopg2 import extensions

from local_redshift import messages
from local_redshift.copy.encoder import Encoder
from local_redshift.copy.error_log import CopyId, LoadErrors, log_load_errors
from local_redshift.copy.jsonpaths import JsonPath, parse_jsonpaths
from local_redshift.copy.piece import ROW_FORMAT
from local_redshift.copy.progress import CopyProgress
from local_redshift.copy.statement import CopyStatement, parse_copy
from local_redshift.copy.stream import RowStream, in_background, quiet_driver
from local_redshift.copy.table import TargetTable, find_table
from local_redshift.errors import Cancelled, NoSuchObject, RedshiftError, SourceError
from local_redshift.sources import objects_to_load, read_ahead, read_object, store_of
from local_redshift.sql import Token, quote

PIECES_AHEAD = 4  # prepared while the server processes earlier ones: both processors are busy
READ_BYTES = 1 << 16  # the size psycopg2 asks for; our pieces are of their own size

_START = "SELECT nextval('local_redshift.query_ids')::integer, clock_timestamp()::timestamp::text"
_REMEMBER = (
    "SELECT set_config('local_redshift.last_copy_id', %s, false),"
    " set_config('local_redshift.last_copy_count', %s, false)"
)
_SAVEPOINT = "local_redshift_copy"
_INFORM = "SELECT local_redshift.inform(%s)"
_IS_VALID = "SELECT pg_input_is_valid(%s, %s)"
_PARSE = "SELECT (%s::{type})::text"


class CopyingConnection(Protocol):
    """The interface of the connection that a COPY runs on."""

    autocommit: bool

    def plain_cursor(self) -> extensions.cursor:
        """Return a cursor for PostgreSQL's own SQL."""

    def system(self) -> extensions.connection:
        """A second, autocommit connection: what it writes survives a rollback."""

    def get_backend_pid(self) -> int:
        """Return the process id of the session."""

    def begin_copy(self) -> Callable[[], bool]:
        """Begin a COPY; return a function that tells whether it has been cancelled since."""


def run_copy(connection: CopyingConnection, statement: list[Token]) -> None:
    """Run the COPY in the transaction of `connection`.

    Raise RedshiftError, with nothing loaded, if a cluster would fail. Load errors are written on a second connection,
    so that they survive the rollback.
    """
    copy = parse_copy(statement)
    cursor = connection.plain_cursor()
    if not connection.autocommit:
        _CopyRun(connection, cursor, copy).run()
        return
    cursor.execute("BEGIN")
    try:
        _CopyRun(connection, cursor, copy).run()
    except BaseException:
        with contextlib.suppress(psycopg2.Error):  # a lost connection is the error to report
            cursor.execute("ROLLBACK")
        raise
    cursor.execute("COMMIT")


class _CopyRun:
    """One running COPY: prepares, streams the rows, and reports."""

    def __init__(self, connection: CopyingConnection, cursor: extensions.cursor, copy: CopyStatement) -> None:
        self._cursor = cursor
        self._copy = copy
        self._is_cancelled = connection.begin_copy()
        self._system = connection.system()
        self._session = connection.get_backend_pid()
        cursor.execute(_START)
        self._query, self._started = cursor.fetchall()[0]
        self._errors = LoadErrors(copy)

    def run(self) -> None:
        try:
            self._run()
        except SourceError as error:
            self._add_detail(error)
            raise

    def _run(self) -> None:
        table = find_table(self._cursor, self._copy)
        copy_id = CopyId(table.table_id, self._started, self._session, self._query)
        paths = self._paths(table)
        store = store_of(self._copy.source, self._copy.region, self._copy.credentials)
        objects = objects_to_load(self._copy.source, store, self._copy.manifest)
        self._check_cancelled()
        progress = CopyProgress(self._system, copy_id, self._copy.source, len(objects), self._errors)
        encoder = Encoder(self._copy, table.columns, paths, self._parse_on_server, self._errors)
        pieces = encoder.pieces(store, read_ahead(store, objects), lambda: progress.is_due)

        def rows() -> Iterator[bytes]:
            for piece in pieces:
                progress.count(piece)
                yield piece.rows

        analyze = self._to_be_analyzed(table)
        self._load(table, rows(), copy_id, progress)
        if analyze:
            self._cursor.execute(f"ANALYZE {table.sql_name}")
        self._report(copy_id, progress)

    def _paths(self, table: TargetTable) -> list[JsonPath] | None:
        if self._copy.is_auto:
            return None
        name = self._copy.json
        try:
            store = store_of(name, self._copy.region, self._copy.credentials)
            paths = parse_jsonpaths(read_object(store, name), name)
        except NoSuchObject as error:
            raise SourceError(messages.JSONPATHS_MISSING.format(path=name)) from error
        if paths is not None and len(paths) != len(table.columns):
            counts = {"paths": len(paths), "columns": len(table.columns)}
            raise SourceError(messages.JSONPATHS_COUNT.format(**counts))
        return paths

    def _to_be_analyzed(self, table: TargetTable) -> bool:
        """Whether to compute statistics after the load. DG copy-parameters-data-load.html: STATUPDATE."""
        if self._copy.noload:
            return False
        if self._copy.statupdate is not None:
            return self._copy.statupdate
        self._cursor.execute(f"SELECT NOT EXISTS (SELECT FROM {table.sql_name})")
        return bool(self._cursor.fetchall()[0][0])

    def _load(self, table: TargetTable, rows: Iterator[bytes], copy_id: CopyId, progress: CopyProgress) -> None:
        """Stream the rows to the server; after any failure it has none of them."""
        self._cursor.execute(f"SAVEPOINT {_SAVEPOINT}")
        made = in_background(rows, PIECES_AHEAD)
        try:
            self._stream(table, RowStream(made, self._check_cancelled))
            if self._errors.too_many:
                log_load_errors(self._system, copy_id, self._errors.found)
                raise RedshiftError(messages.LOAD_FAILED.format(table=self._copy.table))
        except BaseException:
            made.close()  # before the last update of the progress
            with contextlib.suppress(psycopg2.Error):  # a lost connection has nothing to undo
                progress.tell("aborted")
                self._cursor.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            raise
        finally:
            with contextlib.suppress(psycopg2.Error):
                self._cursor.execute(f"RELEASE SAVEPOINT {_SAVEPOINT}")

    def _stream(self, table: TargetTable, stream: RowStream) -> None:
        """Let the server read the stream. Raise what ended the rows or else what the server refused."""
        try:
            if self._copy.noload:
                stream.drain()
            else:
                names = ", ".join(quote(column.name) for column in table.columns)
                sql = f"COPY {table.sql_name} ({names}) FROM STDIN WITH ({ROW_FORMAT})"
                with quiet_driver():
                    self._cursor.copy_expert(sql, stream, READ_BYTES)
        except psycopg2.Error as error:
            if stream.error is None and error.pgcode is None:
                raise  # the connection is lost
            if stream.error is None:
                # without its CONTEXT, which quotes a row of the data
                refused = RedshiftError(error.diag.message_primary or str(error))
                refused.sqlstate = error.pgcode or refused.sqlstate
                raise refused from None
        if stream.error is not None:
            raise stream.error

    def _check_cancelled(self) -> None:
        if self._is_cancelled():
            raise Cancelled(messages.CANCELLED.format(query=self._query))

    def _parse_on_server(self, text: str, sql_type: str) -> str | None:
        with self._system.cursor() as cursor:
            cursor.execute(_IS_VALID, [text, sql_type])
            if cursor.fetchone() != (True,):
                return None
            cursor.execute(_PARSE.format(type=sql_type), [text])
            return str(cursor.fetchall()[0][0])

    def _report(self, copy_id: CopyId, progress: CopyProgress) -> None:
        """Log and report what was loaded, as a cluster does."""
        table = self._copy.table
        self._remember(progress.rows)
        progress.tell("completed")
        done = messages.NOLOAD_COMPLETED if self._copy.noload else messages.LOAD_COMPLETED
        self._cursor.execute(_INFORM, [done.format(table=table, count=progress.rows)])
        if self._errors.found:
            log_load_errors(self._system, copy_id, self._errors.found)
            text = messages.SOME_NOT_LOADED.format(table=table, count=len(self._errors.found))
            self._cursor.execute(_INFORM, [text])

    def _remember(self, count: int) -> None:
        self._cursor.execute(_REMEMBER, [str(self._query), str(count)])

    def _add_detail(self, error: SourceError) -> None:
        """Add the DETAIL block of a cluster to the error, unless no cluster has such an error."""
        if self._copy.source.startswith("s3://") and error.process:
            process = f"{error.process} [pid={self._session}]"
            error.detail = messages.detail_block(
                error.message, messages.EXTERNAL, error.context, self._query, error.location, process
            )
