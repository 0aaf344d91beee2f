"""Translations are kept from one process to the next, and never used where they would be wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, copy_data_dir

import local_redshift
from local_redshift.sql.memory import FILE

RUN = """
import sys, local_redshift
connection = local_redshift.connect(*sys.argv[1:3])
cursor = connection.cursor()
for statement in sys.argv[3:]:
    cursor.execute(statement)
print(cursor.fetchall() if cursor.description else "", "sqlglot" in sys.modules)
connection.commit()
connection.close()
"""
QUERY = "SELECT a AS b, b + 1 AS c FROM t"


def run(data_dir: Path, *statements: str, dbname: str = "memory") -> str:
    command = [sys.executable, "-c", RUN, str(data_dir), dbname, *statements]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, first_used: Path) -> Path:
    """A data directory whose table and query are known."""
    made = copy_data_dir(first_used, tmp_path_factory.mktemp("memory") / "own")
    keeping = local_redshift.connect(made, "memory")  # the server runs as long as the tests do
    run(made, "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)", "CREATE USER u PASSWORD 'Secret123'", QUERY)
    yield made
    keeping.close()


def test_statement_that_is_known_needs_no_grammar(folder: Path) -> None:
    assert run(folder, QUERY) == "[(1, 2)] False"
    assert run(folder, f"{QUERY} -- otherwise").endswith("True")


def test_blanks_within_a_text_tell_statements_apart(folder: Path) -> None:
    for text in ("a b", "a  b", "a\tb"):
        assert run(folder, f"SELECT NVL(NULL, '{text}') AS x, LEN(x)").startswith(repr([(text, len(text))]))


def test_statement_is_read_anew_where_the_table_is_another(folder: Path) -> None:
    assert run(folder, "ALTER TABLE t ADD COLUMN b INT DEFAULT 10", QUERY) == "[(1, 11)] True"
    assert run(folder, "ALTER TABLE t DROP COLUMN b", QUERY) == "[(1, 2)] True"


def test_statement_is_known_in_every_database_whose_tables_are_the_same(folder: Path) -> None:
    in_three_parts = "SELECT a AS b FROM memory.public.t"
    assert run(folder, in_three_parts) == "[(1,)] True"
    assert run(folder, in_three_parts) == "[(1,)] False"
    run(folder, "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (7)", dbname="other")
    assert run(folder, QUERY, dbname="other") == "[(7, 8)] False"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run(folder, in_three_parts, dbname="other")
    assert "tables of another database: memory.public" in refused.value.stderr


MERGED = (
    "CREATE TABLE s (k INT, v INT)",
    "INSERT INTO s VALUES (1, 2)",
    "MERGE INTO u USING s ON u.a = s.k WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v)",
    "DROP TABLE s",
    "SELECT a, b FROM u",
)


def test_columns_in_another_order_are_another_table(folder: Path) -> None:
    assert run(folder, "CREATE TABLE u (a INT, b INT)", *MERGED, dbname="first").startswith("[(1, 2)]")
    assert run(folder, "CREATE TABLE u (b INT, a INT)", *MERGED, dbname="second").startswith("[(2, 1)]")
    moved = ("DELETE FROM u", "ALTER TABLE u DROP COLUMN a", "ALTER TABLE u ADD COLUMN a INT")
    assert run(folder, *moved, *MERGED, dbname="first").startswith("[(2, 1)]")


def test_databases_with_other_tables_of_one_name_are_known_both(folder: Path) -> None:
    run(folder, "CREATE TABLE t (a INT, b INT)", "INSERT INTO t VALUES (5, 50)", dbname="wider")
    query = "SELECT a AS b, b AS c FROM t"
    assert [run(folder, query, dbname=name) for name in ("memory", "wider")] == ["[(1, 1)] True", "[(5, 50)] True"]
    assert [run(folder, query, dbname=name) for name in ("memory", "wider")] == ["[(1, 1)] False", "[(5, 50)] False"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"code": "another", "translations": []}', '{"code": 1}'])
def test_file_that_is_of_no_use_is_made_anew(folder: Path, content: str) -> None:
    (folder / FILE).write_text(content)
    assert run(folder, QUERY) == "[(1, 2)] True"
    assert run(folder, QUERY) == "[(1, 2)] False"


def test_password_is_not_kept(folder: Path) -> None:
    kept = (folder / FILE).read_text()
    assert json.loads(kept)["translations"] and "Secret123" not in kept
    assert (folder / FILE).stat().st_mode & 0o077 == 0
