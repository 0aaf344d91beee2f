"""Look up the password, and connect to the cluster or the stand-in."""

import os
import re

import psycopg2
from psycopg2 import extensions

from pipeline.errors import PipelineError, Unreachable
from pipeline.failures import first_line, is_transient_connection_failure, statement_failed
from pipeline.progress import announce_wait
from pipeline.settings import CredstashEntry, Settings
from sql_queries import chosen_schema, schema_choice

# AWS endpoints: <cluster>.<id>.<region>.redshift..., <workgroup>.<account>.<region>.redshift-serverless...
_ENDPOINT = re.compile(
    r"(?P<name>[\w-]+)\.[\w-]+\.(?P<region>[\w-]+)\.(?P<service>redshift|redshift-serverless)\.amazonaws\.com(\.cn)?"
)


def user_and_password(settings: Settings) -> tuple[str, str | None]:
    """Return the user and password to log in with.

    The methods are IAM_AUTH, DB_PASSWORD and credstash, in this order; the first that is configured is used. If none is
    configured, the password is None, and libpq looks for one. Raise PipelineError if the configured method fails.
    """
    if settings.iam_auth:
        return _temporary_credentials(settings)
    return settings.user, password(settings)


def password(settings: Settings) -> str | None:
    """Return DB_PASSWORD, credstash's password, or None if libpq is to look for one.

    Raise PipelineError if credstash fails.
    """
    if settings.password or settings.credstash is None:
        return settings.password or None
    with announce_wait(f"credstash to fetch {settings.credstash.key} from AWS"):
        return _credstash_password(settings, settings.credstash)


def _credstash_password(settings: Settings, entry: CredstashEntry) -> str:
    import inspect

    import botocore.exceptions
    import credstash  # imported here: slow, and needed only if credstash holds the password

    # credstash's decorator prints errors and exits; the undecorated function raises them
    get_secret = inspect.unwrap(credstash.getSecret)
    try:
        return str(get_secret(entry.key, table=entry.table, region=entry.region, profile_name=entry.profile))
    except credstash.ItemNotFound:
        problem = f"table {entry.table} has no such key; put it there with: credstash put {entry.key}"
    except credstash.KmsError as error:
        problem = f"KMS did not decrypt it ({error}); the AWS user needs kms:Decrypt on credstash's key"
    except credstash.IntegrityError:
        problem = f"the entry in table {entry.table} has been changed since it was put there"
    except botocore.exceptions.ClientError as error:
        problem = f"AWS refused ({error})"
    except botocore.exceptions.BotoCoreError as error:
        problem = f"AWS can't be asked ({error})"
    where = f"[CREDSTASH] KEY = {entry.key}, TABLE = {entry.table}, {_region_and_profile(entry)}"
    raise PipelineError(f"no password from credstash: {problem}; see {settings.path}: {where}")


def _region_and_profile(entry: CredstashEntry) -> str:
    """Describe credstash's region and AWS profile, with the source of each default."""
    import boto3
    from botocore.exceptions import BotoCoreError

    profile = f"PROFILE = {entry.profile}" if entry.profile else f"PROFILE not set ({_default_profile()})"
    if entry.region:
        return f"REGION = {entry.region}, {profile}"
    try:
        region = boto3.Session(profile_name=entry.profile).region_name
    except BotoCoreError:
        region = None
    source = "AWS_DEFAULT_REGION" if os.environ.get("AWS_DEFAULT_REGION") else "~/.aws/config"
    default = f"{region} from {source}" if region else "and neither AWS_DEFAULT_REGION nor ~/.aws/config names one"
    return f"REGION not set ({default}), {profile}"


def _default_profile() -> str:
    named = os.environ.get("AWS_PROFILE")
    return f"{named} from AWS_PROFILE" if named else "the default one"


def _temporary_credentials(settings: Settings) -> tuple[str, str]:
    """Ask AWS for a temporary user and password."""
    import botocore.exceptions

    endpoint = _ENDPOINT.fullmatch(settings.host)
    if endpoint is None:
        raise PipelineError(
            f"{settings.path}: [CLUSTER] IAM_AUTH = yes needs HOST to be the endpoint that AWS shows, in the form "
            f"name.x.region.redshift.amazonaws.com or name.x.region.redshift-serverless.amazonaws.com, "
            f"not {settings.host}"
        )
    ask = _workgroup_credentials if endpoint["service"] == "redshift-serverless" else _cluster_credentials
    try:
        with announce_wait(f"AWS to make temporary credentials for {endpoint['name']} in {endpoint['region']}"):
            return ask(settings, endpoint["name"], endpoint["region"])
    except botocore.exceptions.ClientError as error:
        problem = f"AWS refused ({error})"
    except botocore.exceptions.BotoCoreError as error:
        problem = f"AWS can't be asked ({error})"
    raise PipelineError(
        f"no temporary credentials for {endpoint['name']} in {endpoint['region']}: {problem}; "
        f"see [CLUSTER] IAM_AUTH and HOST in {settings.path}, and the AWS credentials on this machine"
    )


def _cluster_credentials(settings: Settings, cluster: str, region: str) -> tuple[str, str]:
    import boto3

    client = boto3.client("redshift", region_name=region)
    where = {"DbName": settings.database, "ClusterIdentifier": cluster}
    if settings.user:
        answer = client.get_cluster_credentials(DbUser=settings.user, AutoCreate=False, **where)
    else:
        answer = client.get_cluster_credentials_with_iam(**where)
    return answer["DbUser"], answer["DbPassword"]


def _workgroup_credentials(settings: Settings, workgroup: str, region: str) -> tuple[str, str]:
    import boto3

    client = boto3.client("redshift-serverless", region_name=region)
    answer = client.get_credentials(workgroupName=workgroup, dbName=settings.database)
    return answer["dbUser"], answer["dbPassword"]


# Seconds. An idle Serverless workgroup takes a while to accept the first connection.
CONNECT_TIMEOUT = 60
# TCP keepalive: a COPY sends nothing until it ends, and load balancers drop connections that are idle for 300 s. An
# unreachable cluster is detected after IDLE + INTERVAL * COUNT seconds.
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 60, 15, 4

# advice for connection failures; each key is a part of libpq's message
_ADVICE = {
    "does not match host name": (
        "the server's certificate is for a name other than HOST: use the endpoint that AWS shows, or, if you "
        "connect through a tunnel or your own DNS name, set [CLUSTER] SSLMODE = verify-ca"
    ),
    "certificate verify failed": (
        "the server's certificate is not signed by an authority in the root bundle: set [CLUSTER] SSLROOTCERT to a "
        "file that contains its root certificate"
    ),
    "root certificate file": "set [CLUSTER] SSLROOTCERT to a file with root certificates, or leave it out",
    "does not support SSL": (
        "the server has no TLS, so the password and all data would be sent unencrypted: check HOST and DB_PORT, or "
        "set [CLUSTER] SSLMODE = prefer to allow that"
    ),
    "password authentication failed": "check DB_USER and the source of the password",
    "no password supplied": "set DB_PASSWORD, [CREDSTASH] KEY or IAM_AUTH, or put the password in ~/.pgpass",
    "does not exist": "see DB_NAME and DB_USER",
    "could not translate host name": "see HOST",
    "Connection refused": "check HOST and DB_PORT, and whether the cluster is paused",
    "timeout expired": "check HOST, and whether the cluster's security group lets this machine in",
}


def connect_to_cluster(settings: Settings) -> extensions.connection:
    """Connect to the configured cluster, by default over fully verified TLS.

    Raise PipelineError with advice, or Unreachable if a retry may succeed.
    """
    user, secret = user_and_password(settings)
    try:
        with announce_wait(f"{settings.location} to accept the connection"):
            return psycopg2.connect(
                host=settings.host,
                port=settings.port,
                dbname=settings.database,
                user=user,
                password=secret,
                sslmode=settings.sslmode,
                sslrootcert=_root_bundle(settings),
                connect_timeout=CONNECT_TIMEOUT,
                application_name="sparkify_etl",
                keepalives=1,
                keepalives_idle=KEEPALIVE_IDLE,
                keepalives_interval=KEEPALIVE_INTERVAL,
                keepalives_count=KEEPALIVE_COUNT,
            )
    except psycopg2.OperationalError as error:
        reason = masked(" ".join(str(error).split()), secret)
        kind = Unreachable if is_transient_connection_failure(reason, settings.host) else PipelineError
        raise kind(
            f"can't connect to {settings.database} on {settings.location} as {user}: {reason}; "
            f"{_advice(reason, settings)}"
        ) from None


def _root_bundle(settings: Settings) -> str:
    """Return SSLROOTCERT, or certifi's root bundle, which includes Amazon's roots."""
    if settings.sslrootcert:
        return settings.sslrootcert
    import certifi  # imported here: needed for clusters only

    return certifi.where()


def _advice(reason: str, settings: Settings) -> str:
    for part, advice in _ADVICE.items():
        if part in reason:
            return f"{advice} (in {settings.path})"
    return f"see [CLUSTER] in {settings.path}"


def masked(text: str, secret: str | None) -> str:
    """Return the text with the secret redacted."""
    return text.replace(secret, "*****") if secret else text


def open_connection(settings: Settings) -> extensions.connection:
    """Open a connection, and set the configured schema.

    Raise PipelineError if the warehouse can't be reached or the schema does not exist. The subclass Unreachable means
    that a retry may succeed.
    """
    connection = _connect_to_stand_in(settings) if settings.is_local else connect_to_cluster(settings)
    try:
        if settings.schema:
            _enter_schema(connection, settings)
    except BaseException:
        connection.close()
        raise
    return connection


def _enter_schema(connection: extensions.connection, settings: Settings) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(schema_choice, {"schema": settings.schema})
            cursor.execute(chosen_schema)
            found = cursor.fetchone()
        connection.commit()
    except psycopg2.Error as error:
        raise statement_failed(error, schema_choice, None, settings) from error
    if found != (settings.schema,):
        raise PipelineError(
            f"{settings.path}: [CLUSTER] SCHEMA = {settings.schema}: there is no such schema; create it first"
        )


def _connect_to_stand_in(settings: Settings) -> extensions.connection:
    import local_redshift  # imported here: needed for the stand-in only

    try:
        with announce_wait("the local server to start"):
            return local_redshift.connect(settings.data_dir, settings.database, settings.user)
    except local_redshift.LocalRedshiftError as error:
        raise PipelineError(f"{error}\nsee [CLUSTER] DATA_DIR in {settings.path}") from error
    except psycopg2.ProgrammingError as error:
        raise PipelineError(f"{settings.path}: [CLUSTER] DB_NAME or DB_USER: {first_line(error)}") from error
    except psycopg2.OperationalError as error:
        raise Unreachable(
            f"the local server on {settings.data_dir} did not accept the connection: {first_line(error)}"
        ) from error
