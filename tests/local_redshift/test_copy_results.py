"""What COPY leaves in the system tables, rows of real clusters, and the guide's own examples."""

import csv
import json

import pytest
from helpers import REAL_LOAD_ERRORS

GOOD = '{"c": 1}\n'
BAD = '{"c": "x"}\n'


def test_success_is_told_and_logged(copy) -> None:
    copy.create("c INT")
    name = copy.source.put("data.json", GOOD * 3)
    copy.run()
    assert copy.connection.notices == ["INFO:  Load into table 't' completed, 3 record(s) loaded successfully.\n"]
    copy.cursor.execute("SELECT pg_last_copy_count(), pg_last_copy_id()")
    count, query = copy.cursor.fetchone()
    assert count == 3
    copy.connection.commit()
    copy.cursor.execute("SELECT TRIM(filename), lines_scanned FROM stl_load_commits WHERE query = %s", [query])
    assert copy.cursor.fetchall() == [(name, 3)]


def test_rolled_back_copy_does_not_move_pg_last_copy_id(copy) -> None:
    # DG PG_LAST_COPY_ID
    copy.load("c INT", GOOD)
    copy.connection.commit()
    copy.cursor.execute("SELECT pg_last_copy_id()")
    before = copy.cursor.fetchone()
    copy.run()
    copy.connection.rollback()
    copy.cursor.execute("SELECT pg_last_copy_id()")
    assert copy.cursor.fetchone() == before


def test_rows_of_load_errors_are_padded_and_never_null(copy) -> None:
    copy.fail("c INT", '{"c": 99999999999}')
    copy.cursor.execute("SELECT * FROM stl_load_errors ORDER BY query DESC LIMIT 1")
    row = dict(zip([column.name for column in copy.cursor.description], copy.cursor.fetchone(), strict=True))
    assert (
        list(row)
        == (
            "userid slice tbl starttime session query filename line_number colname type col_length position raw_line "
            "raw_field_value err_code err_reason is_partial start_offset copy_job_id"
        ).split()
    )
    assert None not in row.values()
    assert row["colname"] == " " * 127 and row["type"] == " " * 10 and len(row["raw_line"]) == 1024
    assert row["userid"] == 100 and row["session"] == copy.connection.get_backend_pid()
    copy.cursor.execute("SELECT 't'::regclass::oid::int")
    assert copy.cursor.fetchone() == (row["tbl"],)


def test_sys_load_error_detail_shows_the_same(copy) -> None:
    row = copy.fail("c INT", BAD)
    copy.cursor.execute("SELECT * FROM sys_load_error_detail ORDER BY query_id DESC LIMIT 1")
    names = [column.name for column in copy.cursor.description]
    detail = dict(zip(names, copy.cursor.fetchone(), strict=True))
    assert (
        names
        == (
            "user_id query_id transaction_id session_id database_name table_id start_time file_name line_number "
            "column_name column_type column_length position error_code error_message"
        ).split()
    )
    assert detail["file_name"].rstrip() == row["filename"] and detail["error_code"] == row["err_code"]
    assert detail["error_message"].rstrip() == row["err_reason"] and len(detail["error_message"]) == 512


@pytest.mark.skipif(not REAL_LOAD_ERRORS.exists(), reason="the rows of a real cluster are not here")
@pytest.mark.parametrize(
    ("number", "columns"),
    [
        (0, "artist_location VARCHAR(256)"),
        (1, "registration INT, ts BIGINT"),
        (2, "registration INT, ts INT"),
        (3, "registration INT, ts INT"),
    ],
)
def test_row_of_a_real_cluster_is_reproduced(copy, number: int, columns: str) -> None:
    with open(REAL_LOAD_ERRORS, newline="") as file:
        real = list(csv.DictReader(file))[number]
    raw = real["raw_line"].replace("\\\\", "\\")
    data = raw if raw.startswith("{") else f'{{"registration": 1540919166796.0, "ts": {raw}}}'
    row = copy.fail(columns, data)
    compared = set(real) - {"userid", "slice", "tbl", "starttime", "session", "query", "filename"}
    assert {name: str(row[name]) for name in compared} == {name: real[name] for name in compared}


CATEGORIES = [
    (1, "Sports", "MLB", "Major League Baseball"),
    (2, "Sports", "NHL", "National Hockey League"),
    (3, "Sports", "NFL", "National Football League"),
]


CATEGORY = "catid SMALLINT NOT NULL, catgroup VARCHAR(10), catname VARCHAR(10), catdesc VARCHAR(50)"


KEYS = ("catid", "catgroup", "catname", "catdesc")


def objects(keys: tuple[str, ...]) -> str:
    """Objects over several lines, their members in another order each."""
    records = [dict(zip(keys, row, strict=True)) for row in CATEGORIES]
    return "".join(json.dumps(dict(list(r.items())[i:] + list(r.items())[:i]), indent=4) for i, r in enumerate(records))


def test_guide_category_auto(copy) -> None:
    assert copy.load(CATEGORY, objects(KEYS)) == CATEGORIES


def test_guide_category_auto_ignorecase(copy) -> None:
    mixed = ("CatId", "CATGROUP", "catNAME", "cAtDeSc")
    assert copy.load(CATEGORY, objects(mixed), "JSON 'auto ignorecase'") == CATEGORIES


def test_guide_category_jsonpaths(copy) -> None:
    name = copy.source.put(
        "category_jsonpath.json", '{"jsonpaths": ["$[\'one\']", "$[\'two\']", "$[\'three\']", "$[\'four\']"]}'
    )
    assert copy.load(CATEGORY, objects(("one", "two", "three", "four")), f"JSON '{name}'") == CATEGORIES


def test_guide_arrays_with_jsonpaths(copy) -> None:
    name = copy.source.put("array_jsonpath.json", '{"jsonpaths": ["$[0]", "$[1]", "$[2]", "$[3]"]}')
    data = "".join(json.dumps(row) for row in CATEGORIES)
    assert copy.load(CATEGORY, data, f"JSON '{name}'") == CATEGORIES


def test_guide_escapes(copy) -> None:
    data = r'{"backslash": "This is a backslash: \\", "newlines": "a\nb", "tab": "a \t b"}'
    assert copy.load("backslash VARCHAR, newlines VARCHAR, tab VARCHAR", data) == [
        ("This is a backslash: \\", "a\nb", "a \t b")
    ]


@pytest.mark.parametrize(("data", "lines"), [("", 0), ("\n", 1), ('{"a": 1}', 1), ('{"a": 1}\n', 1), ('{"a": "x"}', 1)])
def test_lines_of_a_short_file_are_counted(copy, data: str, lines: int) -> None:
    copy.load("a INT", data, "JSON 'auto' MAXERROR 5")
    copy.connection.commit()
    copy.cursor.execute("SELECT lines_scanned FROM stl_load_commits WHERE query = pg_last_copy_id()")
    assert copy.cursor.fetchall() == [(lines,)]


def test_lines_of_a_file_with_a_record_that_does_not_load_are_counted(copy) -> None:
    data = '{"a": 1}\n{"a": "x"}\n\n{"a": 3}'
    assert copy.load("a INT", data, "JSON 'auto' MAXERROR 5") == [(1,), (3,)]
    copy.connection.commit()  # what is logged meanwhile is not in its snapshot
    copy.cursor.execute("SELECT lines_scanned FROM stl_load_commits WHERE query = pg_last_copy_id()")
    assert copy.cursor.fetchall() == [(4,)]
