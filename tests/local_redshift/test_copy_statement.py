"""The COPY statement: its options and their forms, what is refused, and the list of them in the README."""

import re

import psycopg2
import pytest
from helpers import ROOT
from psycopg2 import errors

from local_redshift.copy import statement
from local_redshift.copy.values import TYPES
from local_redshift.sql.tokens import tokenize
from local_redshift.sql.types import BYTES_TYPES, DECIMAL_TYPES, PLAIN_TYPES, TEXT_TYPES

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
        ("JSON 'auto' MAXERROR 1 MAXERROR 2", "MAXERROR is given twice"),
        ("JSON 'auto' MAXERROR 100001", "100001"),
        ("JSON 'auto' MAXERROR x", "MAXERROR takes"),
        ("JSON 'auto' ACCEPTINVCHARS 'xy'", "ACCEPTINVCHARS"),
        ("JSON 'auto' TIMEFORMAT", "TIMEFORMAT needs"),
        # DG r_DATEFORMAT_and_TIMEFORMAT_strings.html
        ("JSON 'auto' TIMEFORMAT 'YYYY-MM-DD HH:MI:SSOF'", "TIMEFORMAT can't have a time zone"),
        ("JSON 'auto' TIMEFORMAT AS 'YYYY-MM-DD HH:MI:SS TZ'", "TIMEFORMAT can't have a time zone"),
        ("JSON 'auto' TIMEFORMAT AS 'yyyy-mm-dd hh:mi:ssof'", "TIMEFORMAT can't have a time zone"),
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
    f"CREDENTIALS 'aws_access_key_id=AKIAX;aws_secret_access_key={SECRET};token={SECRET}=='",
]


@pytest.mark.parametrize("authorization", AUTHORIZATIONS)
def test_forms_of_authorization(copy, authorization: str) -> None:
    copy.source.authorization = authorization
    assert copy.load("c INT", GOOD) == [(1,)]
    parsed = statement.parse_copy(tokenize(f"COPY t FROM 's3://b/k' {authorization} JSON 'auto'"))
    assert SECRET not in repr(parsed)


def test_access_key_is_of_one_copy_alone() -> None:
    with_key, with_role = (
        statement.parse_copy(tokenize(f"COPY t FROM 's3://b/k' {authorization} JSON 'auto'"))
        for authorization in (AUTHORIZATIONS[3], AUTHORIZATIONS[1])
    )
    assert with_key.credentials is not None and with_role.credentials is None


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


def test_readme_lists_the_options_and_types_of_the_code() -> None:
    readme = (ROOT / "local_redshift" / "README.md").read_text(encoding="utf-8")
    table = readme.split("| Options | Effect |")[1].split("\n\n")[0]
    listed = re.findall(r"`([A-Z_0-9]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))
    assert sorted(listed) == sorted(statement.TAKEN)
    types = readme.split("COPY can fill columns of these types:")[1].split(".\n")[0]
    found = {
        "bytea"
        if name in BYTES_TYPES
        else PLAIN_TYPES.get(name) or TEXT_TYPES.get(name, ("",))[0] or ("numeric" if name in DECIMAL_TYPES else name)
        for name in re.findall(r"`([A-Z ]+)`", types)
    }
    assert found == set(TYPES)
