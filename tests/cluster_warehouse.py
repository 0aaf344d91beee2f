"""A warehouse for tests on the cluster that TEST_DWH_CONFIG names; each test has a schema of its own.

Sources go under [TEST] PREFIX in S3, where the cluster can read them.
"""

import configparser
import os
import uuid
from pathlib import Path

import boto3
from helpers import Warehouse

import common

SOURCES = ("LOG_DATA", "LOG_JSONPATH", "SONG_DATA")


class ClusterWarehouse(Warehouse):
    """See Warehouse; what is written here is uploaded at once."""

    def __init__(self, folder: Path, named: Path) -> None:
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str
        parser.read_string(named.read_text())
        self._named = named
        self._schema = f"test_{uuid.uuid4().hex[:16]}"
        url = f"{parser['TEST']['PREFIX'].rstrip('/')}/{self._schema}"
        bucket, _, self._prefix = url.removeprefix("s3://").partition("/")
        self._bucket = boto3.resource("s3").Bucket(bucket)
        super().__init__(folder, named.parent / ".local_redshift")
        given = {(section, key): value for section in parser for key, value in parser[section].items()}
        kept = {key: value for key, value in self.values.items() if key[0] == "S3" and key[1] in SOURCES}
        data_dir = given.get(("CLUSTER", "DATA_DIR"), ".local_redshift")
        self.values = given | kept | {("CLUSTER", "DATA_DIR"): str(named.parent / data_dir)}
        self._run(f"CREATE SCHEMA {self._schema}")
        self.configure({("CLUSTER", "SCHEMA"): self._schema})

    def remove(self) -> None:
        """Drop the schema and delete what was uploaded."""
        self._run(f"DROP SCHEMA {self._schema} CASCADE")
        self._bucket.objects.filter(Prefix=self._prefix + "/").delete()

    def _run(self, statement: str) -> None:
        connection = common.connect(self._named)
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()
        connection.close()

    def configure(self, changes: dict[tuple[str, str], str | None]) -> None:
        in_s3 = {
            ("S3", key): self._uploaded(value)
            for key in SOURCES
            if (value := changes.get(("S3", key), self.values.get(("S3", key)))) and not value.startswith("s3://")
        }
        super().configure(changes | in_s3)

    def write_log(self, events: list[dict], name: str = "2018-11-01") -> Path:
        path = super().write_log(events, name)
        self._uploaded("log-data")
        return path

    def write_songs(self, songs: list[dict]) -> None:
        super().write_songs(songs)
        self._uploaded("song-data")

    def _uploaded(self, value: str) -> str:
        """The URL of what has this path here, and is there now, with nothing that was there before."""
        start = str(self.folder / value)
        key = f"{self._prefix}/{value.lstrip('/')}"
        self._bucket.objects.filter(Prefix=key).delete()
        for path in sorted(Path(start).parent.rglob("*")):
            if path.is_file() and str(path).startswith(start):
                self._bucket.upload_file(str(path), key + str(path)[len(start) :])
        return f"s3://{self._bucket.name}/{key}"


def machine_settings(before: dict[str, str]) -> dict[str, str | None]:
    """What the environment had of AWS's and libpq's settings before the tests hid them: None for what was not set."""
    names = {name for name in (*before, *os.environ) if name.startswith(("AWS_", "PG"))}
    return {name: before.get(name) for name in names}
