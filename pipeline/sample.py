"""For etl.py --check: compare the fields in a sample of the source with the columns."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sql_queries
from pipeline.errors import PipelineError
from pipeline.progress import said_if_slow
from pipeline.session import Session
from pipeline.settings import Source

FILES = 50  # at most of each source: the first, the last and some evenly between
RECORDS = 5000  # at most of each source
FILE_BYTES = 1 << 20  # read at most of each file
MANY = 20  # records, of which at least one should have a value
LINES = 20  # shown at most of each source
NAME_LENGTH = 80  # characters of a field's name that are shown
NEARLY_FULL = 0.9  # share of a column's length; longer texts are reported

# $.field, $['field'] or $["field"], maybe with more behind it
_FIRST_FIELD = re.compile(r"""\$(?:\.|\[['"])([^.\['"\]]+)""")
_KINDS = {bool: "boolean", int: "number", float: "number", str: "text", dict: "object", list: "array"}


@dataclass
class Field:
    """Statistics of one field: records with a value, JSON types, length of the longest text in bytes."""

    records: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    longest: int = 0

    def add(self, value: object) -> None:
        """Count a value, which is not null."""
        self.records += 1
        self.kinds[_KINDS[type(value)]] += 1
        if isinstance(value, str):
            self.longest = max(self.longest, len(value.encode("utf-8", "replace")))


def what_differs(session: Session) -> list[str]:
    """Return a line for each field of the sampled records that does not fit the columns, none if all of them do.

    Files are read with this machine's own credentials. Where they can't be, one line says so.
    """
    lines = []
    for key in ("log_data", "song_data"):
        try:
            with said_if_slow(f"a sample of the files under [S3] {key.upper()}"):
                records = list(_records(session, getattr(session.source, key)))
                columns, lengths = _columns(session, key)
        except PipelineError as error:
            lines.append(f"[S3] {key.upper()}: no sample was looked at ({error})")
            continue
        found = list(_compared(records, columns, lengths))
        lines += [f"[S3] {key.upper()}: {line}" for line in found[:LINES]]
        lines += [f"[S3] {key.upper()}: and {len(found) - LINES:,} more like these"] if len(found) > LINES else []
    return lines


def _records(session: Session, prefix: str) -> Iterator[dict[str, object]]:
    """Yield the sampled records: the objects at the beginning of each sampled file."""
    from pipeline.sources.places import place_of  # it takes a while to load

    place = place_of(prefix, session.source.region)
    names = []
    for file in place.list(prefix):
        session.run.check()
        if file.size:
            names.append(file.name)
    chosen = _evenly(sorted(names))
    for name in chosen:
        session.run.check()
        text = place.head(name, FILE_BYTES).decode("utf-8", "replace")
        yield from _objects(text, RECORDS // len(chosen))


def _evenly(names: list[str]) -> list[str]:
    """Return the first, the last and evenly spaced names between them."""
    if len(names) <= FILES:
        return names
    return [names[n * (len(names) - 1) // (FILES - 1)] for n in range(FILES)]


def _objects(text: str, most: int) -> Iterator[dict[str, object]]:
    """Yield the JSON objects at the beginning of the text; stop at anything else."""
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
    """The column that each field of a record goes to, and the length in bytes of the columns for text."""
    found = staging_columns(session, key)
    names = [name for name, _, _ in found]
    fields = fields_of_columns(session.source) if key == "log_data" else names
    return dict(zip(fields, names, strict=False)), {name: length for name, _, length in found if length}


def staging_columns(session: Session, key: str) -> list[tuple[Any, ...]]:
    """Return name, type and length of the columns that COPY fills from `log_data` or `song_data`, in its order."""
    [copy] = [copy for copy in sql_queries.copy_table_queries if copy.source == key]
    [(schema,)] = session.rows(sql_queries.chosen_schema)
    table = {"schema": schema, "table": copy.table}
    found = session.rows(sql_queries.table_columns, table)
    session.rollback()
    return found


def fields_of_columns(source: Source) -> list[str]:
    """Return the field of a log's record that each column takes, by the JSONPaths file; of a nested path the first.

    Raise PipelineError if the file can't be read from this machine.
    """
    from pipeline.sources.places import head  # it takes a while to load

    try:
        paths = json.loads(head(source.log_jsonpath, source.region, FILE_BYTES))["jsonpaths"]
        return [_FIRST_FIELD.match(path).group(1) for path in paths]  # type: ignore[union-attr]  # caught below
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
        yield f"no column takes the field {_shown(key)}, which {share} of the records have"
    present = {key for record in records for key in record}
    for key in sorted(columns.keys() - present):
        yield f"no record has the field {_shown(key)}, which a column takes"
    for key in sorted(columns.keys() & present - fields.keys() if len(records) >= MANY else ()):
        yield f"no record has a value in the field {_shown(key)}, which a column takes"
    for key, column in columns.items():
        if found := fields.get(key):
            yield from _odd(_shown(key), column, found, lengths.get(column, 0))


def _shown(key: str) -> str:
    """Return a field's name, printable and cut to NAME_LENGTH."""
    printable = "".join(char if char.isprintable() else "?" for char in key)
    return printable if len(printable) <= NAME_LENGTH else f"{printable[:NAME_LENGTH]}..."


def _odd(key: str, column: str, found: Field, length: int) -> Iterator[str]:
    if len(found.kinds) > 1:
        kinds = ", ".join(f"{kind} in {_share(count, found.records)}" for kind, count in found.kinds.most_common())
        yield f"the field {key} varies: {kinds}"
    if length and found.longest > NEARLY_FULL * length:
        yield f"the longest text of {key} has {found.longest:,} bytes, and column {column} takes {length:,}"


def _share(count: int, total: int) -> str:
    """Format a share as a percentage that is never rounded to 0 or 100."""
    percent = 100 * count / total
    if 0 < percent < 1:
        return "less than 1%"
    return "more than 99%" if 99 < percent < 100 else f"{percent:.0f}%"
