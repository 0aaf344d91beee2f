"""Reaching a cluster, tried on a PostgreSQL server over TCP: TLS, passwords, temporary credentials, patience."""

import contextlib
import http.server
import json
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import credstash
import psycopg2
import pytest
from endpoint import SECRET, TlsFront, start_server, write_certificates
from helpers import Warehouse
from s3_front import QuietHandler

import common
from pipeline.errors import PipelineError
from pipeline.settings import read_settings
from pipeline.warehouse import user_and_password


@pytest.fixture(scope="module")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A server without TLS: its folder and its port."""
    folder = tmp_path_factory.mktemp("cluster")
    process, port = start_server(folder)
    yield folder, port
    process.send_signal(signal.SIGINT)  # not SIGTERM, which waits for connections that a failed test left open
    process.wait(120)
    shutil.rmtree(folder / "data")


@pytest.fixture(scope="module")
def tls_server(plain_server: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The same server behind a TLS endpoint: the folder of the certificates and the port."""
    folder = tmp_path_factory.mktemp("tls")
    write_certificates(folder)
    front = TlsFront(folder, plain_server[1])
    yield folder, front.port
    front.close()


def configured(warehouse: Warehouse, at: tuple[Path, int], **changes: str | None) -> Warehouse:
    """The warehouse pointed at the server, with these keys of [CLUSTER] changed."""
    folder, port = at
    keys = {"HOST": "localhost", "DB_PORT": str(port), "DB_NAME": "postgres", "DB_USER": "dwhuser"}
    keys |= {"DB_PASSWORD": SECRET, "SSLROOTCERT": f"{folder}/root.crt"} | changes
    warehouse.configure({("CLUSTER", key): value for key, value in keys.items()})
    return warehouse


def refused(warehouse: Warehouse) -> str:
    with pytest.raises(PipelineError) as raised:
        common.connect(warehouse.config)
    assert SECRET not in str(raised.value)
    return str(raised.value)


def test_connection_is_verified_patient_and_named(warehouse: Warehouse, tls_server: tuple[Path, int]) -> None:
    connection = configured(warehouse, tls_server).connect()
    settings = connection.get_dsn_parameters()
    assert connection.info.ssl_in_use
    connection.close()
    assert settings["sslmode"] == "verify-full" and settings["application_name"] == "sparkify_etl"
    assert settings["connect_timeout"] == "60" and settings["keepalives"] == "1"
    # gone well before a load balancer drops an idle connection, at 300 s
    probes = [int(settings[f"keepalives_{name}"]) for name in ("idle", "interval", "count")]
    assert probes[0] + probes[1] * probes[2] < 300


@pytest.mark.parametrize(
    ("changes", "message", "advice"),
    [
        ({"SSLROOTCERT": None}, "certificate verify failed", "set [CLUSTER] SSLROOTCERT"),
        ({"HOST": "127.0.0.1"}, "does not match host name", "SSLMODE = verify-ca"),
        ({"SSLROOTCERT": "nothing.crt"}, "nothing.crt", "SSLROOTCERT"),
        ({"SSLMODE": "sometimes"}, "sometimes", "SSLMODE takes verify-full"),
        ({"DB_PASSWORD": "wrong"}, "password authentication failed", "the source of the password"),
        ({"DB_PASSWORD": None}, "no password supplied", "IAM_AUTH"),
        ({"DB_NAME": "nowhere"}, 'database "nowhere" does not exist', "see DB_NAME"),
    ],
)
def test_refusal_says_which_and_what_to_set(
    warehouse: Warehouse, tls_server: tuple[Path, int], changes: dict, message: str, advice: str
) -> None:
    said = refused(configured(warehouse, tls_server, **changes))
    assert message in said and advice in said


def test_server_without_tls_is_refused_unless_that_is_meant(
    warehouse: Warehouse, plain_server: tuple[Path, int]
) -> None:
    said = refused(configured(warehouse, plain_server, SSLROOTCERT=None))
    assert "does not support SSL" in said and "SSLMODE = prefer" in said
    connection = configured(warehouse, plain_server, SSLMODE="prefer", SSLROOTCERT=None).connect()
    assert not connection.info.ssl_in_use
    connection.close()


def test_postgresql_is_not_taken_for_redshift(warehouse: Warehouse, tls_server: tuple[Path, int]) -> None:
    said = configured(warehouse, tls_server).run("create_tables.py", "--yes", code=1).stderr
    assert 'syntax error at or near "DISTSTYLE"' in said
    assert f"[CLUSTER] HOST = localhost is a PostgreSQL server, not Amazon Redshift: see {warehouse.config}\n" in said


def test_verify_ca_takes_another_name(warehouse: Warehouse, tls_server: tuple[Path, int]) -> None:
    configured(warehouse, tls_server, HOST="127.0.0.1", SSLMODE="verify-ca").connect().close()


def test_roots_are_certifis_if_none_are_named(
    warehouse: Warehouse, tls_server: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certifi.where", lambda: f"{tls_server[0]}/root.crt")
    configured(warehouse, tls_server, SSLROOTCERT=None).connect().close()


def test_roots_are_found_beside_the_config(warehouse: Warehouse, tls_server: tuple[Path, int]) -> None:
    shutil.copy(tls_server[0] / "root.crt", warehouse.folder / "ours.crt")
    configured(warehouse, tls_server, SSLROOTCERT="ours.crt").connect().close()


def test_default_roots_have_those_of_amazon() -> None:
    import certifi

    bundle = Path(certifi.where()).read_text(encoding="utf-8")
    for root in ("Amazon Root CA 1", "Starfield Services Root Certificate Authority - G2"):
        assert f'Label: "{root}"' in bundle


def test_password_from_the_environment(
    warehouse: Warehouse, tls_server: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    configured(warehouse, tls_server, DB_PASSWORD=None).connect().close()


def test_password_from_the_config_goes_before_that_of_the_environment(
    warehouse: Warehouse, tls_server: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong")
    configured(warehouse, tls_server).connect().close()


def test_password_from_the_file_of_libpq(
    warehouse: Warehouse, tls_server: tuple[Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # https://www.postgresql.org/docs/current/libpq-pgpass.html
    (tmp_path / ".pgpass").write_text(f"localhost:*:postgres:dwhuser:{SECRET}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    configured(warehouse, tls_server, DB_PASSWORD=None).connect().close()


def test_password_from_credstash(
    warehouse: Warehouse, tls_server: tuple[Path, int], aws: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]
    credstash.reset_sessions()
    credstash.createDdbTable(region="us-west-2", table="cluster-passwords")
    credstash.putSecret("dwh", SECRET, kms_key=key, table="cluster-passwords")
    credstash.reset_sessions()
    warehouse.configure({("CREDSTASH", "KEY"): "dwh", ("CREDSTASH", "TABLE"): "cluster-passwords"})
    monkeypatch.setenv("PGPASSWORD", "wrong")
    configured(warehouse, tls_server, DB_PASSWORD=None).connect().close()


PROVISIONED = "dwh.abc123.us-west-2.redshift.amazonaws.com"


SERVERLESS = "analysts.123456789012.us-west-2.redshift-serverless.amazonaws.com"


class Aws(QuietHandler):
    """AWS's answers to requests for temporary credentials; keeps what it was asked."""

    asked: str = ""
    status = 200
    password = SECRET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        Aws.asked = f"{self.headers['Authorization']} {body}"  # which has the region
        if self.status != 200:
            answer = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
        elif self.headers.get("X-Amz-Target"):
            answer = json.dumps({"dbUser": "IAMR:me", "dbPassword": Aws.password})
        else:
            name = "GetClusterCredentialsWithIAM" if "WithIAM" in body else "GetClusterCredentials"
            answer = (
                f"<{name}Response><{name}Result><DbUser>IAM:me</DbUser><DbPassword>{Aws.password}</DbPassword>"
                f"</{name}Result></{name}Response>"
            )
        self.reply(self.status, answer.encode())


@pytest.fixture
def credentials_server(aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Aws]]:
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Aws)
    threading.Thread(target=listening.serve_forever).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listening.server_port}")
    Aws.status, Aws.password = 200, SECRET
    yield Aws
    listening.shutdown()
    listening.server_close()


@pytest.mark.parametrize(
    ("host", "user", "login", "asked"),
    [
        (
            PROVISIONED,
            "me",
            "IAM:me",
            ["GetClusterCredentials&", "DbUser=me", "ClusterIdentifier=dwh", "AutoCreate=false"],
        ),
        (PROVISIONED, None, "IAM:me", ["GetClusterCredentialsWithIAM", "ClusterIdentifier=dwh", "DbName=dev"]),
        (SERVERLESS, "somebody", "IAMR:me", ['"workgroupName": "analysts"']),
        (SERVERLESS, None, "IAMR:me", ['"workgroupName": "analysts"', '"dbName": "dev"', "/us-west-2/"]),
        (SERVERLESS.replace("us-west-2", "eu-central-1"), None, "IAMR:me", ["/eu-central-1/redshift-serverless/"]),
        (PROVISIONED.replace("us-west-2", "eu-central-1"), None, "IAM:me", ["/eu-central-1/redshift/"]),
        ("dwh.abc123.cn-north-1.redshift.amazonaws.com.cn", None, "IAM:me", ["/cn-north-1/redshift/"]),
    ],
)
def test_temporary_credentials(
    warehouse: Warehouse, credentials_server: type[Aws], host: str, user: str | None, login: str, asked: list[str]
) -> None:
    changes = {"HOST": host, "DB_NAME": "dev", "DB_USER": user, "IAM_AUTH": "yes", "DB_PASSWORD": "unused"}
    warehouse.configure({("CLUSTER", key): value for key, value in changes.items()})
    assert user_and_password(read_settings(warehouse.config)) == (login, SECRET)
    assert all(part in credentials_server.asked for part in asked), credentials_server.asked


def test_login_is_that_of_the_user_whom_aws_names(
    warehouse: Warehouse,
    plain_server: tuple[Path, int],
    tls_server: tuple[Path, int],
    credentials_server: type[Aws],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with contextlib.closing(configured(warehouse, tls_server).connect()) as connection:
        connection.cursor().execute('CREATE ROLE "IAM:me" LOGIN PASSWORD %s', [SECRET])
        connection.commit()
    connect = psycopg2.connect
    monkeypatch.setattr(psycopg2, "connect", lambda **to: connect(**to | {"host": "localhost"}))  # not AWS
    configured(warehouse, tls_server, HOST=PROVISIONED, IAM_AUTH="yes")
    with contextlib.closing(warehouse.connect()) as connection:
        assert connection.info.user == "IAM:me"
    monkeypatch.undo()


def test_each_login_has_a_temporary_password_of_its_own(warehouse: Warehouse, credentials_server: type[Aws]) -> None:
    warehouse.configure({("CLUSTER", "HOST"): PROVISIONED, ("CLUSTER", "IAM_AUTH"): "yes"})
    settings = read_settings(warehouse.config)
    credentials_server.password = "the first"
    assert user_and_password(settings)[1] == "the first"
    credentials_server.password = "the second"
    assert user_and_password(settings)[1] == "the second"


def test_temporary_credentials_refused(warehouse: Warehouse, credentials_server: type[Aws]) -> None:
    credentials_server.status = 403
    warehouse.configure({("CLUSTER", "HOST"): PROVISIONED, ("CLUSTER", "IAM_AUTH"): "yes"})
    said = refused(warehouse)
    assert "no temporary credentials for dwh in us-west-2: AWS refused" in said and "AccessDenied" in said


def test_temporary_credentials_without_aws_credentials(warehouse: Warehouse) -> None:
    warehouse.configure({("CLUSTER", "HOST"): PROVISIONED, ("CLUSTER", "IAM_AUTH"): "yes"})
    assert "Unable to locate credentials" in warehouse.run("create_tables.py", code=1).stderr


def test_temporary_credentials_need_an_endpoint_of_aws(warehouse: Warehouse) -> None:
    warehouse.configure({("CLUSTER", "HOST"): "dwh.example.com", ("CLUSTER", "IAM_AUTH"): "yes"})
    assert "the endpoint that AWS shows" in refused(warehouse)
