"""The config, the password, the connection, and what is said when one of them is wrong."""

import base64
import socket
from pathlib import Path

import boto3
import credstash
import psycopg2
import pytest
from helpers import Warehouse, event, song

import common
from pipeline.credentials import password
from pipeline.errors import PipelineError
from pipeline.settings import Settings, read_settings

SECRET = "hunter2-%-'quoted\\"


SHORTEST = {
    "CLUSTER": {"HOST": "dwh.example.com", "DB_NAME": "dwh", "DB_USER": "dwhuser"},
    "IAM_ROLE": {"ARN": "arn:aws:iam::123456789012:role/dwhRole"},
    "S3": {"LOG_DATA": "s3://b/l", "LOG_JSONPATH": "s3://b/p", "SONG_DATA": "s3://b/s", "REGION": "us-west-2"},
}


def config(tmp_path: Path, changes: dict[str, dict[str, str | None]]) -> Settings:
    """Settings from the shortest config for a cluster, with some keys changed, or left out where they are None."""
    sections = {name: SHORTEST.get(name, {}) | changes.get(name, {}) for name in {**SHORTEST, **changes}}
    lines = [
        line
        for name, keys in sections.items()
        for line in (f"[{name}]", *(f"{key} = {value}" for key, value in keys.items() if value is not None))
    ]
    path = tmp_path / "dwh.cfg"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_settings(path, needs_source=True)


# the config


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
        ("'unpaired", "'unpaired"),
        ("unpaired'", "unpaired'"),
        ("'two kinds\"", "'two kinds\""),
        ("'", "'"),
        ("a#b;c", "a#b;c"),
        ("a #b ;c", "a #b ;c"),
        ("ключ=1:2", "ключ=1:2"),
        (r"back\slash", r"back\slash"),
    ],
)
def test_password_is_what_is_written_less_its_quotes(tmp_path: Path, written: str, value: str) -> None:
    assert config(tmp_path, {"CLUSTER": {"DB_PASSWORD": written}}).password == value


@pytest.mark.parametrize("value", [None, "", "''", '""'])
def test_missing_value_is_named(tmp_path: Path, value: str | None) -> None:
    with pytest.raises(PipelineError, match=r"dwh.cfg: \[S3\] SONG_DATA is missing"):
        config(tmp_path, {"S3": {"SONG_DATA": value}})


def test_keys_may_be_written_in_small_letters(tmp_path: Path) -> None:
    assert config(tmp_path, {"CLUSTER": {"db_port": "5440"}}).port == 5440


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("CLUSTER", "DB_PASSWROD", "x", "[CLUSTER] has no key DB_PASSWROD: did you mean DB_PASSWORD?"),
        ("CLUSTER", "db_pasword", "x", "[CLUSTER] has no key db_pasword: did you mean DB_PASSWORD?"),
        ("CLUSTER", "ARN", "x", "[CLUSTER] has no key ARN: did you mean the one of [IAM_ROLE]?"),
        ("S3", "BUCKETS", "x", "[S3] has no key BUCKETS; there are LOG_DATA, LOG_JSONPATH, SONG_DATA, REGION"),
        ("CLUSTR", "HOST", "x", "[CLUSTR] is not one of the sections: did you mean CLUSTER?"),
        ("cluster", "HOST", "x", "[cluster] is not one of the sections: did you mean CLUSTER?"),
        ("CLUSTER", "IAM_AUTH", "ja", "[CLUSTER] IAM_AUTH = ja is neither yes nor no"),
        ("CLUSTER", "SSLMODE", "sometimes", "[CLUSTER] SSLMODE takes verify-full, "),
        ("CLUSTER", "host", "x", "[CLUSTER] HOST is there twice"),
        ("CLUSTER", "DB_PASSWORD hunter2", "x", "[CLUSTER] a line that begins with DB_PASSWORD is not KEY = value"),
        ("CLUSTER", "HOST", "postgres://u:hunter2@h:5439/dwh", "[CLUSTER] HOST is a URL; give the endpoint alone"),
        ("CLUSTER", "HOST", "jdbc:redshift://h:5439/dwh", "[CLUSTER] HOST is a URL; give the endpoint alone"),
        ("IAM_ROLE", "ARN", "arn:aws:iam::123456789012:role/a,b", "[IAM_ROLE] ARN = "),
        ("CLUSTER", "hunter2", "x", "[CLUSTER] has no key of that name; there are HOST, "),
        ("hunter2", "HOST", "x", "[of that name] is not one of the sections; there are CLUSTER, "),
        ("CLUSTER", "HOST", "a.example.com,b.example.com", "is neither local nor the name of a host"),
        ("CLUSTER", "HOST", "'local", "is neither local nor the name of a host"),
        ("CLUSTER", "DB_PORT", "٥٤٣٩", "[CLUSTER] DB_PORT = ٥٤٣٩ is not a port number"),
        ("CLUSTER", "DB_USER", "a\0b", "[CLUSTER] DB_USER has a NUL byte in it"),
        ("S3", "LOG_DATA", "s3://", "[S3] LOG_DATA = s3:// must be s3://bucket/... or a path"),
        ("S3", "LOG_DATA", "s3:/bucket/x", "[S3] LOG_DATA = s3:/bucket/x must be s3://bucket/... or a path"),
        ("S3", "REGION", "Oregon", "[S3] REGION = Oregon is not a region of AWS"),
        ("CLUSTER", "HOST", "local  # note", "[CLUSTER] HOST = local  # note: put the comment on a line of its own"),
        ("S3", "LOG_DATA", "s3://b/l ; note", "[S3] LOG_DATA = s3://b/l ; note: put the comment on a line of its own"),
        ("CLUSTER", "HOST", "a\n  DB_PORT = 1", "[CLUSTER] HOST goes on in the indented line below it"),
    ],
)
def test_what_is_unknown_or_malformed_is_refused_by_name(
    tmp_path: Path, section: str, key: str, value: str, message: str
) -> None:
    with pytest.raises(PipelineError) as raised:
        config(tmp_path, {section: {key: value}})
    assert message in str(raised.value) and "hunter2" not in str(raised.value)


def test_roles_may_be_chained(tmp_path: Path) -> None:
    role = SHORTEST["IAM_ROLE"]["ARN"]
    found = config(tmp_path, {"IAM_ROLE": {"ARN": f"{role},{role}2"}}).source
    assert found and found.iam_role == f"{role},{role}2"


def test_value_in_quotes_may_hold_what_looks_like_a_comment(tmp_path: Path) -> None:
    found = config(tmp_path, {"S3": {"LOG_DATA": "'s3://b/l #1'"}})
    assert found.source and found.source.log_data == "s3://b/l #1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("HOST = local\n", "line 1: there is no [SECTION] above this line"),
        ("[CLUSTER]\nHOST = a\nHOST = b\n", "line 3: [CLUSTER] HOST is there twice"),
        ("[CLUSTER]\nHOST = a\n\n[CLUSTER]\n", "line 4: [CLUSTER] is there twice"),
        ("[CLUSTER]\nHOST = a\nDB_PASSWORD hunter2\n", "line 3: this is neither [SECTION] nor KEY = value"),
    ],
)
def test_parse_error_has_its_line_and_not_what_is_on_it(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "dwh.cfg").write_text(text)
    with pytest.raises(PipelineError) as raised:
        read_settings(tmp_path / "dwh.cfg")
    assert f"dwh.cfg, {message}" in str(raised.value) and "hunter2" not in str(raised.value)


AWS_HOST = "dwh.abc123.eu-central-1.redshift.amazonaws.com"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"HOST": AWS_HOST}, (AWS_HOST, 5439, "dwh")),
        ({"HOST": f"{AWS_HOST}:5440/dev", "DB_NAME": None}, (AWS_HOST, 5440, "dev")),
        ({"HOST": f"{AWS_HOST}:5440/dwh", "DB_PORT": "5440"}, (AWS_HOST, 5440, "dwh")),
        ({"HOST": f"{AWS_HOST}:5440"}, (AWS_HOST, 5440, "dwh")),
        ({"HOST": f"{AWS_HOST}/dev", "DB_NAME": None}, (AWS_HOST, 5439, "dev")),
    ],
)
def test_host_may_be_the_endpoint_as_the_console_shows_it(tmp_path: Path, changes: dict, expected: tuple) -> None:
    found = config(tmp_path, {"CLUSTER": changes})
    assert (found.host, found.port, found.database) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"HOST": f"{AWS_HOST}:5440/dwh", "DB_PORT": "5439"}, "[CLUSTER] HOST ends in 5440, but DB_PORT = 5439"),
        ({"HOST": f"{AWS_HOST}:5439/dev"}, "[CLUSTER] HOST ends in dev, but DB_NAME = dwh"),
        ({"HOST": f"{AWS_HOST}:x"}, "[CLUSTER] DB_PORT = x is not a port number"),
    ],
)
def test_endpoint_that_other_keys_contradict_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(PipelineError) as raised:
        config(tmp_path, {"CLUSTER": changes})
    assert message in str(raised.value)


def test_local_paths_are_relative_to_the_config_file(tmp_path: Path) -> None:
    changes = {"CLUSTER": {"HOST": "local"}, "S3": {"LOG_DATA": "a/../logs/", "SONG_DATA": "/songs"}}
    found = config(tmp_path, changes).source
    assert found and (found.log_data, found.song_data) == (f"{tmp_path}/logs/", "/songs")


def test_region_is_the_clusters_where_none_is_given(tmp_path: Path) -> None:
    without = config(tmp_path, {"CLUSTER": {"HOST": AWS_HOST}, "S3": {"REGION": None}}).source
    assert without and without.region == "eu-central-1"
    given = config(tmp_path, {"CLUSTER": {"HOST": AWS_HOST}}).source
    assert given and given.region == "us-west-2"


def test_cluster_is_told_that_it_cant_read_local_paths(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"\[S3\] LOG_DATA = log-data is a path on this machine"):
        config(tmp_path, {"S3": {"LOG_DATA": "log-data"}})


def test_what_is_wrong_is_found_before_anything_is_connected(warehouse: Warehouse) -> None:
    warehouse.configure({("CLUSTER", "DATA_DIR"): str(warehouse.folder / "new"), ("S3", "LOG_DATA"): "ftp://x/y"})
    assert "must be s3://bucket/... or a path" in warehouse.run("etl.py", code=1).stderr
    assert not (warehouse.folder / "new").exists()


def test_localhost_is_told_apart_from_the_stand_in(warehouse: Warehouse) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
        warehouse.configure({("CLUSTER", "HOST"): "localhost", ("CLUSTER", "DB_PORT"): port})
        assert "HOST = local is the stand-in" in warehouse.run("create_tables.py", code=1).stdout


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


CREDSTASH = {"KEY": "dwh.password", "TABLE": "passwords", "REGION": "us-west-2"}


def with_credstash(tmp_path: Path, **changes: str | None) -> Settings:
    return config(tmp_path, {"CREDSTASH": CREDSTASH | changes})


def test_password_comes_from_credstash(tmp_path: Path, credential_store: str) -> None:
    assert password(with_credstash(tmp_path)) == SECRET


def test_password_in_the_config_goes_first(tmp_path: Path) -> None:
    assert password(config(tmp_path, {"CLUSTER": {"DB_PASSWORD": "x"}, "CREDSTASH": CREDSTASH})) == "x"


def test_no_password_and_no_key_leaves_it_to_libpq(tmp_path: Path) -> None:
    assert password(config(tmp_path, {})) is None


def test_region_of_credstash_is_honoured(tmp_path: Path, credential_store: str) -> None:
    with pytest.raises(PipelineError, match="eu-west-1"):
        password(with_credstash(tmp_path, REGION="eu-west-1"))


def test_profile_of_credstash_is_honoured(
    tmp_path: Path, credential_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    profiles = tmp_path / "credentials"
    profiles.write_text("[warehouse]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profiles))
    credstash.reset_sessions()
    with pytest.raises(PipelineError, match="Unable to locate credentials"):
        password(with_credstash(tmp_path))
    credstash.reset_sessions()
    assert password(with_credstash(tmp_path, PROFILE="warehouse")) == SECRET


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"KEY": "other"}, "table passwords has no such key"),
        ({"TABLE": "nowhere"}, "AWS refused .*ResourceNotFoundException"),
        ({"PROFILE": "nobody", "REGION": None}, "AWS can't be asked .*nobody"),
    ],
)
def test_failure_of_credstash_is_named(
    tmp_path: Path, credential_store: str, change: dict[str, str | None], problem: str
) -> None:
    credstash.reset_sessions()
    with pytest.raises(PipelineError, match=problem) as raised:
        password(with_credstash(tmp_path, **change))
    assert "[CREDSTASH] KEY = " in str(raised.value)


def test_kms_refusing_is_named(tmp_path: Path, credential_store: str) -> None:
    table = boto3.resource("dynamodb").Table("passwords")
    item = table.scan()["Items"][0]
    table.put_item(Item=item | {"key": base64.b64encode(b"encrypted with another key").decode()})
    with pytest.raises(PipelineError, match="KMS did not decrypt it"):
        password(with_credstash(tmp_path))


def test_changed_secret_is_named(tmp_path: Path, credential_store: str) -> None:
    table = boto3.resource("dynamodb").Table("passwords")
    item = table.scan()["Items"][0]
    table.put_item(Item=item | {"hmac": "00" * 32})
    with pytest.raises(PipelineError, match="was changed since it was put there"):
        password(with_credstash(tmp_path))


def test_script_says_why_credstash_gave_no_password(
    warehouse: Warehouse, credential_store: str, aws: dict[str, str]
) -> None:
    warehouse.environment = aws
    warehouse.configure(
        {("CLUSTER", "HOST"): "dwh.example.com", ("CREDSTASH", "KEY"): "nope", ("CREDSTASH", "TABLE"): "passwords"}
    )
    assert "has no such key; put it there with: credstash put nope" in warehouse.run("create_tables.py", code=1).stderr


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
