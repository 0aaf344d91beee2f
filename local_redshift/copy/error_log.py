"""The load errors of a COPY, and their rows in stl_load_errors.

https://docs.aws.amazon.com/redshift/latest/dg/r_STL_LOAD_ERRORS.html
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from local_redshift.copy.statement import CopyStatement
from local_redshift.copy.target import Column
from local_redshift.sessions.backend import Backend

ADMIN_ID = 100  # the userid of a cluster's first admin user
SLICE = 0  # the stand-in has one slice, so the error that ends a COPY is logged once
RAW_LENGTH = 1024  # maximum number of characters in raw_line and in raw_field_value

_INSERT_ERRORS = """
INSERT INTO local_redshift.load_errors
SELECT * FROM json_populate_recordset(NULL::local_redshift.load_errors, $1)
"""


@dataclass(frozen=True)
class LoadError:
    """A rejected record.

    `column` is None for errors in the JSON itself; `value` is the string that the column rejected.
    """

    filename: str
    line: int
    raw: str
    code: int
    reason: str
    column: Column | None = None
    value: str = ""


@dataclass(frozen=True)
class CopyId:
    """Identifies a COPY in the system tables. `started` is the start time by the server's clock."""

    table_id: int
    started: str
    session: int
    query: int


class LoadErrors:
    """The load errors of a COPY so far, and the limit set by MAXERROR."""

    def __init__(self, copy: CopyStatement) -> None:
        # https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-load.html: MAXERROR 0 and 1 both end the
        # COPY at the first error
        self._limit = None if copy.ignoreallerrors else max(copy.maxerror, 1)
        self._fatal = False
        self.found: list[LoadError] = []

    def add(self, error: LoadError, fatal: bool = False) -> None:
        """Record an error; a `fatal` one ends the COPY regardless of MAXERROR."""
        self.found.append(error)
        self._fatal = self._fatal or fatal

    @property
    def too_many(self) -> bool:
        """Whether the COPY must end, because of a fatal error or because it has reached MAXERROR."""
        return self._fatal or (self._limit is not None and len(self.found) >= self._limit)


def log_load_errors(system: Backend, copy: CopyId, errors: Sequence[LoadError]) -> None:
    """Write the errors to the system table. `system` is in autocommit mode, so the errors survive a rollback."""
    system.query(_INSERT_ERRORS, json.dumps([_row(copy, error) for error in errors]))


def _row(copy: CopyId, error: LoadError) -> dict[str, object]:
    column = error.column
    return {
        "userid": ADMIN_ID,
        "slice": SLICE,
        "tbl": copy.table_id,
        "starttime": copy.started,
        "session": copy.session,
        "query": copy.query,
        "filename": storable(error.filename),
        "line_number": error.line,
        "colname": column.name if column else "",
        "type": column.shown_type if column else "",
        "col_length": column.shown_length if column else "",
        "position": 0,  # 0 in all observed rows of JSON loads
        "raw_line": raw_text(error.raw),
        "raw_field_value": raw_text(error.value),
        "err_code": error.code,
        "err_reason": storable(error.reason),
    }


def raw_text(text: str) -> str:
    """Format a string for raw_line or raw_field_value.

    Backslashes are doubled, as seen on two clusters. Each non-ASCII byte becomes a period: Redshift's guide documents
    the period; that there is one per byte is a guess.
    """
    head = text[:RAW_LENGTH]
    try:
        encoded = head.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate, which only a JSON escape can produce
        encoded = head.encode("utf-8", "surrogatepass")
    ascii_only = "".join(chr(byte) if 0 < byte < 0x80 else "." for byte in encoded)
    return ascii_only.replace("\\", "\\\\")[:RAW_LENGTH]


def storable(text: str) -> str:
    """Replace characters that the server can't store: NUL and lone surrogates."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")
