"""One value of a record on its way to a column, and the text it has there."""

from collections.abc import Callable
from dataclasses import dataclass

from local_redshift.copy.columns import Column
from local_redshift.copy.jsonpaths import MISSING
from local_redshift.copy.records import IntegerLiteral
from local_redshift.copy.statement import CopyStatement

# turns a text into a value of a type, as the server reads and shows it, or into None
ParseOnServer = Callable[[str, str], str | None]


@dataclass(frozen=True)
class Field:
    """One value of a record on its way to a column; `source` gives it as it is written in the file."""

    value: object
    column: Column
    copy: CopyStatement
    source: Callable[[], str]
    parse_on_server: ParseOnServer


def text_of(field: Field) -> str:
    """The value as text: a string's characters, a number as written, an object's source."""
    value = field.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # numbers included, as written
        return str(value)
    return field.source()


def found_text(field: Field) -> str:
    """The text of the value that was found for a column; empty where there is none."""
    return "" if field.value is None or field.value is MISSING else text_of(field)


def scalar_text(field: Field) -> str | None:
    """The text of a value for a column that holds no text; None, meaning NULL, where it is blank."""
    text = text_of(field).split("\0", 1)[0]
    if text == "-0" and type(field.value) is IntegerLiteral:
        return "0"  # an integer zero has no sign (guess)
    return text if text.strip(" ") else None
