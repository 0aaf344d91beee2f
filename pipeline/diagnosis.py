"""A closer look at the file that a load error names, for what the error itself does not say."""

import json
import re
from typing import NamedTuple

import sql_queries
from pipeline.database_errors import label
from pipeline.errors import PipelineError
from pipeline.load_errors import LoadError, source_of
from pipeline.session import Session
from pipeline.settings import Source

LOOKED_AT = 64 << 20  # bytes of a file that are read at most, to find where a record begins

BAD_LINE = "1216"  # https://docs.aws.amazon.com/redshift/latest/dg/r_Load_Error_Reference.html
_OVERFLOW = "Overflow, Column type: "
_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
_KEY = re.compile(r"\$(?:\.(\w+)|\['([^']+)'\])")

# how a file begins: what it is, and what to do about it
_BEGINNINGS = (
    (b"\x1f\x8b", "the file is compressed by gzip, which COPY reads only where the statement says GZIP"),
    (b"BZh", "the file is compressed by bzip2, which COPY reads only where the statement says BZIP2"),
    (b"(\xb5/\xfd", "the file is compressed by zstd: unpack it first"),
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
    """Return a sentence about an error of the record itself, which names no column; empty if there is none."""
    source = session.settings.source
    if error.column or error.code != BAD_LINE or source is None:
        return ""
    data = _data(error.filename, source)
    if _OVERFLOW in error.reason:
        return _overflow(session, error, source, data)
    if data is None:
        return ""
    if kind := beginning(data):
        return kind
    found = find_record(data, int(error.line)) if error.line.isdecimal() else None
    if found is not None and str(found.begins) != error.line:
        return f"the record begins at line {found.begins}"
    return ""


def _data(filename: str, source: Source) -> bytes | None:
    """The beginning of a file; None if this machine can't read it, as where only the cluster's role may."""
    from pipeline.sources.places import head  # it takes a while to load

    try:
        return head(filename, source.region, LOOKED_AT)
    except PipelineError:
        return None


def beginning(data: bytes) -> str:
    """Return what a file that does not begin with an object looks like; empty if it does."""
    for start, kind in _BEGINNINGS:
        if data.startswith(start):
            return kind
    if data.lstrip()[:1] not in (b"{", b"["):
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
            value, problem = None, getattr(error, "pos", start)
            end = text.find("\n", problem) if "\n" in text[problem:] else len(text)
        lines = begins + text.count("\n", start, end)
        if lines >= line:
            return FoundRecord(begins, value)
        at = end


def _overflow(session: Session, error: LoadError, source: Source, data: bytes | None) -> str:
    """Say which column an integer is too large for. The column of that type, or several if the file can't be read."""
    key = source_of(error, source)
    query = next(query for query in sql_queries.copy_table_queries if f"%({key})s" in query)
    columns = session.rows(sql_queries.table_columns, {"table": label(query).removeprefix("COPY ")})
    session.rollback()
    found = find_record(data, int(error.line)) if data is not None else None
    record = found.value if found is not None and isinstance(found.value, dict) else None
    keys = _keys(key, source, [name for name, _ in columns])
    names = [
        name
        for (name, data_type), field in zip(columns, keys, strict=False)
        if data_type in _LARGEST and (record is None or _is_beyond(record.get(field), _LARGEST[data_type]))
    ]
    if not names:
        return ""
    return f"the number is for column {names[0]}" if record else f"the number is for one of {', '.join(names)}"


def _is_beyond(value: object, largest: int) -> bool:
    return isinstance(value, int) and not -largest - 1 <= value <= largest


def _keys(key: str, source: Source, columns: list[str]) -> list[str]:
    """The key of the record that each column takes."""
    if key != "log_data":
        return columns
    try:
        paths = json.loads(_data(source.log_jsonpath, source) or b"")["jsonpaths"]
    except (ValueError, KeyError, TypeError):
        return columns
    matches = [_KEY.fullmatch(path) for path in paths]
    return [(match[1] or match[2]) if match else "" for match in matches]
