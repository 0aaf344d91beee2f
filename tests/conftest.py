"""Fixtures: a warehouse of its own for each test, S3 and AWS by moto's server."""

import signal
from collections.abc import Iterator
from pathlib import Path

import boto3
import psycopg2
import pytest
from helpers import Warehouse, database_numbers
from moto.server import ThreadedMotoServer
from s3_front import S3Front

import local_redshift
from local_redshift.server import get_server

AWS_SETTINGS = ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN")


@pytest.fixture(scope="session", autouse=True)
def no_aws_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the machine's own AWS or libpq settings reaches a test."""
    patch = pytest.MonkeyPatch()
    for name in (*AWS_SETTINGS, "PGPASSWORD", "PGHOST", "PGUSER", "PGDATABASE", "XDG_RUNTIME_DIR"):
        patch.delenv(name, raising=False)
    nothing = str(tmp_path_factory.mktemp("aws") / "nothing")
    patch.setenv("AWS_CONFIG_FILE", nothing)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", nothing)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield
    patch.undo()


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The server that all tests share; each has a database of its own on it."""
    folder = tmp_path_factory.mktemp("warehouse")
    yield folder
    server = get_server(folder.resolve())
    if server._process is not None:
        # at once: hundreds of databases that nobody wants any more need not be written to the disk
        server._process.send_signal(signal.SIGQUIT)
        server._process.wait()
    server.release()


@pytest.fixture
def database(data_dir: Path) -> Iterator[psycopg2.extensions.connection]:
    """A connection to an empty database of the stand-in."""
    connection = local_redshift.connect(data_dir, f"test{next(database_numbers)}")
    yield connection
    connection.close()


@pytest.fixture
def warehouse(tmp_path: Path, data_dir: Path) -> Warehouse:
    """A warehouse whose tables are not created yet."""
    local_redshift.connect(data_dir, "postgres").close()  # the server runs as long as the tests do
    return Warehouse(tmp_path, data_dir)


@pytest.fixture
def tables(warehouse: Warehouse) -> Warehouse:
    """A warehouse with its seven tables, empty."""
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
