"""The same statements by every client that people have: each gets a session as a cluster's.

Clients connect by `serve` as in docs/tools.md, the private socket has the same session behind it.
"""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import pytest
from helpers import ROOT

import local_redshift
from local_redshift.server.installation import binaries

psycopg = pytest.importorskip("psycopg")
redshift_connector = pytest.importorskip("redshift_connector")


class Refused(Exception):
    """What a client says of a statement that was refused."""


Rows = list[tuple[str, ...]]
Run = Callable[[str, list[str]], Rows]  # the rows of the last statement, as text


def as_text(rows: list[Any]) -> Rows:
    return [tuple(str(value) for value in row) for row in rows]


def by_psycopg2(url: str, statements: list[str]) -> Rows:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return as_text(cursor.fetchall() if cursor.description else [])
    except psycopg2.Error as error:
        raise Refused(str(error)) from error
    finally:
        connection.close()


def by_psycopg(url: str, statements: list[str], *, binary: bool = False, prepare: bool = False) -> Rows:
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor(binary=binary) as cursor:
        try:
            for statement in statements:
                cursor.execute(statement.encode(), prepare=prepare)
        except psycopg.Error as error:
            raise Refused(str(error)) from error
        return as_text(cursor.fetchall() if cursor.description else [])


def by_pipeline(url: str, statements: list[str]) -> Rows:
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            with connection.pipeline() as pipeline:
                for statement in statements[:-1]:
                    connection.execute(statement.encode())
                    pipeline.sync()
                cursor = connection.execute(statements[-1].encode())
        except psycopg.Error as error:
            raise Refused(str(error)) from error
        return as_text(cursor.fetchall() if cursor.description else [])


def by_redshift_connector(url: str, statements: list[str]) -> Rows:
    user, password, port, database = re.match(r"postgresql://(.*?):(.*?)@[^:]*:(\d+)/(.*)", url).groups()
    connection = redshift_connector.connect(
        host="127.0.0.1", port=int(port), user=user, password=password, database=database, ssl=False
    )
    connection.autocommit = True
    try:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        return as_text(cursor.fetchall() if cursor.description else [])
    except redshift_connector.Error as error:
        raise Refused(str(error)) from error
    finally:
        connection.close()


def by_psql(url: str, statements: list[str]) -> Rows:
    command = [str(binaries() / "psql"), url, "-At", "-q", "-v", "ON_ERROR_STOP=1"]
    for statement in statements[:-1]:
        command += ["-c", "\\o /dev/null", "-c", statement]
    ran = subprocess.run([*command, "-c", "\\o", "-c", statements[-1]], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise Refused(ran.stderr)
    return [tuple(line.split("|")) for line in ran.stdout.splitlines()]


CLIENTS: dict[str, Run] = {
    "psycopg2": by_psycopg2,
    "psycopg": by_psycopg,
    "psycopg, binary": lambda url, statements: by_psycopg(url, statements, binary=True),
    "psycopg, prepared": lambda url, statements: by_psycopg(url, statements, prepare=True),
    "psycopg, pipeline": by_pipeline,
    "redshift_connector": by_redshift_connector,
    "psql": by_psql,
}


class Case(NamedTuple):
    """Statements, of which the last one gives these rows, or is refused with these words."""

    statements: list[str]
    rows: Rows | None = None
    words: str = ""


MAKE = "CREATE TABLE t (a INT NOT NULL SORTKEY, b VARCHAR(9))"
COPY = "COPY t FROM '{folder}/good' FORMAT AS JSON 'auto'"
BAD = "COPY t FROM '{folder}/bad' FORMAT AS JSON 'auto'"
LATE = "CREATE VIEW late AS SELECT a AS x, x + 1 AS y FROM public.t WITH NO SCHEMA BINDING"
LISTED = "SELECT table_name FROM information_schema.views WHERE table_schema = 'public'"
CASES = {
    "COPY": Case([MAKE, COPY, "SELECT a, b FROM t ORDER BY a"], [("1", "x"), ("2", "y")]),
    "COPY is rolled back": Case([MAKE, "BEGIN", COPY, "ROLLBACK", "SELECT COUNT(*) FROM t"], [("0",)]),
    "COPY is committed": Case([MAKE, "BEGIN", COPY, "COMMIT", "SELECT COUNT(*) FROM t"], [("2",)]),
    "failed COPY": Case([MAKE, BAD], words="Load into table 't' failed.  Check 'stl_load_errors' system table"),
    "TRUNCATE commits": Case([MAKE, COPY, "BEGIN", "TRUNCATE t", "ROLLBACK", "SELECT COUNT(*) FROM t"], [("0",)]),
    "uncommitted table with aliases": Case(
        ["BEGIN", MAKE, "INSERT INTO t VALUES (5, 'z')", "SELECT a + 1 AS c, c + 1 FROM t"], [("6", "7")]
    ),
    "temporary table": Case(
        ["BEGIN", "CREATE TEMP TABLE n AS SELECT 1 AS a", "SELECT a AS c, c + 1 FROM n"], [("1", "2")]
    ),
    "foreign key in one transaction": Case(
        [
            "BEGIN",
            "CREATE TABLE p (id INT PRIMARY KEY)",
            "CREATE TABLE c (id INT REFERENCES p (id))",
            "COMMIT",
            "DROP TABLE p",
        ],
        words="cannot drop table p because other objects depend on it",
    ),
    "search_path": Case(
        ["CREATE SCHEMA s", "SET search_path TO s", "CREATE TABLE u AS SELECT 3 AS a", "SELECT a AS b, b + 1 FROM u"],
        [("3", "4")],
    ),
    "MERGE": Case(
        [
            MAKE,
            COPY,
            "CREATE TABLE s (a INT, b VARCHAR(9))",
            "INSERT INTO s VALUES (2, 'new'), (3, 'z')",
            "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = s.b "
            "WHEN NOT MATCHED THEN INSERT VALUES (s.a, s.b)",
            "SELECT a, b FROM t ORDER BY a",
        ],
        [("1", "x"), ("2", "new"), ("3", "z")],
    ),
    "late-binding view is read": Case([LATE, MAKE, COPY, "SELECT y FROM late ORDER BY y"], [("2",), ("3",)]),
    "late-binding view is renamed": Case([LATE, "ALTER TABLE late RENAME TO later", LISTED], [("later",)]),
    "late-binding view is dropped": Case([LATE, "DROP VIEW late", LISTED], []),
    "late-binding view is in pg_views": Case(
        [LATE, "SELECT definition FROM pg_views WHERE viewname = 'late'"], [(LATE,)]
    ),
    "columns of late-binding views": Case(
        [
            LATE,
            MAKE,
            "SELECT c, n FROM pg_get_late_binding_view_cols() cols (s name, v name, c name, t varchar, n int)"
            " ORDER BY n",
        ],
        [("x", "1"), ("y", "2")],
    ),
    "refused": Case([MAKE, "SELECT STRING_AGG(b, ',') FROM t"], words="Redshift does not support STRING_AGG"),
    "text in dollars that looks like a parameter": Case(["SELECT 'a$5b', $$ $1 $$"], [("a$5b", " $1 ")]),
}


@pytest.fixture(scope="module")
def serve(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of `serve`, whose database is another for each test."""
    local_redshift.connect(data_dir, "clients", "dwhuser").close()
    config = tmp_path_factory.mktemp("clients") / "dwh.cfg"
    config.write_text(f"[CLUSTER]\nHOST = local\nDB_NAME = clients\nDB_USER = dwhuser\nDATA_DIR = {data_dir}\n")
    command = [sys.executable, "-m", "local_redshift", "--config", str(config), "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    yield re.search(r"postgresql://\S+", process.stdout.readline())[0]
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture
def url(serve: str, database: psycopg2.extensions.connection) -> str:
    return serve.replace("/clients", f"/{database.info.dbname}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good").write_text('{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n')
    (tmp_path / "bad").write_text('{"a": 1, "b": "x"}\n{"a": "two"}\n')
    return tmp_path


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("client", CLIENTS)
def test_client_has_a_session_as_a_clusters(url: str, folder: Path, client: str, case: str) -> None:
    statements, rows, words = CASES[case]
    statements = [statement.replace("{folder}", str(folder)) for statement in statements]
    if words:
        with pytest.raises(Refused, match=re.escape(words)):
            CLIENTS[client](url, statements)
    else:
        assert CLIENTS[client](url, statements) == rows


@pytest.mark.parametrize("client", CLIENTS)
def test_failed_copy_leaves_its_load_error(url: str, folder: Path, client: str) -> None:
    with pytest.raises(Refused):
        CLIENTS[client](url, [MAKE, "BEGIN", BAD.replace("{folder}", str(folder))])
    found = CLIENTS[client](url, ["SELECT line_number, TRIM(colname), err_code FROM stl_load_errors"])
    assert found == [("2", "a", "1207")]


# redshift_connector makes a string of the digits, as it does with a cluster's
SHOWN_AS = {"redshift_connector": "abc", "psycopg, binary": "b'abc'"}


@pytest.mark.parametrize("client", CLIENTS)
def test_varbyte_is_sent_as_hexadecimal_digits(url: str, client: str) -> None:
    # https://docs.aws.amazon.com/redshift/latest/dg/r_VARBYTE_type.html; its number is in Amazon's drivers
    statements = [
        "CREATE TABLE v (a INT, b VARBYTE, c VARCHAR)",
        "INSERT INTO v VALUES (1, 'abc'::VARBYTE, 'x'), (2, NULL, NULL)",
        "SELECT a, b, c, b FROM v WHERE a = 1",
    ]
    digits = SHOWN_AS.get(client, "616263")
    assert CLIENTS[client](url, statements) == [("1", digits, "x", digits)]


@pytest.mark.parametrize("client", CLIENTS)
def test_varbyte_is_assigned_to_a_varchar(url: str, client: str) -> None:
    statements = ["CREATE TABLE v (c VARCHAR)", "INSERT INTO v SELECT 'abc'::VARBYTE", "SELECT c FROM v"]
    assert CLIENTS[client](url, statements) == [("abc",)]


def test_varbyte_of_many_rows_is_sent_as_hexadecimal_digits(url: str) -> None:
    by_psycopg2(url, ["CREATE TABLE v (a INT, b VARBYTE)", "INSERT INTO v VALUES (1, 'abc'::VARBYTE), (2, NULL)"])
    for _ in range(14):
        by_psycopg2(url, ["INSERT INTO v SELECT * FROM v"])
    for run in (by_psycopg2, by_psycopg):
        rows = run(url, ["SELECT b, a FROM v"])
        assert len(rows) == 2 << 14 and set(rows) == {("616263", "1"), ("None", "2")}
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT b FROM v")
        assert cursor.description[0].type_code == 6551


def test_statements_of_one_message_are_one_transaction(url: str) -> None:
    with pytest.raises(Refused):
        by_psycopg2(url, ["CREATE TABLE t (a INT); INSERT INTO t VALUES (1); SELECT nothing FROM t"])
    assert by_psycopg2(url, ["SELECT COUNT(*) FROM pg_class WHERE relname = 't'"]) == [("0",)]


def test_error_in_a_pipeline_aborts_what_follows_up_to_the_sync(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable), connection.pipeline():
            connection.execute("CREATE TABLE before (a INT)")
            connection.execute("SELECT 1 FROM nowhere")
            connection.execute("CREATE TABLE behind (a INT)")
        query = "SELECT COUNT(*) FROM pg_class WHERE relname IN ('before', 'behind')"
        assert connection.execute(query).fetchone() == (0,)


def test_prepared_statement_takes_parameters_again_and_again(url: str) -> None:
    with psycopg.connect(url, prepare_threshold=0) as connection:
        for n in range(3):
            assert connection.execute("SELECT NVL(%s, 0) AS a, a + 1", [n]).fetchone() == (n, n + 1)


@pytest.mark.parametrize("statement", ["DEALLOCATE ALL", "DEALLOCATE PREPARE ALL", "DISCARD ALL"])
def test_session_goes_on_after_all_prepared_statements_are_deallocated(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(2):
            connection.execute("CREATE TABLE t (a INT) SORTKEY (a)")
            connection.execute("INSERT INTO t (a) SELECT 1")
            assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
            connection.execute("DROP TABLE t")
            connection.execute(statement)


def test_session_goes_on_after_its_transaction_failed(url: str) -> None:
    with psycopg.connect(url) as connection:
        for _ in range(2):
            with pytest.raises(psycopg.errors.DivisionByZero):
                connection.execute("SELECT 1 / 0")
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                connection.execute("SELECT relname FROM pg_class")
            connection.rollback()
            assert connection.execute("SELECT 1 AS a").fetchall() == [(1,)]
            connection.rollback()


def test_notices_of_copy_are_infos(url: str, folder: Path) -> None:
    told = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: told.append((notice.severity, notice.message_primary)))
        connection.execute(MAKE)
        connection.execute(COPY.replace("{folder}", str(folder)).encode())
    assert told == [("INFO", "Load into table 't' completed, 2 record(s) loaded successfully.")]


def test_cancel_ends_a_copy_that_waits_for_its_source(url: str, folder: Path) -> None:
    os.mkfifo(folder / "good2")
    connection = psycopg2.connect(url)
    cursor = connection.cursor()
    cursor.execute(MAKE)
    refused: list[psycopg2.Error] = []

    def copy() -> None:
        try:
            cursor.execute(COPY.replace("{folder}", str(folder)))
        except psycopg2.Error as error:
            refused.append(error)

    copying = threading.Thread(target=copy)
    copying.start()
    with open(folder / "good2", "w"):  # the COPY has opened it, too
        connection.cancel()
        copying.join(10)
        assert not copying.is_alive()
    assert refused[0].pgcode == "57014"
    # the next COPY of the session is another statement
    connection.rollback()
    (folder / "good2").unlink()
    cursor.execute(MAKE)
    cursor.execute(COPY.replace("{folder}", str(folder)))
    connection.close()


@pytest.mark.parametrize("client", ["psycopg2", "redshift_connector"])
def test_server_says_it_is_version_8(url: str, client: str) -> None:
    # seen: drivers choose their queries by it
    [(version,)] = CLIENTS[client](url, ["SELECT version()"])
    assert version.startswith("PostgreSQL 8.0.2 on ") and "Redshift 1.0" in version and version.count("PostgreSQL") == 1
    connection = psycopg2.connect(url)
    assert connection.server_version == 80002
    connection.close()


def test_another_user_is_not_let_in_with_the_password(url: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match='password authentication failed for user "somebody"'):
        psycopg2.connect(url.replace("dwhuser", "somebody"))
