"""A PostgreSQL session for one client's statements and the stand-in's own queries.

Both use the extended protocol, in which an implicit transaction ends only at a Sync. So the stand-in's own queries can
run between two of the client's statements without ending the client's transaction.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
"""

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from local_redshift.sessions.protocol import (
    Fields,
    Message,
    Stream,
    bind_body,
    cancel_request,
    columns_of,
    fields_of,
    integers,
    startup_message,
    text,
    wait_for,
)

IDLE, IN_TRANSACTION, FAILED = "I", "T", "E"  # transaction states in ReadyForQuery

_STATUS_AFTER = {"BEGIN": IN_TRANSACTION, "START TRANSACTION": IN_TRANSACTION, "COMMIT": IDLE, "ROLLBACK": IDLE}
_OWN = f"local_redshift_{secrets.token_hex(4)}"  # name of the stand-in's own prepared statement and portal
_NO_LIMIT = b"\0\0\0\0"
_LARGEST = 1 << 30  # maximum size of PostgreSQL's messages, in bytes


class BackendError(Exception):
    """PostgreSQL refused a statement. `fields` holds the fields of its ErrorResponse."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields.get("M", ""))
        self.fields = fields


class BackendLost(Exception):
    """PostgreSQL ended the session, or can't be reached. `backend` is the session."""

    def __init__(self, backend: "Backend", why: str = "PostgreSQL closed the connection") -> None:
        super().__init__(why)
        self.backend = backend


class Result(NamedTuple):
    """The rows of a query, as text, and its command tag."""

    rows: list[list[str | None]]
    tag: str


class Backend:
    """A PostgreSQL session; `status` is the state of its transaction.

    While `is_pipelined` is set, the stand-in sends its own queries inside the client's pipeline, without a Sync.
    """

    def __init__(self, socket_path: Path, parameters: Mapping[str, str]) -> None:
        """Log in. Raise BackendError if PostgreSQL refuses the login, BackendLost if it can't be reached."""
        self.status = IDLE
        self.is_pipelined = False
        self.is_failed = False  # after an error, PostgreSQL skips all messages up to the next Sync
        self.settings: dict[str, str] = {}  # parameters reported by PostgreSQL (ParameterStatus)
        self.process, self.secret = 0, b""
        self._prepared: dict[str, str] = {}  # names of prepared queries, by their SQL
        self.before_wait: Callable[[], None] = lambda: None
        self.on_notice: Callable[[Message], None] = lambda message: None
        self._path = str(socket_path)
        self._lock = threading.RLock()  # the thread that produces a COPY's rows may run queries, too
        connected = socket.socket(socket.AF_UNIX)
        try:
            connected.connect(self._path)
        except OSError as error:
            connected.close()
            raise BackendLost(self, str(error)) from error
        self.stream = Stream(connected, _LARGEST)
        self.stream.write_encoded(startup_message(parameters))
        try:
            self._log_in()
        except BaseException:
            self.close()
            raise

    def _log_in(self) -> None:
        while (message := self.next()).kind != b"Z":
            if message.kind == b"E":
                raise BackendError(fields_of(message.body))
            if message.kind == b"K":
                (self.process,) = integers(message.body, "i")
                self.secret = message.body[4:]

    def next(self) -> Message:
        """Wait for PostgreSQL's next message that is not a notice. Raise BackendLost if the connection is lost."""
        while True:
            message = self.stream.message()
            if message is None:
                self._receive()
            elif message.kind in b"NSA":
                if message.kind == b"S":
                    name, value = message.body.decode().split("\0")[:2]
                    self.settings[name] = value
                self.on_notice(message)
            else:
                return message

    def _receive(self) -> None:
        try:
            self.stream.flush()
        except OSError as error:
            raise BackendLost(self, str(error)) from error
        self.before_wait()
        try:
            if self.stream.receive():
                return
        except OSError as error:
            raise BackendLost(self, str(error)) from error
        raise BackendLost(self)

    def query(self, sql: str, *values: object) -> list[list[str | None]]:
        """Run an internal query with values for $1, $2, ...; return its rows as text.

        Notices are not passed on to the client.
        """
        return self._query(sql, values, _OWN)

    def prepared_query(self, sql: str, *values: object) -> list[list[str | None]]:
        """Do the same as `query`, with a prepared statement: planning takes most of the time of a short query.

        `sql` must be a constant, because each statement stays prepared until the session ends.
        """
        with self._lock:
            name = self._prepared.get(sql, f"{_OWN}_{len(self._prepared)}")
            found = self._query(sql, values, name)
            self._prepared[sql] = name
            return found

    def forget_prepared(self) -> None:
        """Prepare each query again, because the client has deallocated all prepared statements."""
        self._prepared.clear()

    def _query(self, sql: str, values: Iterable[object], name: str) -> list[list[str | None]]:
        with self._lock:
            on_notice, self.on_notice = self.on_notice, lambda message: None
            try:
                return self._run(sql, values, name).rows
            finally:
                self.on_notice = on_notice

    def run(self, sql: str, *values: object) -> Result:
        """Run a statement; return its rows and command tag. Raise BackendError if PostgreSQL refuses it."""
        return self._run(sql, values, _OWN)

    def _run(self, sql: str, values: Iterable[object], name: str) -> Result:
        with self._lock:
            closed = self._begin(sql, values, name)
            self._end(b"C", b"P" + text(_OWN))
            rows: list[list[str | None]] = []
            tag = ""
            for message in self._answers(b"3", skipped=closed):
                if message.kind == b"D":
                    rows.append(columns_of(message.body))
                elif message.kind == b"C":
                    tag = message.body[:-1].decode()
            if self.is_pipelined:
                self.status = _STATUS_AFTER.get(tag, self.status)
            return Result(rows, tag)

    def script(self, sql: str) -> None:
        """Run several statements, sent as one message, outside a transaction block.

        Raise BackendError for the first statement that fails.
        """
        self.stream.write(b"Q", text(sql))
        for _ in self._answers(b"Z"):
            pass

    def _begin(self, sql: str, values: Iterable[object] = (), name: str = _OWN) -> int:
        """Run a statement. Prepare it as `name` first, unless that has been done.

        Return the number of Close messages sent: a failed query leaves its portal and prepared statement open.
        """
        self.stream.write(b"C", b"P" + text(_OWN))
        is_prepared = self._prepared.get(sql) == name
        if not is_prepared:
            self.stream.write(b"C", b"S" + text(name))
            self.stream.write(b"P", text(name) + text(sql) + b"\0\0")
        self.stream.write(b"B", bind_body(_OWN, name, values))
        self.stream.write(b"E", text(_OWN) + _NO_LIMIT)
        return 1 if is_prepared else 2

    def _end(self, kind: bytes, body: bytes = b"") -> None:
        self.stream.write(kind, body)
        self.stream.write(b"H" if self.is_pipelined else b"S")

    def _answers(self, last: bytes, skipped: int = 0) -> Iterator[Message]:
        """Yield messages up to ReadyForQuery; raise BackendError if one was an error.

        In a pipeline, ReadyForQuery arrives only after Sync. Therefore, raise an error at once, and stop after a
        message of kind `last`, not counting the first `skipped` messages of that kind.
        """
        refused: Fields | None = None
        while True:
            message = self.next()
            if message.kind == b"E":
                refused = fields_of(message.body)
                if self.is_pipelined:
                    self.is_failed = True
                    raise BackendError(refused)
            elif message.kind == b"Z":
                self.status = message.body.decode()
                if refused is not None:
                    raise BackendError(refused)
                return
            else:
                yield message
                if message.kind == last:
                    skipped -= 1
                    if skipped < 0 and self.is_pipelined:
                        return

    def close_portal(self, name: str) -> None:
        """Close one of the client's portals. Tables that an open portal uses can't be altered."""
        self.stream.write(b"C", b"P" + text(name))
        self.stream.write(b"H")
        while self.checked(self.next()).kind != b"3":
            pass

    def sync(self) -> None:
        """Send Sync to end a message sequence; outside a transaction block, Sync commits.

        Raise BackendError if PostgreSQL refuses the commit.
        """
        self.is_pipelined = self.is_failed = False
        self.stream.write(b"S")
        for _ in self._answers(b"Z"):
            pass

    def abort(self) -> None:
        """Put the transaction into the failed state, as a PostgreSQL error would."""
        if self.is_failed or (self.status == IDLE and not self.is_pipelined):
            return
        with contextlib.suppress(BackendError):
            self.query("SELECT 1 / 0")

    def copy_in(self, sql: str, rows: Iterable[bytes]) -> None:
        """Run COPY ... FROM STDIN with these rows.

        An exception raised while producing rows ends the COPY and is re-raised. Raise
        BackendError if PostgreSQL refuses the rows.
        """
        self._begin(sql)
        self.stream.write(b"H")
        while self.checked(self.next()).kind != b"G":
            pass
        try:
            for piece in rows:
                self.stream.write(b"d", piece)
                self.look()
        except BackendError:
            raise
        except BaseException:
            self.stream.write(b"f", text("the rows end here"))
            self.stream.write(b"H")
            while self.next().kind != b"E":
                pass
            self.is_failed = True
            raise
        self.stream.write(b"c")
        self.stream.write(b"C", b"P" + text(_OWN))
        self.stream.write(b"H")
        while self.checked(self.next()).kind != b"3":
            pass

    def look(self) -> None:
        """Raise BackendError if PostgreSQL has already refused a row of the COPY."""
        if wait_for([self.stream], 0) and not self.stream.receive():
            raise BackendLost(self)
        message = self.stream.message()
        if message is not None and message.kind not in b"NSA":
            self.checked(message)

    def checked(self, message: Message) -> Message:
        """Return the message. Raise BackendError if it is an error."""
        if message.kind == b"E":
            self.is_failed = True
            raise BackendError(fields_of(message.body))
        return message

    def cancel(self) -> None:
        """Cancel the running statement; callable from any thread."""
        with socket.socket(socket.AF_UNIX) as connected:
            connected.connect(self._path)
            connected.sendall(cancel_request(self.process, self.secret))
            connected.recv(1)  # PostgreSQL closes the connection once it has handled the request

    def close(self) -> None:
        """End the session; uncommitted changes are rolled back."""
        self.stream.socket.close()
