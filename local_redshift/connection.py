"""Connections to the stand-in: psycopg2's own, whose cursors take Redshift's SQL."""

import contextlib
import functools
import importlib.util
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
from psycopg2 import extensions

from local_redshift.dependants import check_drop, drop_late_binding_views, forget_references, note_references
from local_redshift.errors import LocalRedshiftError, NotSupported, RedshiftError
from local_redshift.lookup import ServerCatalog
from local_redshift.messages import without_ours
from local_redshift.server import ADMIN, EmbeddedServer, catalogue, get_server
from local_redshift.sql import (
    Token,
    altered_table,
    analyzed_table,
    code,
    created_table,
    prepare,
    quote,
    remember,
    statements,
    translate,
)
from local_redshift.upkeep import is_analyze_due, make_zone_map, new_sort_key, note_analyzed

_IS_LOCKED = """
SELECT FROM pg_locks
WHERE pid = pg_backend_pid()
    AND mode = 'AccessExclusiveLock'
    AND granted
    AND relation = to_regclass(%s)
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

# Wait until nobody else installs anything in this database. A process that was killed holds no lock on a file any more,
# but the server goes on with the statement that it sent, and holds this one until it is done.
_ALONE = "SELECT pg_advisory_lock(hashtext('local_redshift'))"

# How the stand-in does what Redshift does is no business of the reader: neither the functions by which it raises errors
# nor the statement that it made of theirs.
_CONTEXT = re.compile(
    r"\nCONTEXT:  (?:PL/pgSQL|SQL) function (?:local_redshift\.)?(?:fail|too_long|\w+)[(\"].*", re.DOTALL
)
_PLACE = re.compile(r"\nLINE \d+: .*\n *\^")


def connect(data_dir: str | Path, dbname: str = "dev", user: str = "awsuser") -> extensions.connection:
    """Open a connection to the local warehouse in `data_dir`, which is made and started if need be.

    Database and user are made too, the user as the cluster's admin. The server runs until the last
    process that connected to it is gone. Raise ServerError if it can't be started.
    """
    if importlib.util.find_spec("sqlglot") is None:
        raise LocalRedshiftError(
            f"the package sqlglot is not installed for {sys.executable}; run pip install -r requirements.txt"
        )
    folder = Path(data_dir).resolve()
    knows_statements = remember(folder)
    threading.Thread(target=_read_in, args=[knows_statements], daemon=True).start()  # while the server starts
    server = get_server(folder)
    server.acquire()
    with server.start_lock():
        _prepare(server, dbname, user)
    return psycopg2.connect(
        server.address,
        user=user,
        dbname=dbname,
        client_encoding="UTF8",
        application_name="local_redshift",
        connection_factory=RedshiftConnection,
    )


def _read_in(knows_statements: bool) -> None:
    """Import what the first statements need: it takes 0.1 s, the grammar most of it."""
    # the process may end meanwhile; whoever needs what is not there yet imports it again
    with contextlib.suppress(Exception):
        if not knows_statements:
            prepare()
        importlib.import_module("local_redshift.copy")


@functools.cache
def _prepare(server: EmbeddedServer, dbname: str, user: str) -> None:
    """Make the user, the database and Redshift's catalog in it, where they are missing."""
    with contextlib.closing(server.connect_as_admin("postgres")) as admin, admin.cursor() as cursor:
        cursor.execute(_ALONE)
        for kind, name, found in (
            ("ROLE", user, "SELECT FROM pg_roles WHERE rolname = %s"),
            ("DATABASE", dbname, "SELECT FROM pg_database WHERE datname = %s"),
        ):
            cursor.execute(found, [name])
            if cursor.rowcount == 0:
                if kind == "DATABASE":
                    _install_catalog(server, "template1")  # so that this database and the next have it from there
                options = " SUPERUSER LOGIN" if kind == "ROLE" else f" OWNER {ADMIN}"
                cursor.execute(f"CREATE {kind} {extensions.quote_ident(name, admin)}{options}")
    _install_catalog(server, dbname)


def _install_catalog(server: EmbeddedServer, dbname: str) -> None:
    with contextlib.closing(server.connect_as_admin(dbname)) as admin, admin.cursor() as cursor:
        cursor.execute(_ALONE)
        cursor.execute(catalogue.FIND_VERSION)
        if cursor.fetchone() != (catalogue.VERSION,):
            cursor.execute("".join(["BEGIN;", *catalogue.INSTALL, ";COMMIT"]))


def databases(server: EmbeddedServer) -> list[str]:
    """The databases that `connect` has made on the server, which must be running."""
    admin = server.connect_as_admin("postgres")
    with admin.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1")
        names = [name for (name,) in cursor.fetchall()]
    admin.close()
    return names


class RedshiftConnection(extensions.connection):
    """A psycopg2 connection whose cursors, of whatever class, take Redshift's SQL."""

    _system: extensions.connection | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._copy_cancelled = threading.Event()  # a COPY is at work here, too, where the server can't be told to stop

    def cancel(self) -> None:
        """End the statement that is under way; see psycopg2's `connection.cancel`."""
        self.note_cancel()
        super().cancel()

    def note_cancel(self) -> None:
        """End a COPY that is under way where it is at work here; the server has to be told, too."""
        self._copy_cancelled.set()

    def cursor(self, name: Any = None, cursor_factory: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Open a cursor; see psycopg2's `connection.cursor`."""
        default: Any = self.cursor_factory
        factory = cursor_factory or default or extensions.cursor
        return super().cursor(name, _redshift_cursor(factory), *args, **kwargs)

    def begin_copy(self) -> Callable[[], bool]:
        """Note that a COPY begins; what is returned says whether it was cancelled since."""
        self._copy_cancelled.clear()
        return self._copy_cancelled.is_set

    def plain_cursor(self) -> extensions.cursor:
        """Open a cursor that takes PostgreSQL's SQL as it is."""
        return super().cursor(cursor_factory=extensions.cursor)

    def system(self) -> extensions.connection:
        """A second connection, in autocommit: what it writes to the system tables outlives a rollback."""
        if self._system is None or self._system.closed:
            self._system = psycopg2.connect(self.dsn)
            self._system.autocommit = True
        return self._system

    def close(self) -> None:
        """Close the connection."""
        if self._system is not None:
            self._system.close()
        super().close()


class RedshiftCursor(extensions.cursor):
    """A cursor that takes Redshift's SQL; other classes of cursors are given it as their first base."""

    connection: "RedshiftConnection"

    _is_uncounted = False  # whether nobody has counted what the last statement did

    def execute(self, query: Any, vars: Any = None) -> None:
        """Run one or more statements; see psycopg2's `cursor.execute`."""
        sql = self.mogrify(query, vars).decode()
        listed = list(statements(sql))
        if not listed:
            raise psycopg2.ProgrammingError("can't execute an empty query")
        for statement in listed:
            refused = self._refused(statement)
            if refused is not None:
                told = [refused.sqlstate, refused.message, refused.detail]
                self._server("SELECT local_redshift.fail(%s, %s, %s)", told)

    def executemany(self, query: Any, vars_list: Any) -> None:
        """Run the statement once for each of `vars_list`."""
        for values in vars_list:
            self.execute(query, values)

    def copy_expert(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: Redshift's COPY reads from S3, never from the client."""
        self._server(
            "SELECT local_redshift.fail(%s, %s, '')",
            [NotSupported.sqlstate, "Redshift has no COPY FROM STDIN"],
        )

    copy_from = copy_to = copy_expert

    @property
    def rowcount(self) -> int:
        """The number of rows that the last statement wrote or gave; see psycopg2's `cursor.rowcount`."""
        return -1 if self._is_uncounted else super().rowcount

    def _refused(self, statement: list[Token]) -> RedshiftError | None:
        """Run a statement; what a cluster would answer if it refuses it."""
        try:
            self._run(statement)
        except RedshiftError as error:
            return error
        return None

    def _run(self, statement: list[Token]) -> None:
        self._is_uncounted = False
        tokens = code(statement)
        verb = tokens[0].word
        if verb == "COPY":
            from local_redshift.copy import run_copy  # a session without a COPY does not pay for it

            run_copy(self.connection, statement)
            return
        if verb == "DELETE" and len(tokens) == 3 and self._empty(quote(tokens[2].name)):
            return
        with self.connection.plain_cursor() as cursor:
            translated = translate(statement, ServerCatalog(cursor), autocommit=self._is_alone)
            words = [token.word for token in tokens[:2]]
            if words == ["DROP", "VIEW"]:
                others = drop_late_binding_views(cursor, statement)
                translated = "".join(token.text for token in others) or "SELECT WHERE false"
            if words == ["DROP", "TABLE"]:
                check_drop(cursor, statement)
            sorting = new_sort_key(cursor, statement)
        if verb == "ANALYZE" and (table := analyzed_table(statement)):
            self._analyze(table, translated)
            return
        self._server(translated)
        if sorting is not None:
            with self.connection.plain_cursor() as cursor:
                make_zone_map(cursor, sorting)
        self._follow_up(verb, statement)

    @property
    def _is_alone(self) -> bool:
        """Whether a statement runs in no transaction block."""
        status = self.connection.info.transaction_status
        return self.connection.autocommit and status == extensions.TRANSACTION_STATUS_IDLE

    def _analyze(self, table: str, translated: str) -> None:
        with self.connection.plain_cursor() as cursor:
            if not is_analyze_due(cursor, table):
                self._server("SELECT WHERE false")  # so that the cursor has nothing of an earlier statement
                self._is_uncounted = True
                return
            self._server(translated)
            note_analyzed(cursor, table)

    def _follow_up(self, verb: str, statement: list[Token]) -> None:
        """Do what a cluster does along with a statement that has just run."""
        # https://docs.aws.amazon.com/redshift/latest/dg/r_TRUNCATE.html: it commits, with all before it
        if verb == "TRUNCATE" and not self._is_alone:
            with self.connection.plain_cursor() as cursor:
                cursor.execute("COMMIT")
        # https://docs.aws.amazon.com/redshift/latest/dg/r_ANALYZE.html: CREATE TABLE AS analyzes
        if verb == "CREATE" and (self.statusmessage or "").startswith("SELECT"):
            with self.connection.plain_cursor() as cursor:
                cursor.execute(f"ANALYZE {created_table(statement)}")
        self._note_keys(statement)

    def _note_keys(self, statement: list[Token]) -> None:
        """Note the foreign keys that a statement has declared or taken back."""
        words = [token.word for token in code(statement)]
        table = altered_table(statement)
        if "REFERENCES" in words and (table or words[0] == "CREATE"):
            with self.connection.plain_cursor() as cursor:
                note_references(cursor, table or created_table(statement), statement)
        if table and "CONSTRAINT" in words and "DROP" in words:
            with self.connection.plain_cursor() as cursor:
                forget_references(cursor, table, statement)

    def _empty(self, table: str) -> bool:
        """Delete all rows of a table that nobody else can see now; False where that is not so.

        PostgreSQL's TRUNCATE, other than Redshift's, is undone by a rollback. Unlike a DELETE it leaves
        nothing behind, and what is loaded afterwards in the same transaction needs no log.
        """
        with self.connection.plain_cursor() as cursor:
            cursor.execute(_IS_LOCKED, [table])
            if cursor.rowcount == 0:
                return False
            cursor.execute(f"TRUNCATE {table}")
        self._is_uncounted = True
        return True

    def _server(self, sql: str, vars: Any = None) -> None:
        """Run PostgreSQL's SQL as it is."""
        try:
            super().execute(sql, vars)
        except psycopg2.errors.NotNullViolation as error:
            column = error.diag.column_name
            raise _as_redshift_says(f"Cannot insert a NULL value into column {column}") from None
        except psycopg2.Error as error:
            _hide_how(error)
            raise


def _as_redshift_says(message: str) -> psycopg2.Error:
    """An error with the words and the class that a cluster has for it (seen)."""
    error = psycopg2.errors.lookup("XX000")(f"{message}\n")
    state: Any = error
    state.__setstate__({"pgerror": f"ERROR:  {message}\n", "pgcode": "XX000"})
    return error


def _hide_how(error: psycopg2.Error) -> None:
    told = error.pgerror or ""
    head, said = ("ERROR:  ", told.removeprefix("ERROR:  ")) if told.startswith("ERROR:  ") else ("", told)
    shown = head + without_ours(_PLACE.sub("", _CONTEXT.sub("\n", said)))
    if shown != told:
        state: Any = error  # its types leave out how psycopg2 sets what is read-only
        state.__setstate__({"pgerror": shown, "pgcode": error.pgcode})
        error.args = (shown.removeprefix("ERROR:  "),)


@functools.cache
def _redshift_cursor(factory: type) -> type:
    if issubclass(factory, RedshiftCursor):
        return factory
    return type(factory.__name__, (RedshiftCursor, factory), {})
