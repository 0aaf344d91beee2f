"""The fast way makes the rows of the exact way, or leaves the block to it."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_redshift.copy import encoder, fast
from local_redshift.copy.values import TYPES

COLUMNS = (
    "a SMALLINT, b INT, c BIGINT, d DECIMAL(6,2), e REAL, f DOUBLE PRECISION, g BOOLEAN, h CHAR(4), i VARCHAR(9), "
    "j VARCHAR(300), k DATE, l TIMESTAMP, m TIMESTAMPTZ, o TIME, n BIGINT IDENTITY(0, 1)"
)
KEYS = "abcdefghijklmo"
OPTIONS = [
    "",
    "TIMEFORMAT 'epochmillisecs'",
    "TIMEFORMAT 'epochsecs' MAXERROR 300",
    "EMPTYASNULL TRIMBLANKS",
    "TRUNCATECOLUMNS BLANKSASNULL ROUNDEC ACCEPTANYDATE",
    "IGNOREALLERRORS",
    "ACCEPTINVCHARS",
]

# every kind of value that JSON has, at the borders of what columns take
KINDS = [
    *("null", "true", "false", "[]", "[1, 2]", "{}", '{"a": [1]}'),
    *("0", "1", "-1", "100", "9999", "10000", "32767", "32768", "-32769", "2147483647", "2147483648", "-2147483649"),
    *("1541105830", "1541105830796", "9223372036854775807", "9223372036854775808", "-0", "9" * 30),
    *("0.0", "-0.0", "1.0", "0.1", "0.05", "0.125", "9999.994", "9999.995", "9999.99", "16777217.0", "1e3", "1E5", "1e22"),
    *("1e-7", "1e-400", "3.5e38", "1e308", "1e400", "9223372036854775808.0", "1541105830796.5", "1541105830.9999999999"),
    *(json.dumps(" " * blanks + text) for text in ("", "1", "x") for blanks in (0, 1)),
    *(json.dumps(text) for text in ("  ", "1 ", "1.0", "0.05", "-1", "+1", "1e3", "1e400", "32768", "true", "False", "n", "Y")),
    *(json.dumps(text) for text in ("nan", "Infinity", "null", "abcd", "abcde", "abcd ", "abcdefghi", "abcdefghi ", "abcdefghij")),
    *(json.dumps(text) for text in ("é", "ééééé", "éééé", "日本語", "日本語x", "😀😀", "😀😀x", "x" * 299 + "é", "x" * 301)),
    *(json.dumps(text) for text in ("2018-11-01", "2018-02-30", "2018-1-1", "01/11/2018", "20:57", "20:57:10.5", "25:00")),
    *(json.dumps(f"2018-11-01 20:57:10{more}") for more in ("", ".123456", ".1234567", "+02", "-05:30", "Z", " PST")),
    *(json.dumps(text) for text in ("2018-11-01T20:57:10Z", "1541105830796", "99999-01-01", "0001-01-01", "1969-12-31 23:59:59")),
    *(json.dumps(text) for text in ('"', "\\", "a\nb", "\t", "\x19", "\x7f", "\\.", "\\N", "],[", "x\0y", "\0", "\ufeff", "\u2028")),
    *(r'"\u00e9"', r'"\ud83d"', r'"\ud83d\ude00"', r'"\/"', '"a\xa4"'),
]  # fmt: skip
COLUMN_TYPES = [column.split(" ", 1)[1] for column in COLUMNS.split(", ")[: len(KEYS)]]
COLUMN_TYPES += [
    "TIMETZ",
    "DECIMAL(38,10)",
    "SUPER",
    "VARBYTE(900)",
    "INT NOT NULL",
    "VARCHAR(9) NOT NULL",
    "TIMESTAMP NOT NULL",
]

texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "",
        " ",
        "39",
        "-7",
        "1.5",
        "true",
        "n",
        "2018-11-01",
        "2018-11-01 20:57:10",
        "20:57",
        'q"q',
        "b\\b",
        "t\tt",
        "x\0y",
    ]
    + ["n\nn", "\x19", "é" * 9, "z" * 300, '],["', '\\"', "null", "\\.", "\\N"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-40_000, 40_000)
    | st.integers(-(2**64), 2**64)
    | st.integers(0, 2_000_000_000_000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = scalars | st.lists(scalars, max_size=2)
records = st.dictionaries(st.sampled_from([*KEYS, "x"]), values, max_size=4)


@pytest.fixture(scope="module")
def copy_connection(served_here: Callable[[str], psycopg2.extensions.connection]):
    """A connection whose COPYs a test may patch."""
    connection = served_here("copies")
    yield connection
    connection.close()


@pytest.fixture
def target(copy_connection: psycopg2.extensions.connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cursor = copy_connection.cursor()
    cursor.execute(f"DROP TABLE IF EXISTS both_ways; CREATE TABLE both_ways ({COLUMNS})")
    copy_connection.commit()

    def loaded(data: bytes, options: str, in_bulk: bool) -> tuple:
        """The rows, or the error; and the load errors, in the order of the lines."""
        monkeypatch.setattr(encoder, "FastRows", fast.FastRows if in_bulk else NoBulk)
        (tmp_path / "data").write_bytes(data)
        try:
            cursor.execute(f"COPY both_ways FROM '{tmp_path}/data' JSON 'auto' {options}")
            cursor.execute(f"SELECT {', '.join(KEYS)} FROM both_ways ORDER BY n")
            outcome = repr(cursor.fetchall())
        except psycopg2.errors.InternalError_ as error:
            outcome = str(error)
        copy_connection.rollback()
        cursor.execute(
            "SELECT line_number, colname, raw_line, err_code, err_reason FROM stl_load_errors "
            "WHERE query = (SELECT MAX(query) FROM stl_load_errors) ORDER BY line_number, raw_line"
        )
        return outcome, cursor.fetchall()

    yield loaded
    copy_connection.rollback()


class NoBulk:
    """In the place of FastRows: everything goes the exact way."""

    @staticmethod
    def for_copy(*arguments: object) -> None:
        return None


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.lists(records, min_size=1, max_size=5), options=st.sampled_from(OPTIONS), ascii_only=st.booleans())
def test_both_ways_end_the_same(target, lines: list[dict], options: str, ascii_only: bool) -> None:
    data = "".join(json.dumps(line, ensure_ascii=ascii_only) + "\n" for line in lines).encode()
    assert target(data, options, in_bulk=True) == target(data, options, in_bulk=False)


def test_logs_and_songs_go_the_fast_way(target, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    rows = fast.FastRows.piece
    monkeypatch.setattr(fast.FastRows, "piece", lambda self, block: seen.append(rows(self, block)) or seen[-1])
    lines = [{"b": str(n), "i": "naïve", "j": 'a "quoted" \x19\\ text', "f": n / 7, "l": n} for n in range(2000)]
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    target(data, "TIMEFORMAT 'epochmillisecs'", in_bulk=True)
    assert seen and None not in seen


class BothWays:
    """A table of one column, which values go into by themselves and all together, the fast way and the exact way."""

    def __init__(self, connection: psycopg2.extensions.connection, folder: Path, column: str) -> None:
        connection.rollback()
        self._cursor = connection.cursor()
        self._cursor.execute(f"DROP TABLE IF EXISTS kinds; CREATE TABLE kinds (n INT, c {column})")
        connection.commit()
        self._connection = connection
        self._folder = folder
        self._shown = "TO_HEX(c)" if column.startswith("VARBYTE") else "c::VARCHAR"  # bytes need not be text

    def loaded(self, files: list[list[int]], options: str) -> tuple[list[tuple], list[tuple]]:
        """The rows and the load errors of files with the kinds of these numbers."""
        for old in self._folder.iterdir():
            old.unlink()
        for number, kinds in enumerate(files):
            lines = [
                f'{{"n": {n}, "c": {KINDS[n]}}}\n'.encode("latin-1" if "\xa4" in KINDS[n] else "utf-8") for n in kinds
            ]
            (self._folder / f"{number:03}").write_bytes(b"".join(lines))
        self._cursor.execute(f"COPY kinds FROM '{self._folder}/' JSON 'auto' {options}")
        self._cursor.execute(f"SELECT n, {self._shown} FROM kinds ORDER BY n")
        rows = self._cursor.fetchall()
        self._cursor.execute("SELECT pg_last_copy_id()")
        [(query,)] = self._cursor.fetchall()
        self._connection.rollback()
        self._cursor.execute(
            "SELECT RIGHT(TRIM(filename), 3), line_number, colname, type, raw_line, raw_field_value, err_code, err_reason "
            "FROM stl_load_errors WHERE query = %s ORDER BY 1, 2",
            [query],
        )
        errors = self._cursor.fetchall()
        self._connection.rollback()
        return rows, errors


@pytest.mark.parametrize("column", COLUMN_TYPES)
def test_each_kind_of_value_ends_the_same_both_ways(
    copy_connection: psycopg2.extensions.connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    table = BothWays(copy_connection, tmp_path, column)
    alone = [[n] for n in range(len(KINDS))]
    for options in OPTIONS:
        if "ERROR" not in options:
            options += " IGNOREALLERRORS"
        fast_rows, fast_errors = table.loaded(alone, options)
        # a value must not depend on those before it, in whatever order
        fit = [n for n, _ in fast_rows]
        together = [table.loaded([order], options) for order in (fit, fit[::-1])]
        with monkeypatch.context() as exact:
            exact.setattr(encoder, "FastRows", NoBulk)
            exact_rows, exact_errors = table.loaded(alone, options)
        assert fast_rows == exact_rows
        assert fast_errors == exact_errors
        assert together == [(exact_rows, [])] * 2
        assert len(fast_rows) + len(fast_errors) == len(KINDS)


def test_every_type_of_a_column_is_among_them(copy_connection: psycopg2.extensions.connection) -> None:
    cursor = copy_connection.cursor()
    cursor.execute(f"CREATE TEMP TABLE types ({', '.join(f'c{n} {column}' for n, column in enumerate(COLUMN_TYPES))})")
    cursor.execute(
        "SELECT DISTINCT typname FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid "
        "WHERE attrelid = 'types'::regclass AND attnum > 0"
    )
    assert {name for (name,) in cursor} == set(TYPES)
    copy_connection.rollback()
