"""The server survives malformed messages, clients that vanish, and being killed."""

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
from helpers import plain_connection, server_process, stop_server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extras import wait_select

import local_redshift
from local_redshift.client import get_server
from local_redshift.program import Program
from local_redshift.sessions.protocol import SOCKET_NAME, startup_message

USER = "awsuser"


@pytest.fixture(scope="module")
def address(data_dir: Path) -> str:
    """The path of the private socket of a server whose database "sessions" is there."""
    connection = local_redshift.connect(data_dir, "sessions")
    folder = connection.get_dsn_parameters()["host"]
    connection.close()
    return f"{folder}/{SOCKET_NAME}"


@contextlib.contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(address)
        yield client


def received(client: socket.socket) -> bytes:
    """Return everything received until the other end closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def logged_in(client: socket.socket) -> None:
    client.sendall(startup_message({"user": USER, "database": "sessions"}))
    answered = b""
    while not re.search(rb"Z\0\0\0\x05I$", answered):
        answered += (part := client.recv(1 << 16))
        assert part, answered


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def assert_serves(address: str) -> None:
    with connected(address) as client:
        logged_in(client)
        client.sendall(message(b"Q", b"SELECT 41 + 1 AS n\0") + message(b"X", b""))
        assert b"42" in received(client)


SQL = st.sampled_from(
    [b"SELECT 1\0", b"SELECT $1\0", b"BEGIN\0", b"SELEC\0", b"\0", b"'\0", b"COPY t FROM 'x'\0", b"\xff\0"]
)
NAMED = st.tuples(st.sampled_from([b"\0", b"s\0"]), SQL).map(b"".join)
BODIES = st.binary(max_size=40) | SQL | NAMED
MESSAGES = st.builds(message, st.sampled_from([bytes([n]) for n in b"QPBDECSHFdcfpX?\0\xff"]), BODIES)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(sent=st.lists(MESSAGES, max_size=8))
def test_messages_of_any_kind_end_in_answers_or_one_error(address: str, data_dir: Path, sent: list[bytes]) -> None:
    with connected(address) as client:
        logged_in(client)
        with contextlib.suppress(OSError):  # it may be cut off in the middle
            client.sendall(b"".join(sent) + message(b"S", b"") + message(b"X", b""))
        received(client)
    assert "Traceback" not in (data_dir / "process.log").read_text()


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(sent=st.binary(max_size=60))
def test_bytes_of_any_kind_before_the_login_let_nobody_in(address: str, data_dir: Path, sent: bytes) -> None:
    with connected(address) as client:
        with contextlib.suppress(OSError):
            client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert b"Z\0\0\0\x05" not in received(client)
    assert "Traceback" not in (data_dir / "process.log").read_text()


@pytest.mark.parametrize("length", [-1, 0, 3, 10_001, 1 << 30])
def test_length_before_the_login_is_bounded(address: str, length: int) -> None:
    with connected(address) as client:
        client.sendall(struct.pack("!ii", length, 196608))
        assert b"08P01" in received(client)


@pytest.mark.parametrize("length", [-1, 0, 3, 1 << 30])
def test_length_of_a_message_is_bounded(address: str, length: int) -> None:
    with connected(address) as client:
        logged_in(client)
        client.sendall(b"Q" + struct.pack("!i", length))
        assert b"08P01" in received(client)


def test_a_hundred_clients_are_served_at_once(data_dir: Path, address: str) -> None:
    connections = [local_redshift.connect(data_dir, "sessions") for _ in range(100)]

    def ask(connection: psycopg2.extensions.connection) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 AS a, a + 1")
            return cursor.fetchone()[1]

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, connections)) == [2] * 100
    for connection in connections:
        connection.close()


def test_client_that_does_not_read_its_answer_keeps_nobody_waiting(address: str) -> None:
    with connected(address) as client:
        logged_in(client)
        client.sendall(message(b"Q", b"SELECT n, REPEAT('x', 1000) FROM GENERATE_SERIES(1, 100000) AS g (n)\0"))
        assert_serves(address)


def test_client_may_take_longer_to_read_than_to_log_in(
    data_dir: Path,
    served_here: Callable[[str], psycopg2.extensions.connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("local_redshift.sessions.listener.LOGIN_SECONDS", 0.3)
    served = served_here("sessions")
    where = served.dsn
    served.close()
    with (
        contextlib.closing(psycopg2.connect(where, async_=True)) as slow,
        plain_connection(data_dir, "sessions") as other,
    ):
        wait_select(slow)
        cursor = slow.cursor()
        cursor.execute("SELECT n, REPEAT('x', 1000) FROM GENERATE_SERIES(1, 20000) AS g (n)")
        other.cursor().execute("SELECT pg_sleep(0.6)")  # nothing is read meanwhile
        wait_select(slow)
        assert len(cursor.fetchall()) == 20_000


def running(data_dir: Path, query: str) -> int:
    with contextlib.closing(plain_connection(data_dir, "sessions")) as plain, plain.cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM pg_catalog.pg_stat_activity "
            "WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()",
            [f"%{query}%"],
        )
        return cursor.fetchone()[0]


def test_statement_of_a_client_that_vanishes_ends(data_dir: Path, address: str) -> None:
    with connected(address) as client:
        logged_in(client)
        client.sendall(message(b"Q", b"SELECT COUNT(*) AS vanishing FROM GENERATE_SERIES(1, 100000000000)\0"))
        while not running(data_dir, "vanishing"):
            pass
    deadline = time.monotonic() + 20
    while running(data_dir, "vanishing"):
        assert time.monotonic() < deadline


def test_aws_settings_are_handed_over_and_not_shown(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-to-be-seen")
    connection = local_redshift.connect(data_dir, "sessions")
    assert "never-to-be-seen" in Program.this().as_json()
    assert "never-to-be-seen" not in connection.dsn + repr(connection)
    with contextlib.closing(plain_connection(data_dir, "sessions")) as plain, plain.cursor() as cursor:
        cursor.execute("SELECT query FROM pg_catalog.pg_stat_activity")
        assert "never-to-be-seen" not in str(cursor.fetchall())
    connection.close()
    for log in ("process.log", "server.log"):
        assert "never-to-be-seen" not in (data_dir / log).read_text()


def test_killed_server_leaves_no_session_behind(own_data_dir: Path) -> None:
    connection = local_redshift.connect(own_data_dir)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (a INT)")
    connection.commit()
    cursor.execute("LOCK t; INSERT INTO t VALUES (1)")
    server_process(own_data_dir).kill()
    with pytest.raises(psycopg2.OperationalError):
        cursor.execute("SELECT 1")
    again = local_redshift.connect(own_data_dir)
    with again.cursor() as looking:
        looking.execute("LOCK t; SELECT COUNT(*) FROM t")  # nobody holds the lock of the killed one any more
        assert looking.fetchone() == (0,)
    again.close()
    stop_server(own_data_dir)


def test_statement_that_a_killed_server_left_running_is_ended(own_data_dir: Path) -> None:
    connection = local_redshift.connect(own_data_dir, "left")
    query = "SELECT COUNT(*) AS endless FROM GENERATE_SERIES(1, 100000000000)"
    errors: list[Exception] = []

    def run() -> None:
        try:
            connection.cursor().execute(query)
        except psycopg2.Error as error:
            errors.append(error)

    running = threading.Thread(target=run)
    running.start()
    with contextlib.closing(plain_connection(own_data_dir, "left")) as plain, plain.cursor() as cursor:
        looked = (
            "SELECT COUNT(*) FROM pg_catalog.pg_stat_activity WHERE query LIKE '%endless%' AND pid <> pg_backend_pid()"
        )
        cursor.execute(looked)
        while cursor.fetchone() == (0,) and running.is_alive():
            cursor.execute(looked)
    server_process(own_data_dir).kill()
    running.join()
    local_redshift.connect(own_data_dir, "another").close()
    with contextlib.closing(plain_connection(own_data_dir, "left")) as plain, plain.cursor() as cursor:
        cursor.execute(looked)
        assert cursor.fetchone() == (0,) and errors
    stop_server(own_data_dir)


def test_connection_is_the_drivers_own(data_dir: Path) -> None:
    connection = local_redshift.connect(data_dir, "sessions")
    assert type(connection) is psycopg2.extensions.connection
    assert type(connection.cursor()) is psycopg2.extensions.cursor
    connection.close()
    assert get_server(data_dir.resolve()).request({"databases": None})["databases"]


def test_aws_setting_that_is_none_fails_the_copy_and_leaves_the_session(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = local_redshift.connect(data_dir, "sessions")
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE regions (a INT)")
    connection.commit()
    for region, profile in (("not a region!", None), ("us-west-2", "nobody")):
        if profile is not None:
            monkeypatch.setenv("AWS_PROFILE", profile)
            connection.close()
            connection = local_redshift.connect(data_dir, "sessions")
            cursor = connection.cursor()
        with pytest.raises(psycopg2.errors.InternalError_, match="S3 can't be read from here"):
            cursor.execute(f"COPY regions FROM 's3://b/k' IAM_ROLE 'r' REGION '{region}' JSON 'auto'")
        connection.rollback()
    cursor.execute("DROP TABLE regions")
    connection.commit()
    connection.close()


def test_database_and_user_that_were_dropped_are_made_again(data_dir: Path) -> None:
    local_redshift.connect(data_dir, "passing", "passer").close()
    connection = local_redshift.connect(data_dir, "sessions")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("DROP DATABASE passing")
    cursor.execute("DROP USER passer")
    again = local_redshift.connect(data_dir, "passing", "passer")
    again.close()
    cursor.execute("DROP DATABASE passing")
    cursor.execute("DROP USER passer")
    connection.close()


def test_each_user_of_a_database_is_made_when_it_connects(data_dir: Path) -> None:
    for user in ("first_of_two", "second_of_two"):
        with contextlib.closing(local_redshift.connect(data_dir, "sessions", user)) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT CURRENT_USER")
            assert cursor.fetchall() == [(user,)]


def test_name_with_a_dot_is_one_name(database: psycopg2.extensions.connection) -> None:
    cursor = database.cursor()
    cursor.execute('CREATE TABLE "a.b" SORTKEY (x) AS SELECT 1 AS x; ALTER TABLE "a.b" ADD PRIMARY KEY (x)')
    cursor.execute("SELECT conname FROM pg_constraint")
    assert cursor.fetchall() == [("a.b_pkey",)]


def test_utility_statement_with_a_parameter_is_refused(address: str) -> None:
    with connected(address) as client:
        logged_in(client)
        parse = message(b"P", b"\0CREATE TABLE $1 (a INT)\0\0\0")
        client.sendall(parse + message(b"S", b"") + message(b"X", b""))
        assert b"CREATE takes no parameters" in received(client)


def test_portal_of_a_utility_statement_lives_as_long_as_its_transaction(address: str) -> None:
    sync = message(b"S", b"")
    parse = message(b"P", b"s\0CREATE TEMP TABLE portals (a INT)\0\0\0") + message(b"B", b"p\0s\0" + b"\0\0" * 3)
    with connected(address) as client:
        logged_in(client)
        client.sendall(
            message(b"Q", b"BEGIN\0") + parse + sync + message(b"E", b"p\0\0\0\0\0") + sync + message(b"X", b"")
        )
        assert b"CREATE TABLE\0" in received(client)


def test_last_parameter_of_the_login_may_be_empty(address: str) -> None:
    with connected(address) as client:
        client.sendall(startup_message({"user": USER, "database": "sessions", "application_name": ""}))
        assert b"server_version" in client.recv(1 << 16)


def test_rows_are_fetched_a_few_at_a_time(address: str) -> None:
    query = message(b"P", b"\0SELECT n FROM GENERATE_SERIES(1, 3) AS g (n)\0\0\0") + message(
        b"B", b"\0\0" + b"\0\0" * 3
    )
    execute = message(b"E", b"\0\0\0\0\2")
    with connected(address) as client:
        logged_in(client)
        client.sendall(query + execute + execute + message(b"S", b"") + message(b"X", b""))
        answer = received(client)
    suspended, complete = message(b"s", b""), message(b"C", b"SELECT 1\0")
    assert answer.count(message(b"D", b"\0\1\0\0\0\x011")) == 1
    assert answer.index(suspended) < answer.index(complete)


def test_statements_before_a_refused_one_of_the_same_message_are_undone(address: str, data_dir: Path) -> None:
    with connected(address) as client:
        logged_in(client)
        client.sendall(message(b"Q", b"CREATE TABLE before_it (a INT); SELECT DISTINCT ON (a) a FROM before_it\0"))
        client.sendall(message(b"Q", b"SELECT COUNT(*) AS n FROM before_it\0") + message(b"X", b""))
        answer = received(client)
    assert b"DISTINCT ON" in answer and b'relation "before_it" does not exist' in answer


def test_statement_of_a_client_may_have_any_name(address: str) -> None:
    with connected(address) as client:
        logged_in(client)
        for _ in range(2):
            client.sendall(message(b"P", b"local_redshift\0SELECT 7 AS seven FROM pg_class\0\0\0"))
            client.sendall(message(b"C", b"Slocal_redshift\0") + message(b"S", b""))
        client.sendall(message(b"X", b""))
        assert b"already exists" not in received(client)


@pytest.mark.parametrize("function", ["query_to_xml('SELECT 1', true, true, '')", "pg_read_file('/etc/hostname')"])
def test_query_of_the_catalog_reads_no_files(data_dir: Path, function: str) -> None:
    connection = local_redshift.connect(data_dir, "sessions")
    with pytest.raises(psycopg2.Error, match="Redshift has no function of this name"):
        connection.cursor().execute(f"SELECT {function} FROM pg_catalog.pg_class LIMIT 1")
    connection.close()
