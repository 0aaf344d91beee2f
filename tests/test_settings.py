"""The config file: what its values mean, and what is refused before anything is connected."""

import socket
from pathlib import Path

import pytest
from helpers import Warehouse

from pipeline.errors import PipelineError
from pipeline.settings import Settings, read_settings

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


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("dwh.abc.eu-central-1.redshift.amazonaws.com", "eu-central-1"),
        ("wg.123456789012.ap-southeast-2.redshift-serverless.amazonaws.com", "ap-southeast-2"),
    ],
)
def test_region_of_the_bucket_is_the_clusters_if_none_is_set(tmp_path: Path, host: str, region: str) -> None:
    changes = {"CLUSTER": {"HOST": host}, "S3": {"REGION": None}}
    assert config(tmp_path, changes).source.region == region


def test_messages_name_a_cluster_by_its_name_and_region(tmp_path: Path) -> None:
    hosts = {"dwh.abc.us-west-2.redshift.amazonaws.com": "dwh.us-west-2", "dwh.example.com": "dwh.example.com:5439"}
    for host, short in hosts.items():
        assert config(tmp_path, {"CLUSTER": {"HOST": host}}).short_location == short


@pytest.mark.parametrize("host", ["local", "Local", "LOCAL"])
def test_local_is_the_stand_in_in_whatever_case(tmp_path: Path, host: str) -> None:
    assert config(tmp_path, {"CLUSTER": {"HOST": host}}).is_local


def test_roots_of_the_system_are_no_file_beside_the_config(tmp_path: Path) -> None:
    # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-SSLROOTCERT
    assert config(tmp_path, {"CLUSTER": {"SSLROOTCERT": "system"}}).sslrootcert == "system"


def test_config_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    # as Windows' Notepad writes it
    settings = config(tmp_path, {})
    settings.path.write_text(settings.path.read_text(), encoding="utf-8-sig")
    assert read_settings(settings.path, needs_source=True) == settings


def test_region_has_to_be_set_if_the_host_tells_none(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"dwh.cfg: \[S3\] REGION is missing"):
        config(tmp_path, {"S3": {"REGION": None}})


def test_what_libpq_reads_from_the_environment_leads_nowhere_else(tmp_path: Path, own_data_dir: Path) -> None:
    warehouse = Warehouse(tmp_path, own_data_dir)
    elsewhere = {"PGHOST": "example.com", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGDATABASE": "x", "PGUSER": "x"}
    warehouse.environment = elsewhere
    warehouse.run("create_tables.py")
    warehouse.environment = {}
    assert warehouse.counts()["songplays"] == 0


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
        ("CLUSTER", "ARN", "x", "[CLUSTER] has no key ARN: did you mean the one in [IAM_ROLE]?"),
        ("S3", "BUCKETS", "x", "[S3] has no key BUCKETS; there are LOG_DATA, LOG_JSONPATH, SONG_DATA, REGION"),
        ("CLUSTR", "HOST", "x", "[CLUSTR] is not one of the sections: did you mean CLUSTER?"),
        ("cluster", "HOST", "x", "[cluster] is not one of the sections: did you mean CLUSTER?"),
        ("CLUSTER", "IAM_AUTH", "ja", "[CLUSTER] IAM_AUTH = ja is neither yes nor no"),
        ("CLUSTER", "SSLMODE", "sometimes", "[CLUSTER] SSLMODE takes verify-full, "),
        ("CLUSTER", "host", "x", "[CLUSTER] HOST is given twice"),
        ("CLUSTER", "DB_PASSWORD hunter2", "x", "begins with DB_PASSWORD is not of the form KEY = value"),
        ("CLUSTER", "HOST", "postgres://u:hunter2@h:5439/dwh", "[CLUSTER] HOST is a URL; give the endpoint alone"),
        ("CLUSTER", "HOST", "jdbc:redshift://h:5439/dwh", "[CLUSTER] HOST is a URL; give the endpoint alone"),
        ("IAM_ROLE", "ARN", "arn:aws:iam::123456789012:role/a,b", "[IAM_ROLE] ARN = "),
        ("CLUSTER", "hunter2", "x", "[CLUSTER] has no key of that name; there are HOST, "),
        ("hunter2", "HOST", "x", "a name in brackets is not one of the sections; there are CLUSTER, "),
        ("S4", "HOST", "x", "[S4] is not one of the sections; there are CLUSTER, IAM_ROLE, S3, "),
        ("CLUSTER", "HOST", "a.example.com,b.example.com", "is neither 'local' nor a host name"),
        ("CLUSTER", "HOST", "'local", "is neither 'local' nor a host name"),
        ("CLUSTER", "DB_PORT", "٥٤٣٩", "[CLUSTER] DB_PORT = ٥٤٣٩ is not a port number"),
        ("CLUSTER", "DB_USER", "a\0b", "[CLUSTER] DB_USER has a NUL byte in it"),
        ("S3", "LOG_DATA", "s3://", "[S3] LOG_DATA = s3:// must be s3://bucket/... or a path"),
        ("S3", "LOG_DATA", "s3:/bucket/x", "[S3] LOG_DATA = s3:/bucket/x must be s3://bucket/... or a path"),
        ("S3", "REGION", "Oregon", "[S3] REGION = Oregon is not an AWS region"),
        ("CLUSTER", "HOST", "local  # note", "[CLUSTER] HOST = local  # note: put the comment on its own line"),
        ("S3", "LOG_DATA", "s3://b/l ; note", "[S3] LOG_DATA = s3://b/l ; note: put the comment on its own line"),
        ("CLUSTER", "HOST", "a\n  DB_PORT = 1", "[CLUSTER] HOST continues on the indented line below it"),
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
        ("[CLUSTER]\nHOST = a\nHOST = b\n", "line 3: [CLUSTER] HOST is given twice"),
        ("[CLUSTER]\nHOST = a\n\n[CLUSTER]\n", "line 4: [CLUSTER] is given twice"),
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
        ({"HOST": f"{AWS_HOST}:5440/dwh", "DB_PORT": "5439"}, "[CLUSTER] HOST contains 5440, but DB_PORT = 5439"),
        ({"HOST": f"{AWS_HOST}:5439/dev"}, "[CLUSTER] HOST contains dev, but DB_NAME = dwh"),
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


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_localhost_is_told_apart_from_the_stand_in(warehouse: Warehouse, host: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
        warehouse.configure({("CLUSTER", "HOST"): host, ("CLUSTER", "DB_PORT"): port})
        assert "for the stand-in, set HOST = local" in warehouse.run("create_tables.py", code=1).stdout


def test_unknown_option_is_wrong_usage(warehouse: Warehouse) -> None:
    warehouse.run("etl.py", "--no-such-option", code=2)


def test_missing_config_file_is_one_message(warehouse: Warehouse) -> None:
    warehouse.config.unlink()
    result = warehouse.run("etl.py", code=1)
    assert result.stderr.count("\n") == 1 and "dwh.cfg can't be read" in result.stderr
