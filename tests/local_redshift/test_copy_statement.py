"""The COPY statement: its options, what they do, what is refused, what it leaves in the system tables."""

import csv
import json
import re

import psycopg2
import pytest
from helpers import REAL_LOAD_ERRORS, ROOT
from psycopg2 import errors

from local_redshift.copy import statement
from local_redshift.copy.values import TYPES
from local_redshift.sql.tables import DECIMAL_TYPES, PLAIN_TYPES, TEXT_TYPES
from local_redshift.sql.tokens import tokenize

GOOD = '{"c": 1}\n'
BAD = '{"c": "x"}\n'


@pytest.mark.parametrize(
    "spelling", ["JSON", "JSON 'auto'", "JSON AS 'auto'", "FORMAT JSON 'auto'", "FORMAT AS JSON 'auto'"]
)
def test_spellings_of_json(copy, spelling: str) -> None:
    assert copy.load("c INT", GOOD, spelling) == [(1,)]


@pytest.mark.parametrize(
    "options",
    [
        "COMPUPDATE OFF STATUPDATE ON COMPROWS 1000 JSON 'auto'",
        "COMPUPDATE PRESET STATUPDATE JSON 'auto'",
        "JSON 'auto' REGION 'us-west-2'",
        "REGION AS 'us-west-2' JSON 'auto' TRUNCATECOLUMNS MAXERROR AS 5",
    ],
)
def test_options_in_any_order(copy, options: str) -> None:
    assert copy.load("c INT", GOOD, options) == [(1,)]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("JSON 'auto' PARALLEL", "PARALLEL"),
        ("JSON 'auto' ENCODING UTF16", "ENCODING"),
        ("JSON 'auto' IGNOREHEADER 1", "IGNOREHEADER"),
        ("JSON 'auto' ZSTD", "ZSTD"),
        ("JSON 'auto' LZOP", "LZOP"),
        ("JSON 'noshred'", "noshred"),
        ("FORMAT AS PARQUET", "PARQUET"),
        ("FORMAT AS CSV", "CSV"),
        ("", "FORMAT AS JSON"),
        # DG copy-parameters-data-format: not with JSON
        *((f"JSON 'auto' {option}", option.split()[0]) for option in ["CSV", "DELIMITER ','", "ESCAPE"]),
        *((f"JSON 'auto' {option}", option.split()[0]) for option in ["FILLRECORD", "FIXEDWIDTH 'c:3'"]),
        *((f"JSON 'auto' {option}", option.split()[0]) for option in ["IGNOREBLANKLINES", "NULL AS 'x'"]),
        *((f"JSON 'auto' {option}", option.split()[0]) for option in ["READRATIO 5", "REMOVEQUOTES"]),
    ],
)
def test_what_is_not_taken_is_refused_by_name(copy, options: str, named: str) -> None:
    copy.create("c INT")
    error = copy.refusal(errors.FeatureNotSupported, options=options)
    assert named in str(error)


def test_refusal_lists_what_is_taken(copy) -> None:
    copy.create("c INT")
    message = str(copy.refusal(errors.FeatureNotSupported, options="JSON 'auto' PARALLEL"))
    assert all(re.search(rf"\b{option}\b", message) for option in statement.TAKEN)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("JSON 'auto' GZIP BZIP2", "BZIP2 and GZIP"),
        ("JSON 'auto' MAXERROR 1 IGNOREALLERRORS", "MAXERROR and IGNOREALLERRORS"),
        ("JSON 'auto' MAXERROR 1 MAXERROR 2", "MAXERROR is there twice"),
        ("JSON 'auto' MAXERROR 100001", "100001"),
        ("JSON 'auto' MAXERROR x", "MAXERROR takes"),
        ("JSON 'auto' ACCEPTINVCHARS 'xy'", "ACCEPTINVCHARS"),
        ("JSON 'auto' TIMEFORMAT", "TIMEFORMAT needs"),
        ("JSON 'auto' IAM_ROLE default ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 'b'", "only one of"),
        ("JSON 'auto' SECRET_ACCESS_KEY 'b'", "go together"),
    ],
)
def test_options_that_exclude_each_other_are_refused(copy, options: str, named: str) -> None:
    copy.create("c INT")
    copy.source.authorization = copy.source.authorization if "KEY" not in options else ""
    if "SECRET" in options and "ACCESS_KEY_ID" not in options:
        options += " IAM_ROLE default"
    assert named in str(copy.refusal(errors.SyntaxError, options=options))


SECRET = "very/secret+key"
AUTHORIZATIONS = [
    "IAM_ROLE default",
    "IAM_ROLE 'arn:aws:iam::123456789012:role/r'",
    "CREDENTIALS 'aws_iam_role=arn:aws:iam::123456789012:role/r'",
    f"ACCESS_KEY_ID 'AKIAX' SECRET_ACCESS_KEY '{SECRET}'",
    f"ACCESS_KEY_ID AS 'AKIAX' SECRET_ACCESS_KEY AS '{SECRET}' SESSION_TOKEN AS '{SECRET}'",
    f"WITH CREDENTIALS AS 'aws_access_key_id=AKIAX;aws_secret_access_key={SECRET};token={SECRET}'",
]


@pytest.mark.parametrize("authorization", AUTHORIZATIONS)
def test_forms_of_authorization(copy, authorization: str) -> None:
    copy.source.authorization = authorization
    assert copy.load("c INT", GOOD) == [(1,)]
    parsed = statement.parse_copy(tokenize(f"COPY t FROM 's3://b/k' {authorization} JSON 'auto'"))
    assert SECRET not in repr(parsed)


@pytest.mark.parametrize(
    "broken",
    [
        f"CREDENTIALS 'aws_access_key_id=AKIAX; aws_secret_access_key={SECRET}'",
        f"CREDENTIALS 'AWS_ACCESS_KEY_ID=AKIAX;aws_secret_access_key={SECRET}'",
        f"ACCESS_KEY_ID 'AKIAX' '{SECRET}'",
        f"ACCESS_KEY_ID 'AKIAX' SECRET_ACCESS_KEY '{SECRET}' '{SECRET}'",
    ],
)
def test_secret_is_in_no_message(copy, broken: str) -> None:
    copy.create("c INT")
    copy.source.authorization = broken
    error = copy.refusal(psycopg2.Error)
    assert SECRET not in str(error) + str(error.pgerror) + repr(error.diag.message_detail)


def test_s3_needs_an_authorization(copy) -> None:
    if copy.source.root.startswith("s3://"):
        copy.create("c INT")
        copy.source.authorization = ""
        assert "IAM_ROLE" in str(copy.refusal(errors.SyntaxError))


def test_target_table_missing(copy) -> None:
    error = copy.refusal(target="no_such_table")
    assert error.diag.message_primary == "Cannot COPY into nonexistent table no_such_table"
    assert error.pgcode == "XX000"


def test_schema_of_the_table_is_used(copy) -> None:
    copy.cursor.execute("CREATE SCHEMA other; CREATE TABLE other.u (c INT)")
    copy.source.put("data.json", GOOD)
    copy.run(target="other.u")
    copy.cursor.execute("SELECT c FROM other.u")
    assert copy.cursor.fetchall() == [(1,)]


# errors that are put up with


def test_maxerror_loads_the_rest_and_tells_how_many_not(copy) -> None:
    assert copy.load("c INT", GOOD + BAD + "junk\n" + GOOD, "JSON 'auto' MAXERROR 3") == [(1,), (1,)]
    assert copy.connection.notices == [
        "INFO:  Load into table 't' completed, 2 record(s) loaded successfully.\n",
        "INFO:  Load into table 't' completed, 2 record(s) could not be loaded.  "
        "Check 'stl_load_errors' system table for details.\n",
    ]
    copy.connection.commit()
    assert [row["line_number"] for row in copy.errors()[-2:]] == [2, 3]


@pytest.mark.parametrize(("option", "rows"), [("", 1), ("MAXERROR 0", 1), ("MAXERROR 1", 1), ("MAXERROR 3", 3)])
def test_copy_fails_with_as_many_errors_as_maxerror(copy, option: str, rows: int) -> None:
    copy.create("c INT")
    copy.source.put("data.json", GOOD + BAD * 3)
    assert len(copy.failure(f"JSON 'auto' {option}")) == rows


def test_ignoreallerrors(copy) -> None:
    assert copy.load("c INT", BAD * 50 + GOOD, "JSON 'auto' IGNOREALLERRORS") == [(1,)]


@pytest.mark.parametrize(
    ("option", "rows_known"), [("", 2), ("STATUPDATE", 2), ("STATUPDATE ON", 2), ("STATUPDATE OFF", -1), ("NOLOAD", -1)]
)
def test_statupdate_makes_statistics(copy, option: str, rows_known: int) -> None:
    # DG copy-parameters-data-load: by default for a table that was empty; -1 is PostgreSQL's "not known"
    copy.load("c INT", GOOD * 2, f"JSON 'auto' {option}")
    copy.cursor.execute("SELECT reltuples FROM pg_class WHERE oid = 't'::regclass")
    assert copy.cursor.fetchone() == (rows_known,)


def test_failed_copy_keeps_the_rows_of_earlier_ones_in_the_transaction(copy) -> None:
    copy.create("c INT")
    copy.connection.autocommit = True
    copy.source.put("data.json", GOOD)
    copy.run()
    copy.source.put("data.json", GOOD + BAD)
    with pytest.raises(errors.InternalError_):
        copy.run()
    assert copy.rows() == [(1,)]
    copy.connection.autocommit = False


def test_noload_parses_and_loads_nothing(copy) -> None:
    assert copy.load("c INT", GOOD, "JSON 'auto' NOLOAD") == []
    copy.source.put("data.json", GOOD + BAD)
    assert copy.failure("JSON 'auto' NOLOAD")[0]["line_number"] == 2


# columns


def test_identity_is_generated_unless_explicit_ids(copy) -> None:
    data = '{"id": 70, "c": 1}'
    assert copy.load("id BIGINT IDENTITY(5,1), c INT", data) == [(5, 1)]
    assert copy.load("id BIGINT IDENTITY(5,1), c INT", data, "JSON 'auto' EXPLICIT_IDS") == [(70, 1)]


def test_identity_in_the_list_needs_explicit_ids(copy) -> None:
    copy.create("id BIGINT IDENTITY(5,1), c INT")
    copy.source.put("data.json", GOOD)
    assert "EXPLICIT_IDS" in str(copy.refusal(target="t (id, c)"))
    assert "EXPLICIT_IDS" in str(copy.refusal(target="t (c)", options="JSON 'auto' EXPLICIT_IDS"))


def test_default_is_for_columns_that_are_not_in_the_list(copy) -> None:
    # DG c_loading_default_values
    copy.create("c INT, d INT DEFAULT 7")
    copy.source.put("data.json", GOOD)
    copy.run(target="t (c)")
    copy.run()
    assert copy.rows() == [(1, 7), (1, None)]


def test_unknown_column_in_the_list(copy) -> None:
    copy.create("c INT")
    copy.source.put("data.json", GOOD)
    assert '"nope"' in str(copy.refusal(errors.UndefinedColumn, target="t (c, nope)"))


# objects


def test_prefix_is_a_plain_prefix_of_names(copy) -> None:
    copy.create("c INT")
    for key, value in {"data": 1, "data.json": 2, "data/x/y.json": 3, "data-old/z": 4, "dat": 9, "x/data": 9}.items():
        if key == "data" and not copy.source.root.startswith("s3://"):
            continue  # a file can't have the name of a folder
        copy.source.put(key, f'{{"c": {value}}}')
    copy.run("data")
    expected = {1, 2, 3, 4} if copy.source.root.startswith("s3://") else {2, 3, 4}
    assert {row[0] for row in copy.rows()} == expected


def test_nothing_under_the_prefix(copy) -> None:
    copy.create("c INT")
    message = copy.refusal(key="nothing-here").diag.message_primary
    if copy.source.root.startswith("s3://"):
        prefix = copy.source.url("nothing-here").removeprefix("s3://copies/")
        assert message == f"The specified S3 prefix '{prefix}' does not exist"
    else:
        assert "nothing-here" in message


def test_errors_name_the_object(copy) -> None:
    copy.create("c INT")
    copy.source.put("data1.json", GOOD)
    name = copy.source.put("data2.json", "\n" + BAD)
    [row] = copy.failure()
    assert (row["filename"], row["line_number"]) == (name, 2)


def manifest(copy, *entries: dict) -> None:
    copy.source.put("files.manifest", json.dumps({"entries": list(entries)}))


def run_manifest(copy) -> dict[str, str]:
    return {"key": "files.manifest", "options": "JSON 'auto' MANIFEST"}


def test_manifest_lists_the_objects(copy) -> None:
    copy.create("c INT")
    first, second = copy.source.put("one", '{"c": 1}'), copy.source.put("two", '{"c": 2}')
    missing = copy.source.url("three")
    manifest(copy, {"url": first, "mandatory": True}, {"url": second}, {"url": second}, {"url": missing})
    copy.run(**run_manifest(copy))
    assert sorted(copy.rows()) == [(1,), (2,), (2,)]


def test_manifest_with_a_mandatory_object_missing(copy) -> None:
    copy.create("c INT")
    manifest(copy, {"url": copy.source.put("one", GOOD)}, {"url": copy.source.url("two"), "mandatory": True})
    assert "two" in str(copy.refusal(**run_manifest(copy)))


def test_manifest_of_which_nothing_is_there(copy) -> None:
    copy.create("c INT")
    manifest(copy, {"url": copy.source.url("two")})
    assert "files.manifest" in str(copy.refusal(**run_manifest(copy)))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"entries": 1}', '{"entries": [1]}', '{"entries": [{}]}', '{"files": []}']
)
def test_malformed_manifest(copy, content: str) -> None:
    copy.create("c INT")
    copy.source.put("files.manifest", content)
    assert "files.manifest" in str(copy.refusal(**run_manifest(copy)))


def test_missing_manifest_and_prefix_of_one(copy) -> None:
    copy.create("c INT")
    message = str(copy.refusal(**run_manifest(copy)))
    assert message.startswith("Problem reading manifest file - ")
    manifest(copy, {"url": copy.source.put("one", GOOD)})
    message = str(copy.refusal(key="files.mani", options="JSON 'auto' MANIFEST"))
    assert message.startswith("COPY with MANIFEST parameter requires full path of an S3 object.")


def test_manifest_without_the_word_is_data(copy) -> None:
    copy.create("c INT")
    manifest(copy, {"url": copy.source.put("one", GOOD)})
    copy.run("files.manifest")
    assert copy.rows() == [(None,)]


# what is left in the system tables


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


# the examples of the guide (DG r_COPY_command_examples), their form, results as they are given there

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


# the list in the README


def test_readme_lists_the_options_and_types_of_the_code() -> None:
    readme = (ROOT / "local_redshift" / "README.md").read_text(encoding="utf-8")
    table = readme.split("| Options | Effect |")[1].split("\n\n")[0]
    listed = re.findall(r"`([A-Z_0-9]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))
    assert sorted(listed) == sorted(statement.TAKEN)
    types = readme.split("have these types:")[1].split(".\n")[0]
    found = {
        PLAIN_TYPES.get(name) or TEXT_TYPES.get(name, ("",))[0] or ("numeric" if name in DECIMAL_TYPES else name)
        for name in re.findall(r"`([A-Z ]+)`", types)
    }
    internal = {"int2": "smallint", "int4": "integer", "int8": "bigint", "float4": "real", "bool": "boolean"}
    internal |= {"float8": "double precision", "bpchar": "char"}
    assert found == {internal.get(name, name) for name in TYPES}
