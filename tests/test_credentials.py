"""The password: from the config, from credstash, or left to libpq."""

import base64
import subprocess
import sys
from pathlib import Path

import boto3
import credstash
import pytest
from helpers import Warehouse
from test_settings import config

from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.warehouse import password

SECRET = "hunter2-%-'quoted\\"


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


def test_table_is_credstashs_own_if_none_is_named(tmp_path: Path, credential_store: str) -> None:
    credstash.createDdbTable(region="us-west-2", table="credential-store")
    command = [Path(sys.executable).with_name("credstash"), "-r", "us-west-2", "put", "other.password", SECRET]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert password(with_credstash(tmp_path, KEY="other.password", TABLE=None)) == SECRET
    boto3.client("dynamodb").delete_table(TableName="credential-store")


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


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, "REGION not set (us-west-2 from AWS_DEFAULT_REGION), PROFILE not set (the default one)"),
        ({"AWS_PROFILE": "me"}, "PROFILE not set (me from AWS_PROFILE)"),
        ({"AWS_DEFAULT_REGION": None}, "REGION not set (eu-west-3 from ~/.aws/config)"),
    ],
)
def test_defaults_that_credstash_used_are_named(
    tmp_path: Path,
    credential_store: str,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str | None],
    asked: str,
) -> None:
    (tmp_path / "aws").write_text("[default]\nregion = eu-west-3\n[profile me]\nregion = eu-west-3\n")
    credstash.reset_sessions()
    with monkeypatch.context() as patch, pytest.raises(PipelineError) as raised:
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
        for name, value in environment.items():
            patch.setenv(name, value) if value else patch.delenv(name)
        password(with_credstash(tmp_path, REGION=None, KEY="other"))
    assert asked in str(raised.value) and "None" not in str(raised.value)


def test_region_that_is_named_is_that_of_the_profile(
    tmp_path: Path, credential_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aws").write_text("[default]\nregion = eu-west-3\n[profile me]\nregion = us-east-2\n")
    credstash.reset_sessions()
    with monkeypatch.context() as patch, pytest.raises(PipelineError, match=r"us-east-2 from ~/\.aws/config"):
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
        patch.delenv("AWS_DEFAULT_REGION")
        password(with_credstash(tmp_path, REGION=None, PROFILE="me", KEY="other"))


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
    with pytest.raises(PipelineError, match="has been changed since it was put there"):
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
