"""Translations are kept from one process to the next, and never used where they would be wrong."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
import sqlglot
from helpers import ROOT, stop_server

import local_redshift
from local_redshift.sql.cache import FILE

RUN = """
import json, sys
from pathlib import Path
from local_redshift.sql import ColumnType, keep, remember, tokenize, translate

class Catalog:
    database, has_late_binding_views = sys.argv[2], False
    tables = {name: dict.fromkeys(columns, ColumnType("int4")) for name, columns in json.loads(sys.argv[3]).items()}
    def columns(self, schema, table):
        return self.tables.get(table)
    def is_view(self, schema, name):
        return False

remember(Path(sys.argv[1]))
for statement in sys.argv[4:]:
    print(translate(tokenize(statement), Catalog()))
print("sqlglot" in sys.modules)
keep()
"""
QUERY = "SELECT a AS b, b + 1 AS c FROM t"
MEANS_A = 'SELECT "a" AS "b", "a" + 1 AS "c" FROM "t"'
MEMORY = "memory"


def run(folder: Path, *statements: str, database: str = MEMORY, **tables: str) -> tuple[str, bool]:
    """Translate statements in a process of its own; the last one, and whether the grammar was read for that."""
    catalog = json.dumps({name: list(columns) for name, columns in tables.items()} or {"t": ["a"]})
    command = [sys.executable, "-c", RUN, str(folder), database, catalog, *statements]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    *_, translated, read = ran.stdout.splitlines()
    return translated, read == "True"


def test_statement_that_is_known_needs_no_grammar(tmp_path: Path) -> None:
    assert run(tmp_path, QUERY) == (MEANS_A, True)
    assert run(tmp_path, QUERY) == (MEANS_A, False)
    assert run(tmp_path, f"{QUERY} -- otherwise")[1]


def test_blanks_within_a_text_tell_statements_apart(tmp_path: Path) -> None:
    for text in ("a b", "a  b", "a\tb"):
        assert f"'{text}'" in run(tmp_path, f"SELECT NVL(NULL, '{text}') AS x")[0].replace("\\t", "\t")


def test_statement_is_read_anew_where_the_table_is_another(tmp_path: Path) -> None:
    run(tmp_path, QUERY)
    assert run(tmp_path, QUERY, t="ab") == (MEANS_A.replace('"a" + 1', '"b" + 1'), True)
    assert [run(tmp_path, QUERY, t=columns)[1] for columns in ("a", "ab")] == [False, False]  # both are known


def test_statement_is_known_in_every_database_whose_tables_are_the_same(tmp_path: Path) -> None:
    in_three_parts = f"SELECT a AS b FROM {MEMORY}.public.t"
    assert [run(tmp_path, in_three_parts)[1] for _ in range(2)] == [True, False]
    run(tmp_path, QUERY)
    assert not run(tmp_path, QUERY, database="other")[1]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run(tmp_path, in_three_parts, database="other")
    assert "tables of another database: memory.public" in refused.value.stderr


def test_columns_in_another_order_are_another_table(tmp_path: Path) -> None:
    merge = "MERGE INTO u USING s ON u.a = s.k WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v)"
    assert '("a", "b")' in run(tmp_path, merge, u="ab", s="kv")[0]
    assert '("b", "a")' in run(tmp_path, merge, u="ba", s="kv")[0]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"code": "another", "translations": []}', '{"code": 1}']
)
def test_file_that_is_of_no_use_is_made_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert [run(tmp_path, QUERY)[1] for _ in range(2)] == [True, False]


def test_server_keeps_what_it_translated_and_no_password(own_data_dir: Path) -> None:
    connection = local_redshift.connect(own_data_dir, MEMORY)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (a INT)")
    cursor.execute("CREATE USER u PASSWORD 'Secret123'")
    cursor.execute(QUERY)
    connection.close()
    stop_server(own_data_dir)
    kept = (own_data_dir / FILE).read_text()
    assert QUERY in [translation[0] for translation in json.loads(kept)["translations"]] and "Secret123" not in kept
    assert (own_data_dir / FILE).stat().st_mode & 0o077 == 0


def test_table_that_is_made_anew_changes_what_a_known_query_means(database: psycopg2.extensions.connection) -> None:
    cursor = database.cursor()
    for columns, expected in (("a INT", (1, 2)), ("a INT, b INT DEFAULT 10", (1, 11)), ("a INT", (1, 2))):
        cursor.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t ({columns}); INSERT INTO t (a) VALUES (1)")
        cursor.execute(QUERY)
        assert cursor.fetchall() == [expected]


def test_table_that_was_missing_changes_what_a_known_query_means(database: psycopg2.extensions.connection) -> None:
    cursor = database.cursor()
    with pytest.raises(psycopg2.errors.UndefinedTable):
        cursor.execute(QUERY)
    database.rollback()
    cursor.execute("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
    cursor.execute(QUERY)  # b was taken for a column of the missing table
    assert cursor.fetchall() == [(1, 2)]


def test_new_version_of_the_grammar_makes_the_file_useless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "packages" / "sqlglot"
    shutil.copytree(Path(sqlglot.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    assert [run(tmp_path, QUERY)[1] for _ in range(2)] == [True, False]
    version = package / "_version.py"
    version.write_text(f"{version.read_text()}\n# changed\n")
    assert run(tmp_path, QUERY) == (MEANS_A, True)


AT_ONCE = """
import sys, threading
from local_redshift.sql import ColumnType, postgres_query, prepare, tokenize, translate

class Catalog:
    database, has_late_binding_views = "dev", False
    def columns(self, schema, table):
        return {"a": ColumnType("int4")}
    def is_view(self, schema, name):
        return False

def translated(function, statement):
    started.wait()
    function(tokenize(statement), Catalog())
    done.append(statement)

class Noted:
    # the threads that load the grammar
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("local_redshift.sql.dml", "local_redshift.sql.grammar", "local_redshift.sql.tables"):
            loading.add(threading.get_ident())

done, loading, started = [], set(), threading.Barrier(3)
sys.meta_path.insert(0, Noted)
sys.setswitchinterval(0.0001)
threads = [
    threading.Thread(target=translated, args=arguments)
    for arguments in (
        (translate, "SELECT a FROM t"),
        (translate, "CREATE TABLE x (a INT)"),
        (postgres_query, "SELECT 1 FROM pg_class"),
    )
]
for thread in (threading.Thread(target=prepare), *threads):
    thread.start()
for thread in threads:
    thread.join()
print(len(done), len(loading))
"""


def test_first_statements_of_several_sessions_may_come_at_once() -> None:
    # the grammar's modules import each other; threads that import them at the same time used to see halves of them
    command = [sys.executable, "-c", AT_ONCE]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=120)[0] for process in running] == ["3 1\n"] * 4
