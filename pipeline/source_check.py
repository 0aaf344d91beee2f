"""Inspect a sample of the source files, or the file named in a load error."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sql_queries
from pipeline.errors import PipelineError
from pipeline.file_store import file_store_of, head
from pipeline.load_errors import LoadError, source_of
from pipeline.progress import announce_wait
from pipeline.session import Session
from pipeline.settings import Source

FILES = 50  # limit per source: the first, the last, and evenly spaced ones in between
RECORDS = 5000  # limit per source
FILE_BYTES = 1 << 20  # limit on the bytes read per file
MANY = 20  # minimum number of records before a field without any value is reported
LINES = 20  # limit on the lines shown per source
NAME_LENGTH = 80  # characters of a field's name that are shown
NEARLY_FULL = 0.9  # fraction of a column's length above which its longest value is reported

# the first field of a JSONPath: $.field, $['field'] or $["field"]
_FIRST_FIELD = re.compile(r"""\$(?:\.|\[['"])([^.\['"\]]+)""")
_KINDS = {bool: "boolean", int: "number", float: "number", str: "text", dict: "object", list: "array"}


@dataclass
class Field:
    """Statistics of one field.

    `records` is the number of records with a value; `longest` is the longest text's length in bytes.
    """

    records: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    longest: int = 0

    def add(self, value: object) -> None:
        """Count a value other than null."""
        self.records += 1
        self.kinds[_KINDS[type(value)]] += 1
        if isinstance(value, str):
            self.longest = max(self.longest, len(value.encode("utf-8", "replace")))


def compare_sample(session: Session) -> list[str]:
    """Return a line for each mismatch between the sample and the staging columns.

    Files are read with this machine's own credentials; if that fails, one line says so.
    """
    lines = []
    for key in ("log_data", "song_data"):
        try:
            with announce_wait(f"a sample of the files under [S3] {key.upper()}"):
                records = list(_records(session, getattr(session.source, key)))
                columns, lengths = _columns(session, key)
        except PipelineError as error:
            lines.append(f"[S3] {key.upper()}: no sample was checked ({error})")
            continue
        found = list(_compared(records, columns, lengths))
        lines += [f"[S3] {key.upper()}: {line}" for line in found[:LINES]]
        lines += [f"[S3] {key.upper()}: and {len(found) - LINES:,} more like these"] if len(found) > LINES else []
    return lines


def _records(session: Session, prefix: str) -> Iterator[dict[str, object]]:
    """Yield the sampled records: the first JSON objects of each sampled file."""
    store = file_store_of(prefix, session.source.region)
    names = []
    for file in store.list(prefix):
        session.run.check()
        if file.size:
            names.append(file.name)
    chosen = _evenly(sorted(names))
    for name in chosen:
        session.run.check()
        text = store.head(name, FILE_BYTES).decode("utf-8", "replace")
        yield from _objects(text, RECORDS // len(chosen))


def _evenly(names: list[str]) -> list[str]:
    """Return the first, the last, and evenly spaced names in between."""
    if len(names) <= FILES:
        return names
    return [names[n * (len(names) - 1) // (FILES - 1)] for n in range(FILES)]


def _objects(text: str, most: int) -> Iterator[dict[str, object]]:
    """Yield the JSON objects at the beginning of the text; stop at invalid JSON."""
    decoder, at = json.JSONDecoder(), 0
    for _ in range(most):
        at += len(text[at : at + 1000]) - len(text[at : at + 1000].lstrip())
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            yield value


def _columns(session: Session, key: str) -> tuple[dict[str, str], dict[str, int]]:
    """Return the column of each field, and the byte length of each text column."""
    found = staging_columns(session, key)
    names = [name for name, _, _ in found]
    fields = fields_of_columns(session.source) if key == "log_data" else names
    return dict(zip(fields, names, strict=False)), {name: length for name, _, length in found if length}


def staging_columns(session: Session, key: str) -> list[tuple[Any, ...]]:
    """Return the name, type and length of a source's staging columns, in order."""
    [copy] = [copy for copy in sql_queries.copy_table_queries if copy.source == key]
    [(schema,)] = session.rows(sql_queries.chosen_schema)
    table = {"schema": schema, "table": copy.table}
    found = session.rows(sql_queries.table_columns, table)
    session.rollback()
    return found


def fields_of_columns(source: Source) -> list[str]:
    """Return the top-level field of each column, read from the JSONPaths file.

    Raise PipelineError if the file can't be read from this machine.
    """
    try:
        paths = json.loads(head(source.log_jsonpath, source.region, FILE_BYTES))["jsonpaths"]
        return [_FIRST_FIELD.match(path).group(1) for path in paths]  # type: ignore[union-attr]  # AttributeError is caught below
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PipelineError(f"{source.log_jsonpath} is not a JSONPaths file") from error


def _compared(records: list[dict[str, object]], columns: dict[str, str], lengths: dict[str, int]) -> Iterator[str]:
    """Yield a line for each difference between the records and the columns."""
    if not records:
        yield "none of the sampled files begins with a JSON object"
        return
    fields: dict[str, Field] = {}
    for record in records:
        for key, value in record.items():
            if value is not None:
                fields.setdefault(key, Field()).add(value)
    for key in sorted(fields.keys() - columns.keys()):
        share = _share(fields[key].records, len(records))
        yield f"no column is loaded from the field {_shown(key)}, which {share} of the records have"
    present = {key for record in records for key in record}
    for key in sorted(columns.keys() - present):
        yield f"a column is loaded from the field {_shown(key)}, but no record has it"
    for key in sorted(columns.keys() & present - fields.keys() if len(records) >= MANY else ()):
        yield f"a column is loaded from the field {_shown(key)}, but no record has a value in it"
    for key, column in columns.items():
        if found := fields.get(key):
            yield from _odd(_shown(key), column, found, lengths.get(column, 0))


def _shown(key: str) -> str:
    """Return a field's name, printable and cut to NAME_LENGTH."""
    printable = "".join(char if char.isprintable() else "?" for char in key)
    return (printable if len(printable) <= NAME_LENGTH else f"{printable[:NAME_LENGTH]}...") or '""'


def _odd(key: str, column: str, found: Field, length: int) -> Iterator[str]:
    if len(found.kinds) > 1:
        kinds = ", ".join(f"{kind} in {_share(count, found.records)}" for kind, count in found.kinds.most_common())
        yield f"the field {key} has mixed types: {kinds}"
    if length and found.longest > NEARLY_FULL * length:
        yield f"the longest value of {key} has {found.longest:,} bytes; column {column} holds {length:,}"


def _share(count: int, total: int) -> str:
    """Format a share as a percentage that is never rounded to 0 or 100."""
    percent = 100 * count / total
    if 0 < percent < 1:
        return "less than 1%"
    return "more than 99%" if 99 < percent < 100 else f"{percent:.0f}%"


LOOKED_AT = 64 << 20  # limit on the bytes read to find a record

BAD_LINE = "1216"  # https://docs.aws.amazon.com/redshift/latest/dg/r_Load_Error_Reference.html
_OVERFLOW = "Overflow, Column type: "
_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
# type names in Redshift's messages: Integer as seen in load errors, the others as seen in cast errors
_TYPES = {"Short": "smallint", "Integer": "integer", "Long": "bigint"}

# the first bytes of files in other formats, and the message about each
_BEGINNINGS = (
    (b"\x1f\x8b", "the file is compressed with gzip, which COPY reads only with the option GZIP"),
    (b"BZh", "the file is compressed with bzip2, which COPY reads only with the option BZIP2"),
    (b"(\xb5/\xfd", "the file is compressed with zstd: unpack it first"),
    (b"\xfd7zXZ\x00", "the file is compressed with xz: unpack it first"),
    (b"PK\x03\x04", "the file is a zip archive: unpack it first"),
    (b"\xff\xfe", "the file is UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "the file is UTF-16: save it as UTF-8"),
    (b"{\x00", "the file is UTF-16: save it as UTF-8"),
    (b"\x00{", "the file is UTF-16: save it as UTF-8"),
    (b"\xef\xbb\xbf", "the file begins with a byte order mark: save it as UTF-8 without one"),
)


class FoundRecord(NamedTuple):
    """A record: the line on which it begins, and its value (None if invalid JSON)."""

    begins: int
    value: object


def remark(session: Session, error: LoadError) -> str:
    """Explain a load error that names no column; return "" if nothing can be added."""
    if error.column or error.code != BAD_LINE or not error.line.isdecimal():
        return ""
    with announce_wait(f"a look at {error.filename}"):
        try:
            if error.reason.startswith(_OVERFLOW):
                return _overflow(session, error)
            return _look(_data(error.filename, session.source, LOOKED_AT), int(error.line))
        except PipelineError:  # an explanation is optional
            return ""


def _look(data: bytes | None, line: int) -> str:
    if data is None:
        return ""
    if kind := beginning(data):
        return kind
    found = find_record(data, line)
    return f"the record begins at line {found.begins}" if found is not None and found.begins != line else ""


def _data(filename: str, source: Source, limit: int) -> bytes | None:
    """Return the beginning of a file; None if this machine can't read it."""
    try:
        return head(filename, source.region, limit)
    except PipelineError:
        return None


def beginning(data: bytes) -> str:
    """Explain why a file does not begin with a JSON object; return "" if it does."""
    for start, kind in _BEGINNINGS:
        if data.startswith(start):
            return kind
    if data.lstrip()[:1] == b"[":
        return "the file is one JSON array; COPY expects the objects one after another, without brackets or commas"
    if data.lstrip()[:1] != b"{":
        return "the file does not begin with a JSON object; COPY reads every file whose name begins with the prefix"
    return ""


def find_record(data: bytes, line: int) -> FoundRecord | None:
    """Return the record that ends at `line`.

    None if the data ends before that line. Lines are counted from 1, as in COPY's load errors.
    """
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
            # # after a syntax error, the stand-in's COPY continues on the next line
            value, end = None, text.find("\n", getattr(error, "pos", start))
            end = len(text) if end < 0 else end
        lines = begins + text.count("\n", start, end)
        if lines >= line:
            return FoundRecord(begins, value)
        at = end


def _overflow(session: Session, error: LoadError) -> str:
    """Return a sentence that names the column with the overflow, or every column it may be in; "" if there is none."""
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
    return (
        f"the number belongs to column {fitting[0]}"
        if record
        else f"the number belongs to one of these columns: {', '.join(fitting)}"
    )


def _is_beyond(value: object, largest: int) -> bool:
    return isinstance(value, int) and not -largest - 1 <= value <= largest
