"""The fast path from JSON to rows: decode and check whole blocks of records in C.

A block takes this path only if the exact path (exact.py) would produce the same rows. All other blocks take the exact
path, which locates the errors. Rows are PostgreSQL's CSV with backslash as the escape character, because the JSON
encoder that writes them escapes with backslashes.
"""

import re
from collections import deque
from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from local_redshift.copy.datetimes import EPOCH_UNITS, FormatCache, epoch_formatter
from local_redshift.copy.exact import Piece
from local_redshift.copy.jsonpaths import JsonPath
from local_redshift.copy.records import FloatLiteral, IntegerLiteral
from local_redshift.copy.values import (
    INTEGER_RANGES,
    MOST_BYTES,
    Converter,
    ValueRefused,
    literal_overflow,
    surely_fits,
)

MEMO_SIZE = 100_000  # a column's cache is cleared before the next block if it holds more strings than this
_NATIVE = {"varchar": str, "float8": float, "bool": bool} | dict.fromkeys(INTEGER_RANGES, int)

# The boundary between two JSON arrays. This boundary can't occur inside a string, because JSON escapes newlines. With
# bytes.replace, replacing a million boundaries would take twice as long as with a compiled pattern.
_BETWEEN_ARRAYS = re.compile(rb"\]\n\[")

# JSON escapes: an escaped control character is decoded, an escaped backslash is kept
_ESCAPE = re.compile(rb"\\(?:\\|[nrtbf]|u00[01][0-9a-f])")
_PLAIN = {b"\\\\": b"\\\\", b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t", b"\\b": b"\b", b"\\f": b"\f"}
_PLAIN |= {b"\\u%04x" % code: bytes([code]) for code in range(1, 0x20)}

_NEEDS_ESCAPE = re.compile(r'[\\"\x00-\x1f]')  # characters that msgspec refuses in field names


class _DoesNotFit(Exception):
    """The block contains a value that only the exact path can handle."""


class FastRows:
    """Converts whole blocks for one COPY. Created by `for_copy`, if the COPY allows it."""

    @staticmethod
    def for_copy(
        converters: Sequence[Converter], paths: list[JsonPath] | None, ignores_case: bool
    ) -> "FastRows | None":
        """Return the converter, or None if the columns, the JSONPaths or 'auto ignorecase' rule out this path."""
        keys = [(converter.column.name,) for converter in converters] if paths is None else paths
        names = [path[0] for path in keys if len(path) == 1 and isinstance(path[0], str)]
        if len(set(names)) < len(converters) or ignores_case or any(map(_NEEDS_ESCAPE.search, names)):
            return None
        if any(converter.column.type in ("jsonb", "bytea") for converter in converters):
            return None
        return FastRows(converters, names)

    def __init__(self, converters: Sequence[Converter], keys: list[str]) -> None:
        self._fields = [_FastField(converter, key) for converter, key in zip(converters, keys, strict=True)]
        self._encoder = msgspec.json.Encoder()
        self._any_decoder = msgspec.json.Decoder(dict)
        self._decoder = self._new_decoder()

    def piece(self, block: bytes) -> Piece | None:
        """Return the rows of a block of whole records; None if they need the exact path."""
        try:
            records = self._decode(block)
            for field in self._fields:
                field.finish(records)
            return Piece(self._csv(records), len(records))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError, _DoesNotFit):
            return None

    def _csv(self, records: list[msgspec.Struct]) -> bytes:
        if not records:
            return b""
        arrays = self._encoder.encode_lines(list(map(msgspec.structs.astuple, records)))
        return _without_json_escapes(_BETWEEN_ARRAYS.sub(b"\n", arrays[1:-2]) + b"\n")

    def _decode(self, block: bytes) -> list[msgspec.Struct]:
        try:
            return self._decoder.decode_lines(block)
        except msgspec.ValidationError:
            if not self._adapt(self._any_decoder.decode_lines(block)):
                raise
            return self._decoder.decode_lines(block)

    def _adapt(self, records: list[dict[str, Any]]) -> bool:
        """Widen the decoder's types to fit these records; return whether any changed."""
        changed = [field.adapt([record.get(field.key) for record in records]) for field in self._fields]
        if any(changed):
            self._decoder = self._new_decoder()
        return any(changed)

    def _new_decoder(self) -> msgspec.json.Decoder[Any]:
        definitions = [field.definition() for field in self._fields]
        rename = {field.name: field.key for field in self._fields}
        record = msgspec.defstruct("Record", definitions, rename=rename, kw_only=True, gc=False)
        return msgspec.json.Decoder(record)


class _FastField:
    """One column: the type of its decoded values, and their further conversion."""

    def __init__(self, converter: Converter, key: str) -> None:
        column, copy = converter.column, converter.copy
        self.name = f"c_{column.name.encode().hex()}"  # the column name may be invalid as a Python identifier
        self.key = key
        self._column = column
        self._converter = converter
        self._texts = FormatCache(self._text)
        self._get = attrgetter(self.name)
        is_text = column.type in ("varchar", "bpchar")
        self._mapped = column.type not in _NATIVE or (is_text and copy.changes_text)
        self._wide = False  # if True, accept long strings and check their byte length afterwards
        self._epoch_texts = None
        if column.type in ("timestamp", "timestamptz") and copy.timeformat in EPOCH_UNITS:
            # a TIMESTAMPTZ without a zone would be read in the session's time zone
            zone = "+00:00" if column.type == "timestamptz" else ""
            self._epoch_texts = epoch_formatter(EPOCH_UNITS[copy.timeformat], zone)
        # number types that need the exact path: it loads 1.50 as written, but the decoder keeps only the value
        self._as_written: tuple[type, ...] = ()
        if is_text:
            self._as_written = (int, float)
        elif column.type.startswith(("date", "time")) and self._epoch_texts is None:
            self._as_written = (float,)

    def definition(self) -> tuple[Any, ...]:
        """Return the decoder field: name, type and, for a nullable column, a default."""
        decoded = self._type()
        return (self.name, decoded) if self._column.not_null else (self.name, decoded | None, None)

    def _type(self) -> Any:
        column = self._column
        if self._mapped:
            return str | int | float | bool
        if column.type == "varchar":
            most = column.length if self._wide else column.length // MOST_BYTES
            return Annotated[str, msgspec.Meta(max_length=most)]
        if column.type in INTEGER_RANGES:
            _, low, high = INTEGER_RANGES[column.type]
            return Annotated[int, msgspec.Meta(ge=low, le=high)]
        return _NATIVE[column.type]

    def adapt(self, values: list[object]) -> bool:
        """Widen the column's type to fit these values; return whether it changed."""
        if self._mapped:
            return False
        if self._column.type == "varchar":
            longer = any(isinstance(value, str) and not surely_fits(value, self._column.length) for value in values)
            changed, self._wide = longer and not self._wide, self._wide or longer
            return changed
        native = _NATIVE[self._column.type]
        self._mapped = not {type(value) for value in values} <= {native, type(None)}
        return self._mapped

    def finish(self, records: list[msgspec.Struct]) -> None:
        """Convert or check the decoded values. Raise _DoesNotFit for values that need the exact path."""
        if self._mapped:
            texts = self._all_texts(list(map(self._get, records)))
            deque(map(setattr, records, repeat(self.name), texts), maxlen=0)
        elif self._wide:
            length = self._column.length
            for value in map(self._get, records):
                if value is not None and not surely_fits(value, length) and len(value.encode()) > length:
                    raise _DoesNotFit

    def _all_texts(self, values: list[Any]) -> list[str | None]:
        kinds = set(map(type, values))
        if kinds <= {int, type(None)} and self._epoch_texts is not None:
            return self._epoch_texts(values)
        if kinds <= {str, type(None)}:
            if len(self._texts) > MEMO_SIZE:
                self._texts.clear()
            return [self._texts[value] for value in values]
        return [self._text(value) for value in values]

    def _text(self, value: object) -> str | None:
        """Convert a value to text for the column's type, as the exact path does."""
        kind = type(value)
        if kind in self._as_written:
            raise _DoesNotFit
        if kind is int:
            return self._exact(IntegerLiteral(value))
        return self._exact(FloatLiteral(repr(value)) if kind is float else value)

    def _exact(self, value: object) -> str | None:
        if literal_overflow(value, self._column):
            raise _DoesNotFit
        try:
            return self._converter.text(value, _no_source)
        except ValueRefused as error:
            raise _DoesNotFit from error


def _without_json_escapes(lines: bytes) -> bytes:
    """Unescape JSON's control characters, since PostgreSQL's CSV parser knows only quotes and backslashes.

    Raise _DoesNotFit for a NUL, which the server can't store.
    """
    return _ESCAPE.sub(lambda match: _plain(match[0]), lines)


def _plain(escape: bytes) -> bytes:
    if escape not in _PLAIN:
        raise _DoesNotFit
    return _PLAIN[escape]


def _no_source() -> str:
    """Raise _DoesNotFit: only the exact path keeps the JSON text of objects and arrays."""
    raise _DoesNotFit
