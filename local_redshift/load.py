"""Running a COPY: objects to records to rows to the server, with Redshift's answers."""

import io
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import psycopg2
from psycopg2 import extensions

from local_redshift import messages
from local_redshift.bulk import BulkRows
from local_redshift.copy_statement import CopyStatement, parse_copy
from local_redshift.ddl import quote
from local_redshift.errors import Cancelled, RedshiftError
from local_redshift.jsonpaths import Path, parse_jsonpaths
from local_redshift.load_errors import CopyRun, log_load_errors
from local_redshift.load_state import LoadState
from local_redshift.manifest import objects_to_load
from local_redshift.objects import (
    BLOCK_BYTES,
    NoSuchObject,
    SourceError,
    Store,
    blocks,
    read_object,
    store_of,
    whole_lines,
)
from local_redshift.read_ahead import Read, in_background, read_ahead
from local_redshift.records import RecordReader
from local_redshift.rows import ROW_FORMAT, Errors, LoadFailed, RowMaker
from local_redshift.sql_tokens import Token
from local_redshift.target import Target, find_target

if TYPE_CHECKING:
    from local_redshift.connection import RedshiftConnection

ROWS_AT_ONCE = 1000  # joined to one piece for the server
PIECES_AHEAD = 4  # made while the server is at earlier ones: both processors are busy
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
    connection.copy_cancelled.clear()
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

    def run(self) -> None:
        cursor = self.cursor
        cursor.execute(_START)
        query, started = cursor.fetchone()
        session = self.connection.get_backend_pid()
        try:
            target = find_target(cursor, self.copy)
            self.run_id = CopyRun(target.table_id, started, session, query)
            rows = self._rows(target)
            analyze = self._to_be_analyzed(target)
            cursor.execute("SAVEPOINT local_redshift_copy")
            self._load(target, rows)
        except SourceError as error:
            # a cluster knows no local files, so there is nothing to imitate for them
            raise error.with_query(query, session) if self.copy.source.startswith("s3://") else error from error
        cursor.execute("RELEASE SAVEPOINT local_redshift_copy")
        if analyze:
            cursor.execute(f"ANALYZE {target.sql_name}")
        self._report()

    def _to_be_analyzed(self, target: Target) -> bool:
        """Whether statistics are made after the load. DG copy-parameters-data-load.html: STATUPDATE."""
        if self.copy.noload or self.copy.statupdate is not None:
            return not self.copy.noload and self.copy.statupdate
        self.cursor.execute(f"SELECT NOT EXISTS (SELECT FROM {target.sql_name})")
        return self.cursor.fetchone()[0]

    def _rows(self, target: Target) -> Iterator[bytes]:
        """The rows as they go to the server. Raise SourceError at once where the source is at fault."""
        paths = self._paths(target)
        store = store_of(self.copy.source, self.copy)
        objects = objects_to_load(self.copy, store)
        self.state = LoadState(self.connection.system(), self.run_id, self.copy.source, len(objects), self.errors.found)
        maker = RowMaker(self.copy, target.columns, paths, self._parse_on_server, self.errors)
        bulk = BulkRows.for_copy(self.copy, target.columns, paths, self._parse_on_server)
        return self._pieces(read_ahead(store, objects), store, maker, bulk)

    def _pieces(self, found: Iterator[Read], store: Store, maker: RowMaker, bulk: BulkRows | None) -> Iterator[bytes]:
        """The rows of all objects; small ones are taken together where that can be done in bulk."""
        together: list[tuple[str, bytes]] = []
        size = 0
        for source, data in found:
            if bulk is not None and data is not None and self.copy.compression is None:
                together.append((source.name, data))
                size += len(data)
                if size < BLOCK_BYTES and not self.state.is_due:
                    continue
                source = None
            yield from self._rows_of_many(together, maker, bulk)
            together, size = [], 0
            if source is not None:
                stream = store.open(source.name) if data is None else io.BytesIO(data)
                yield from self._rows_of(source.name, stream, maker, bulk)
        yield from self._rows_of_many(together, maker, bulk)

    def _rows_of_many(
        self, objects: list[tuple[str, bytes]], maker: RowMaker, bulk: BulkRows | None
    ) -> Iterator[bytes]:
        made = bulk.rows(b"\n".join(data for _, data in objects)) if objects and _are_whole(objects) else None
        if made is None:
            for name, data in objects:
                yield from self._rows_of(name, io.BytesIO(data), maker, bulk)
            return
        rows, count = made
        self.state.rows_made(count)
        for name, data in objects:
            self.state.file_done(name, data.count(b"\n") + (data[-1:] not in b"\n"))
        yield rows

    def _rows_of(self, name: str, stream: BinaryIO, maker: RowMaker, bulk: BulkRows | None) -> Iterator[bytes]:
        reader = RecordReader()
        for block in whole_lines(blocks(stream, name, self.copy.compression)):
            made = bulk.rows(block) if bulk is not None and reader.between_records else None
            if made is None:
                yield from self._exact_rows(maker.rows(reader.feed(block), name))
            else:
                reader.pass_over(block)
                self.state.rows_made(made[1])
                yield made[0]
        yield from self._exact_rows(maker.rows(reader.feed(b"", final=True), name))
        self.state.file_done(name, reader.lines)

    def _exact_rows(self, rows: Iterator[str]) -> Iterator[bytes]:
        while piece := list(itertools.islice(rows, ROWS_AT_ONCE)):
            self.state.rows_made(len(piece))
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
        rows = in_background(rows, PIECES_AHEAD)
        stream = _RowStream(rows, self._check_cancelled)
        names = ", ".join(quote(column.name) for column in target.columns)
        try:
            if self.copy.noload:
                stream.drain()
            else:
                self._copy_expert(f"COPY {target.sql_name} ({names}) FROM STDIN WITH ({ROW_FORMAT})", stream)
        except (psycopg2.Error, LoadFailed, RedshiftError):
            rows.close()
            self.state.tell("aborted")
            self.cursor.execute("ROLLBACK TO SAVEPOINT local_redshift_copy")
            if not isinstance(stream.error, LoadFailed):
                raise
            log_load_errors(self.connection.system(), self.run_id, self.errors.found)
            self._remember(0)
            raise RedshiftError(messages.LOAD_FAILED.format(table=self.copy.table)) from None
        finally:
            rows.close()

    def _check_cancelled(self) -> None:
        if self.connection.copy_cancelled.is_set():
            raise Cancelled(messages.CANCELLED.format(query=self.run_id.query))

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
        self._remember(self.state.rows)
        self.state.tell("completed")
        done = messages.NOLOAD_COMPLETED if self.copy.noload else messages.LOAD_COMPLETED
        self.cursor.execute(_INFORM, [done.format(table=table, count=self.state.rows)])
        if self.errors.found:
            log_load_errors(self.connection.system(), self.run_id, self.errors.found)
            text = messages.SOME_NOT_LOADED.format(table=table, count=len(self.errors.found))
            self.cursor.execute(_INFORM, [text])

    def _remember(self, count: int) -> None:
        self.cursor.execute(_REMEMBER, [str(self.run_id.query), str(count)])


def _are_whole(objects: list[tuple[str, bytes]]) -> bool:
    """Whether each object holds whole records, so that they may be read as one file.

    A record that breaks off can't go on with a brace in the next object: that would be malformed.
    """
    texts = [data.strip(b" \t\r\n") for _, data in objects]
    return all(text == b"" or (text[:1] == b"{" and text[-1:] == b"}") for text in texts)


class _RowStream:
    """The rows as the file that psycopg2 reads from; keeps the error that ended them."""

    def __init__(self, rows: Iterator[bytes], check_cancelled: Callable[[], None]) -> None:
        self._rows = rows
        self._check_cancelled = check_cancelled
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        """The next piece, of whatever size; nothing at the end."""
        try:
            self._check_cancelled()
            # an empty piece would mean the end
            return next((piece for piece in self._rows if piece), b"")
        except BaseException as error:
            self.error = error
            raise

    def drain(self) -> None:
        """Read all and keep nothing."""
        while self.read():
            pass
