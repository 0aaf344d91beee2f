"""The value of a record for a column, and its text."""

from collections.abc import Callable
from dataclasses import dataclass

from local_redshift.copy.columns import Column
from local_redshift.copy.jsonpaths import MISSING
from local_redshift.copy.records import IntegerLiteral
from local_redshift.copy.statement import CopyStatement

# converts a string to a type, and returns it as the server displays it; None if it is invalid
ParseOnServer = Callable[[str, str], str | None]


@dataclass(frozen=True)
class Field:
    """The value of a record for a column; `source` returns its source text in the file."""

    value: object
    column: Column
    copy: CopyStatement
    source: Callable[[], str]
    parse_on_server: ParseOnServer


def text_of(field: Field) -> str:
    """Return the value as text: a string's characters, a number as written, an object's source."""
    value = field.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # numbers included, as written
        return str(value)
    return field.source()


def found_text(field: Field) -> str:
    """Return the text of the value found for a column; empty if there is none."""
    return "" if field.value is None or field.value is MISSING else text_of(field)


def scalar_text(field: Field) -> str | None:
    """Return the text of a value for a column that is not a string; None, meaning NULL, if it is blank."""
    text = text_of(field).split("\0", 1)[0]
    if text == "-0" and type(field.value) is IntegerLiteral:
        return "0"  # an integer zero has no sign (guess)
    return text if text.strip(" ") else None
