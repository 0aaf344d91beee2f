"""Fixtures for COPY: data put where a COPY finds them, here or in S3, and what became of them."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import psycopg2
import pytest

import local_redshift
from local_redshift.client import hand_over
from local_redshift.server.postgres import Postgres
from local_redshift.sessions.listener import Listener
from local_redshift.sessions.protocol import PORT

folders = itertools.count()


class Source:
    """A place for objects: a folder here, or a bucket of moto's server."""

    authorization = ""

    def __init__(self, root: str) -> None:
        self.root = root

    def url(self, key: str) -> str:
        return f"{self.root}/{key}"

    def put(self, key: str, data: bytes | str) -> str:
        """Store an object; its full name."""
        raise NotImplementedError


class LocalSource(Source):
    def put(self, key: str, data: bytes | str) -> str:
        path = Path(self.url(key))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(path)


class S3Source(Source):
    authorization = "IAM_ROLE 'arn:aws:iam::123456789012:role/r'"

    def __init__(self, root: str, bucket: object) -> None:
        super().__init__(root)
        self._bucket = bucket

    def put(self, key: str, data: bytes | str) -> str:
        prefix = self.root.removeprefix("s3://copies/")
        self._bucket.put_object(Key=f"{prefix}/{key}", Body=data)
        return self.url(key)


@pytest.fixture(scope="session")
def copies_bucket(aws_server: str) -> Iterator[object]:
    """A bucket for all tests; each has a prefix of its own in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", aws_server)
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_DEFAULT_REGION", "us-west-2")
        made = boto3.resource("s3").create_bucket(
            Bucket="copies", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
        )
    yield made


@pytest.fixture(params=["local", "s3"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    """Each test runs twice: from a local path and from S3."""
    if request.param == "local":
        return LocalSource(str(tmp_path))
    bucket = request.getfixturevalue("copies_bucket")
    request.getfixturevalue("aws")
    return S3Source(f"s3://copies/{next(folders)}", bucket)


@pytest.fixture(scope="module")
def connection(data_dir: Path, request: pytest.FixtureRequest) -> Iterator[psycopg2.extensions.connection]:
    """A connection to a database of the test module's own, with the tables that its TABLES creates."""
    made = local_redshift.connect(data_dir, request.module.__name__.rpartition("test_")[2])
    made.cursor().execute(request.module.TABLES)
    made.commit()
    yield made
    made.close()


@pytest.fixture(scope="session")
def copy_connection(data_dir: Path) -> Iterator[psycopg2.extensions.connection]:
    connection = local_redshift.connect(data_dir, "copies")
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def served_here(data_dir: Path) -> Iterator[Callable[[str], psycopg2.extensions.connection]]:
    """Connect to a database through a server in this process, whose modules a test may patch."""
    listener = Listener(Postgres(data_dir.resolve()))
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        listener.listen(Path(folder))

        def connect(dbname: str) -> psycopg2.extensions.connection:
            local_redshift.connect(data_dir, dbname).close()
            connection = psycopg2.connect(host=folder, hostaddr="", port=PORT, user="awsuser", dbname=dbname)
            hand_over(connection)
            return connection

        yield connect
        listener.close()


@pytest.fixture
def cursor(connection: psycopg2.extensions.connection) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor on the connection that the module makes for all its tests; what a test does is rolled back."""
    yield connection.cursor()
    connection.rollback()


class Copy:
    """A table and what COPY does to it, in a transaction that is rolled back after the test."""

    def __init__(self, connection: psycopg2.extensions.connection, source: Source) -> None:
        self.connection = connection
        self.source = source
        self.cursor = connection.cursor()
        connection.notices.clear()

    def create(self, columns: str) -> None:
        """Make the table t, in a committed transaction: a failing COPY rolls back its own."""
        self.cursor.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t ({columns})")
        self.connection.commit()
        self.connection.notices.clear()

    def run(self, key: str = "data", options: str = "JSON 'auto'", target: str = "t") -> None:
        """COPY from the objects whose key starts with `key`."""
        self.cursor.execute(f"COPY {target} FROM '{self.source.url(key)}' {self.source.authorization} {options}")

    def load(self, columns: str, data: bytes | str, options: str = "JSON 'auto'") -> list[tuple]:
        """Load one object into a new table; the rows, in the order of the file."""
        self.create(columns)
        self.source.put("data.json", data)
        self.run(options=options)
        return self.rows()

    def fail(self, columns: str, data: bytes | str, options: str = "JSON 'auto'") -> dict[str, object]:
        """As `load`, where the COPY must fail on its data; the row of stl_load_errors, stripped."""
        self.create(columns)
        self.source.put("data.json", data)
        return self.failure(options)[0]

    def failure(self, options: str = "JSON 'auto'", key: str = "data") -> list[dict[str, object]]:
        """The rows of stl_load_errors that a failing COPY writes; checks what the client gets."""
        before = self.errors_so_far()
        with pytest.raises(psycopg2.errors.InternalError_) as raised:
            self.run(key, options)
        message = "Load into table 't' failed.  Check 'stl_load_errors' system table for details."
        assert raised.value.diag.message_primary == message
        assert raised.value.pgcode == "XX000" and raised.value.diag.message_detail is None
        self.connection.rollback()
        self.cursor.execute("SELECT COUNT(*) FROM t")
        assert self.cursor.fetchone() == (0,)
        return self.errors(before)

    def refusal(self, kind: type = psycopg2.errors.InternalError_, **run: str) -> psycopg2.Error:
        """The error of a COPY that fails before loading starts: no row is written."""
        before = self.errors_so_far()
        with pytest.raises(kind) as raised:
            self.run(**run)
        self.connection.rollback()
        assert self.errors_so_far() == before
        return raised.value

    def rows(self) -> list[tuple]:
        self.cursor.execute("SELECT * FROM t")
        return self.cursor.fetchall()

    def errors_so_far(self) -> int:
        self.connection.rollback()
        self.cursor.execute("SELECT COUNT(*) FROM stl_load_errors")
        return self.cursor.fetchone()[0]

    def errors(self, after: int = 0) -> list[dict[str, object]]:
        """The rows of stl_load_errors after so many, the oldest first, without the blanks that pad them."""
        self.cursor.execute("SELECT * FROM stl_load_errors ORDER BY query, line_number, filename OFFSET %s", [after])
        names = [column.name for column in self.cursor.description]
        stripped = ([v.rstrip() if isinstance(v, str) else v for v in row] for row in self.cursor)
        return [dict(zip(names, row, strict=True)) for row in stripped]


@pytest.fixture
def copy(copy_connection: psycopg2.extensions.connection, source: Source) -> Iterator[Copy]:
    hand_over(copy_connection)  # the AWS settings of this test
    yield Copy(copy_connection, source)
    copy_connection.rollback()
