"""Explain failures of the warehouse and S3: what failed, what to do, and whether to retry.

The patterns match messages of Redshift, S3, libpq, botocore, obstore and the stand-in; comments name the sources of
published messages.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg2

from pipeline.errors import CopyFailed, StatementFailed
from pipeline.settings import Settings
from sql_queries import Copy, Statement, create_table_queries, drop_table_queries
from storage.endpoints import without_password

# SQLSTATEs of transient failures.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CODES = (
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53300",  # too many connections
    "57P03",  # the server is starting up or recovering
)


class Pattern(NamedTuple):
    """A pattern for error messages, and whether a retry may succeed."""

    pattern: str
    is_transient: bool


# The first match decides. Permanent errors come first, because libpq puts the errors of all the addresses that it tried
# into one message, which may report both a refused connection (transient) and a wrong password (permanent).
_PATTERNS = (
    # https://www.postgresql.org/docs/current/client-authentication-problems.html
    Pattern(r"authentication failed|no pg_hba\.conf entry|FATAL: +(?:role|database) .* does not exist", False),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: the request itself is wrong
    Pattern(
        r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|PermanentRedirect|NoSuchBucket", False
    ),
    Pattern(r"Unable to locate credentials|not authorized to assume|UnauthorizedException", False),
    # https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html. A load gets error 1018 if create_tables.py
    # drops a table while the load waits for a lock on it.
    Pattern(r"\A(?:ERROR: *)?(?:1023|1018)\b", True),
    Pattern(r"Serializable isolation violation|conflict with concurrent transaction", True),
    # https://repost.aws/knowledge-center/http-5xx-errors-s3: any 5xx response from S3 should be retried
    Pattern(r"S3ServiceException:[^\n]*,Status 5\d\d,", True),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: S3 gave up waiting for a slow connection
    Pattern(r"S3ServiceException:[^\n]*,Error RequestTimeout,", True),
    # github.com/awslabs/aws-lambda-redshift-loader issue 73: an object was deleted after COPY listed it
    Pattern(r"(?<!manifest file - )S3ServiceException:[^\n]*,Status 404,Error NoSuchKey,", True),
    # https://curl.se/libcurl/c/libcurl-errors.html: no connection, a timeout, or an empty or partial response
    Pattern(r"S3CurlException:[^\n]*,\s*CurlError (?:6|7|18|28|35|52|55|56),", True),
    # github.com/harrystech/arthur-redshift-etl pull request 134
    Pattern(r"S3 ?Query Exception", True),
    # botocore's messages for the same failures, as the stand-in's COPY reports them:
    # https://github.com/boto/botocore/blob/develop/botocore/exceptions.py
    Pattern(
        r"S3 can't be read from here: (?:Read timeout|Connect timeout|Could not connect|Connection was closed"
        r"|An error occurred while reading from response stream|IncompleteRead|\d+ read, but total bytes expected)",
        True,
    ),
    Pattern(r"can't be read: (?:Connection reset|timed out)", True),
    # a local file was deleted after it was listed
    Pattern(r"\A(?:ERROR: *)?/[^\n]* does not exist(?:\n|\Z)", True),
)

# libpq's messages when a connection can't be opened.
# https://docs.aws.amazon.com/redshift/latest/mgmt/troubleshooting-connections.html
_NO_CONNECTION = (
    # a cluster that is paused or restarting
    Pattern(r"Connection refused|starting up|shutting down", True),
    # github.com/exmergo/dex pull request 97: a workgroup that is waking up drops the first handshake
    Pattern(
        r"server closed the connection unexpectedly|Connection reset|connection has been closed unexpectedly", True
    ),
    Pattern(r"SSL SYSCALL error: EOF|could not receive data", True),
    # https://man7.org/linux/man-pages/man3/getaddrinfo.3.html, EAI_AGAIN
    Pattern(r"Temporary failure in name resolution", True),
    Pattern(r"(?i)too many connections|connection limit .* exceeded", True),
)
# https://docs.aws.amazon.com/redshift/latest/mgmt/serverless-known-issues.html: a sleeping workgroup takes a while
# to wake up
_WAKING = Pattern(r"timeout expired|Connection timed out", True)

# obstore's messages for 5xx responses, timeouts and broken connections
_S3_TRANSIENT = re.compile(r"after [1-9]\d* retries|error sending request|response body error|timed out|\b5\d\d [A-Z]")


def is_connection_lost(error: psycopg2.Error) -> bool:
    """Tell whether the connection was lost before the answer arrived."""
    if not isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)):
        return False
    # no SQLSTATE: the driver detected the loss; 57P or 08: the server reported it
    return error.pgcode is None or error.pgcode.startswith(("57P", "08"))


def is_transient_failure(error: psycopg2.Error) -> bool:
    """Tell whether a retry of the statement may succeed."""
    return is_connection_lost(error) or error.pgcode in _CODES or _is_transient(str(error), _PATTERNS)


def is_transient_connection_failure(reason: str, host: str) -> bool:
    """Tell whether another attempt to connect to `host` may succeed."""
    waking = (_WAKING,) if ".redshift-serverless." in host else ()
    return _is_transient(reason, (*_PATTERNS, *_NO_CONNECTION, *waking))


def is_transient_s3_failure(message: str) -> bool:
    """Tell whether retrying an S3 operation may succeed; `message` is from obstore."""
    return _S3_TRANSIENT.search(message) is not None


def _is_transient(message: str, patterns: tuple[Pattern, ...]) -> bool:
    return next((one.is_transient for one in patterns if re.search(one.pattern, message)), False)


# the error of a failed COPY names one of these two system tables, depending on Redshift's release
_LOAD_FAILED = re.compile(r"Check '(stl_load_errors|sys_load_error_detail)' system table")

# https://docs.aws.amazon.com/redshift/latest/dg/r_Load_Error_Reference.html: error codes for bad data
_DATA_CODE = re.compile(r"\bcode:\s+12\d\d\b")
_QUOTED = re.compile(r"([\"']).*?\1", re.DOTALL)
_AFTER_COLON = re.compile(r"(?<=: )[^:]*\Z")

_NO_SOURCE = re.compile(
    r"S3 prefix '.*' does not exist|no file's path starts with|jsonpaths file .* was not found|JSONPaths file"
    r"|^/.* (?:can't be read|does not exist)"
)
_NO_FILE = re.compile(r"S3 prefix '.*' does not exist|no file's path starts with")
_COUNT_OF_PATHS = re.compile(r"Number of jsonpath")
_S3_REFUSED = re.compile(r"S3ServiceException|S3 can't be read")
# the first message is from older clusters, the others are from Serverless:
# https://stackoverflow.com/questions/70659682
_ROLE_REFUSED = re.compile(
    r"not authorized to assume IAM Role|Not authorized to get credentials of role"
    r"|The requested role .* is not associated"
)
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_NO_CREDENTIALS = re.compile(
    r"S3 can't be read from here: (?!Read|Connect|Could not connect)"
    r"|Error (?:AccessDenied|ExpiredToken|InvalidAccessKeyId|InvalidToken|SignatureDoesNotMatch)"
)
_NO_SPACE = "No space left on device"
_NO_TABLE = re.compile(r"Cannot COPY into nonexistent table")
_TABLE_CODES = ("42P01", "42703")  # undefined table, undefined column

_ADVICE = {  # by SQLSTATE
    "53100": "the cluster has no disk space left: drop or move data, or resize the cluster",
    "22001": "give the column more room in sql_queries.py, then run create_tables.py and load again",
    "2BP01": "drop the views that depend on the table first, or create them WITH NO SCHEMA BINDING",
    "23505": "if another create_tables.py was running on the same tables, run this one again",
    "42P07": "if another create_tables.py was running on the same tables, run this one again",
    "42804": "the tables do not match sql_queries.py: run create_tables.py",
}


def first_line(error: psycopg2.Error) -> str:
    """Return the first line of an error message."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def name_of(statement: str) -> str:
    """Return a statement's name, or the first line of a plain string."""
    return getattr(statement, "name", "") or statement.strip().split("\n")[0]


def statement_failed(
    error: psycopg2.Error, statement: str, parameters: Mapping[str, Any] | None, settings: Settings, outcome: str = ""
) -> StatementFailed:
    """Return the error for a statement that was refused or whose connection was lost.

    `outcome` describes the state of the warehouse, if it is known.
    """
    outcome = f"; {outcome}" if outcome else ""
    what = name_of(statement) + (" (sql_queries.py)" if isinstance(statement, Statement) else "")
    if settings.is_local and _is_disk_full(error, settings):
        full = f"the disk that holds {settings.data_dir} is full; free some space, or set [CLUSTER] DATA_DIR"
        return StatementFailed(f"{what} failed: {full} in {settings.path} to another folder{outcome}", error)
    if is_connection_lost(error):
        lost = f"the connection to the warehouse was lost ({first_line(error)})"
        return StatementFailed(f"{what} failed: {lost}{outcome}", error, is_transient=True)
    message = _message(error, settings)
    advice = _advice(error, statement, parameters or {}, settings)
    kind = CopyFailed if _LOAD_FAILED.search(message) else StatementFailed
    # a listed file may have been deleted in the meantime; a retry lists the files again
    is_transient = is_transient_failure(error) or ("manifest" in (parameters or {}) and bool(_NO_FILE.search(message)))
    return kind(f"{what} failed: {message}" + (f"\n{advice}" if advice else ""), error, is_transient=is_transient)


def _is_disk_full(error: psycopg2.Error, settings: Settings) -> bool:
    """Tell whether the local server's disk is full. If the server died because of that, only its log says so."""
    if _NO_SPACE in str(error):
        return True
    if not is_connection_lost(error):
        return False
    try:
        log = (settings.data_dir / "server.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(_NO_SPACE in line and ("PANIC" in line or "FATAL" in line) for line in log.splitlines())


def _message(error: psycopg2.Error, settings: Settings) -> str:
    """Return the warehouse's message without quoted values or CONTEXT lines."""
    primary = error.diag.message_primary
    if primary is None:
        return first_line(error)
    if _is_about_data(error):
        pattern = _QUOTED if _QUOTED.search(primary) else _AFTER_COLON
        return pattern.sub("(a value)", primary)
    if (error.pgcode or "").startswith("23"):
        return primary  # leave out the DETAIL block, which quotes the row
    parts = [primary]
    # leave out the stand-in's DETAIL about credentials: it imitates the DETAIL of a cluster (context, source location,
    # process), and would mislead users whose own credentials are wrong
    if error.diag.message_detail and not (settings.is_local and _NO_CREDENTIALS.search(primary)):
        parts.append(f"DETAIL:  {error.diag.message_detail.rstrip()}")
    return "\n".join(parts)


def _is_about_data(error: psycopg2.Error) -> bool:
    """Tell whether the message may quote a value: SQLSTATE class 22 or a load error."""
    return (error.pgcode or "").startswith("22") or bool(_DATA_CODE.search(error.diag.message_detail or ""))


def _advice(error: psycopg2.Error, statement: str, parameters: Mapping[str, Any], settings: Settings) -> str:
    message = error.diag.message_primary or ""
    makes_tables = statement in drop_table_queries + create_table_queries
    reads = statement.reads if isinstance(statement, Copy) else ()
    if not makes_tables and (error.pgcode in _TABLE_CODES or _NO_TABLE.search(message)):
        return (
            "if the tables do not exist, or sql_queries.py has been changed since they were created: "
            "run create_tables.py first; docs/changing.md says how to keep their rows"
        )
    if error.pgcode == "42601" and not settings.is_local and _is_postgresql(error):
        return f"[CLUSTER] HOST = {settings.host} is a PostgreSQL server, not Amazon Redshift: see {settings.path}"
    if _NO_SOURCE.search(message):
        named = [key for key in reads if _names(message, str(parameters.get(key, "")))]
        longest = max(named, key=lambda key: len(parameters[key]), default="")
        key = (longest or " or ".join(reads) or "log_data or song_data").upper()
        return f"see [S3] {key} in {settings.path}"
    if _COUNT_OF_PATHS.search(message):
        return (
            f"the table's columns must match the JSONPaths file that [S3] LOG_JSONPATH names in {settings.path}; "
            "if sql_queries.py was changed, run create_tables.py"
        )
    if _ROLE_REFUSED.search(message):
        return (
            f"see [IAM_ROLE] ARN in {settings.path}: attach this role to the cluster or to the workgroup's "
            "namespace, and allow redshift.amazonaws.com and, for Serverless, redshift-serverless.amazonaws.com in its "
            "trust policy"
        )
    if _S3_REFUSED.search(message):
        key = " or ".join(reads or ("log_data", "log_jsonpath", "song_data")).upper()
        if not settings.is_local:
            return f"see [S3] {key}, REGION and [IAM_ROLE] ARN in {settings.path}"
        how = own_credentials() if _NO_CREDENTIALS.search(message) else own_endpoint()
        return f"see [S3] {key} and REGION in {settings.path}" + (f"; {how}" if how else "")
    return _ADVICE.get(error.pgcode or "", "")


def _is_postgresql(error: psycopg2.Error) -> bool:
    # Redshift identifies itself as PostgreSQL 8.0.2. https://docs.aws.amazon.com/redshift/latest/dg/r_VERSION.html
    return error.cursor is not None and error.cursor.connection.info.server_version >= 90000


def _names(message: str, value: str) -> bool:
    """Tell whether a message names this location; S3's messages omit the bucket."""
    key = re.sub(r"^s3://[^/]*/?", "", value)
    return bool(key) and (value in message or f"'{key}'" in message)


def own_credentials() -> str:
    """Describe the AWS credentials that the stand-in uses."""
    found = "AWS_ACCESS_KEY_ID of the environment" if os.environ.get("AWS_ACCESS_KEY_ID") else _default_credentials()
    endpoint = own_endpoint()
    return f"with HOST = local your own AWS credentials are used: {found}" + (f", {endpoint}" if endpoint else "")


def own_endpoint() -> str:
    """Describe the S3 endpoint set in the environment, if any, without passwords."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if url := os.environ.get(name):
            return f"through {name} = {without_password(url)}"
    return ""


def _default_credentials() -> str:
    profile = os.environ.get("AWS_PROFILE")
    where = f"profile {profile} (AWS_PROFILE) of ~/.aws" if profile else "the default profile of ~/.aws"
    return (
        f"AWS_ACCESS_KEY_ID is not set, so the credentials come from {where} (see aws configure) or, failing that, "
        "from this machine's role"
    )
