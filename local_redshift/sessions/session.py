"""A client's session over the simple and extended query protocols.

https://www.postgresql.org/docs/current/protocol-flow.html
"""

import contextlib
import threading
import traceback
from collections.abc import Callable, Collection, Iterator
from typing import ClassVar, NamedTuple

from local_redshift.errors import AbortedTransaction, NoTransaction, RedshiftError, SyntaxRefused
from local_redshift.messages import as_redshift_says
from local_redshift.program import Program
from local_redshift.sessions import late_binding, utility
from local_redshift.sessions.backend import FAILED, IDLE, Backend, BackendError, BackendLost
from local_redshift.sessions.catalog import SessionCatalog
from local_redshift.sessions.protocol import (
    Fields,
    Message,
    ProtocolViolation,
    Stream,
    encoded,
    encoded_fields,
    fields_of,
    text,
    texts,
    varbyte_columns,
    wait_for,
    with_varbyte,
)
from local_redshift.sql import (
    Token,
    code,
    postgres_query,
    reads_system_tables_alone,
    statements,
    translate,
    with_own_catalog,
)

SERVER_VERSION = "8.0.2"  # as observed on a cluster
# parameters that a cluster reports when a client connects, besides server_version
SETTINGS = (
    "client_encoding",
    "DateStyle",
    "integer_datetimes",
    "is_superuser",
    "server_encoding",
    "session_authorization",
    "TimeZone",
)
UNREAD_BYTES = 1 << 20  # stop receiving from a client while this many bytes are waiting to be processed


class ClientGone(ConnectionError):
    """The client closed the connection."""


class OverViews(NamedTuple):
    """A prepared statement that reads late-binding views, and its parameter types."""

    statement: list[Token]
    types: bytes
    translated: str


class Session:
    """A client and its PostgreSQL session. `run` returns when either is gone.

    `program` holds the AWS settings and working directory for the client's COPYs. `is_private` tells whether the client
    uses the private socket of the project's own programs.
    """

    def __init__(
        self, client: Stream, backend: Backend, open_system: Callable[[], Backend], program: Program, is_private: bool
    ) -> None:
        """`open_system` opens a second session, unaffected by rollbacks in the first."""
        self.backend = backend
        self.program = program
        self.is_private = is_private
        self.on_names_changed: Callable[[], None] = lambda: None  # runs when a database or user is altered or dropped
        self._client = client
        self._open_system = open_system
        self._system: Backend | None = None
        # prepared utility statements: PostgreSQL does not have them, because sessions/utility.py runs them
        self._statements: dict[str, list[Token]] = {}
        self._portals: dict[str, list[Token]] = {}
        self._varbyte: dict[str, Collection[int]] = {}  # by portal that PostgreSQL runs: VARBYTE columns sent as text
        self._over_views: dict[str, OverViews] = {}  # prepared statements that read late-binding views
        self._executed = 0  # number of statements run since the last Sync
        self._skips = False  # whether to skip messages until the next Sync
        self._is_cancelled = threading.Event()
        backend.before_wait = self._watch_client
        backend.on_notice = self._pass_notice

    def greet(self) -> None:
        """Confirm the login, and send the parameters of the session."""
        self._client.write(b"R", b"\0\0\0\0")
        self._say_setting("server_version", SERVER_VERSION)
        for name in SETTINGS:
            self._say_setting(name, self.backend.settings.get(name, ""))
        self._client.write(b"K", self.backend.process.to_bytes(4, "big") + self.backend.secret)
        self._say_ready()

    def run(self) -> None:
        """Answer the client's messages until the client or PostgreSQL is gone."""
        try:
            while (message := self._next_message()).kind != b"X":
                self._answer(message)
        except BackendLost:
            self.end("57P01", "the local server has ended")
        except ProtocolViolation as error:
            self.end("08P01", f"protocol error: {error}")
        except OSError:  # the client has disconnected: cancel its statement, or PostgreSQL would finish it
            self.cancel()
        finally:
            self.close()

    def end(self, sqlstate: str, message: str) -> None:
        """Tell the client why its session ends."""
        with contextlib.suppress(OSError):
            self._client.write(b"E", fatal_error(sqlstate, message))
            self._client.flush()

    def close(self) -> None:
        """End the session on PostgreSQL; uncommitted changes are rolled back."""
        self.backend.close()
        if self._system is not None:
            self._system.close()

    def cancel(self) -> None:
        """Cancel the running statement; called from another thread."""
        self._is_cancelled.set()
        with contextlib.suppress(OSError):
            self.backend.cancel()

    @property
    def is_alone(self) -> bool:
        """Whether the running statement is the only one in its transaction."""
        return self.backend.status == IDLE and self._executed == 0

    def system(self) -> Backend:
        """Return a second session in autocommit, unaffected by rollbacks in the first."""
        if self._system is None:
            self._system = self._open_system()
        return self._system

    def forget_system(self) -> None:
        """Discard the lost second session; `system` opens a new one when needed."""
        self._system = None

    def inform(self, message: str) -> None:
        """Send the client a message with the severity INFO."""
        self._client.write(b"N", encoded_fields({"S": "INFO", "V": "INFO", "C": "00000", "M": message}))

    def is_cancelled(self) -> bool:
        """Tell whether to end the running COPY; raise ClientGone if the client is gone."""
        self.backend.look()
        if self._client.buffered < UNREAD_BYTES and wait_for([self._client], 0):
            self._receive()
        return self._is_cancelled.is_set()

    # messages from the client

    def _next_message(self) -> Message:
        while (message := self._client.message()) is None:
            self._client.flush()
            ready = wait_for([self._client, self.backend.stream])
            if self.backend.stream in ready:
                self._pass_unasked()
            if self._client in ready:
                self._receive()
        return message

    def _pass_unasked(self) -> None:
        """Pass on unsolicited errors from PostgreSQL, which end the session."""
        if not self.backend.stream.receive():
            self._client.flush()
            raise BackendLost(self.backend)
        while (message := self.backend.stream.message()) is not None:
            if message.kind == b"E":
                self._client.write(b"E", encoded_fields(_told(fields_of(message.body))))

    def _answer(self, message: Message) -> None:
        kind, body = message
        handle = self._HANDLERS.get(kind)
        if handle is not None:
            if not self._skips:
                self.backend.is_pipelined = True
                with self._report_errors():
                    handle(self, body)
        elif kind == b"Q":
            self._simple_query(body)
        elif kind == b"S":
            self._sync()
        elif kind == b"H":
            self._client.flush()
        elif kind not in (b"d", b"c", b"f"):  # ignore rows sent for a COPY that has failed
            raise ProtocolViolation(f"unknown message kind {kind!r}")

    def _simple_query(self, body: bytes) -> None:
        self.backend.is_pipelined = True
        with self._report_errors():
            (sql,), _ = texts(body, 1)
            listed = list(statements(sql))
            for statement in listed:
                self._run(statement, is_only=len(listed) == 1)
            if not listed:
                self._client.write(b"I")
        self._sync()

    def _run(self, statement: list[Token], is_only: bool) -> None:
        """Run a statement sent through the simple query protocol."""
        if not is_only:
            self._executed += 1
        if utility.is_utility(statement):
            self._run_utility(statement)
            return
        unnamed = b"\0"
        self.backend.stream.write(
            b"P", unnamed + text(self._translated(statement, SessionCatalog(self.backend))) + b"\0\0"
        )
        self.backend.stream.write(b"B", unnamed + unnamed + b"\0\0" * 3)
        self.backend.stream.write(b"D", b"P" + unnamed)
        self.backend.stream.write(b"E", unnamed + b"\0" * 4)
        self.backend.stream.write(b"C", b"P" + unnamed)  # an open portal would keep its tables from being altered
        self._pass_answer(last=b"3", dropped=b"123n")

    def _run_utility(self, statement: list[Token]) -> None:
        self._check_transaction(statement)
        self._is_cancelled.clear()
        self.backend.close_portal("")  # close the unnamed portal, as PostgreSQL would if it ran this statement itself
        tag = utility.run(self, statement)
        self._executed += 1
        self._client.write(b"C", text(tag))

    def _parse(self, body: bytes) -> None:
        (name, sql), types = texts(body, 2)
        listed = list(statements(sql))
        if len(listed) > 1:
            raise SyntaxRefused("cannot insert multiple commands into a prepared statement")
        self._statements.pop(name, None)
        if listed and utility.is_utility(listed[0]):
            if any(token.kind == "parameter" for token in listed[0]):
                raise SyntaxRefused(f"{code(listed[0])[0].text} takes no parameters")
            self._statements[name] = listed[0]
            self._client.write(b"1")
            return
        self._over_views.pop(name, None)
        catalog = SessionCatalog(self.backend)
        translated = self._translated(listed[0], catalog) if listed else sql
        self._forward(b"P", text(name) + text(translated) + types, last=b"1")
        if catalog.has_read_late_binding_view:
            self._over_views[name] = OverViews(listed[0], types, translated)

    def _bind(self, body: bytes) -> None:
        (portal, name), _ = texts(body, 2)
        self._portals.pop(portal, None)
        if name in self._statements:
            self._portals[portal] = self._statements[name]
            self._client.write(b"2")
        else:
            if name in self._over_views:
                self._prepare_anew(name, self._over_views[name])
            self.backend.stream.write(b"B", body)
            self.backend.stream.write(b"D", b"P" + text(portal))
            self._varbyte[portal] = self._pass_answer(last=b"Tn", dropped=b"Tn")

    def _prepare_anew(self, name: str, known: "OverViews") -> None:
        """Prepare a statement again if a late-binding view that it reads has changed."""
        translated = self._translated(known.statement, SessionCatalog(self.backend))
        if translated != known.translated:
            self.backend.stream.write(b"C", b"S" + text(name))
            self.backend.stream.write(b"P", text(name) + text(translated) + known.types)
            self._pass_answer(last=b"1", dropped=b"31")
            self._over_views[name] = known._replace(translated=translated)

    def _describe(self, body: bytes) -> None:
        (name,), _ = texts(body[1:], 1)
        is_statement = body[:1] == b"S"
        if name not in (self._statements if is_statement else self._portals):
            self._forward(b"D", body, last=b"Tn")
            return
        if is_statement:
            self._client.write(b"t", b"\0\0")
        self._client.write(b"n")

    def _execute(self, body: bytes) -> None:
        (portal,), _ = texts(body, 1)
        if portal in self._portals:
            self._run_utility(self._portals[portal])
        else:
            self._executed += 1
            self._forward(b"E", body, last=b"CsI", varbyte=self._varbyte.get(portal, []))

    def _close_prepared(self, body: bytes) -> None:
        (name,), _ = texts(body[1:], 1)
        for known in (self._statements, self._over_views) if body[:1] == b"S" else (self._portals, self._varbyte):
            known.pop(name, None)
        self._forward(b"C", body, last=b"3")

    _HANDLERS: ClassVar = {b"P": _parse, b"B": _bind, b"D": _describe, b"E": _execute, b"C": _close_prepared}

    def forget_prepared(self, name: str | None = None) -> bool:
        """Forget the prepared statement `name`, or all of them; return True if PostgreSQL did not have it."""
        if name is not None:
            self._over_views.pop(name, None)
            return self._statements.pop(name, None) is not None
        self._statements.clear()
        self._over_views.clear()
        self.backend.forget_prepared()
        return False

    def _sync(self) -> None:
        with self._report_errors():
            self.backend.sync()
        self._skips = False
        self._executed = 0
        if self.backend.status == IDLE:
            self._portals.clear()
            self._varbyte.clear()
        self._say_ready()

    # messages to PostgreSQL, and its answers

    def _translated(self, statement: list[Token], catalog: SessionCatalog) -> str:
        self._check_transaction(statement)
        if code(statement)[0].word == "DECLARE" and self.backend.status == IDLE:
            raise NoTransaction("DECLARE CURSOR can only be used in transaction blocks")
        statement = late_binding.with_described_views(with_own_catalog(statement), catalog)
        try:
            return translate(statement, catalog, autocommit=self.is_alone)
        except RedshiftError:
            if reads_system_tables_alone(statement):  # drivers query the system catalog in PostgreSQL's SQL
                return postgres_query(statement, catalog)
            raise

    def _check_transaction(self, statement: list[Token]) -> None:
        if self.backend.status == FAILED and code(statement)[0].word not in utility.ENDS_TRANSACTION:
            raise AbortedTransaction

    def _forward(self, kind: bytes, body: bytes, last: bytes, varbyte: Collection[int] = ()) -> None:
        self.backend.stream.write(kind, body)
        self._pass_answer(last, varbyte=varbyte)

    def _pass_answer(self, last: bytes, dropped: bytes = b"", varbyte: Collection[int] = ()) -> Collection[int]:
        """Pass on PostgreSQL's messages up to the first whose type is in `last`.

        Return the VARBYTE columns: from the row description if there is one, otherwise `varbyte`. Raise BackendError if
        PostgreSQL reports an error.
        """
        self.backend.stream.write(b"H")
        while True:
            rows = self.backend.stream.data_rows()
            if not rows:
                kind, body = self.backend.checked(self.backend.next())
                rows = encoded(kind, body) if kind == b"D" else b""
            if rows:
                self._client.write_encoded(with_varbyte(rows, varbyte) if varbyte else rows)
                continue
            if kind == b"T":
                body, varbyte = varbyte_columns(body)
            if kind not in dropped:
                self._client.write(kind, body)
            if kind in last:
                return varbyte

    def _pass_notice(self, message: Message) -> None:
        if message.kind == b"N":
            self._client.write(b"N", encoded_fields(_told(fields_of(message.body))))
        elif message.kind == b"S":
            name, value = message.body.decode().split("\0")[:2]
            if name in SETTINGS:
                self._say_setting(name, value)

    # messages to the client

    @contextlib.contextmanager
    def _report_errors(self) -> Iterator[None]:
        """Report errors in the block to the client, then skip to the client's next Sync."""
        try:
            yield
        except RedshiftError as error:
            self._refuse({"C": error.sqlstate, "M": error.message, "D": error.detail})
        except BackendError as error:
            self._refuse(error.fields)
        except (BackendLost, ProtocolViolation, ConnectionError):
            raise
        except Exception as error:  # an internal error ends the statement, not the session
            traceback.print_exc()
            self._refuse({"C": "XX000", "M": f"internal error of the local stand-in: {type(error).__name__}: {error}"})

    def _refuse(self, fields: Fields) -> None:
        self._skips = True
        self.backend.abort()
        self._client.write(b"E", encoded_fields(_told(fields)))

    def _say_setting(self, name: str, value: str) -> None:
        self._client.write(b"S", text(name) + text(value))

    def _say_ready(self) -> None:
        self._client.write(b"Z", self.backend.status.encode())

    def _receive(self) -> None:
        if not self._client.receive():
            raise ClientGone

    def _watch_client(self) -> None:
        """Wait for PostgreSQL. Raise ClientGone if the client disconnects meanwhile."""
        self._client.flush()
        while True:
            watched = [self.backend.stream]
            if self._client.buffered < UNREAD_BYTES:
                watched.append(self._client)
            ready = wait_for(watched)
            if self.backend.stream in ready:
                return
            self._receive()


def _told(fields: Fields) -> Fields:
    return {key: fields.get(key, "ERROR") for key in "SV"} | as_redshift_says(fields)


def fatal_error(sqlstate: str, message: str) -> bytes:
    """Encode the body of an error that ends a session."""
    return encoded_fields({"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": message})
