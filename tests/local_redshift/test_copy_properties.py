"""Any bytes at all: they load as a plain reading of the JSON has it, or they fail with a load error."""

import json
from pathlib import Path

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COLUMNS = "a INT, b VARCHAR(40), c DOUBLE PRECISION, d BOOLEAN, n BIGINT IDENTITY(0, 1)"
NO_HANG = 10_000  # milliseconds an example may take

fitting = st.fixed_dictionaries(
    {},
    optional={
        "a": st.none() | st.integers(-(2**31), 2**31 - 1),
        "b": st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10),
        "c": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
        "d": st.none() | st.booleans(),
        "x": st.recursive(st.none() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=5),
    },
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60)
anything = st.dictionaries(
    st.sampled_from("abcdx"),
    scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=2), scalars, max_size=2),
)
separators = st.sampled_from(["\n", " ", "", "\r\n\n", "\t"])
mutations = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["insert", "replace", "cut"]), st.binary(min_size=1, max_size=3)),
    max_size=4,
)


@st.composite
def files(draw: st.DrawFn, records: st.SearchStrategy) -> bytes:
    text = ""
    for record in draw(st.lists(records, max_size=6)):
        indent = draw(st.sampled_from([None, None, 1]))
        text += json.dumps(record, ensure_ascii=draw(st.booleans()), indent=indent) + draw(separators)
    return text.encode("utf-8", "replace")


def mutate(data: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    for place, how, piece in changes:
        at = int(place * len(data))
        data = data[:at] + (piece if how != "cut" else b"") + data[at + (how != "insert") * len(piece) :]
    return data


def plain_reading(data: bytes) -> list[dict]:
    """The objects of the file, by nothing but the standard library's reader."""
    # bytes that are no UTF-8 are of no matter in keys and values that go nowhere
    text, found, at = data.decode("utf-8", "surrogateescape"), [], 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n"))
        if at == len(text):
            return found
        record, at = json.JSONDecoder().raw_decode(text, at)
        found.append(record)


def same(loaded: object, value: object, column: str) -> bool:
    """Whether a column holds what a plain reading of the value is."""
    if value is None:
        return loaded is None
    if isinstance(value, str) and column != "b" and not value.split("\0")[0].strip(" "):
        return loaded is None
    if column == "a":
        return loaded == int(value)
    if column == "b":
        # numbers and nested values are kept as they are written
        return loaded == value.split("\0")[0] or loaded == value[:40] if isinstance(value, str) else bool(loaded)
    if column == "c":
        return loaded == float(value)
    return loaded == (str(value).split("\0")[0].strip().lower() in ("true", "t", "yes", "y", "1"))


@pytest.fixture
def target(copy_connection: psycopg2.extensions.connection, tmp_path: Path):
    cursor = copy_connection.cursor()
    cursor.execute(f"DROP TABLE IF EXISTS any_bytes; CREATE TABLE any_bytes ({COLUMNS})")
    copy_connection.commit()

    def load(data: bytes) -> list[tuple] | None:
        """The rows that were loaded; None after a load error."""
        (tmp_path / "data").write_bytes(data)
        try:
            cursor.execute(f"COPY any_bytes FROM '{tmp_path}/data' JSON 'auto'")
        except psycopg2.errors.InternalError_ as error:
            assert error.diag.message_primary.startswith("Load into table 'any_bytes' failed.")
            copy_connection.rollback()
            cursor.execute("SELECT (SELECT COUNT(*) FROM any_bytes), MAX(err_code) FROM stl_load_errors")
            rows, code = cursor.fetchone()
            assert rows == 0 and code > 1200
            return None
        cursor.execute("SELECT a, b, c, d FROM any_bytes ORDER BY n")
        found = cursor.fetchall()
        copy_connection.rollback()
        return found

    yield load
    copy_connection.rollback()


common = settings(deadline=NO_HANG, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(common, max_examples=150)
@given(data=files(fitting))
def test_what_fits_is_loaded_as_it_reads(target, data: bytes) -> None:
    records = plain_reading(data)
    rows = target(data)
    assert rows is not None and len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert row == tuple(record.get(column) for column in "abcd")


@settings(common, max_examples=400)
@given(data=files(anything), changes=mutations)
def test_anything_else_loads_as_it_reads_or_fails(target, data: bytes, changes: list) -> None:
    data = mutate(data, changes)
    rows = target(data)
    if rows is None:
        return
    records = plain_reading(data)
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        for column, loaded in zip("abcd", row, strict=True):
            assert same(loaded, record.get(column), column), (column, loaded, record)


@settings(common, max_examples=150)
@given(data=st.binary(max_size=200))
def test_bytes_that_are_no_json_fail(target, data: bytes) -> None:
    rows = target(data)
    assert rows is None or rows == [] or plain_reading(data)
