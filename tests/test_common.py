"""The config, the password, the connection, and what is said when one of them is wrong."""

import base64
import socket
from pathlib import Path

import boto3
import credstash
import psycopg2
import pytest
from helpers import Warehouse, event, song

import cluster
import common

SECRET = "hunter2-%-'quoted\\"


def config(tmp_path: Path, text: str) -> common.Config:
    path = tmp_path / "dwh.cfg"
    path.write_text(text, encoding="utf-8")
    return common.Config(path)


# Config


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("plain", "plain"),
        ("'single'", "single"),
        ('"double"', "double"),
        ("50%", "50%"),
        ("%(x)s", "%(x)s"),
        ("it's", "it's"),
        ("'it's'", "it's"),
        ("a#b;c", "a#b;c"),
        ("ключ=1:2", "ключ=1:2"),
        (r"back\slash", r"back\slash"),
    ],
)
def test_value_is_what_is_written_less_its_quotes(tmp_path: Path, written: str, value: str) -> None:
    assert config(tmp_path, f"[S]\nKEY = {written}\n").get("S", "KEY") == value


@pytest.mark.parametrize("text", ["", "[S]\n", "[S]\nKEY =\n", "[S]\nKEY = ''\n"])
def test_missing_value_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(common.PipelineError, match=r"dwh.cfg: \[S\] KEY is missing"):
        config(tmp_path, text).get("S", "KEY")


def test_local_paths_are_relative_to_the_config_file(tmp_path: Path) -> None:
    found = config(tmp_path, "[CLUSTER]\nHOST = local\n[S3]\nLOG_DATA = a/../logs/\nSONG_DATA = /songs\n")
    assert found.source("LOG_DATA") == f"{tmp_path}/logs/"
    assert found.source("SONG_DATA") == "/songs"


def test_region_is_the_clusters_where_none_is_given(warehouse: Warehouse) -> None:
    warehouse.configure(
        {
            ("CLUSTER", "HOST"): "dwh.abc123.eu-central-1.redshift.amazonaws.com",
            ("S3", "LOG_DATA"): "s3://b/l",
            ("S3", "LOG_JSONPATH"): "s3://b/p",
            ("S3", "SONG_DATA"): "s3://b/s",
        }
    )
    assert common.Config(warehouse.config).copy_parameters()["region"] == "eu-central-1"
    warehouse.configure({("S3", "REGION"): "us-west-2"})
    assert common.Config(warehouse.config).copy_parameters()["region"] == "us-west-2"


def test_cluster_is_told_that_it_cant_read_local_paths(warehouse: Warehouse) -> None:
    warehouse.configure({("CLUSTER", "HOST"): "dwh.example.com"})
    with pytest.raises(common.PipelineError, match=r"\[S3\] LOG_DATA = log-data is a path on this machine"):
        common.Config(warehouse.config).copy_parameters()


def test_unknown_option_is_wrong_usage(warehouse: Warehouse) -> None:
    warehouse.run("etl.py", "--no-such-option", code=2)


def test_missing_config_file_is_one_message(warehouse: Warehouse) -> None:
    warehouse.config.unlink()
    result = warehouse.run("etl.py", code=1)
    assert result.stderr.count("\n") == 1 and "dwh.cfg can't be read" in result.stderr


# connect


def test_connect_gives_an_ordinary_connection(tables: Warehouse) -> None:
    connection = common.connect(tables.config)
    assert isinstance(connection, psycopg2.extensions.connection)
    with connection.cursor() as cursor:
        cursor.execute("SELECT TOP 1 tablename FROM pg_tables WHERE tablename = %s", ["songplays"])
        assert cursor.fetchall() == [("songplays",)]
    connection.close()


def test_connect_goes_to_host_port_database_and_user(
    warehouse: Warehouse, database: psycopg2.extensions.connection
) -> None:
    # a host that is a folder is a Unix socket there: the stand-in's server, reached as a cluster is
    settings = database.get_dsn_parameters()
    warehouse.configure(
        {
            ("CLUSTER", "HOST"): settings["host"],
            ("CLUSTER", "DB_PORT"): "5432",
            ("CLUSTER", "DB_NAME"): settings["dbname"],
            ("CLUSTER", "DB_USER"): settings["user"],
            ("CLUSTER", "DB_PASSWORD"): "unused",
        }
    )
    connection = common.connect(warehouse.config)
    assert type(connection) is psycopg2.extensions.connection
    assert connection.info.dbname == settings["dbname"]
    connection.close()


def test_refusing_host_is_one_message_without_the_password(warehouse: Warehouse) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        warehouse.configure(
            {
                ("CLUSTER", "HOST"): "127.0.0.1",
                ("CLUSTER", "DB_PORT"): str(port),
                ("CLUSTER", "DB_PASSWORD"): SECRET,
            }
        )
        result = warehouse.run("create_tables.py", code=1)
    assert f"can't connect to {warehouse.values['CLUSTER', 'DB_NAME']} on 127.0.0.1:{port}" in result.stderr
    assert SECRET not in result.stdout + result.stderr


# the password


@pytest.fixture
def credential_store(aws: dict[str, str]) -> str:
    """A KMS key and credstash's table with one password in it."""
    kms = boto3.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/credstash", TargetKeyId=key)
    boto3.client("dynamodb").create_table(
        TableName="passwords",
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}, {"AttributeName": "version", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "name", "AttributeType": "S"},
            {"AttributeName": "version", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    credstash.reset_sessions()
    credstash.putSecret("dwh.password", SECRET, table="passwords")
    yield key
    boto3.client("dynamodb").delete_table(TableName="passwords")
    kms.delete_alias(AliasName="alias/credstash")
    credstash.reset_sessions()


CREDSTASH = "[CREDSTASH]\nKEY = dwh.password\nTABLE = passwords\nREGION = us-west-2\n"


def test_password_comes_from_credstash(tmp_path: Path, credential_store: str) -> None:
    assert cluster.password(config(tmp_path, CREDSTASH)) == SECRET


def test_password_in_the_config_goes_first(tmp_path: Path) -> None:
    assert cluster.password(config(tmp_path, f"[CLUSTER]\nDB_PASSWORD = x\n{CREDSTASH}")) == "x"


def test_no_password_and_no_key_leaves_it_to_libpq(tmp_path: Path) -> None:
    assert cluster.password(config(tmp_path, "[CLUSTER]\nHOST = x\n")) is None


def test_region_of_credstash_is_honoured(tmp_path: Path, credential_store: str) -> None:
    with pytest.raises(common.PipelineError, match="eu-west-1"):
        cluster.password(config(tmp_path, CREDSTASH.replace("us-west-2", "eu-west-1")))


def test_profile_of_credstash_is_honoured(
    tmp_path: Path, credential_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    profiles = tmp_path / "credentials"
    profiles.write_text("[warehouse]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profiles))
    credstash.reset_sessions()
    with pytest.raises(common.PipelineError, match="Unable to locate credentials"):
        cluster.password(config(tmp_path, CREDSTASH))
    credstash.reset_sessions()
    assert cluster.password(config(tmp_path, f"{CREDSTASH}PROFILE = warehouse\n")) == SECRET


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("KEY = dwh.password", "KEY = other"), "table passwords has no such key"),
        (("TABLE = passwords", "TABLE = nowhere"), "AWS refused .*ResourceNotFoundException"),
        (("REGION = us-west-2", "PROFILE = nobody"), "AWS can't be asked .*nobody"),
    ],
)
def test_failure_of_credstash_is_named(
    tmp_path: Path, credential_store: str, change: tuple[str, str], problem: str
) -> None:
    credstash.reset_sessions()
    with pytest.raises(common.PipelineError, match=problem) as raised:
        cluster.password(config(tmp_path, CREDSTASH.replace(*change)))
    assert "[CREDSTASH] KEY = " in str(raised.value)


def test_kms_refusing_is_named(tmp_path: Path, credential_store: str) -> None:
    table = boto3.resource("dynamodb").Table("passwords")
    item = table.scan()["Items"][0]
    table.put_item(Item=item | {"key": base64.b64encode(b"encrypted with another key").decode()})
    with pytest.raises(common.PipelineError, match="KMS did not decrypt it"):
        cluster.password(config(tmp_path, CREDSTASH))


def test_changed_secret_is_named(tmp_path: Path, credential_store: str) -> None:
    table = boto3.resource("dynamodb").Table("passwords")
    item = table.scan()["Items"][0]
    table.put_item(Item=item | {"hmac": "00" * 32})
    with pytest.raises(common.PipelineError, match="was changed since it was put there"):
        cluster.password(config(tmp_path, CREDSTASH))


def test_script_says_why_credstash_gave_no_password(
    warehouse: Warehouse, credential_store: str, aws: dict[str, str]
) -> None:
    warehouse.environment = aws
    warehouse.configure(
        {("CLUSTER", "HOST"): "dwh.example.com", ("CREDSTASH", "KEY"): "nope", ("CREDSTASH", "TABLE"): "passwords"}
    )
    assert "has no such key; put it there with: credstash put nope" in warehouse.run("etl.py", code=1).stderr


def test_local_warehouse_needs_no_password(tables: Warehouse) -> None:
    tables.configure({("CREDSTASH", "KEY"): "dwh.password"})
    assert tables.counts()["songplays"] == 0


# secrets


def test_no_secret_in_any_output(tables: Warehouse, aws: dict[str, str], bucket: object) -> None:
    secret_key = "SECRET-KEY-OF-MINE"
    tables.environment = aws | {"AWS_SECRET_ACCESS_KEY": secret_key, "PGPASSWORD": SECRET}
    tables.configure({("CLUSTER", "DB_PASSWORD"): SECRET})
    tables.write_log([event(sessionId="x")])
    tables.write_songs([song()])
    failed_load = tables.etl(code=1)
    tables.configure({("S3", "LOG_DATA"): "s3://sparkify/nothing"})
    failed_source = tables.etl(code=1)
    csv_text = (tables.folder / "load_errors.csv").read_text()
    for output in (failed_load.stdout, failed_load.stderr, failed_source.stdout, failed_source.stderr, csv_text):
        assert SECRET not in output and secret_key not in output
    assert "The specified S3 prefix 'nothing' does not exist" in failed_source.stderr
