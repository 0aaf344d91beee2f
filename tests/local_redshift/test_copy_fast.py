"""The fast way makes the rows of the exact way, or leaves the block to it."""

import json
from pathlib import Path

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_redshift.copy import encoder, fast

COLUMNS = (
    "a SMALLINT, b INT, c BIGINT, d DECIMAL(6,2), e REAL, f DOUBLE PRECISION, g BOOLEAN, h CHAR(4), i VARCHAR(9), "
    "j VARCHAR(300), k DATE, l TIMESTAMP, m TIMESTAMPTZ, o TIME, n BIGINT IDENTITY(0, 1)"
)
KEYS = "abcdefghijklmo"
OPTIONS = [
    "",
    "TIMEFORMAT 'epochmillisecs'",
    "TIMEFORMAT 'epochsecs' MAXERROR 3",
    "EMPTYASNULL TRIMBLANKS",
    "TRUNCATECOLUMNS BLANKSASNULL ROUNDEC ACCEPTANYDATE",
    "IGNOREALLERRORS",
    "ACCEPTINVCHARS",
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
    """In the place of BulkRows: everything goes the exact way."""

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
