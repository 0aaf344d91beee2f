"""Accept clients on a private socket and, while `serve` runs, on 127.0.0.1."""

import contextlib
import hmac
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from local_redshift.errors import ServerError
from local_redshift.program import Program
from local_redshift.server.databases import list_databases, make_database
from local_redshift.server.postgres import Postgres
from local_redshift.sessions.backend import BackendError
from local_redshift.sessions.protocol import (
    ADDRESS,
    CANCEL,
    ENCRYPTION_REFUSED,
    GSS,
    MESSAGE_BYTES,
    PROTOCOL,
    REQUEST,
    SOCKET_NAME,
    SSL,
    STARTUP_BYTES,
    Message,
    ProtocolViolation,
    Stream,
    integers,
)
from local_redshift.sessions.session import Session, fatal_error

REPORTS = "local_redshift reports"  # application_name of the sessions that write to the system tables
LOGIN_SECONDS = 60  # same as PostgreSQL's authentication_timeout
ACCEPT_AGAIN = 0.05  # seconds to wait after a failed accept()
BACKLOG = 500  # maximum number of clients waiting to be accepted

_ASK_PASSWORD = (3).to_bytes(4, "big")
# Session parameters that a client may set. Others are dropped: Redshift's drivers send some that PostgreSQL does not
# know.
_OPTIONS = ("application_name", "datestyle", "extra_float_digits", "options", "timezone")


class Access(NamedTuple):
    """The login for clients on 127.0.0.1, and the AWS settings and folder for their COPYs."""

    user: str
    database: str
    password: str
    program: Program


class Listener:
    """Accept clients, each with its own thread and PostgreSQL session."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._sessions: dict[tuple[int, bytes], Session] = {}
        self._own_program = Program.this()
        self._private: socket.socket | None = None
        self._prepared: set[tuple[str, str]] = set()  # (database, user) pairs known to exist

    def listen(self, folder: Path) -> None:
        """Create the private socket in the folder, and accept clients on it."""
        self._path = folder / SOCKET_NAME
        self._path.unlink(missing_ok=True)
        self._private = socket.socket(socket.AF_UNIX)
        self._private.bind(str(self._path))
        self._path.chmod(0o600)
        self._private.listen(BACKLOG)
        threading.Thread(target=self._accept, args=[self._private, None], daemon=True).start()

    def close(self) -> None:
        """Stop accepting clients on the private socket."""
        if self._private is not None:
            self._path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._private.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for clients
            self._private.close()

    def _accept(self, listening: socket.socket, access: Access | None) -> None:
        while listening.fileno() >= 0:
            try:
                client, _ = listening.accept()
            except OSError:  # socket closed, or temporarily out of file descriptors
                time.sleep(ACCEPT_AGAIN)
                continue
            try:
                threading.Thread(target=self._serve, args=[client, access], daemon=True).start()
            except RuntimeError:  # out of threads: this client is refused
                client.close()

    def _serve(self, connected: socket.socket, access: Access | None) -> None:
        client = Stream(connected, STARTUP_BYTES - 1000)  # leave room for the parameters that _session adds
        with connected, contextlib.suppress(OSError, EOFError):
            connected.settimeout(LOGIN_SECONDS)
            if connected.family == socket.AF_INET:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                session = self._log_in(client, access)
            except ProtocolViolation as error:
                _turn_away(client, "08P01", f"protocol error: {error}")
                return
            except ServerError as error:
                _turn_away(client, "57P03", str(error))
                return
            if session is None:
                return
            connected.settimeout(None)
            client.limit = MESSAGE_BYTES
            key = (session.backend.process, session.backend.secret)
            self._sessions[key] = session
            try:
                session.greet()
                session.run()
            finally:
                del self._sessions[key]

    def _log_in(self, client: Stream, access: Access | None) -> Session | None:
        """Return the client's session; None if the login is refused or the client sent a cancel or JSON request."""
        while True:
            body = _startup(client)
            (code,) = integers(body, "i")
            if code in (SSL, GSS):
                client.write_encoded(ENCRYPTION_REFUSED)
                client.flush()
            elif code == CANCEL:
                session = self._sessions.get((integers(body[4:], "i")[0], body[8:]))
                if session is not None:
                    session.cancel()
                return None
            elif code == REQUEST and access is None:
                try:
                    self._answer(client, json.loads(body[4:]))
                except (KeyError, TypeError, ValueError) as error:
                    raise ProtocolViolation("request not understood") from error
                return None
            elif code >> 16 != PROTOCOL >> 16:
                raise ProtocolViolation(f"protocol version {code >> 16}.{code & 0xFFFF} is not supported; use 3.0")
            else:
                if code != PROTOCOL:
                    client.write(b"v", PROTOCOL.to_bytes(4, "big") + b"\0\0\0\0")
                return self._session(client, _said(body[4:]), access)

    def _session(self, client: Stream, startup: dict[str, str], access: Access | None) -> Session | None:
        user = startup.get("user", "")
        if access is not None and not _is_admitted(client, user, access):
            _turn_away(client, "28P01", f'password authentication failed for user "{user}"')
            return None
        database = startup.get("database") or (access.database if access else user)
        options = {name: value for name, value in startup.items() if name.lower() in _OPTIONS}
        parameters = options | {"user": user, "database": database, "client_encoding": "UTF8"}
        try:
            backend = self._postgres.session(parameters)
        except BackendError as error:
            client.write(b"E", fatal_error(error.fields.get("C", "08006"), str(error)))
            client.flush()
            return None
        who = {"user": user, "database": database, "client_encoding": "UTF8", "application_name": REPORTS}
        # needed because clients can't cancel a session that writes to the system tables
        who["options"] = "-c lock_timeout=10s"
        program = access.program if access is not None else self._own_program
        session = Session(client, backend, lambda: self._postgres.session(who), program, is_private=access is None)
        session.on_names_changed = self._prepared.clear
        return session

    # requests from the project's own programs, on the private socket

    def _answer(self, client: Stream, request: dict[str, Any]) -> None:
        """Answer a JSON request; "listen" keeps a port open until the client disconnects."""
        listening = None
        try:
            if "listen" in request:
                access = Access(
                    request["user"], request["database"], request["password"], Program.from_json(request["program"])
                )
                listening = socket.create_server((ADDRESS, request["listen"]))
                answer: dict[str, Any] = {"port": listening.getsockname()[1]}
            elif "databases" in request:
                answer = {"databases": list_databases(self._postgres)}
            else:
                self._make_database(request["database"], request["user"])
                answer = {}
        except (BackendError, ServerError) as error:
            answer = {"refused": str(error)}
        except (OSError, OverflowError) as error:
            answer = {"refused": getattr(error, "strerror", None) or "not a valid port number"}
        client.write_encoded(json.dumps(answer).encode() + b"\n")
        client.flush()
        if listening is not None:
            self._serve_while_wanted(client, listening, access)

    def _make_database(self, name: str, user: str) -> None:
        if (name, user) not in self._prepared:
            make_database(self._postgres, name, user)
            self._prepared.add((name, user))

    def _serve_while_wanted(self, client: Stream, listening: socket.socket, access: Access) -> None:
        threading.Thread(target=self._accept, args=[listening, access], daemon=True).start()
        client.socket.settimeout(None)
        try:
            while client.receive():
                pass
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for clients
            listening.close()


def _startup(client: Stream) -> bytes:
    while (body := client.startup()) is None:
        if not client.receive():
            raise EOFError
    return body


def _said(body: bytes) -> dict[str, str]:
    try:
        words = body.rstrip(b"\0").decode().split("\0")
    except UnicodeDecodeError as error:
        raise ProtocolViolation("a string is not UTF-8") from error
    return dict(zip(words[::2], words[1::2], strict=False))


def _is_admitted(client: Stream, user: str, access: Access) -> bool:
    client.write(b"R", _ASK_PASSWORD)
    client.flush()
    message: Message | None
    while (message := client.message()) is None:
        if not client.receive():
            raise EOFError
    given = message.body.rstrip(b"\0")
    is_right = hmac.compare_digest(given, access.password.encode())
    return message.kind == b"p" and is_right and user == access.user


def _turn_away(client: Stream, sqlstate: str, message: str) -> None:
    client.write(b"E", fatal_error(sqlstate, message))
    client.flush()
