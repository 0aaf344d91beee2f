"""Messages of PostgreSQL's protocol 3.0, which Redshift uses too, and a buffered stream for them.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import select
import socket
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

STARTUP_BYTES = 10_000  # PostgreSQL's limit for a startup message
# https://docs.aws.amazon.com/redshift/latest/dg/c_redshift-sql.html: a statement may have up to 16 MB; the rest of the
# limit is for its parameter values
MESSAGE_BYTES = 64 << 20
READ_BYTES = 1 << 16
ADDRESS = "127.0.0.1"
PORT = 5439  # a cluster's default port
SOCKET_NAME = f".s.PGSQL.{PORT}"  # the private socket
HELD_BYTES = 1 << 16  # outgoing messages are buffered up to this size

# codes in a startup message
PROTOCOL = 3 << 16
CANCEL, SSL, GSS = 80877102, 80877103, 80877104
REQUEST = 80877690  # our own: a JSON request from a program on the private socket
ENCRYPTION_REFUSED = b"N"

# type oids of BYTEA in PostgreSQL and VARBYTE on a cluster; the format code for text
BYTEA, VARBYTE = 17, 6551
TEXT_FORMAT = 0

_LENGTH = struct.Struct("!i")
_DESCRIBED = struct.Struct("!ihihih")  # the fields that follow a column's name in a RowDescription
_HEAD = struct.Struct("!ci")
_DATA_ROW = ord("D")

Fields = dict[str, str]


class ProtocolViolation(Exception):
    """A message violates PostgreSQL's protocol."""


class Message(NamedTuple):
    """A protocol message: a one-byte type (`kind`) and a body."""

    kind: bytes
    body: bytes


class Stream:
    """A socket for protocol messages, buffered in both directions.

    `limit` is the maximum size of a received message, in bytes.
    """

    def __init__(self, connected: socket.socket, limit: int = MESSAGE_BYTES) -> None:
        self.socket = connected
        self.limit = limit
        self._received = bytearray()
        self._to_send = bytearray()

    def fileno(self) -> int:
        """Return the socket's file descriptor, so that poll() accepts a Stream."""
        return self.socket.fileno()

    @property
    def buffered(self) -> int:
        """Number of bytes received but not yet taken."""
        return len(self._received)

    def receive(self) -> bool:
        """Wait for data and receive it; return False if the connection is closed."""
        part = self.socket.recv(READ_BYTES)
        self._received += part
        return bool(part)

    def startup(self) -> bytes | None:
        """Take the startup message, which has no type byte; return None if incomplete."""
        size = self._size(0, min(self.limit, STARTUP_BYTES))
        return None if size is None else self._take(size)[4:]

    def message(self) -> Message | None:
        """Remove and return the next message; None if incomplete."""
        size = self._size(1, self.limit)
        if size is None:
            return None
        taken = self._take(size + 1)
        return Message(taken[:1], taken[5:])

    def data_rows(self) -> bytes:
        """Remove and return all complete rows at once: the hot path for large results."""
        held, end, length_at = self._received, 0, _LENGTH.unpack_from
        last = len(held) - 5
        while end <= last and held[end] == _DATA_ROW:
            after = end + 1 + length_at(held, end + 1)[0]
            if after > len(held):
                break
            end = after
        return self._take(end) if end else b""

    def _size(self, at: int, limit: int) -> int | None:
        """Return the next message's length; None if the message is incomplete."""
        if len(self._received) < at + 4:
            return None
        (size,) = _LENGTH.unpack_from(self._received, at)
        if not 4 <= size <= limit:
            raise ProtocolViolation(f"invalid message length: {size} bytes")
        return size if len(self._received) >= at + size else None

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def write(self, kind: bytes, body: bytes = b"") -> None:
        """Buffer a message; it is sent when the buffer is full, or by `flush`."""
        self.write_encoded(_HEAD.pack(kind, len(body) + 4), body)

    def write_encoded(self, *parts: bytes) -> None:
        """Write messages that are already encoded."""
        for part in parts:
            self._to_send += part
        if len(self._to_send) > HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send all buffered messages."""
        if self._to_send:
            self.socket.sendall(self._to_send)
            self._to_send = bytearray()


def wait_for(streams: Sequence[Stream], seconds: float | None = None) -> list[Stream]:
    """Wait for data; return the streams that have data, or [] after the timeout."""
    waiting = select.poll()  # select() can't handle file descriptors above 1023
    for stream in streams:
        waiting.register(stream, select.POLLIN)
    found = {number for number, _ in waiting.poll(None if seconds is None else seconds * 1000)}
    return [stream for stream in streams if stream.fileno() in found]


def startup_message(parameters: Mapping[str, str]) -> bytes:
    """Encode the message that begins a session."""
    body = b"".join(text(part) for pair in parameters.items() for part in pair) + b"\0"
    return struct.pack("!ii", len(body) + 8, PROTOCOL) + body


def cancel_request(process: int, secret: bytes) -> bytes:
    """Encode the message that cancels another session's statement."""
    return struct.pack("!iii", 12 + len(secret), CANCEL, process) + secret


def encoded(kind: bytes, body: bytes) -> bytes:
    """Encode a message."""
    return _HEAD.pack(kind, len(body) + 4) + body


def text(value: str) -> bytes:
    """Encode a string with its terminating zero byte."""
    return value.encode("utf-8", "surrogateescape") + b"\0"


def texts(body: bytes, count: int) -> tuple[list[str], bytes]:
    """Decode the first `count` strings of a body; return them and the remaining bytes.

    Raise ProtocolViolation if there are fewer.
    """
    parts = body.split(b"\0", count)
    if len(parts) <= count:
        raise ProtocolViolation("a string has no end")
    try:
        return [part.decode() for part in parts[:count]], parts[count]
    except UnicodeDecodeError as error:
        raise ProtocolViolation("a string is not UTF-8") from error


def integers(body: bytes, form: str) -> tuple[int, ...]:
    """Decode the integers at the start of a body; `form` is a struct format."""
    try:
        return struct.unpack_from(f"!{form}", body)
    except struct.error as error:
        raise ProtocolViolation("a message is too short") from error


def fields_of(body: bytes) -> Fields:
    """Decode the fields of an ErrorResponse or NoticeResponse, by one-letter key."""
    parts = [part.decode(errors="replace") for part in body.split(b"\0") if part]
    return {part[0]: part[1:] for part in parts}


def encoded_fields(fields: Mapping[str, str]) -> bytes:
    """Encode the fields of an ErrorResponse or NoticeResponse."""
    return b"".join(text(code + value.replace("\0", "")) for code, value in fields.items() if value) + b"\0"


def columns_of(row: bytes) -> list[str | None]:
    """Decode the values of a DataRow in text format."""
    values: list[str | None] = []
    at = 2
    for _ in range(integers(row, "h")[0]):
        (size,) = _LENGTH.unpack_from(row, at)
        at += 4
        values.append(None if size < 0 else row[at : at + size].decode())
        at += max(size, 0)
    return values


def varbyte_columns(description: bytes) -> tuple[bytes, list[int]]:
    """Change BYTEA to VARBYTE in a RowDescription; list such columns sent as text."""
    described, found = bytearray(description), []
    at = 2
    for number in range(*integers(description, "h")):
        at = description.index(b"\0", at) + 1  # skip the column's name
        table, place, sql_type, size, modifier, form = _DESCRIBED.unpack_from(described, at)
        if sql_type == BYTEA:
            _DESCRIBED.pack_into(described, at, table, place, VARBYTE, size, modifier, form)
            if form == TEXT_FORMAT:
                found.append(number)
        at += _DESCRIBED.size
    return bytes(described), found


def with_varbyte(rows: bytes, columns: Collection[int]) -> bytes:
    """Remove PostgreSQL's hex prefix from the VARBYTE columns of DataRows."""
    changed = bytearray()
    end = 0
    while end < len(rows):
        start, at = len(changed), end + 7  # skip the message kind, the length and the number of columns
        end += 1 + _LENGTH.unpack_from(rows, end + 1)[0]
        changed += rows[at - 7 : at]
        number = 0
        while at < end:
            (size,) = _LENGTH.unpack_from(rows, at)
            after = at + 4 + max(size, 0)
            skipped = 2 if number in columns and rows.startswith(b"\\x", at + 4, after) else 0
            changed += _LENGTH.pack(size - skipped) + rows[at + 4 + skipped : after]
            at, number = after, number + 1
        _LENGTH.pack_into(changed, start + 1, len(changed) - start - 1)
    return bytes(changed)


def bind_body(portal: str, statement: str, values: Iterable[object]) -> bytes:
    """Encode a Bind message with values and results in text format."""
    encoded = [None if value is None else str(value).encode() for value in values]
    listed = b"".join(_LENGTH.pack(-1) if value is None else _LENGTH.pack(len(value)) + value for value in encoded)
    return text(portal) + text(statement) + struct.pack("!hh", 0, len(encoded)) + listed + struct.pack("!h", 0)
