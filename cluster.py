"""How a cluster is reached: TLS, patience, and the user and password it is given."""

import re

import psycopg2
from psycopg2 import extensions

from config import Config, PipelineError, Unreachable

# Seconds. A serverless workgroup that sleeps takes a while to answer the first connection.
CONNECT_TIMEOUT = 60
# A COPY is silent for as long as it takes, and load balancers drop what is idle for 300 s: the first probe
# goes out well before, and a cluster that is gone is noticed after IDLE + INTERVAL * COUNT seconds.
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 60, "keepalives_interval": 15, "keepalives_count": 4}

# what AWS's endpoints look like: cluster.x.region.redshift..., workgroup.account.region.redshift-serverless...
_ENDPOINT = re.compile(
    r"(?P<name>[\w-]+)\.[\w-]+\.(?P<region>[\w-]+)\.(?P<service>redshift|redshift-serverless)\.amazonaws\.com(\.cn)?"
)

# a part of libpq's message: what to do about it
_ADVICE = {
    "does not match host name": (
        "the server's certificate is for another name than HOST: use the endpoint that AWS shows, or, through a "
        "tunnel or a name of your own, set [CLUSTER] SSLMODE = verify-ca"
    ),
    "certificate verify failed": (
        "the server's certificate is not signed by an authority in the root bundle: set [CLUSTER] SSLROOTCERT to a "
        "file that holds its root"
    ),
    "root certificate file": "set [CLUSTER] SSLROOTCERT to a file with root certificates, or leave it out",
    "does not support SSL": (
        "the server has no TLS, so everything would go in the clear: see HOST and DB_PORT; only where that is "
        "meant, set [CLUSTER] SSLMODE = prefer"
    ),
    "invalid sslmode value": "[CLUSTER] SSLMODE takes verify-full, verify-ca, require, prefer, allow or disable",
    "password authentication failed": "see DB_USER and where the password comes from",
    "no password supplied": "give it in DB_PASSWORD, by [CREDSTASH] KEY, by IAM_AUTH, or in ~/.pgpass",
    "does not exist": "see DB_NAME and DB_USER",
    "could not translate host name": "see HOST",
    "Connection refused": "see HOST and DB_PORT, and whether the cluster is paused",
    "timeout expired": "see HOST, and whether the cluster's security group lets this machine in",
}

# parts of libpq's message that speak of a cluster that restarts, or of a network that failed for a moment
_PASSES = ("Connection refused", "server closed the connection unexpectedly", "Connection reset", "is starting up")


def connect_to_cluster(config: Config) -> extensions.connection:
    """Open a connection to the cluster that the config names, over TLS that is verified in full.

    Raise PipelineError, saying what to change, if it can't be had; Unreachable where it may be had later.
    """
    host, port = config.get("CLUSTER", "HOST"), config.get("CLUSTER", "DB_PORT", "5439")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise PipelineError(f"{config.path}: [CLUSTER] DB_PORT = {port} is not a port number, such as 5439")
    database = config.get("CLUSTER", "DB_NAME")
    user, secret = user_and_password(config)
    try:
        return psycopg2.connect(
            host=host,
            port=port,
            dbname=database,
            user=user,
            password=secret,
            sslmode=config.get("CLUSTER", "SSLMODE", "verify-full"),
            sslrootcert=_root_bundle(config),
            connect_timeout=CONNECT_TIMEOUT,
            application_name="sparkify_etl",
            **KEEPALIVE,
        )
    except psycopg2.OperationalError as error:
        reason = masked(" ".join(str(error).split()), secret)
        kind = Unreachable if any(part in reason for part in _PASSES) else PipelineError
        raise kind(
            f"can't connect to {database} on {host}:{port} as {user}: {reason}; {_advice(reason, config)}"
        ) from None


def _root_bundle(config: Config) -> str:
    """The file with root certificates: SSLROOTCERT, or certifi's, which has those that AWS uses."""
    given = config.get("CLUSTER", "SSLROOTCERT", "")
    if given:
        return given if given == "system" else str(config.path.parent / given)
    import certifi  # only a cluster needs it

    return certifi.where()


def _advice(reason: str, config: Config) -> str:
    for part, advice in _ADVICE.items():
        if part in reason:
            return f"{advice} (in {config.path})"
    return f"see [CLUSTER] in {config.path}"


def masked(text: str, secret: str | None) -> str:
    """`text` with the secret, if it is in it, made unreadable."""
    return text.replace(secret, "*****") if secret else text


def user_and_password(config: Config) -> tuple[str, str | None]:
    """The user and the password to log in with, from the first of the ways that the config sets.

    They are IAM_AUTH, DB_PASSWORD, credstash, and libpq's own, for which the password is None. Raise
    PipelineError where a way is set and fails.
    """
    if config.get("CLUSTER", "IAM_AUTH", "no").lower() in ("yes", "true", "on", "1"):
        return _temporary_credentials(config)
    return config.get("CLUSTER", "DB_USER"), password(config)


def password(config: Config) -> str | None:
    """The password: DB_PASSWORD, or else from credstash, or else None for libpq's own ways.

    Raise PipelineError if credstash is asked and can't answer.
    """
    key = config.get("CREDSTASH", "KEY", "")
    given = config.get("CLUSTER", "DB_PASSWORD", "")
    if given or not key:
        return given or None
    return _credstash_password(config, key)


def _credstash_password(config: Config, key: str) -> str:
    import inspect

    import botocore.exceptions
    import credstash  # with boto3 it takes a while to load: only where a password comes from it

    table = config.get("CREDSTASH", "TABLE", "credential-store")
    region = config.get("CREDSTASH", "REGION", "") or None
    profile = config.get("CREDSTASH", "PROFILE", "") or None
    # credstash wraps the function to print AWS's errors and exit; underneath it raises them
    get_secret = inspect.unwrap(credstash.getSecret)
    try:
        return get_secret(key, table=table, region=region, profile_name=profile)
    except credstash.ItemNotFound:
        problem = f"table {table} has no such key; put it there with: credstash put {key}"
    except credstash.KmsError as error:
        problem = f"KMS did not decrypt it ({error}); the AWS user needs kms:Decrypt on credstash's key"
    except credstash.IntegrityError:
        problem = f"what table {table} holds was changed since it was put there"
    except botocore.exceptions.ClientError as error:
        problem = f"AWS refused ({error})"
    except botocore.exceptions.BotoCoreError as error:
        problem = f"AWS can't be asked ({error})"
    where = f"{config.path}: [CREDSTASH] KEY = {key}, TABLE = {table}, REGION = {region}, PROFILE = {profile}"
    raise PipelineError(f"no password from credstash: {problem}; see {where}")


def _temporary_credentials(config: Config) -> tuple[str, str]:
    """A user and a password that AWS makes for this login: they expire, nothing is stored."""
    import botocore.exceptions

    host = config.get("CLUSTER", "HOST")
    endpoint = _ENDPOINT.fullmatch(host)
    if endpoint is None:
        raise PipelineError(
            f"{config.path}: [CLUSTER] IAM_AUTH = yes needs HOST to be the endpoint that AWS shows, as "
            f"name.x.region.redshift.amazonaws.com or name.x.region.redshift-serverless.amazonaws.com, not {host}"
        )
    ask = _workgroup_credentials if endpoint["service"] == "redshift-serverless" else _cluster_credentials
    try:
        return ask(config, endpoint["name"], endpoint["region"])
    except botocore.exceptions.ClientError as error:
        problem = f"AWS refused ({error})"
    except botocore.exceptions.BotoCoreError as error:
        problem = f"AWS can't be asked ({error})"
    raise PipelineError(
        f"no temporary credentials for {endpoint['name']} in {endpoint['region']}: {problem}; "
        f"see [CLUSTER] IAM_AUTH and HOST in {config.path}, and the AWS credentials here"
    )


def _cluster_credentials(config: Config, cluster: str, region: str) -> tuple[str, str]:
    import boto3

    client = boto3.client("redshift", region_name=region)
    where = {"DbName": config.get("CLUSTER", "DB_NAME"), "ClusterIdentifier": cluster}
    user = config.get("CLUSTER", "DB_USER", "")
    if user:
        answer = client.get_cluster_credentials(DbUser=user, AutoCreate=False, **where)
    else:
        answer = client.get_cluster_credentials_with_iam(**where)
    return answer["DbUser"], answer["DbPassword"]


def _workgroup_credentials(config: Config, workgroup: str, region: str) -> tuple[str, str]:
    import boto3

    client = boto3.client("redshift-serverless", region_name=region)
    answer = client.get_credentials(workgroupName=workgroup, dbName=config.get("CLUSTER", "DB_NAME"))
    return answer["dbUser"], answer["dbPassword"]
