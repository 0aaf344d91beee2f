"""How a cluster is reached: over TLS, with patience, and with advice where it can't be."""

import psycopg2
from psycopg2 import extensions

from pipeline.credentials import user_and_password
from pipeline.errors import PipelineError, Unreachable
from pipeline.progress import said_if_slow
from pipeline.settings import Settings
from pipeline.transient import connection_passes

# Seconds. A serverless workgroup that sleeps takes a while to answer the first connection.
CONNECT_TIMEOUT = 60
# A COPY is silent for as long as it takes, and load balancers drop what is idle for 300 s: the first probe
# goes out well before, and a cluster that is gone is noticed after IDLE + INTERVAL * COUNT seconds.
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 60, 15, 4

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
    "password authentication failed": "see DB_USER and where the password comes from",
    "no password supplied": "give it in DB_PASSWORD, by [CREDSTASH] KEY, by IAM_AUTH, or in ~/.pgpass",
    "does not exist": "see DB_NAME and DB_USER",
    "could not translate host name": "see HOST",
    "Connection refused": "see HOST and DB_PORT, and whether the cluster is paused",
    "timeout expired": "see HOST, and whether the cluster's security group lets this machine in",
}


def connect_to_cluster(settings: Settings) -> extensions.connection:
    """Open a connection to the cluster that the config names, over TLS that is verified in full.

    Raise PipelineError, saying what to change, if it can't be had; Unreachable where it may be had later.
    """
    user, secret = user_and_password(settings)
    try:
        with said_if_slow(f"{settings.place} to take the connection"):
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
        kind = Unreachable if connection_passes(reason, settings.host) else PipelineError
        raise kind(
            f"can't connect to {settings.database} on {settings.place} as {user}: {reason}; {_advice(reason, settings)}"
        ) from None


def _root_bundle(settings: Settings) -> str:
    """The file with root certificates: SSLROOTCERT, or certifi's, which has those that AWS uses."""
    if settings.sslrootcert:
        return settings.sslrootcert
    import certifi  # only a cluster needs it

    return certifi.where()


def _advice(reason: str, settings: Settings) -> str:
    for part, advice in _ADVICE.items():
        if part in reason:
            return f"{advice} (in {settings.path})"
    return f"see [CLUSTER] in {settings.path}"


def masked(text: str, secret: str | None) -> str:
    """`text` with the secret, if it is in it, made unreadable."""
    return text.replace(secret, "*****") if secret else text
