"""Convert values for numeric columns, or reject them.

https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-json.html
"""

import math
import re
import struct
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal

from local_redshift import messages
from local_redshift.copy.columns import INTEGER_RANGES, Column, ValueRefused
from local_redshift.copy.field import Field, scalar_text
from local_redshift.copy.records import FloatLiteral, IntegerLiteral

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WIDE = Context(prec=200)


def literal_overflow(value: object, column: Column) -> str | None:
    """Return the err_reason for an integer literal too large for an integer column; None if it fits.

    Redshift finds this while it parses the JSON, before it converts any value.
    """
    if type(value) is not IntegerLiteral or column.type not in INTEGER_RANGES:
        return None
    word, low, high = INTEGER_RANGES[column.type]
    # at most 19 digits fit; a literal of a million digits is not converted
    if len(value) <= 20 and low <= int(value) <= high:
        return None
    return messages.INTEGER_LITERAL_OVERFLOW.format(type=word)


def to_integer(field: Field) -> str | None:
    word, low, high = INTEGER_RANGES[field.column.type]
    text = scalar_text(field)
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


def _integer_overflow(word: str, low: int, high: int, shows_value: bool = True) -> ValueRefused:
    reason = messages.INTEGER_OVERFLOW.format(type=word, low=low, high=high)
    return ValueRefused(messages.BAD_DIGIT, reason, shows_value)


def _check_digits(text: str, word: str, point: bool) -> None:
    """Raise Redshift's "Invalid digit" if `text` is not a number; surrounding blanks are rejected (guess)."""
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


def to_decimal(field: Field) -> str | None:
    text = scalar_text(field)
    if text is None:
        return None
    if type(field.value) is FloatLiteral:
        # DG copy-usage_notes-copy-from-json.html: a number is converted to binary floating point
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


def to_float(field: Field) -> str | None:
    text = scalar_text(field)
    if text is None:
        return None
    if not NUMBER.fullmatch(text):
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
