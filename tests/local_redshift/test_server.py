"""The embedded server: started on demand, private, gone with its last user however that went."""

import contextlib
import json
import os
import pwd
import re
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg2
import pytest
from helpers import (
    ROOT,
    copy_data_dir,
    plain_connection,
    plain_cursor,
    run_as_admin,
    server_process,
    stop_server,
    wait_until_stopped,
)

import local_redshift
from local_redshift.client import get_server
from local_redshift.errors import ServerError
from local_redshift.server import installation, locks, postgres
from local_redshift.server.databases import install_catalog

NOBODY = pwd.getpwnam("nobody").pw_uid
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can do this")
HOLD = """
import sys, local_redshift
connection = local_redshift.connect(sys.argv[1])
print("up", flush=True)
sys.stdin.read()
"""


def user_of(data_dir: Path, **options: object) -> subprocess.Popen:
    """A process that has connected and holds on until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **options,
    )
    assert process.stdout.readline() == b"up\n"
    return process


def finish(process: subprocess.Popen) -> None:
    process.communicate(timeout=120)


def server_runs(data_dir: Path) -> bool:
    return postgres.server_pid(data_dir / "data") is not None


def test_data_stay_between_runs(tmp_path: Path) -> None:
    code = "import sys, local_redshift as r; c = r.connect(sys.argv[1]); c.cursor().execute(sys.argv[2]); c.commit()"
    for sql in ("CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)", "SELECT 1 / COUNT(*) FROM t"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path), sql], check=True, cwd=ROOT)
        wait_until_stopped(tmp_path)


def test_server_stops_with_the_last_of_its_users(own_data_dir: Path) -> None:
    first, second = user_of(own_data_dir), user_of(own_data_dir)
    finish(first)
    assert server_runs(own_data_dir)
    finish(second)
    wait_until_stopped(own_data_dir)


def test_server_stops_in_order_though_a_client_is_connected(own_data_dir: Path) -> None:
    command = [sys.executable, "-m", "local_redshift", "--data-dir", str(own_data_dir), "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    client = psycopg2.connect(re.search(r"postgresql://\S+", process.stdout.readline())[0])
    client.cursor().execute("SELECT 1 AS a")  # a transaction that stays open
    process.terminate()
    process.communicate(timeout=120)
    wait_until_stopped(own_data_dir)
    log = (own_data_dir / "server.log").read_text()
    # a fast shutdown does not wait for clients: https://www.postgresql.org/docs/current/server-shutdown.html
    assert "received fast shutdown request" in log and log.rstrip().endswith("database system is shut down")
    client.close()


def test_server_that_lets_nobody_in_is_not_waited_for_without_end(
    own_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = user_of(own_data_dir)
    server_process(own_data_dir).kill()
    (postgres.socket_dir(own_data_dir / "data") / postgres.SOCKET_NAME).unlink()
    monkeypatch.setattr(postgres, "START_SECONDS", 0.2)
    another = postgres.Postgres(own_data_dir)
    with pytest.raises(ServerError, match="the local server did not start"):
        another.start()
    another._process.wait(60)  # which finds that the data are in use
    os.kill(postgres.server_pid(own_data_dir / "data"), signal.SIGQUIT)
    user.kill()
    finish(user)
    wait_until_stopped(own_data_dir)


def test_request_that_a_killed_server_left_unanswered_is_sent_again(
    own_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, asked = json.loads, []

    def empty_at_first(line: bytes) -> object:
        asked.append(line)
        return loads(line if len(asked) > 1 else b"")

    server = get_server(own_data_dir)
    server.acquire()
    monkeypatch.setattr("local_redshift.client.json.loads", empty_at_first)
    assert server.request({"databases": None})["databases"] and len(asked) == 2
    stop_server(own_data_dir)


def test_look_at_a_lock_that_is_held_leaves_no_file_open(tmp_path: Path) -> None:
    held = locks.lock(tmp_path / "lock", locks.EXCLUSIVE)
    before = psutil.Process().num_fds()
    assert not any(locks.is_free(tmp_path / "lock") for _ in range(10))
    assert psutil.Process().num_fds() == before
    os.close(held)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_server_stops_when_its_last_user_is_killed(own_data_dir: Path, how: int) -> None:
    process = user_of(own_data_dir)
    process.send_signal(how)
    finish(process)
    wait_until_stopped(own_data_dir)
    finish(user_of(own_data_dir))


def test_copy_has_the_aws_settings_of_its_own_program_alone(
    own_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import sys, local_redshift
cursor = local_redshift.connect(sys.argv[1]).cursor()
cursor.execute("CREATE TABLE t (a INT)")
cursor.execute("COPY t FROM 's3://nowhere/' IAM_ROLE 'arn:aws:iam::123456789012:role/r' REGION 'us-west-2' JSON 'auto'")
"""
    with monkeypatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "of-the-program-that-started-the-server")
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        user = user_of(own_data_dir)
    ran = subprocess.run(
        [sys.executable, "-c", code, str(own_data_dir)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Unable to locate credentials" in ran.stderr
    finish(user)


@pytest.mark.skipif(not Path("/proc").exists(), reason="there is no /proc")
def test_postgresql_gets_neither_aws_settings_nor_groups(own_data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SESSION_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.setenv(name, "not-for-the-server")
    is_root = os.geteuid() == 0  # then PostgreSQL runs as another account
    user = user_of(own_data_dir, **({"extra_groups": [4242]} if is_root else {}))
    process = Path(f"/proc/{postgres.server_pid(own_data_dir / 'data')}")
    assert b"AWS_" not in (process / "environ").read_bytes()
    if is_root:
        assert re.search(r"^Groups:\s*$", (process / "status").read_text(), re.MULTILINE)
    finish(user)


def test_killed_server_starts_again(own_data_dir: Path) -> None:
    process = user_of(own_data_dir)
    os.kill(postgres.server_pid(own_data_dir / "data"), signal.SIGKILL)
    finish(process)
    finish(user_of(own_data_dir))


def test_stale_pid_file_of_another_program_is_no_trouble(own_data_dir: Path) -> None:
    stale = f"{os.getpid()}\n{own_data_dir}/data\n1\n5432\n\n\n1 1\nready\n"
    (own_data_dir / "data" / "postmaster.pid").write_text(stale)
    finish(user_of(own_data_dir))


def test_killed_process_of_the_server_is_replaced(own_data_dir: Path) -> None:
    first = user_of(own_data_dir)
    server_process(own_data_dir).kill()
    second = user_of(own_data_dir)
    first.kill()
    second.kill()
    finish(first)
    finish(second)
    wait_until_stopped(own_data_dir)


def test_first_run_cut_short_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    unfinished = tmp_path / "init-123"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    finish(user_of(tmp_path))
    assert not unfinished.exists()


def test_no_other_user_can_reach_the_socket(database: psycopg2.extensions.connection) -> None:
    folder = Path(database.get_dsn_parameters()["host"])
    assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("name", ["a b", "é\"q's", "%s\\n"])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    finish(user_of(tmp_path / name))
    assert (tmp_path / name / "data").exists()


@pytest.mark.parametrize("name", ["x" * 120, "a, b"])
def test_path_that_no_socket_can_have_gets_one_elsewhere_that_is_as_private(tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / name
    connection = local_redshift.connect(data_dir)
    folder = Path(connection.get_dsn_parameters()["host"])
    connection.close()
    get_server(data_dir.resolve()).release()
    wait_until_stopped(data_dir)
    assert tmp_path not in folder.parents
    assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0
    folder.rmdir()


@as_root
def test_socket_folder_that_somebody_else_made_is_refused(tmp_path: Path) -> None:
    data_dir = (tmp_path / ("x" * 120)).resolve()
    folder = postgres.socket_dir(data_dir / "data")
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(local_redshift.LocalRedshiftError, match=re.escape(str(folder))):
        local_redshift.connect(data_dir)
    stop_server(data_dir)
    folder.rmdir()


def test_path_may_have_many_letters_of_several_bytes(on_disk: Path) -> None:
    # few enough characters for a socket's path, but too many bytes
    data_dir = on_disk / ("é" * 45)
    with contextlib.closing(local_redshift.connect(data_dir)) as connection:
        connection.cursor().execute("SELECT 1 AS a")
    get_server(data_dir.resolve()).release()
    wait_until_stopped(data_dir)


def test_first_start_says_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    code = "import sys, local_redshift; local_redshift.connect(sys.argv[1]).close()"
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout + result.stderr == ""


def test_unusable_data_dir_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(local_redshift.LocalRedshiftError, match="can't be used"):
        local_redshift.connect(tmp_path / "file")


def test_initdb_that_fails_is_told_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "initdb").write_text("#!/bin/sh\necho creating\necho 'No space left on device' >&2\nexit 1\n")
    (programs / "initdb").chmod(0o755)
    for folder in (tmp_path, programs):
        folder.chmod(0o755)
    monkeypatch.setattr(installation, "binaries", lambda: programs)
    (tmp_path / "new").mkdir()
    with pytest.raises(ServerError, match=r"initdb failed in .*: No space left on device"):
        postgres.Postgres(tmp_path / "new").start()


def test_damaged_data_are_named_with_what_the_server_said(own_data_dir: Path) -> None:
    (own_data_dir / "data" / "global" / "pg_control").unlink()
    with pytest.raises(local_redshift.LocalRedshiftError, match="did not start") as raised:
        local_redshift.connect(own_data_dir)
    said = str(raised.value)
    assert "pg_control" in said
    # what is left may be whole, or somebody else's: no advice to remove it
    assert "set another DATA_DIR" in said and not re.search("delete|remove", said)


@as_root
@pytest.mark.parametrize(("owner", "name"), [(NOBODY, "nobody"), (54321, "user 54321")])
def test_data_of_another_user_are_left_alone(own_data_dir: Path, owner: int, name: str) -> None:
    subprocess.run(["chown", "-R", str(owner), str(own_data_dir)], check=True)
    own_data_dir.chmod(0o700)
    with pytest.raises(local_redshift.LocalRedshiftError) as raised:
        local_redshift.connect(own_data_dir)
    said = str(raised.value)
    assert (
        f"{own_data_dir}/data belongs to {name}, but the server would run as pgserver" in said
        and "run this as the owner" in said
    )
    assert not re.search("delete|remove", said)
    assert (own_data_dir / "data").stat().st_uid == owner
    assert stat.S_IMODE(own_data_dir.stat().st_mode) == 0o700


@as_root
def test_folder_above_that_is_made_passable_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    code = "import sys, local_redshift; local_redshift.connect(sys.argv[1]).close()"
    command = [sys.executable, "-c", code, str(closed / "data")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (
        ran.stderr.startswith(f"local_redshift: changed the mode of {closed} from 700 to 701, ")
        and ran.stderr.count("\n") == 1
    )
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr == ""


@pytest.mark.parametrize("options", ["ro", "size=4k"])
def test_shared_memory_folder_may_be_small_or_read_only(on_disk: Path, first_used: Path, options: str) -> None:
    # Docker's default is 64 MB, which the joins of a large load would fill
    code = """
import sys, local_redshift, psycopg2
local_redshift.connect(sys.argv[1]).close()
plain = psycopg2.connect(host=sys.argv[1] + "/data", port=5432, user="rdsdb", dbname="dev")
cursor = plain.cursor()
cursor.execute("SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0")
cursor.execute("SET min_parallel_table_scan_size = 0")
cursor.execute("CREATE TABLE t AS SELECT n, repeat('x', 200) AS x FROM generate_series(1, 50000) AS n")
cursor.execute("SELECT COUNT(*) FROM t AS a JOIN t AS b ON a.n = b.n AND a.x = b.x")
print(cursor.fetchone()[0])
"""
    data_dir = on_disk / "own"
    mount = f"mount -t tmpfs -o {options} tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode != 0:
        pytest.skip("a folder can't be mounted here")
    command = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$0" -c "$1" "$2"', sys.executable, code, str(data_dir)]
    # where compiled modules are kept in /dev/shm, they would be cut short, too
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert ran.stdout == "50000\n", ran.stderr
    wait_until_stopped(data_dir)


def test_many_first_users_at_once(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        for _ in range(4)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert outputs == [b"up\n"] * 4
    wait_until_stopped(tmp_path)


def psql(data_dir: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "local_redshift", "--data-dir", str(data_dir), *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    return result


def test_psql_takes_redshift_sql_from_the_command_line(own_data_dir: Path) -> None:
    assert psql(own_data_dir, "-At", "-c", "SELECT TOP 1 NVL(NULL, 'x') FROM pg_class").stdout == "x\n"
    assert "ON CONFLICT" in psql(own_data_dir, "-c", "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", code=1).stderr


def test_psql_without_a_database_says_so(own_data_dir: Path) -> None:
    server = get_server(own_data_dir)
    server.acquire()
    run_as_admin(own_data_dir, f"DROP DATABASE {server.request({'databases': None})['databases'][0]}")
    assert psql(own_data_dir, code=1).stderr.endswith(f"{own_data_dir} has no database yet; run create_tables.py\n")
    stop_server(own_data_dir)


def test_psql_without_a_warehouse_says_so(tmp_path: Path) -> None:
    assert "no local warehouse" in psql(tmp_path, code=1).stderr


def test_views_and_defaults_outlive_a_new_version_of_the_catalog(data_dir: Path, tmp_path: Path) -> None:
    connection = local_redshift.connect(data_dir, "upgraded")
    cursor = connection.cursor()
    cursor.execute("DROP TABLE IF EXISTS t CASCADE")
    cursor.execute("CREATE TABLE t (a VARCHAR(4), at TIMESTAMP DEFAULT GETDATE(), b INT)")
    cursor.execute("CREATE VIEW v AS SELECT LEN(a) AS n, at FROM t; INSERT INTO t (a) VALUES ('abc')")
    cursor.execute("CREATE VIEW errors AS SELECT COUNT(*) AS n FROM stl_load_errors")
    cursor.execute("CREATE VIEW late AS SELECT b FROM public.t WITH NO SCHEMA BINDING")
    (tmp_path / "data").write_text('{"n": 1}\n{"n": "x"}\n')
    cursor.execute("DROP TABLE IF EXISTS u; CREATE TABLE u (n INT)")
    cursor.execute(f"COPY u FROM '{tmp_path}/data' JSON 'auto' MAXERROR 2")
    connection.commit()
    with plain_cursor(connection) as cursor:
        cursor.execute("COMMENT ON SCHEMA local_redshift IS 'older'; ALTER TABLE t RENAME COLUMN b TO \"B\"")
    connection.close()
    install_catalog(postgres.Postgres(data_dir.resolve()), "upgraded")
    connection = local_redshift.connect(data_dir, "upgraded")
    cursor = connection.cursor()
    cursor.execute("INSERT INTO t (a) VALUES ('abcd')")
    cursor.execute("SELECT n, at IS NOT NULL, LEN('x') FROM v ORDER BY n")
    assert cursor.fetchall() == [(3, True, 1), (4, True, 1)]
    cursor.execute("SELECT (SELECT n FROM errors), b FROM late LIMIT 1")
    assert cursor.fetchall() == [(1, None)]
    for view in ("stl_query", "sys_load_history", "stl_load_commits", "stl_load_errors"):
        cursor.execute(f"SELECT COUNT(*) FROM {view}")
        assert cursor.fetchall() == [(1,)], view
    with pytest.raises(psycopg2.errors.StringDataRightTruncation):
        cursor.execute("INSERT INTO t (a) VALUES ('äöü')")
    connection.close()


def test_installation_that_a_killed_process_began_is_waited_for(own_data_dir: Path) -> None:
    """The server goes on with a statement whose sender is gone."""
    local_redshift.connect(own_data_dir).close()
    run_as_admin(own_data_dir, "CREATE DATABASE halfway TEMPLATE template0")
    with contextlib.closing(plain_connection(own_data_dir, "halfway")) as plain, plain.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('local_redshift'))")
        with ThreadPoolExecutor(1) as pool:
            connecting = pool.submit(local_redshift.connect, own_data_dir, "halfway")
            while cursor.rowcount == 0 or cursor.fetchone() != (1,):
                cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            assert not connecting.done()
            cursor.execute("SELECT pg_advisory_unlock(hashtext('local_redshift'))")
            with contextlib.closing(connecting.result()) as found, found.cursor() as counting:
                counting.execute("SELECT COUNT(*) FROM stl_load_errors")
                assert counting.fetchone() == (0,)
    stop_server(own_data_dir)


def test_socket_of_a_long_path_is_found_whatever_tmpdir_says(tmp_path: Path, first_used: Path) -> None:
    long = tmp_path / ("d" * 120)
    copy_data_dir(first_used, long)
    first = user_of(long)
    (tmp_path / "other").mkdir()
    code = "import sys, local_redshift; local_redshift.connect(sys.argv[1]).close()"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "other")}
    subprocess.run([sys.executable, "-c", code, str(long)], env=environment, check=True, timeout=120)
    finish(first)
    wait_until_stopped(long)


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes accounts")
def test_processes_that_make_the_account_at_once_agree_on_it() -> None:
    code = (
        "from local_redshift.server import accounts; accounts.SERVER_ACCOUNT = 'pgserver_test'; "
        "print(accounts.server_account().pw_uid)"
    )
    command = [sys.executable, "-c", code]
    try:
        processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(6)]
        assert len({process.communicate()[0] for process in processes}) == 1
        assert [process.returncode for process in processes] == [0] * 6
    finally:
        subprocess.run(["userdel", "pgserver_test"], check=False, capture_output=True)
