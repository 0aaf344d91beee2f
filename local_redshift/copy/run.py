"""Run a COPY: find the table and objects, load the rows, report as a cluster does."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

from local_redshift import messages
from local_redshift.copy.background import in_background
from local_redshift.copy.encoder import Encoder
from local_redshift.copy.error_log import CopyId, LoadErrors, log_load_errors
from local_redshift.copy.exact import ROW_FORMAT
from local_redshift.copy.jsonpaths import JsonPath, parse_jsonpaths
from local_redshift.copy.progress import CopyProgress
from local_redshift.copy.statement import CopyStatement, parse_copy
from local_redshift.copy.target import TargetTable, find_table
from local_redshift.errors import Cancelled, NoSuchObject, RedshiftError, SourceError
from local_redshift.program import Program
from local_redshift.sessions.backend import Backend, BackendLost
from local_redshift.sources import Store, objects_to_load, read_ahead, read_object, store_of
from local_redshift.sql import Token, quote

PIECES_AHEAD = 4  # maximum number of pieces prepared ahead, so that preparing and loading overlap
CHECK_SECONDS = 0.1  # interval between cancellation checks while no rows arrive

_START = """
SELECT
    nextval('local_redshift.query_ids')::integer,
    (clock_timestamp() AT TIME ZONE 'UTC')::text,
    current_setting('timezone')
"""
_REMEMBER = (
    "SELECT set_config('local_redshift.last_copy_id', $1, false),"
    " set_config('local_redshift.last_copy_count', $2, false)"
)
_IS_VALID = "SELECT pg_input_is_valid($1, $2)"
# a value without a time zone is read in the time zone of the session that runs the COPY
_PARSE = "SELECT set_config('timezone', $2, true), $1::text::{sql_type}::text"


class CopySession(Protocol):
    """The session in whose transaction a COPY runs."""

    backend: Backend
    program: Program

    def system(self) -> Backend:
        """Return a second PostgreSQL session. It is in autocommit mode, so its writes survive a rollback."""

    def is_cancelled(self) -> bool:
        """Return whether the COPY has been cancelled."""

    def inform(self, message: str) -> None:
        """Send the client a message with severity INFO."""


def run_copy(session: CopySession, statement: list[Token]) -> None:
    """Run the COPY in the transaction of `session`.

    Raise RedshiftError, with nothing loaded, if the COPY would fail on a cluster. Load errors are written through
    `session.system()`, so that they survive the rollback.
    """
    _CopyRun(session, parse_copy(statement)).run()


class _CopyRun:
    """Prepare one COPY, stream its rows and report the result."""

    def __init__(self, session: CopySession, copy: CopyStatement) -> None:
        self._session = session
        self._backend = session.backend
        self._system = session.system()
        self._copy = copy
        query, started, zone = self._backend.prepared_query(_START)[0]
        self._query, self._started, self._zone = int(str(query)), str(started), str(zone)
        self._errors = LoadErrors(copy)

    def run(self) -> None:
        try:
            self._run()
        except SourceError as error:
            self._add_detail(error)
            raise

    def _run(self) -> None:
        table = find_table(self._backend, self._copy)
        copy_id = CopyId(table.table_id, self._started, self._backend.process, self._query)
        paths = self._paths(table)
        store = self._store(self._copy.source)
        objects = objects_to_load(self._copy.source, store, self._copy.manifest)
        self._check_cancelled()
        progress = CopyProgress(self._system, copy_id, self._copy.source, len(objects), self._errors)
        encoder = Encoder(self._copy, table.columns, paths, self._parse_on_server, self._errors)
        pieces = encoder.pieces(store, read_ahead(store, objects), lambda: progress.is_due)

        def rows() -> Iterator[bytes]:
            for piece in pieces:
                progress.count(piece)
                yield piece.rows

        is_analyzed = self._is_to_be_analyzed(table)
        self._load(table, rows(), copy_id, progress)
        if is_analyzed:
            self._backend.query(f"ANALYZE {table.sql_name}")
        self._report(copy_id, progress)

    def _store(self, name: str) -> Store:
        return store_of(name, self._session.program, self._copy.region, self._copy.credentials)

    def _paths(self, table: TargetTable) -> list[JsonPath] | None:
        if self._copy.is_auto:
            return None
        name = self._copy.json
        try:
            paths = parse_jsonpaths(read_object(self._store(name), name), name)
        except NoSuchObject as error:
            raise SourceError(messages.JSONPATHS_MISSING.format(path=name)) from error
        if paths is not None and len(paths) != len(table.columns):
            counts = {"paths": len(paths), "columns": len(table.columns)}
            raise SourceError(messages.JSONPATHS_COUNT.format(**counts))
        return paths

    def _is_to_be_analyzed(self, table: TargetTable) -> bool:
        """Return whether to run ANALYZE: as STATUPDATE says or, by default, if the table is empty."""
        if self._copy.noload:
            return False
        if self._copy.statupdate is not None:
            return self._copy.statupdate
        return self._backend.query(f"SELECT EXISTS (SELECT FROM {table.sql_name})") == [["f"]]

    def _load(self, table: TargetTable, rows: Iterator[bytes], copy_id: CopyId, progress: CopyProgress) -> None:
        """Stream the rows to PostgreSQL, which keeps none of them after a failure."""

        def check() -> None:
            self._check_cancelled()
            progress.tell_if_due()

        made = in_background(rows, PIECES_AHEAD, check, CHECK_SECONDS)
        try:
            if self._copy.noload:
                for _ in made:
                    pass
                self._check_errors(copy_id)
            else:
                names = ", ".join(quote(column.name) for column in table.columns)
                sql = f"COPY {table.sql_name} ({names}) FROM STDIN WITH ({ROW_FORMAT})"
                self._backend.copy_in(sql, self._checked(made, copy_id))
        except BaseException:
            made.close()  # stop producing rows before the final progress update
            with contextlib.suppress(BackendLost):
                progress.tell("aborted")
            raise

    def _checked(self, rows: Iterator[bytes], copy_id: CopyId) -> Iterator[bytes]:
        """Yield the rows, then raise RedshiftError if too many records were rejected."""
        yield from rows
        self._check_errors(copy_id)

    def _check_errors(self, copy_id: CopyId) -> None:
        if self._errors.too_many:
            log_load_errors(self._system, copy_id, self._errors.found)
            raise RedshiftError(messages.LOAD_FAILED.format(table=self._copy.table))

    def _check_cancelled(self) -> None:
        if self._session.is_cancelled():
            raise Cancelled(messages.CANCELLED.format(query=self._query))

    def _parse_on_server(self, text: str, sql_type: str) -> str | None:
        if self._system.query(_IS_VALID, text, sql_type) != [["t"]]:
            return None
        return str(self._system.query(_PARSE.format(sql_type=sql_type), text, self._zone)[0][1])

    def _report(self, copy_id: CopyId, progress: CopyProgress) -> None:
        """Log and report the load as a cluster does."""
        table = self._copy.table
        self._backend.prepared_query(_REMEMBER, self._query, progress.rows)
        progress.tell("completed")
        done = messages.NOLOAD_COMPLETED if self._copy.noload else messages.LOAD_COMPLETED
        self._session.inform(done.format(table=table, count=progress.rows))
        if self._errors.found:
            log_load_errors(self._system, copy_id, self._errors.found)
            self._session.inform(messages.SOME_NOT_LOADED.format(table=table, count=len(self._errors.found)))

    def _add_detail(self, error: SourceError) -> None:
        """Add the DETAIL block if a cluster sends one with this error."""
        if self._copy.source.startswith("s3://") and error.process:
            process = f"{error.process} [pid={self._backend.process}]"
            error.detail = messages.detail_block(
                error.message, messages.EXTERNAL, error.context, self._query, error.location, process
            )
