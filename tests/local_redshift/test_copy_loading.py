"""What COPY loads: objects by prefix and manifest, columns, errors that are put up with."""

import json
import os
from pathlib import Path

import psycopg2
import pytest
from helpers import plain_cursor
from psycopg2 import errors

from local_redshift.sessions.listener import REPORTS

# a folder's names may be any bytes
local_only = pytest.mark.parametrize("source", ["local"], indirect=True)

GOOD = '{"c": 1}\n'
BAD = '{"c": "x"}\n'


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
    ("option", "rows_known"),
    [
        ("", 2),
        ("STATUPDATE", 2),
        ("STATUPDATE ON", 2),
        ("STATUPDATE OFF", -1),
        ("NOLOAD", -1),
        ("NOLOAD STATUPDATE ON", -1),
    ],
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


def test_copy_works_again_after_the_connection_for_its_reports_was_lost(copy) -> None:
    assert copy.load("c INT", GOOD) == [(1,)]
    copy.connection.commit()
    with plain_cursor(copy.connection) as plain:
        plain.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_catalog.pg_stat_activity WHERE application_name = %s",
            [REPORTS],
        )
    with pytest.raises(psycopg2.Error):
        copy.run()
    copy.connection.rollback()
    copy.run()
    assert copy.rows() == [(1,), (1,)]


def test_noload_parses_and_loads_nothing(copy) -> None:
    assert copy.load("c INT", GOOD, "JSON 'auto' NOLOAD") == []
    copy.source.put("data.json", GOOD + BAD)
    assert copy.failure("JSON 'auto' NOLOAD")[0]["line_number"] == 2


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


def test_prefix_is_a_plain_prefix_of_names(copy) -> None:
    copy.create("c INT")
    for key, value in {"data": 1, "data.json": 2, "data/x/y.json": 3, "data-old/z": 4, "dat": 9, "x/data": 9}.items():
        if key == "data" and not copy.source.root.startswith("s3://"):
            continue  # a file can't have the name of a folder
        copy.source.put(key, f'{{"c": {value}}}')
    copy.run("data")
    expected = {1, 2, 3, 4} if copy.source.root.startswith("s3://") else {2, 3, 4}
    assert {row[0] for row in copy.rows()} == expected


@local_only
def test_link_that_leads_nowhere_is_told_as_one(copy, tmp_path: Path) -> None:
    (tmp_path / "data1").symlink_to("nowhere")
    copy.create("c INT")
    assert "data1 is a broken symbolic link" in str(copy.refusal())


@local_only
def test_file_whose_name_is_no_text_is_loaded_and_named(copy, tmp_path: Path) -> None:
    copy.create("c INT")
    name = os.fsdecode(os.fsencode(tmp_path / "data") + b"caf\xe9")
    try:
        Path(name).write_text('{"c": 1}')
    except OSError:
        pytest.skip("names have to be UTF-8 here")
    copy.cursor.execute(f"COPY t FROM '{tmp_path}/data' JSON 'auto'")
    copy.connection.commit()
    assert copy.rows() == [(1,)]
    copy.cursor.execute("SELECT TRIM(filename) FROM stl_load_commits WHERE query = pg_last_copy_id()")
    assert copy.cursor.fetchall() == [(f"{tmp_path}/datacaf?",)]


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


@pytest.mark.parametrize("source", ["s3"], indirect=True)
def test_object_whose_key_ends_in_a_slash_is_read_if_it_holds_data(copy) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-source-s3.html: a prefix is all there is to it
    copy.create("c INT")
    for key, data in (("data/", ""), ("data/more/", GOOD), ("data/one.json", GOOD)):
        copy.source.put(key, data)
    copy.run()
    assert copy.rows() == [(1,), (1,)]
