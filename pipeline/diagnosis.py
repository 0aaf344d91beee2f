"""A closer look at the file that a load error names, for what the error itself does not say."""

import json
import re
from typing import NamedTuple

from pipeline.errors import PipelineError
from pipeline.load_errors import LoadError, source_of
from pipeline.progress import said_if_slow
from pipeline.sample import fields_of_columns, staging_columns
from pipeline.session import Session
from pipeline.settings import Source

LOOKED_AT = 64 << 20  # bytes of a file that are read at most, to find where a record begins

BAD_LINE = "1216"  # https://docs.aws.amazon.com/redshift/latest/dg/r_Load_Error_Reference.html
_OVERFLOW = "Overflow, Column type: "
_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
# Redshift's words for them (Integer was seen; the others stand in the errors of its casts)
_TYPES = {"Short": "smallint", "Integer": "integer", "Long": "bigint"}

# how a file begins: what it is, and what to do about it
_BEGINNINGS = (
    (b"\x1f\x8b", "the file is compressed by gzip, which COPY reads only where the statement says GZIP"),
    (b"BZh", "the file is compressed by bzip2, which COPY reads only where the statement says BZIP2"),
    (b"(\xb5/\xfd", "the file is compressed by zstd: unpack it first"),
    (b"\xfd7zXZ\x00", "the file is compressed by xz: unpack it first"),
    (b"PK\x03\x04", "the file is a zip archive: unpack it first"),
    (b"\xff\xfe", "the file is UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "the file is UTF-16: save it as UTF-8"),
    (b"{\x00", "the file is UTF-16: save it as UTF-8"),
    (b"\x00{", "the file is UTF-16: save it as UTF-8"),
    (b"\xef\xbb\xbf", "the file begins with a byte order mark: save it as UTF-8 without one"),
)


class FoundRecord(NamedTuple):
    """A record of a file: the line at which it begins, and its value; None if it is not JSON."""

    begins: int
    value: object


def remark(session: Session, error: LoadError) -> str:
    """Explain an error that names no column, from the file itself; empty if there is nothing to add."""
    if error.column or error.code != BAD_LINE or not error.line.isdecimal():
        return ""
    with said_if_slow(f"a look at {error.filename}"):
        try:
            if error.reason.startswith(_OVERFLOW):
                return _overflow(session, error)
            return _look(_data(error.filename, session.source, LOOKED_AT), int(error.line))
        except PipelineError:  # the error itself matters more
            return ""


def _look(data: bytes | None, line: int) -> str:
    if data is None:
        return ""
    if kind := beginning(data):
        return kind
    found = find_record(data, line)
    return f"the record begins at line {found.begins}" if found is not None and found.begins != line else ""


def _data(filename: str, source: Source, limit: int) -> bytes | None:
    """The beginning of a file; None if this machine can't read it, as where only the cluster's role may."""
    from pipeline.sources.places import head  # it takes a while to load

    try:
        return head(filename, source.region, limit)
    except PipelineError:
        return None


def beginning(data: bytes) -> str:
    """Return what a file that does not begin with an object looks like; empty if it does."""
    for start, kind in _BEGINNINGS:
        if data.startswith(start):
            return kind
    if data.lstrip()[:1] == b"[":
        return "the file is one JSON array; COPY wants its objects one after the other, without brackets and commas"
    if data.lstrip()[:1] != b"{":
        return "the file does not begin with a JSON object; COPY reads every file whose name begins with the prefix"
    return ""


def find_record(data: bytes, line: int) -> FoundRecord | None:
    """Return the record that ends at a line, counted from 1 as COPY counts; None if the data end before it."""
    text = data.decode("utf-8", "surrogateescape")
    decoder = json.JSONDecoder()
    at, lines = 0, 1
    while True:
        start = re.compile(r"\s*").match(text, at).end()  # type: ignore[union-attr]  # it always matches
        begins = lines + text.count("\n", at, start)
        if start == len(text):
            return None
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            # COPY goes on with the line after the one that it could not read
            value, end = None, text.find("\n", getattr(error, "pos", start))
            end = len(text) if end < 0 else end
        lines = begins + text.count("\n", start, end)
        if lines >= line:
            return FoundRecord(begins, value)
        at = end


def _overflow(session: Session, error: LoadError) -> str:
    """Say for which column an integer is too large; for one of which, if the file can't be read."""
    source = session.source
    data_type = _TYPES.get(error.reason.removeprefix(_OVERFLOW))
    key = source_of(error, source)
    if data_type is None or key is None:
        return ""
    columns = staging_columns(session, key)
    names = [name for name, _, _ in columns]
    fields = fields_of_columns(source) if key == "log_data" else names
    data = _data(error.filename, source, LOOKED_AT)
    found = find_record(data, int(error.line)) if data is not None else None
    record = found.value if found is not None and isinstance(found.value, dict) else None
    fitting = [
        name
        for (name, column_type, _), field in zip(columns, fields, strict=False)
        if column_type == data_type and (record is None or _is_beyond(record.get(field), _LARGEST[data_type]))
    ]
    if not fitting:
        return ""
    return f"the number is for column {fitting[0]}" if record else f"the number is for one of {', '.join(fitting)}"


def _is_beyond(value: object, largest: int) -> bool:
    return isinstance(value, int) and not -largest - 1 <= value <= largest
