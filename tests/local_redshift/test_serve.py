"""`serve` and `python -m local_redshift`: psql and other clients are let in, with a password."""

import contextlib
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from helpers import ROOT, server_process
from psycopg2 import errors

import local_redshift
from local_redshift.server.installation import binaries


@pytest.fixture(scope="module")
def config(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a warehouse with a table."""
    connection = local_redshift.connect(data_dir, "relayed", "dwhuser")
    connection.cursor().execute(
        "DROP TABLE IF EXISTS t; CREATE TABLE t (a INT NOT NULL, b VARCHAR(20));INSERT INTO t VALUES (1, 'x'), (2, 'y')"
    )
    connection.commit()
    connection.close()
    path = tmp_path_factory.mktemp("relay") / "dwh.cfg"
    path.write_text(f"[CLUSTER]\nHOST = local\nDB_NAME = relayed\nDB_USER = dwhuser\nDATA_DIR = {data_dir}\n")
    return path


@pytest.fixture(scope="module")
def served(config: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """`serve` at work, and the URL that it prints."""
    command = [sys.executable, "-m", "local_redshift", "--config", str(config), "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    yield process, re.search(r"postgresql://\S+", process.stdout.readline())[0]
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def client(served: tuple[subprocess.Popen, str]) -> Iterator[psycopg2.extensions.connection]:
    connection = psycopg2.connect(served[1])
    yield connection
    connection.close()


def psql(config: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "local_redshift", "--config", str(config), "-At", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, input=typed)


def test_url_is_of_this_machine_alone_and_has_a_password(served: tuple[subprocess.Popen, str]) -> None:
    assert re.fullmatch(r"postgresql://dwhuser:[\w-]{16}@127\.0\.0\.1:\d+/relayed", served[1])


def test_clients_query_is_redshifts(client: psycopg2.extensions.connection) -> None:
    cursor = client.cursor()
    cursor.execute("SELECT TOP 1 a AS x, x + 1, LEN(b) FROM t WHERE b = %s", ["y"])
    assert cursor.fetchall() == [(2, 3, 1)]
    cursor.execute("SELECT 1; SELECT NVL(NULL, 5)")
    assert cursor.fetchall() == [(5,)]


def test_many_rows_come_through(client: psycopg2.extensions.connection) -> None:
    cursor = client.cursor()
    cursor.execute("SELECT n, REPEAT('é', 100) FROM GENERATE_SERIES(1, 20000) AS g (n)")
    found = cursor.fetchall()
    assert len(found) == 20000 and found[-1] == (20000, "é" * 100)


def test_prepared_statement_with_parameters_is_redshifts(config: Path) -> None:
    # psql's \bind sends Parse, Bind and Execute
    assert (
        psql(config, typed="SELECT LEN($1) + 1 AS n, n + 1, b FROM t WHERE a = $2 \\bind abcd 2 \\g\n").stdout
        == "5|6|y\n"
    )


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("SELECT STRING_AGG(b, ',') FROM t", errors.FeatureNotSupported, "STRING_AGG"),
        ("INSERT INTO t (b) VALUES ('z')", errors.InternalError_, "Cannot insert a NULL value into column a"),
        ("SELECT zzz FROM t", errors.UndefinedColumn, 'column "zzz" does not exist'),
        ("DROP TABLE zzz", errors.UndefinedTable, 'Table "zzz" does not exist'),
        ("COPY t FROM '/nowhere' JSON 'auto'", errors.InternalError_, "no file's path starts with /nowhere"),
        ("SELECT LEN(1, 2)", errors.UndefinedFunction, "function len"),
    ],
)
def test_error_is_told_as_by_a_cluster_and_aborts_the_transaction(
    client: psycopg2.extensions.connection, statement: str, kind: type, words: str
) -> None:
    cursor = client.cursor()
    with pytest.raises(kind, match=re.escape(words)) as raised:
        cursor.execute(statement)
    assert "local_redshift" not in str(raised.value) and "LINE 1" not in str(raised.value)
    with pytest.raises(errors.InFailedSqlTransaction):
        cursor.execute("SELECT 1")


def test_error_of_a_null_shows_no_row_of_the_data(client: psycopg2.extensions.connection) -> None:
    with pytest.raises(psycopg2.Error) as raised:
        client.cursor().execute("INSERT INTO t (a, b) VALUES (NULL, 'secret')")
    assert "secret" not in str(raised.value) and raised.value.diag.message_detail is None


def test_refusal_keeps_backslashes_and_quotes(client: psycopg2.extensions.connection) -> None:
    with pytest.raises(psycopg2.Error) as raised:
        client.cursor().execute("SELECT \\ FROM t")
    assert '"\\"' in raised.value.diag.message_primary


def test_options_of_a_session_are_taken_in_whatever_case(served: tuple[subprocess.Popen, str]) -> None:
    # JDBC's driver says TimeZone and DateStyle: https://github.com/pgjdbc/pgjdbc, ConnectionFactoryImpl
    user, password, port, database = re.match(r"postgresql://(.*?):(.*?)@[^:]*:(\d+)/(.*)", served[1]).groups()
    said = {"user": user, "database": database, "TimeZone": "Asia/Tokyo", "DateStyle": "SQL"}
    startup = b"".join(f"{key}\0{value}\0".encode() for key, value in said.items()) + b"\0"
    with socket.create_connection(("127.0.0.1", int(port))) as door:
        door.sendall(struct.pack("!ii", len(startup) + 8, 196608) + startup)
        assert door.recv(9)[:1] == b"R"
        door.sendall(b"p" + struct.pack("!i", len(password) + 5) + password.encode() + b"\0")
        answered = b""
        while b"Z\0\0\0\x05" not in answered:  # ready for a query
            answered += (part := door.recv(4096))
            assert part
        assert b"TimeZone\0Asia/Tokyo\0" in answered and b"DateStyle\0SQL, " in answered


def test_parameters_need_no_blanks_between(config: Path) -> None:
    # drivers send them as the query has them: VALUES ($1,$2)
    typed = "SELECT NVL($1,$2) AS a, LEN($2)+LEN($3) WHERE $3 IN ($2,$3) \\bind x yy zzz \\g\n"
    assert psql(config, typed=typed).stdout == "x|5\n"


def test_named_cursor_of_the_driver_is_taken(client: psycopg2.extensions.connection) -> None:
    cursor = client.cursor("large")
    cursor.execute("SELECT a AS x, x + 1 FROM t ORDER BY a")
    assert cursor.fetchall() == [(1, 2), (2, 3)]


def test_refused_statement_with_parameters_is_told_like_any_other(config: Path) -> None:
    said = psql(config, typed="SELECT STRING_AGG(b, $1) FROM t WHERE a > $2 \\bind , 0 \\g\n").stderr
    assert "Redshift does not support STRING_AGG" in said
    said = psql(config, typed="SELECT STRING_AGG(b, $1) FROM t WHERE b > $1 AND a > $2 \\bind , 0 \\g\n").stderr
    assert "Redshift does not support STRING_AGG" in said


def test_psql_describes_tables(config: Path) -> None:
    described = psql(config, "-c", "\\d t").stdout
    assert "a|integer||not null|" in described and "b|character varying(20)" in described


def test_driver_may_look_at_its_own_catalog(client: psycopg2.extensions.connection) -> None:
    cursor = client.cursor()
    cursor.execute("SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relname OPERATOR(pg_catalog.~) '^(t)$'")
    assert cursor.fetchall() == [("t",)]


def test_password_is_asked_for(served: tuple[subprocess.Popen, str]) -> None:
    wrong = re.sub(r":[\w-]{16}@", ":wrong@", served[1])
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(wrong)


def test_query_can_be_cancelled(client: psycopg2.extensions.connection) -> None:
    raised: list[Exception] = []

    def ask() -> None:
        try:
            client.cursor().execute("SELECT COUNT(*) FROM GENERATE_SERIES(1, 100000000000)")
        except psycopg2.Error as error:
            raised.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        client.cancel()
        asking.join(0.05)
    assert isinstance(raised[0], errors.QueryCanceled)


def test_what_is_committed_beside_it_is_seen(
    client: psycopg2.extensions.connection, data_dir: Path, config: Path
) -> None:
    client.autocommit = True
    beside = local_redshift.connect(data_dir, "relayed", "dwhuser")
    beside.cursor().execute("CREATE TABLE beside AS SELECT 7 AS seven")
    beside.commit()
    beside.close()
    cursor = client.cursor()
    cursor.execute("SELECT seven AS x, x + 1 FROM beside")
    assert cursor.fetchall() == [(7, 8)]
    cursor.execute("DROP TABLE beside")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ("HOST = local\nDB_NAME = nowhere\nDB_USER = dwhuser\n", "has no database nowhere; run create_tables.py"),
        ("HOST = local\nDB_NAME = x\nDB_USER = x\nDATA_DIR = /nowhere\n", "there is no local warehouse in /nowhere"),
        ("HOST = a.b.us-west-2.redshift.amazonaws.com\nDB_NAME = x\nDB_USER = x\n", "not local"),
        ("HOST = local\nDB_USER = x\n", "DB_NAME"),
    ],
)
def test_config_that_cant_be_used_is_one_line(tmp_path: Path, data_dir: Path, changes: str, words: str) -> None:
    path = tmp_path / "dwh.cfg"
    path.write_text(f"[CLUSTER]\n{changes}" + ("" if "DATA_DIR" in changes else f"DATA_DIR = {data_dir}\n"))
    ran = psql(path, "-c", "SELECT 1")
    assert ran.returncode == 1 and words in ran.stderr and ran.stderr.count("\n") == 1


def test_port_that_is_taken_is_one_line(served: tuple[subprocess.Popen, str], config: Path) -> None:
    port = re.search(r":(\d+)/", served[1])[1]
    command = [sys.executable, "-m", "local_redshift", "--config", str(config), "serve", "--port", port]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and f"port {port} can't be used" in ran.stderr


def test_psql_itself_connects_to_the_url(served: tuple[subprocess.Popen, str]) -> None:
    command = [str(binaries() / "psql"), served[1], "-At", "-c", "SELECT TOP 1 NVL(b, 'none') FROM t ORDER BY a"]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == "x\n"


@pytest.mark.parametrize("schema", ["mixed case", "a,b", 'a"b', "a\\b"])
def test_schema_of_the_config_is_psqls_too(data_dir: Path, tmp_path: Path, schema: str) -> None:
    path = tmp_path / "dwh.cfg"
    path.write_text(
        f"[CLUSTER]\nHOST = local\nDB_NAME = schemas\nDB_USER = dwhuser\nSCHEMA = {schema}\nDATA_DIR = {data_dir}\n"
    )
    with contextlib.closing(local_redshift.connect(data_dir, "schemas")) as connection:
        quoted = schema.replace('"', '""')
        connection.cursor().execute(f'CREATE SCHEMA "{quoted}"; CREATE TABLE "{quoted}".t AS SELECT 7 AS a')
        connection.commit()
    ran = psql(path, "-c", "SELECT a FROM t")
    assert ran.stdout == "7\n", ran.stderr


def test_database_on_the_command_line_is_opened_instead_of_the_configs(config: Path, data_dir: Path) -> None:
    local_redshift.connect(data_dir, "another", "dwhuser").close()
    assert psql(config, "-d", "another", "-c", "SELECT CURRENT_DATABASE()").stdout == "another\n"


@pytest.mark.parametrize(
    "numbers", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]]
)
def test_signals_end_it(config: Path, numbers: list[int]) -> None:
    command = [sys.executable, "-m", "local_redshift", "--config", str(config), "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    for _ in range(4):
        process.stdout.readline()
    for number in numbers:
        process.send_signal(number)
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, output, errors) == (0, "stopped\n", "")


def test_clients_are_let_in_again_after_it_ran_out_of_descriptors(own_data_dir: Path) -> None:
    command = [sys.executable, "-m", "local_redshift", "--data-dir", str(own_data_dir), "serve", "--port", "0"]

    def few_descriptors() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (70, 70))

    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=few_descriptors)
    url = re.search(r"postgresql://\S+", process.stdout.readline())[0]
    address = ("127.0.0.1", int(re.search(r":(\d+)/", url)[1]))
    many = [socket.create_connection(address) for _ in range(100)]
    door = server_process(own_data_dir)
    while (left := door.num_fds()) < 69:
        assert process.poll() is None, left
    for client in many:
        client.close()
    psycopg2.connect(url).close()
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0
    process.stdout.close()


def test_password_stays_the_same_and_is_kept_where_only_its_owner_reads_it(
    served: tuple[subprocess.Popen, str], config: Path
) -> None:
    kept = Path(re.search(r"DATA_DIR = (.*)", config.read_text())[1]) / "serve.password"
    assert kept.stat().st_mode & 0o777 == 0o600 and f":{kept.read_text()}@" in served[1]
    password = re.search(r":([\w-]{16})@", served[1])[1]
    assert f":{password}@" in first_line_of_serve(config)


def test_empty_password_file_lets_nobody_in(config: Path, tmp_path: Path) -> None:
    data_dir = Path(re.search(r"DATA_DIR = (.*)", config.read_text())[1])
    (data_dir / "serve.password").rename(tmp_path / "kept")
    (data_dir / "serve.password").touch()
    command = [sys.executable, "-m", "local_redshift", "--config", str(config), "serve", "--port", "0"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    (tmp_path / "kept").rename(data_dir / "serve.password")
    assert ran.returncode == 1 and "serve.password is empty: delete it" in ran.stderr


def test_password_of_the_config_is_that_of_serve(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "dwh.cfg"
    path.write_text(config.read_text().replace("HOST = local", "HOST = local\nDB_PASSWORD = p@ss/word"))
    line = first_line_of_serve(path)
    assert ":p%40ss%2Fword@" in line


def first_line_of_serve(config: Path) -> str:
    command = [sys.executable, "-m", "local_redshift", "--config", str(config), "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    line = process.stdout.readline()
    url = re.search(r"postgresql://\S+", line)[0]
    psycopg2.connect(url).close()
    lines = [line, *(process.stdout.readline() for _ in range(3))]
    process.terminate()
    assert process.wait(60) == 0
    process.stdout.close()
    assert [one.split()[0] for one in lines] == ["serving", "SQLAlchemy", "JDBC", "Press"]
    assert lines[1].split()[1] == url.replace("postgresql:", "postgresql+psycopg2:")
    return line
