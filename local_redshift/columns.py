"""Columns and what a JSON value becomes in them, or the load error when it will not go.

A value goes to the server as the text of PostgreSQL's COPY before escaping; None is NULL.
https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-conversion.html
"""

import json
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal

from local_redshift import datetimes, messages
from local_redshift.copy_statement import CopyStatement
from local_redshift.jsonpaths import MISSING
from local_redshift.records import FloatLiteral, IntegerLiteral

_WIDE = Context(prec=200)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SURROGATES = re.compile("[\ud800-\udfff]+")

INTEGER_RANGES = {  # by type: the word in messages, the lowest and the highest value
    "int2": ("Short", -(2**15), 2**15 - 1),
    "int4": ("Integer", -(2**31), 2**31 - 1),
    "int8": ("Long", -(2**63), 2**63 - 1),
}
_TRUE = ("t", "true", "y", "yes", "1")  # DG r_Boolean_type.html
_FALSE = ("f", "false", "n", "no", "0")


class FieldError(Exception):
    """A value that does not go into its column: Redshift's code and text for it.

    `shows_value` says whether the load error has the value in raw_field_value, as the guide has it. Rows of clusters
    show that two errors of JSON loads do not.
    """

    def __init__(self, code: int, reason: str, shows_value: bool = True) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.shows_value = shows_value


@dataclass(frozen=True)
class Column:
    """A column that a COPY fills. `type` is PostgreSQL's internal name, `length` bytes."""

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    not_null: bool = False

    @property
    def shown_type(self) -> str:
        """The type as stl_load_errors has it (there cut to 10 characters)."""
        return {"bpchar": "char", "jsonb": "super"}.get(self.type, self.type)

    @property
    def shown_length(self) -> str:
        """The length as stl_load_errors has it: seen "256", "0" and "18, 0"."""
        return f"{self.precision}, {self.scale}" if self.type == "numeric" else str(self.length)


@dataclass(frozen=True)
class Field:
    """One value of a record on its way to a column.

    `source` gives the source text of the value, for objects and arrays; `parse_on_server` turns a text
    into a timestamp, timestamptz or date as the server reads it, or into None.
    """

    value: object
    column: Column
    copy: CopyStatement
    source: Callable[[], str]
    parse_on_server: Callable[[str, str], str | None]


def literal_overflow(value: object, column: Column) -> str | None:
    """The err_reason for an integer literal too big for an integer column; None if it fits.

    Redshift finds this while it parses the JSON, before it converts any value.
    """
    if type(value) is not IntegerLiteral or column.type not in INTEGER_RANGES:
        return None
    word, low, high = INTEGER_RANGES[column.type]
    # 19 digits are the most that fit; not converting more keeps a literal of a million digits cheap
    if len(value) <= 20 and low <= int(value) <= high:
        return None
    return messages.INTEGER_LITERAL_OVERFLOW.format(type=word)


def convert(field: Field) -> str | None:
    """The column's text for the field, None for NULL. Raise FieldError where it does not go."""
    text = None if field.value is None or field.value is MISSING else _CONVERTERS[field.column.type](field)
    if text is None and field.column.not_null:
        raise FieldError(messages.MISSING_DATA, messages.NOT_NULL)
    return text


def _text_of(field: Field) -> str:
    """The value as text: a string's characters, a number as written, an object's source."""
    value = field.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # numbers included, as written
        return str(value)
    return field.source()


def found_text(field: Field) -> str:
    """The text of the value that was found for a column; empty where there is none."""
    return "" if field.value is None or field.value is MISSING else _text_of(field)


def _scalar_text(field: Field) -> str | None:
    """The text of a value for a column that holds no text; None, meaning NULL, where it is blank."""
    text = _text_of(field).split("\0", 1)[0]
    return text if text.strip(" ") else None


def _to_varchar(field: Field) -> str | None:
    text = _without_nul(_text_of(field))
    text = _valid_utf8(text, field.copy.acceptinvchars)
    text = _blanks(text, field.copy)
    if text is None or len(text) * 4 <= field.column.length:
        return text
    return _fitted(text, field, messages.VARCHAR_TOO_LONG)


def _to_char(field: Field) -> str | None:
    text = _without_nul(_text_of(field))
    for char in text:
        if not char.isascii():
            shown = char.encode("utf-8", "surrogateescape" if _is_bad_byte(char) else "surrogatepass").hex(" ")
            raise FieldError(messages.BAD_UTF8, messages.MULTIBYTE_IN_CHAR.format(bytes=shown))
    text = _blanks(text, field.copy)
    return text if text is None else _fitted(text, field, messages.CHAR_TOO_LONG)


def _without_nul(text: str) -> str:
    if text.startswith("\0") and len(text) > 1:
        raise FieldError(messages.NULL_BYTE, messages.NULL_BYTE_FIRST)
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
    cut = encoded[:length].decode(errors="ignore")  # never in the middle of a character
    if field.copy.truncatecolumns or not encoded[length:].strip(b" "):
        return cut
    raise FieldError(messages.TOO_LONG, reason, shows_value=reason != messages.VARCHAR_TOO_LONG)  # seen


def _is_bad_byte(char: str) -> bool:
    return "\udc80" <= char <= "\udcff"  # a byte that was not UTF-8; other surrogates are JSON escapes


def _valid_utf8(text: str, replacement: str | None) -> str:
    if text.isascii() or not _SURROGATES.search(text):
        return text
    if replacement is not None:
        # as many as the character has bytes: one for a bad byte, three for a surrogate that is alone
        return _SURROGATES.sub(
            lambda match: "".join(replacement * (1 if _is_bad_byte(char) else 3) for char in match[0]), text
        )
    at = _SURROGATES.search(text).start()
    if _is_bad_byte(text[at]):
        # four bytes are the longest sequence; an escaped surrogate after it is no continuation anyway
        there = "".join(c if _is_bad_byte(c) else "?" if _SURROGATES.match(c) else c for c in text[at : at + 4])
        sequence, error = _bad_sequence(there.encode("utf-8", "surrogateescape"))
    else:
        sequence, error = text[at].encode("utf-8", "surrogatepass"), 5
    shown = messages.INVALID_UTF8.format(bytes=sequence.hex(" "), error=error)
    raise FieldError(messages.BAD_UTF8, shown)


def _bad_sequence(there: bytes) -> tuple[bytes, int]:
    """The bad sequence at the start of `there` and Redshift's number for what is wrong with it.

    DG multi-byte-character-load-errors.html
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


def _to_integer(field: Field) -> str | None:
    word, low, high = INTEGER_RANGES[field.column.type]
    text = _scalar_text(field)
    if text is None:
        return None
    if type(field.value) is FloatLiteral:
        number = float(text)
        if not math.isfinite(number) or not low <= int(number) <= high:
            raise _integer_overflow(word, low, high, shows_value=False)  # seen
        return str(int(number))  # a fraction is cut off (guess)
    _check_digits(text, word, point=False)
    if len(text) > 40 or not low <= int(text) <= high:
        raise _integer_overflow(word, low, high)
    return str(int(text))


def _integer_overflow(word: str, low: int, high: int, shows_value: bool = True) -> FieldError:
    reason = messages.INTEGER_OVERFLOW.format(type=word, low=low, high=high)
    return FieldError(messages.BAD_DIGIT, reason, shows_value)


def _check_digits(text: str, word: str, point: bool) -> None:
    """Raise Redshift's "Invalid digit" if `text` is not a number; blanks around it are not taken (guess)."""
    points = 1 if point else 0
    for position, char in enumerate(text):
        if (char.isascii() and char.isdigit()) or (position == 0 and char in "+-" and len(text) > 1):
            continue
        points -= char == "."
        if char != "." or points < 0 or len(text) == 1:
            reason = messages.INVALID_DIGIT.format(char=char, position=position, type=word)
            raise FieldError(messages.BAD_DIGIT, reason)
    if text in ("+.", "-."):
        reason = messages.INVALID_DIGIT.format(char=".", position=1, type=word)
        raise FieldError(messages.BAD_DIGIT, reason)


def _to_decimal(field: Field) -> str | None:
    text = _scalar_text(field)
    if text is None:
        return None
    if type(field.value) is FloatLiteral:
        # DG copy-usage_notes-copy-from-json.html: a number goes through binary floating point
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
    raise FieldError(messages.BAD_DIGIT, reason)


def _to_float(field: Field) -> str | None:
    text = _scalar_text(field)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise FieldError(messages.BAD_FLOAT, messages.INVALID_FLOAT)
    number = float(text)
    if field.column.type == "float4":
        try:
            number = struct.unpack("f", struct.pack("f", number))[0]
        except OverflowError:
            number = math.inf
    if not math.isfinite(number):
        raise FieldError(messages.BAD_FLOAT, messages.INVALID_FLOAT)
    return repr(number)


def _to_boolean(field: Field) -> str | None:
    text = _scalar_text(field)
    if text is None:
        return None
    word = text.strip(" ").lower()
    if word not in _TRUE and word not in _FALSE:
        raise FieldError(messages.BAD_BOOLEAN, messages.INVALID_BOOLEAN)
    return "t" if word in _TRUE else "f"


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
        found = moment and moment.date().isoformat()
    if found is None and not field.copy.acceptanydate:
        reason = messages.DATE_TOO_SHORT if short else messages.INVALID_DATE.format(format=template)
        raise FieldError(messages.BAD_DATE, reason)
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
        moment = _moment(text, template)
        found = None if moment is None else _iso(moment, with_zone)
    if found is None and not field.copy.acceptanydate:
        shown = datetimes.SHOWN.get(template, template)
        raise FieldError(messages.BAD_TIMESTAMP, messages.INVALID_TIMESTAMP.format(format=shown))
    return found


def _moment(text: str, template: str) -> "datetimes.dt.datetime | None":
    units = datetimes.EPOCH_UNITS.get(template)
    return datetimes.from_epoch(text, units) if units else datetimes.parse(text, template)


def _iso(moment: "datetimes.dt.datetime", with_zone: bool) -> str:
    # an epoch gives a moment of UTC; a TIMESTAMP keeps its clock
    return moment.isoformat(" ") if with_zone else moment.replace(tzinfo=None).isoformat(" ")


def _by_server(text: str, field: Field) -> str | None:
    # 'auto' takes what PostgreSQL's own parser takes, from which Redshift's comes, less its words
    # ("now", "infinity"). DG automatic-recognition.html. More than six digits of a fraction are refused.
    bare_number = _NUMBER.fullmatch(text) and "." not in text  # 'auto' knows no epochs
    if bare_number or not re.search(r"\d", text) or re.search(r"\.\d{7}", text):
        return None
    return field.parse_on_server(text.strip(), field.column.type)


def _to_time(field: Field) -> str | None:
    text = _scalar_text(field)
    if text is None:
        return None
    time = datetimes.parse_time(text)
    if time is None:
        raise FieldError(messages.BAD_TIMESTAMP, messages.INVALID_TIME)
    return time.isoformat()


def _to_super(field: Field) -> str:
    value = field.value
    text = json.dumps(value) if type(value) is str else _text_of(field)
    # jsonb takes neither \u0000 nor a surrogate that is alone; SUPER is said to keep them
    if _SURROGATES.search(text) or field.parse_on_server(text, "jsonb") is None:
        raise FieldError(messages.BAD_SUPER, messages.INVALID_SUPER)
    return text


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
    "jsonb": _to_super,
}

TYPES = tuple(_CONVERTERS)
