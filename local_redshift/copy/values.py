"""Convert JSON values for their columns, or reject them.

A value goes to the server as the text of PostgreSQL's COPY before escaping; None is NULL.
https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-conversion.html
"""

import datetime as dt
import json
import re
from collections.abc import Callable

from local_redshift import messages
from local_redshift.copy import datetimes
from local_redshift.copy.columns import Column, ValueRefused
from local_redshift.copy.field import Field, ParseOnServer, found_text, scalar_text, text_of
from local_redshift.copy.jsonpaths import MISSING
from local_redshift.copy.numeric import NUMBER, to_decimal, to_float, to_integer
from local_redshift.copy.records import FloatLiteral
from local_redshift.copy.statement import CopyStatement
from local_redshift.copy.texts import SURROGATES, to_char, to_varchar

_TRUE = ("t", "true", "y", "yes", "1")  # DG r_Boolean_type.html
_FALSE = ("f", "false", "n", "no", "0")
_BARE_DATE = re.compile(r"\d{6}|\d{8}", re.ASCII)
# PostgreSQL's names of moments, and a fraction that it would round
_ONLY_POSTGRESQL = re.compile(r"\b(now|today|tomorrow|yesterday|epoch|infinity|allballs)\b|\.\d{7}", re.IGNORECASE)

# DG limitations-super.html. A database can be set to accept strings of 16,000,000 bytes.
_MAX_SUPER_DEPTH = 1000
_MAX_SUPER_STRING = 65_535


class Converter:
    """Converts JSON values for one column, for one COPY."""

    def __init__(self, copy: CopyStatement, column: Column, parse_on_server: ParseOnServer) -> None:
        self.column = column
        self.copy = copy
        self._parse_on_server = parse_on_server
        self._convert = _CONVERTERS[column.type]

    def text(self, value: object, source: Callable[[], str]) -> str | None:
        """Return the column's text for a value, None for NULL. `source` returns the value as written in the file.

        Raise ValueRefused if the column rejects it.
        """
        found = None if value is None or value is MISSING else self._convert(self._field(value, source))
        if found is None and self.column.not_null:
            raise ValueRefused(messages.MISSING_DATA, messages.NOT_NULL)
        return found

    def shown(self, value: object, source: Callable[[], str]) -> str:
        """Return the text of a rejected value for the load error; empty if there is none."""
        return found_text(self._field(value, source))

    def _field(self, value: object, source: Callable[[], str]) -> Field:
        return Field(value, self.column, self.copy, source, self._parse_on_server)


def _to_boolean(field: Field) -> str | None:
    text = scalar_text(field)
    if text is None:
        return None
    word = text.strip(" ").lower()
    if word not in _TRUE and word not in _FALSE:
        raise ValueRefused(messages.BAD_BOOLEAN, messages.INVALID_BOOLEAN)
    return "t" if word in _TRUE else "f"


def _to_date(field: Field) -> str | None:
    template = field.copy.dateformat or datetimes.DEFAULT_DATE
    text = scalar_text(field)
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
    text = scalar_text(field)
    if text is None:
        return None
    if template == "auto":
        found = _by_server(text, field)
    else:
        # a number is read as binary floating point, as for DECIMAL
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
    # DG automatic-recognition.html: the formats of CAST, but no epochs; so the only bare numbers are YYYYMMDD and
    # YYMMDD, and HHMISS for a time
    text = text.strip()
    is_epoch = NUMBER.fullmatch(text) and "." not in text and not _BARE_DATE.fullmatch(text)
    if is_epoch or not re.search(r"\d", text) or _ONLY_POSTGRESQL.search(text):
        return None
    return field.parse_on_server(text, field.column.type)


def _to_time(field: Field) -> str | None:
    text = scalar_text(field)
    if text is None:
        return None
    if field.column.type == "time" and (time := datetimes.parse_time(text)) is not None:
        return time.isoformat()  # the usual form, without a query
    found = _by_server(text, field)
    if found is None:
        raise ValueRefused(messages.BAD_TIMESTAMP, messages.INVALID_TIME)
    return found


def _to_super(field: Field) -> str:
    value = field.value
    text = json.dumps(value) if type(value) is str else text_of(field)
    # jsonb rejects \u0000 and lone surrogates; SUPER is said to accept them
    is_bad = SURROGATES.search(text) or _exceeds_super(value)
    if is_bad or field.parse_on_server(text, "jsonb") is None:
        raise ValueRefused(messages.BAD_SUPER, messages.INVALID_SUPER)
    return text


def _exceeds_super(value: object) -> bool:
    """Tell whether a value has a string too long, or is nested too deeply, for SUPER."""
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
    # https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html: COPY takes hexadecimal digits
    text = text_of(field)
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2})*", text):
        raise ValueRefused(messages.BAD_DIGIT, messages.INVALID_VARBYTE)
    return f"\\x{text}"


_CONVERTERS: dict[str, Callable[[Field], str | None]] = {
    "varchar": to_varchar,
    "bpchar": to_char,
    "int2": to_integer,
    "int4": to_integer,
    "int8": to_integer,
    "numeric": to_decimal,
    "float4": to_float,
    "float8": to_float,
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
