"""Fixtures: a warehouse of its own for each test, S3 and AWS by moto's server."""

import gc
import getpass
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import psutil
import psycopg2
import pytest
from cluster_warehouse import ClusterWarehouse, machine_settings
from helpers import Warehouse, copy_data_dir, copy_database, database_numbers, run_as_admin, stop_server
from moto.server import ThreadedMotoServer
from s3_front import S3Front

import local_redshift
from local_redshift.server import postgres

CLUSTER_CONFIG = os.environ.get("TEST_DWH_CONFIG")
ENVIRONMENT = dict(os.environ)
MEMORY = Path("/dev/shm")  # where Linux has one: folders in memory
SESSIONS_KEPT = 3  # that have ended, with the files of tests that failed
MEMORY_NEEDED = 2 * 1024**3  # bytes; a whole run takes up to 1.4 GB


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests' files in memory where it has the room: to make and drop their databases takes a third as long.

    Each session has its own folder there, also one that a test starts. Whenever a session starts, pytest removes the
    permissions of others from the shared folder; the servers of running sessions use another account and would fail.
    """
    name = f"etl-tests-of-{getpass.getuser()}"
    chosen = os.environ.get("PYTEST_DEBUG_TEMPROOT")
    if hasattr(config, "workerinput") or (chosen is not None and Path(chosen).parent.name != name):
        return
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED
    in_memory = has_room and psutil.virtual_memory().available > 2 * MEMORY_NEEDED
    parent = (MEMORY if in_memory else Path(tempfile.gettempdir())) / name
    parent.mkdir(exist_ok=True)
    ended = [path for path in parent.iterdir() if path.name.isdecimal() and not psutil.pid_exists(int(path.name))]
    for old in sorted(ended, key=lambda path: path.stat().st_mtime)[:-SESSIONS_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    own = parent / str(os.getpid())
    own.mkdir(exist_ok=True)
    for path in (parent, own):
        path.chmod(0o711)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(own)


def pytest_collection_finish() -> None:
    """What is there before the first test stays to the end: Python need not look for garbage in it each time."""
    gc.freeze()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three workers, on two processors too, since many tests wait; none for single tests and for a debugger."""
    single = config.args and all("::" in argument for argument in config.args)
    return 0 if single or config.getoption("usepdb") else 3


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of what a load means twice: on the stand-in and, where a config is named, on its cluster."""
    markers = {marker.name for marker in metafunc.definition.iter_markers()}
    if "also_on_cluster" not in markers or "stand_in_only" in markers:
        return
    if "warehouse" in metafunc.fixturenames:
        unnamed = pytest.mark.skipif(CLUSTER_CONFIG is None, reason="TEST_DWH_CONFIG names no config of a cluster")
        metafunc.parametrize("place", ["local", pytest.param("cluster", marks=unnamed)], indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str:
    """Where the warehouse is: local or cluster."""
    return getattr(request, "param", "local")


@pytest.fixture(scope="session", autouse=True)
def no_aws_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the machine's own AWS or libpq settings reaches a test."""
    patch = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.startswith(("AWS_", "PG")) or name == "XDG_RUNTIME_DIR":
            patch.delenv(name)
    nothing = str(tmp_path_factory.mktemp("aws") / "nothing")
    patch.setenv("AWS_CONFIG_FILE", nothing)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", nothing)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The scripts find their modules compiled, though Python was told not to leave anything beside them."""
    if "PYTHONDONTWRITEBYTECODE" not in os.environ:
        yield
        return
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base  # by all workers
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE")
        patch.setenv("PYTHONPYCACHEPREFIX", str(shared / "compiled"))
        yield


@pytest.fixture(scope="session", autouse=True)
def passable_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the server's account pass through the folders of the tests, where we are root: it would be said."""
    base = tmp_path_factory.getbasetemp()
    for folder in (base, *base.parents):
        if folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(folder.stat().st_mode | 0o001)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The server that all tests share; each has a database of its own on it.

    It need not outlive a crash of the machine: a database takes half as long to make if nobody waits for the disk.
    """
    folder = tmp_path_factory.mktemp("warehouse")
    local_redshift.connect(folder, "postgres").close()
    run_as_admin(folder, "ALTER SYSTEM SET fsync = off")
    run_as_admin(folder, "SELECT pg_reload_conf()")
    yield folder
    pid = postgres.server_pid(folder / "data")
    if pid is not None:
        # at once: what nobody wants any more need not be written to the disk
        os.kill(pid, signal.SIGQUIT)
    stop_server(folder)


@pytest.fixture(scope="session")
def first_used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as its first user leaves it, for copies: to make one from nothing takes ten times as long."""
    folder = tmp_path_factory.mktemp("first_used")
    local_redshift.connect(folder).close()
    stop_server(folder)
    return folder


@pytest.fixture
def own_data_dir(tmp_path: Path, first_used: Path) -> Path:
    """A data directory of the test's own that was used before; no server runs on it."""
    return copy_data_dir(first_used, tmp_path / "own")


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """A folder that is not where shared memory is."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def drop_database(data_dir: Path, name: str) -> None:
    """Drop a database, and whatever connections a test left to it: its room on the disk is the next test's."""
    run_as_admin(data_dir, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def empty_database(data_dir: Path) -> str:
    """The name of a database with nothing in it."""
    local_redshift.connect(data_dir, "empty").close()
    return "empty"


@pytest.fixture
def database(data_dir: Path, empty_database: str) -> Iterator[psycopg2.extensions.connection]:
    """A connection to an empty database of the stand-in."""
    name = f"test{next(database_numbers)}"
    copy_database(data_dir, empty_database, name)
    connection = local_redshift.connect(data_dir, name)
    yield connection
    connection.close()
    drop_database(data_dir, name)


@pytest.fixture
def warehouse(
    place: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """A warehouse whose tables are not created yet."""
    if place == "local":
        data_dir = request.getfixturevalue("data_dir")
        local_redshift.connect(data_dir, "postgres").close()  # the server runs as long as the tests do
        made = Warehouse(tmp_path, data_dir)
        name = made.values["CLUSTER", "DB_NAME"]
        yield made
        drop_database(data_dir, name)
        return
    for name, value in machine_settings(ENVIRONMENT).items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    on_cluster = ClusterWarehouse(tmp_path, Path(CLUSTER_CONFIG).expanduser().resolve())
    yield on_cluster
    on_cluster.remove()


@pytest.fixture(scope="session")
def with_tables(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with the seven tables, empty, which tests get copies of: that takes half as long."""
    made = Warehouse(tmp_path_factory.mktemp("tables"), data_dir)
    made.create_tables()
    return made.values["CLUSTER", "DB_NAME"]


@pytest.fixture
def tables(place: str, warehouse: Warehouse, data_dir: Path, request: pytest.FixtureRequest) -> Warehouse:
    """A warehouse with its seven tables, empty."""
    if place == "local":
        template = request.getfixturevalue("with_tables")
        copy_database(data_dir, template, warehouse.values["CLUSTER", "DB_NAME"])
    else:
        warehouse.create_tables()
    return warehouse


@pytest.fixture(scope="session")
def aws_server() -> Iterator[str]:
    """The address of moto's server: S3, DynamoDB, KMS and more over HTTP."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(aws_server: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment that leads boto3 to moto's server, set here and to be set for scripts."""
    environment = {
        "AWS_ENDPOINT_URL": aws_server,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anybody",
        "AWS_DEFAULT_REGION": "us-west-2",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def bucket(aws: dict[str, str]) -> Iterator[object]:
    """An empty S3 bucket called sparkify."""
    s3 = boto3.resource("s3")
    made = s3.create_bucket(Bucket="sparkify", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    yield made
    made.objects.delete()
    made.delete()


@pytest.fixture
def s3_front(bucket: object, aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Front]:
    """A server in front of S3, by which the bucket is reached from here on, by scripts too."""
    front = S3Front(aws["AWS_ENDPOINT_URL"])
    monkeypatch.setitem(aws, "AWS_ENDPOINT_URL", front.address)
    monkeypatch.setenv("AWS_ENDPOINT_URL", front.address)
    yield front
    front.close()
