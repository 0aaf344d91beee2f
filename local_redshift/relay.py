"""A door for any client: what it sends is taken as Redshift's SQL, everything else is passed on as it is.

It speaks PostgreSQL's protocol (https://www.postgresql.org/docs/current/protocol-message-formats.html), which Redshift
speaks too, on 127.0.0.1 alone, and asks for a password.
"""

import contextlib
import hmac
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import psycopg2

from local_redshift.errors import NotSupported, RedshiftError
from local_redshift.lookup import ServerCatalog
from local_redshift.messages import without_ours
from local_redshift.server import SOCKET_NAME, EmbeddedServer
from local_redshift.sql import Token, code, statements, translate

ADDRESS = "127.0.0.1"
ANSWER_BYTES = 1 << 16  # read of the server's answer at once
STARTUP_BYTES = 10_000  # PostgreSQL's own limit
ACCEPT_AGAIN = 0.05  # seconds until the next client is let in after one could not be

_CANCEL, _SSL, _GSS = 80877102, 80877103, 80877104
_ENCRYPTION_REFUSED = b"N"
_ASK_PASSWORD = b"R" + struct.pack("!ii", 8, 3)
# what a client may say of its session; drivers of Redshift say more, which PostgreSQL does not know
_OPTIONS = ("application_name", "client_encoding", "datestyle", "extra_float_digits", "options", "timezone")

# statements of drivers, which are about the connection and not about the warehouse
_PASSED = ("DEALLOCATE", "DISCARD")
_SOURCE = re.compile(r"\b(?:FROM|JOIN)\s+(?!\()([\w.\"]+)", re.IGNORECASE)
_SYSTEM = re.compile(r'"?(?:pg_catalog"?\s?\.|information_schema"?\s?\.|pg_)', re.IGNORECASE)
_WRITES_OR_FILES = re.compile(
    r"\b(?:INSERT|UPDATE|DELETE|INTO|pg_read_\w+|pg_ls_\w+|pg_stat_file|lo_\w+)\b", re.IGNORECASE
)


Catalogs = Callable[[], ServerCatalog]  # one for each statement; it sees what has been committed


class Relay:
    """Listens on a port of this machine; each client has a session of its own on the server."""

    def __init__(self, server: EmbeddedServer, database: str, user: str, password: str, port: int = 0) -> None:
        self._server = server
        self.database, self.user, self.password = database, user, password
        self._listener = socket.create_server((ADDRESS, port))
        self.port: int = self._listener.getsockname()[1]
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """What a client connects with."""
        user, password, database = (quote(part, safe="") for part in (self.user, self.password, self.database))
        return f"postgresql://{user}:{password}@{ADDRESS}:{self.port}/{database}"

    def close(self) -> None:
        """Take no more clients; those that are connected are cut off with the process."""
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for the next one
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed, or out of file descriptors for a while
                time.sleep(ACCEPT_AGAIN)
                continue
            try:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
            except RuntimeError:  # out of threads: this client is turned away
                client.close()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError):
            try:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                started = self._start(client)
                if started is not None:
                    self._pass_on(client, *started)
            except psycopg2.Error as error:
                client.sendall(error_message("3D000", str(error).strip().splitlines()[-1]))
            except (UnicodeDecodeError, struct.error, ValueError):
                client.sendall(error_message("08P01", "this is not understood: speak PostgreSQL's protocol, in UTF-8"))

    def _pass_on(self, client: socket.socket, database: str, startup: bytes) -> None:
        """Have a session on the server for a client, until either of them goes."""
        looking = self._server.connect_as_admin(database)
        with self._connect() as server, contextlib.closing(looking):
            server.sendall(startup)
            answering = threading.Thread(target=_pass_answers, args=(server, client), daemon=True)
            answering.start()
            try:
                _pass_requests(client, server, lambda: ServerCatalog(looking.cursor()))
            finally:
                # a client that is gone without a word must not leave its locks behind
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)
                answering.join(1)

    def _connect(self) -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._server.socket_dir / SOCKET_NAME))
        return server

    def _start(self, client: socket.socket) -> tuple[str, bytes] | None:
        """Have the client say who it is; the database that it wants and the message that starts its session."""
        while True:
            (length,) = struct.unpack("!i", _read(client, 4))
            if not 8 <= length <= STARTUP_BYTES:
                raise ValueError
            body = _read(client, length - 4)
            (kind,) = struct.unpack("!i", body[:4])
            if kind in (_SSL, _GSS):
                client.sendall(_ENCRYPTION_REFUSED)
                continue
            if kind == _CANCEL:
                with self._connect() as server:
                    server.sendall(struct.pack("!i", length) + body)
                return None
            break
        words = body[4:].rstrip(b"\0").split(b"\0")
        said = {name.decode(): value for name, value in zip(words[::2], words[1::2], strict=False)}
        if not self._is_admitted(client):
            client.sendall(error_message("28P01", "password authentication failed"))
            return None
        database = said.get("database", self.database.encode()).decode()
        options = {name: value for name, value in said.items() if name.lower() in _OPTIONS}
        # the SQL is read as UTF-8, whatever the client's machine is set to
        options |= {"user": self.user.encode(), "database": database.encode(), "client_encoding": b"UTF8"}
        packed = b"".join(name.encode() + b"\0" + value + b"\0" for name, value in options.items()) + b"\0"
        return database, struct.pack("!ii", len(packed) + 8, 196608) + packed

    def _is_admitted(self, client: socket.socket) -> bool:
        client.sendall(_ASK_PASSWORD)
        kind, body = _message(client)
        return kind == b"p" and hmac.compare_digest(body.rstrip(b"\0"), self.password.encode())


def _read(source: socket.socket, count: int) -> bytes:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = source.recv_into(view)
        if got == 0:
            raise EOFError
        view = view[got:]
    return bytes(data)


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    kind = _read(source, 1)
    (length,) = struct.unpack("!i", _read(source, 4))
    return kind, _read(source, length - 4)


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def error_message(code: str, message: str) -> bytes:
    """A message that tells the client of an error and ends the session."""
    fields = {b"S": "FATAL", b"V": "FATAL", b"C": code, b"M": message}
    return _packed(b"E", b"".join(key + value.encode() + b"\0" for key, value in fields.items()) + b"\0")


def _pass_requests(client: socket.socket, server: socket.socket, catalog: Catalogs) -> None:
    """Pass on what a client sends, until it is gone: the SQL in it as PostgreSQL's."""
    while True:
        kind, body = _message(client)
        if kind == b"Q":
            body = translated(body[:-1].decode(), catalog).encode() + b"\0"
        elif kind == b"P":
            name, query, types = body.split(b"\0", 2)
            body = b"\0".join([name, translated(query.decode(), catalog).encode(), types])
        server.sendall(_packed(kind, body))
        if kind == b"X":
            return


def translated(sql: str, catalog: Catalogs) -> str:
    """PostgreSQL's SQL for what a client sent; where it is refused, a statement that fails with the reason."""
    listed = list(statements(sql))
    try:
        return ";\n".join(_one(statement, catalog) for statement in listed) if listed else sql
    except RedshiftError as error:
        if _is_of_the_system(listed):
            return sql  # a driver looks at its catalog, in PostgreSQL's words
        return _failing(error, sql)


def _one(statement: list[Token], catalog: Catalogs) -> str:
    verb = code(statement)[0].word
    if verb in _PASSED:
        return "".join(token.text for token in statement)
    if verb == "COPY":
        raise NotSupported("COPY runs through the scripts, not through a client")
    return translate(statement, catalog(), autocommit=True)


def _is_of_the_system(listed: list[list[Token]]) -> bool:
    """Whether this is one query, and of nothing but the system's catalog."""
    if len(listed) != 1 or code(listed[0])[0].word not in ("SELECT", "WITH"):
        return False
    sql = " ".join(token.text for token in code(listed[0]) if token.kind != "string")
    sources = _SOURCE.findall(sql)
    return bool(sources) and all(_SYSTEM.match(source) for source in sources) and not _WRITES_OR_FILES.search(sql)


def _failing(error: RedshiftError, sql: str) -> str:
    told = ", ".join("'" + text.replace("\\", "\\\\").replace("'", "''") + "'" for text in (
        error.sqlstate, error.message, error.detail,
    ))  # fmt: skip
    # with as many parameters as the client will give
    most = max((int(number) for number in re.findall(r"\$(\d+)", sql)), default=0)
    parameters = "".join(f", ${n}::text" for n in range(1, most + 1))
    return f"SELECT local_redshift.fail({told}){parameters}"


def _pass_answers(server: socket.socket, client: socket.socket) -> None:
    """Pass on what the server answers, until it is gone: errors as a cluster tells them."""
    with contextlib.suppress(OSError):
        for part in _answers(server):
            client.sendall(part)
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def _answers(server: socket.socket) -> Iterator[bytes]:
    """The server's messages, many at a time."""
    held = bytearray()
    while part := server.recv(ANSWER_BYTES):
        held += part
        start = done = 0
        ready: list[bytes] = []
        while len(held) - done >= 5:
            end = done + 1 + struct.unpack_from("!i", held, done + 1)[0]
            if end > len(held):
                break
            if held[done : done + 1] == b"E":
                ready += [bytes(held[start:done]), _packed(b"E", _as_told(bytes(held[done + 5 : end])))]
                start = end
            done = end
        if done:
            yield b"".join([*ready, bytes(held[start:done])])
            del held[:done]


def _as_told(body: bytes) -> bytes:
    """An error without what the stand-in made of the statement, and in a cluster's words where they are known."""
    fields = {field[:1]: field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
    if fields.get(b"C") == "23502":
        fields |= {b"C": "XX000", b"M": f"Cannot insert a NULL value into column {fields.get(b'c', '')}"}
        fields.pop(b"D", None)
    fields[b"M"] = without_ours(fields.get(b"M", ""))
    kept = {key: text for key, text in fields.items() if key not in (b"P", b"p", b"q", b"W", b"F", b"L", b"R")}
    return b"".join(key + text.encode() + b"\0" for key, text in kept.items()) + b"\0"
