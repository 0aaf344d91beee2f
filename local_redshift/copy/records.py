"""Split a file into records (JSON objects), and note the line on which each ends.

Objects are separated by white space only; an object may span lines, and a line may hold several.
https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-format.html
"""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local_redshift import messages

MAX_RECORD_BYTES = 4 << 20  # maximum size of one object or array, including its braces

LONGEST_TOKEN = 16  # a syntax error this close to the end of the text may come from a truncated token

_SPACE = re.compile(r"[ \t\r\n]*")
_START = re.compile(r"[{\[]")


class IntegerLiteral(str):
    """A JSON number without a decimal point or exponent, as written."""


class FloatLiteral(str):
    """A JSON number with a decimal point or an exponent, as written."""


@dataclass(frozen=True)
class Record:
    """One object or array at the top level of a file. Invalid UTF-8 bytes become surrogate escapes in its strings."""

    value: dict[str, Any] | list[Any]
    text: str  # the source text of the value
    line: int  # the number of the record's last line, counting from 1


@dataclass(frozen=True)
class BadRecord:
    """Junk between records, or a record whose JSON is malformed."""

    text: str
    line: int
    reason: str = messages.MALFORMED
    fatal: bool = False  # ends the COPY regardless of MAXERROR


def _after_space(text: str, at: int) -> int:
    """Skip white space from position `at` on; return the position after it."""
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it always matches


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_int=IntegerLiteral, parse_float=FloatLiteral, parse_constant=_refuse_constant)


class RecordReader:
    """Split a file into records as its bytes arrive.

    After the first syntax error in a record, the rest of the line is skipped. Junk between records ends at the next
    opening brace or bracket. Where Redshift itself continues is not known.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._line = 1
        self._in_line = False  # whether data follows the last newline

    @property
    def lines(self) -> int:
        """The number of lines read."""
        return self._line - 1 + self._in_line

    @property
    def between_records(self) -> bool:
        """Whether all data read so far has been split into records."""
        return not self._text and self._decoder.getstate() == (b"", 0)

    def pass_over(self, data: bytes) -> None:
        """Count the lines of `data`, whose records the fast path has read."""
        self._line += data.count(b"\n")
        self._in_line = not data.endswith(b"\n")

    def feed(self, data: bytes, final: bool = False) -> Iterator[Record | BadRecord]:
        """Return the records that `data` completes; `final` marks the end of the file."""
        self._text += self._decoder.decode(data, final)
        if data:
            self._in_line = not data.endswith(b"\n")
        at = 0
        try:
            while True:
                at = self._skip_space(at)
                if at == len(self._text):
                    return
                record, end = self._next(at, final)
                if record is None:
                    return
                at = end
                yield record
        finally:
            self._text = self._text[at:]

    def _skip_space(self, at: int) -> int:
        end = _after_space(self._text, at)
        self._line += self._text.count("\n", at, end)
        return end

    def _next(self, at: int, final: bool) -> tuple[Record | BadRecord | None, int]:
        """Return the record that begins at `at` and the position of its end; None for a record that is incomplete."""
        if self._text[at] not in "{[":
            return self._junk(at, final)
        try:
            value, end = _DECODER.raw_decode(self._text, at)
        except json.JSONDecodeError as error:
            return self._broken_off(at, error, final) or self._malformed(at, error.pos, final)
        except (ValueError, RecursionError):
            return self._malformed(at, at, final)
        text = self._text[at:end]
        self._line += text.count("\n")
        if _too_large(text):
            return BadRecord(text[:1024], self._line, messages.TOO_LARGE, fatal=True), end
        return Record(value, text, self._line), end

    def _junk(self, at: int, final: bool) -> tuple[BadRecord | None, int]:
        start = _START.search(self._text, at)
        if start is None and not final and len(self._text) - at < MAX_RECORD_BYTES:
            return None, at
        end = start.start() if start else len(self._text)
        text = self._text[at:end]
        bad = BadRecord(text.rstrip(), self._line + text.rstrip().count("\n"))
        self._line += text.count("\n")
        return bad, end

    def _broken_off(self, at: int, error: json.JSONDecodeError, final: bool) -> tuple[BadRecord | None, int] | None:
        """Handle a record that may not have fully arrived; return None if it is malformed."""
        near_end = error.pos >= len(self._text) - LONGEST_TOKEN
        if not near_end and not error.msg.startswith("Unterminated string"):
            return None
        if len(self._text) - at > MAX_RECORD_BYTES:
            text = self._text[at:]
            return BadRecord(text[:1024], self._line, messages.TOO_LARGE, fatal=True), len(self._text)
        return None if final else (None, at)

    def _malformed(self, at: int, problem: int, final: bool) -> tuple[BadRecord | None, int]:
        end = self._text.find("\n", problem)
        if end < 0 and not final and len(self._text) - at <= MAX_RECORD_BYTES:
            return None, at
        end = len(self._text) if end < 0 else end
        text = self._text[at:end].rstrip()
        bad = BadRecord(text, self._line + text.count("\n"))
        self._line += self._text.count("\n", at, end)
        return bad, end


def _too_large(text: str) -> bool:
    # a character takes at most 4 bytes: encode only strings that could exceed the limit
    if len(text) * 4 <= MAX_RECORD_BYTES:
        return False
    return len(text.encode("utf-8", "surrogateescape")) > MAX_RECORD_BYTES


def members(text: str) -> Iterator[tuple[str, str]]:
    """Yield each key of the JSON object `text`, with the source text of its value."""
    at = _after_space(text, 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _after_space(text, _after_space(text, at) + 1)  # skip the colon
        start = at
        _, at = _DECODER.raw_decode(text, at)
        yield key, text[start:at]
        at = _after_space(text, at)
        at = _after_space(text, at + (text[at] == ","))


def elements(text: str) -> Iterator[str]:
    """Yield the source text of each element of the JSON array `text`."""
    at = _after_space(text, 1)
    while text[at] != "]":
        start = at
        _, at = _DECODER.raw_decode(text, at)
        yield text[start:at]
        at = _after_space(text, at)
        at = _after_space(text, at + (text[at] == ","))
