"""Convert JSON values to the types of their columns, or reject them.

Converted values are the text that PostgreSQL's COPY reads, before escaping; None is NULL.
https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-conversion.html
"""

import datetime as dt
import json
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal

from local_redshift import messages
from local_redshift.copy import datetimes
from local_redshift.copy.jsonpaths import MISSING
from local_redshift.copy.records import FloatLiteral, IntegerLiteral
from local_redshift.copy.statement import CopyStatement
from local_redshift.copy.target import Column
from local_redshift.errors import NotSupported

# takes a string and a type; returns the value as the server displays it, or None if it is invalid
ParseOnServer = Callable[[str, str], str | None]

INTEGER_RANGES = {  # name in error messages, minimum and maximum of each type
    "int2": ("Short", -(2**15), 2**15 - 1),
    "int4": ("Integer", -(2**31), 2**31 - 1),
    "int8": ("Long", -(2**63), 2**63 - 1),
}
MOST_BYTES = 4  # maximum bytes per character in UTF-8


class ValueRefused(Exception):
    """A value rejected by its column, with Redshift's error code and reason.

    `shows_value` tells whether stl_load_errors.raw_field_value holds the value. According to Redshift's documentation,
    raw_field_value always holds the value, but clusters leave it empty for two kinds of JSON load errors.
    """

    def __init__(self, code: int, reason: str, shows_value: bool = True) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.shows_value = shows_value


@dataclass(frozen=True)
class Field:
    """A record's value for one column; `source` returns the value as written in the file."""

    value: object
    column: Column
    copy: CopyStatement
    source: Callable[[], str]
    parse_on_server: ParseOnServer


def _text_of(field: Field) -> str:
    """Return the value as text, with numbers and objects as written in the file."""
    value = field.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # also IntegerLiteral and FloatLiteral, which are subclasses of str
        return str(value)
    return field.source()


def _found_text(field: Field) -> str:
    """Return the value as text; an empty string if it is null or missing."""
    return "" if field.value is None or field.value is MISSING else _text_of(field)


def _scalar_text(field: Field) -> str | None:
    """Return the text of a value for a non-string column; None (NULL) if it is blank."""
    text = _text_of(field).split("\0", 1)[0]
    if text == "-0" and type(field.value) is IntegerLiteral:
        return "0"  # -0 is read as 0 (a guess about Redshift)
    return text if text.strip(" ") else None


class Converter:
    """Converts JSON values for one column of a COPY."""

    def __init__(self, copy: CopyStatement, column: Column, parse_on_server: ParseOnServer) -> None:
        """Raise NotSupported for a column that JSON can't fill."""
        self.column = column
        self.copy = copy
        self._parse_on_server = parse_on_server
        if column.type not in _CONVERTERS:
            raise NotSupported(f"column {column.name} has the type {column.type}, which COPY from JSON can't fill")
        self._convert = _CONVERTERS[column.type]

    def text(self, value: object, source: Callable[[], str]) -> str | None:
        """Convert a value to text for the column.

        None is NULL. `source` returns the value as written in the file. Raise ValueRefused if the column rejects the
        value.
        """
        found = None if value is None or value is MISSING else self._convert(self._field(value, source))
        if found is None and self.column.not_null:
            raise ValueRefused(messages.MISSING_DATA, messages.NOT_NULL)
        return found

    def shown(self, value: object, source: Callable[[], str]) -> str:
        """Return a rejected value as text for the load error; "" if null or missing."""
        return _found_text(self._field(value, source))

    def _field(self, value: object, source: Callable[[], str]) -> Field:
        return Field(value, self.column, self.copy, source, self._parse_on_server)


# Numbers and booleans

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WIDE = Context(prec=200)
_TRUE = ("t", "true", "y", "yes", "1")  # https://docs.aws.amazon.com/redshift/latest/dg/r_Boolean_type.html
_FALSE = ("f", "false", "n", "no", "0")


def literal_overflow(value: object, column: Column) -> str | None:
    """Return the err_reason if an integer literal overflows its column, else None.

    Redshift detects this while parsing the JSON, before converting any value.
    """
    if type(value) is not IntegerLiteral or column.type not in INTEGER_RANGES:
        return None
    word, low, high = INTEGER_RANGES[column.type]
    # no type holds more than 19 digits, so a huge literal need not be converted
    if len(value) <= 20 and low <= int(value) <= high:
        return None
    return messages.INTEGER_LITERAL_OVERFLOW.format(type=word)


def _to_integer(field: Field) -> str | None:
    word, low, high = INTEGER_RANGES[field.column.type]
    text = _scalar_text(field)
    if text is None:
        return None
    if type(field.value) is FloatLiteral:
        number = float(text)
        if not math.isfinite(number) or not low <= int(number) <= high:
            raise _integer_overflow(word, low, high, shows_value=False)  # a cluster's load errors omit the value
        return str(int(number))  # truncate the fraction (a guess about Redshift)
    _check_digits(text, word, point=False)
    if len(text) > 40 or not low <= int(text) <= high:
        raise _integer_overflow(word, low, high)
    return str(int(text))


def _integer_overflow(word: str, low: int, high: int, shows_value: bool = True) -> ValueRefused:
    reason = messages.INTEGER_OVERFLOW.format(type=word, low=low, high=high)
    return ValueRefused(messages.BAD_DIGIT, reason, shows_value)


def _check_digits(text: str, word: str, point: bool) -> None:
    """Reject text that is not a number. Surrounding blanks are also rejected (a guess about Redshift)."""
    points = 1 if point else 0
    for position, char in enumerate(text):
        if (char.isascii() and char.isdigit()) or (position == 0 and char in "+-" and len(text) > 1):
            continue
        points -= char == "."
        if char != "." or points < 0 or len(text) == 1:
            reason = messages.INVALID_DIGIT.format(char=char, position=position, type=word)
            raise ValueRefused(messages.BAD_DIGIT, reason)
    if text in ("+.", "-."):
        reason = messages.INVALID_DIGIT.format(char=".", position=1, type=word)
        raise ValueRefused(messages.BAD_DIGIT, reason)


def _to_decimal(field: Field) -> str | None:
    text = _scalar_text(field)
    if text is None:
        return None
    if type(field.value) is FloatLiteral:
        # https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-json.html: a number is converted to
        # binary floating point
        number = float(text)
        exact = Decimal(repr(number)) if math.isfinite(number) else None
    else:
        _check_digits(text, "Decimal", point=True)
        exact = Decimal(text)
    return _scaled(exact, field)


def _scaled(number: Decimal | None, field: Field) -> str:
    column = field.column
    rounding = ROUND_HALF_UP if field.copy.roundec else ROUND_DOWN
    if number is not None and number.adjusted() < column.precision - column.scale + 1:
        number = number.quantize(Decimal(1).scaleb(-column.scale), rounding, _WIDE)
        if abs(number) < Decimal(10) ** (column.precision - column.scale):
            return f"{number:f}"
    reason = messages.DECIMAL_OVERFLOW.format(precision=column.precision, scale=column.scale)
    raise ValueRefused(messages.BAD_DIGIT, reason)


def _to_float(field: Field) -> str | None:
    text = _scalar_text(field)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise ValueRefused(messages.BAD_FLOAT, messages.INVALID_FLOAT)
    number = float(text)
    if field.column.type == "float4":
        try:
            number = struct.unpack("f", struct.pack("f", number))[0]
        except OverflowError:
            number = math.inf
    if not math.isfinite(number):
        raise ValueRefused(messages.BAD_FLOAT, messages.INVALID_FLOAT)
    return repr(number)


def _to_boolean(field: Field) -> str | None:
    text = _scalar_text(field)
    if text is None:
        return None
    word = text.strip(" ").lower()
    if word not in _TRUE and word not in _FALSE:
        raise ValueRefused(messages.BAD_BOOLEAN, messages.INVALID_BOOLEAN)
    return "t" if word in _TRUE else "f"


# Strings

_SURROGATES = re.compile("[\ud800-\udfff]+")
# U+FDD0 to U+FDEF and the last two code points of each plane; https://docs.aws.amazon.com/redshift/latest/dg/multi-byte-character-load-errors.html
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_REPLACED = re.compile(f"[\ud800-\udfff{_NONCHARACTERS}]")  # characters that ACCEPTINVCHARS replaces


def surely_fits(text: str, length: int) -> bool:
    """Tell whether a string fits into `length` bytes even if each of its characters takes the most bytes."""
    return len(text) * MOST_BYTES <= length


def _to_varchar(field: Field) -> str | None:
    found = _valid_utf8(_without_nul(_text_of(field)), field.copy.acceptinvchars)
    text = _blanks(found, field.copy)
    if text is None or surely_fits(text, field.column.length):
        return text
    return _fitted(text, field, messages.VARCHAR_TOO_LONG)


def _to_char(field: Field) -> str | None:
    found = _without_nul(_text_of(field))
    for char in found:
        if not char.isascii():
            shown = char.encode("utf-8", "surrogateescape" if _is_bad_byte(char) else "surrogatepass").hex(" ")
            raise ValueRefused(messages.BAD_UTF8, messages.MULTIBYTE_IN_CHAR.format(bytes=shown))
    text = _blanks(found, field.copy)
    return text if text is None else _fitted(text, field, messages.CHAR_TOO_LONG)


def _without_nul(text: str) -> str:
    if text.startswith("\0") and len(text) > 1:
        raise ValueRefused(messages.NULL_BYTE, messages.NULL_BYTE_FIRST)
    return text.split("\0", 1)[0]


def _blanks(text: str, copy: CopyStatement) -> str | None:
    if text == "":
        return None if copy.emptyasnull else text
    if copy.blanksasnull and not text.strip(" "):
        return None
    return text.rstrip(" ") if copy.trimblanks else text


def _fitted(text: str, field: Field, reason: str) -> str:
    length = field.column.length
    encoded = text.encode()
    if len(encoded) <= length:
        return text
    cut = encoded[:length].decode(errors="ignore")  # never cut within a character
    if field.copy.truncatecolumns or not encoded[length:].strip(b" "):
        return cut
    # a cluster's load errors omit a value that is too long for a VARCHAR
    raise ValueRefused(messages.TOO_LONG, reason, shows_value=reason != messages.VARCHAR_TOO_LONG)


def _is_bad_byte(char: str) -> bool:
    return "\udc80" <= char <= "\udcff"  # these stand for invalid UTF-8 bytes; other surrogates come from JSON escapes


def _bytes_of(char: str) -> int:
    """Return a character's byte length in the file, or in UTF-8 if it was escaped."""
    return 1 if _is_bad_byte(char) else len(char.encode("utf-8", "surrogatepass"))


def _valid_utf8(text: str, replacement: str | None) -> str:
    if text.isascii():
        return text
    if replacement is not None:
        return _REPLACED.sub(lambda match: replacement * _bytes_of(match[0]), text)
    bad = _SURROGATES.search(text)
    if bad is None:
        return text
    at = bad.start()
    if _is_bad_byte(text[at]):
        # a sequence has at most four bytes; an escaped surrogate ends it
        there = "".join(c if _is_bad_byte(c) else "?" if _SURROGATES.match(c) else c for c in text[at : at + 4])
        sequence, error = _bad_sequence(there.encode("utf-8", "surrogateescape"))
    else:
        sequence, error = text[at].encode("utf-8", "surrogatepass"), 5
    shown = messages.INVALID_UTF8.format(bytes=sequence.hex(" "), error=error)
    raise ValueRefused(messages.BAD_UTF8, shown)


def _bad_sequence(there: bytes) -> tuple[bytes, int]:
    """Return the invalid UTF-8 at the start of `there`, and its error number.

    https://docs.aws.amazon.com/redshift/latest/dg/multi-byte-character-load-errors.html
    """
    first = there[0]
    if first < 0xC0 or first > 0xFD:
        return there[:1], 3
    if first >= 0xF8:
        return there[:1], 1
    length = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    for i, byte in enumerate(there[1:length], 1):
        if not 0x80 <= byte <= 0xBF:
            return there[: i + 1], 4
    if len(there) < length:
        return there, 2
    sequence = there[:length]
    if first == 0xED:
        return sequence, 5
    return sequence, 8 if first >= 0xF4 else 9


# Dates and times, SUPER, VARBYTE

_BARE_DATE = re.compile(r"\d{6}|\d{8}", re.ASCII)
# special values that only PostgreSQL accepts, and fractional seconds that PostgreSQL would round
_ONLY_POSTGRESQL = re.compile(r"\b(now|today|tomorrow|yesterday|epoch|infinity|allballs)\b|\.\d{7}", re.IGNORECASE)

# https://docs.aws.amazon.com/redshift/latest/dg/limitations-super.html. A database can be configured to raise the limit
# on strings to 16,000,000 bytes.
_MAX_SUPER_DEPTH = 1000
_MAX_SUPER_STRING = 65_535
_REJECTED_BY_JSONB = re.compile(r"\\u|\d{1000}|[eE][+-]?\d{4}")


def _to_date(field: Field) -> str | None:
    template = field.copy.dateformat or datetimes.DEFAULT_DATE
    text = _scalar_text(field)
    if text is None:
        return None
    short = field.copy.dateformat is None and len(text) < len(datetimes.DEFAULT_DATE)
    if template == "auto":
        found = _by_server(text, field)
    else:
        moment = None if short else datetimes.parse(text, template)
        found = moment.date().isoformat() if moment else None
    if found is None and not field.copy.acceptanydate:
        reason = messages.DATE_TOO_SHORT if short else messages.INVALID_DATE.format(format=template)
        raise ValueRefused(messages.BAD_DATE, reason)
    return found


def _to_timestamp(field: Field) -> str | None:
    with_zone = field.column.type == "timestamptz"
    default = datetimes.DEFAULT_TIMESTAMPTZ if with_zone else datetimes.DEFAULT_TIMESTAMP
    template = field.copy.timeformat or default
    text = _scalar_text(field)
    if text is None:
        return None
    if template == "auto":
        found = _by_server(text, field)
    else:
        # a JSON number with a fraction or exponent is converted to binary floating point, as for DECIMAL columns
        shortest = repr(float(text)) if type(field.value) is FloatLiteral else text
        moment = _moment(shortest, template)
        found = None if moment is None else _iso(moment, with_zone)
    if found is None and not field.copy.acceptanydate:
        shown = datetimes.SHOWN.get(template, template)
        raise ValueRefused(messages.BAD_TIMESTAMP, messages.INVALID_TIMESTAMP.format(format=shown))
    return found


def _moment(text: str, template: str) -> dt.datetime | None:
    units = datetimes.EPOCH_UNITS.get(template)
    return datetimes.from_epoch(text, units) if units else datetimes.parse(text, template)


def _iso(moment: dt.datetime, with_zone: bool) -> str:
    # epochs are in UTC; a TIMESTAMP ignores time zones
    return moment.isoformat(" ") if with_zone else moment.replace(tzinfo=None).isoformat(" ")


def _by_server(text: str, field: Field) -> str | None:
    # https://docs.aws.amazon.com/redshift/latest/dg/automatic-recognition.html: 'auto' accepts the formats that CAST
    # accepts, but no epochs. The only valid bare numbers are YYYYMMDD, YYMMDD and, for a time, HHMISS
    text = text.strip()
    is_epoch = _NUMBER.fullmatch(text) and "." not in text and not _BARE_DATE.fullmatch(text)
    if is_epoch or not re.search(r"\d", text) or _ONLY_POSTGRESQL.search(text):
        return None
    return field.parse_on_server(text, field.column.type)


def _to_time(field: Field) -> str | None:
    text = _scalar_text(field)
    if text is None:
        return None
    if field.column.type == "time" and (time := datetimes.parse_time(text)) is not None:
        return time.isoformat()  # the usual format needs no query on the server
    found = _by_server(text, field)
    if found is None:
        raise ValueRefused(messages.BAD_TIMESTAMP, messages.INVALID_TIME)
    return found


def _to_super(field: Field) -> str:
    value = field.value
    text = json.dumps(value, ensure_ascii=False) if type(value) is str else _text_of(field)
    if _exceeds_super(value):
        raise ValueRefused(messages.BAD_SUPER, messages.SUPER_TOO_LARGE)
    # jsonb rejects \u0000, lone surrogates and numbers with thousands of digits; SUPER reportedly accepts them
    may_be_bad = _REJECTED_BY_JSONB.search(text)
    if _SURROGATES.search(text) or (may_be_bad and field.parse_on_server(text, "jsonb") is None):
        raise ValueRefused(messages.BAD_SUPER, messages.INVALID_SUPER)
    return text


def _exceeds_super(value: object) -> bool:
    """Tell whether a value exceeds SUPER's string length or nesting depth."""
    level, depth = [value], 0
    while level:
        if any(type(one) is str and len(one.encode(errors="replace")) > _MAX_SUPER_STRING for one in level):
            return True
        nested = [one for one in level if isinstance(one, (dict, list))]
        depth += bool(nested)
        if depth > _MAX_SUPER_DEPTH:
            return True
        level = [inner for one in nested for inner in (one.values() if isinstance(one, dict) else one)]
    return False


def _to_varbyte(field: Field) -> str | None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html: COPY accepts hexadecimal digits
    text = _text_of(field)
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2})*", text):
        raise ValueRefused(messages.BAD_DIGIT, messages.INVALID_VARBYTE)
    if len(text) > 2 * field.column.length:
        raise ValueRefused(messages.TOO_LONG, messages.VARBYTE_TOO_LONG, shows_value=False)
    return f"\\x{text}"


_CONVERTERS: dict[str, Callable[[Field], str | None]] = {
    "varchar": _to_varchar,
    "bpchar": _to_char,
    "int2": _to_integer,
    "int4": _to_integer,
    "int8": _to_integer,
    "numeric": _to_decimal,
    "float4": _to_float,
    "float8": _to_float,
    "bool": _to_boolean,
    "date": _to_date,
    "timestamp": _to_timestamp,
    "timestamptz": _to_timestamp,
    "time": _to_time,
    "timetz": _to_time,
    "jsonb": _to_super,
    "bytea": _to_varbyte,
}

TYPES = tuple(_CONVERTERS)
