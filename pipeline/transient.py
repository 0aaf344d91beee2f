"""Transient failures: published error messages of Redshift, S3 and libpq, each with its source."""

import re
from typing import NamedTuple

import psycopg2

# SQLSTATEs that a retry of the whole transaction cures.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CODES = (
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53300",  # too many connections
    "57P03",  # the server is starting up or recovering
)


class Text(NamedTuple):
    """A regular expression for an error message, and whether a retry may succeed."""

    pattern: str
    passes: bool


# The first that matches decides. So refusals stand first: libpq names every address that it tried, and one of them may
# have refused the connection where another refused the password.
_TEXTS = (
    # https://www.postgresql.org/docs/current/client-authentication-problems.html
    Text(r"authentication failed|no pg_hba\.conf entry|FATAL: +(?:role|database) .* does not exist", False),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: the request itself is wrong
    Text(r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|PermanentRedirect|NoSuchBucket", False),
    Text(r"Unable to locate credentials|not authorized to assume|UnauthorizedException", False),
    # https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html. 1018 is what a load gets that waited for
    # a table's lock while create_tables.py dropped the table.
    Text(r"\A(?:ERROR: *)?(?:1023|1018)\b", True),
    Text(r"Serializable isolation violation|conflict with concurrent transaction", True),
    # https://repost.aws/knowledge-center/http-5xx-errors-s3: all of S3's 5xx can and should be tried again
    Text(r"S3ServiceException:[^\n]*,Status 5\d\d,", True),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: S3 gave up waiting for a slow connection
    Text(r"S3ServiceException:[^\n]*,Error RequestTimeout,", True),
    # github.com/awslabs/aws-lambda-redshift-loader issue 73: an object that was listed was gone when its turn came
    Text(r"(?<!manifest file - )S3ServiceException:[^\n]*,Status 404,Error NoSuchKey,", True),
    # https://curl.se/libcurl/c/libcurl-errors.html: no connection, timed out, nothing or half of it received
    Text(r"S3CurlException:[^\n]*,\s*CurlError (?:6|7|18|28|35|52|55|56),", True),
    # github.com/harrystech/arthur-redshift-etl pull request 134
    Text(r"S3 ?Query Exception", True),
    # botocore's words for the same, where the stand-in reads S3
    # https://github.com/boto/botocore/blob/develop/botocore/exceptions.py
    Text(
        r"S3 can't be read from here: (?:Read timeout|Connect timeout|Could not connect|Connection was closed"
        r"|An error occurred while reading from response stream|IncompleteRead|\d+ read, but total bytes expected)",
        True,
    ),
    Text(r"can't be read: (?:Connection reset|timed out)", True),
    # a local file that was listed and deleted before its turn came
    Text(r"\A(?:ERROR: *)?/[^\n]* does not exist(?:\n|\Z)", True),
)

# libpq's messages if no connection could be opened.
# https://docs.aws.amazon.com/redshift/latest/mgmt/troubleshooting-connections.html
_NO_CONNECTION = (
    # a cluster that is paused or restarts
    Text(r"Connection refused|starting up|shutting down", True),
    # github.com/exmergo/dex pull request 97: a workgroup that wakes up drops the first handshake
    Text(r"server closed the connection unexpectedly|Connection reset|connection has been closed unexpectedly", True),
    Text(r"SSL SYSCALL error: EOF|could not receive data", True),
    # https://man7.org/linux/man-pages/man3/getaddrinfo.3.html, EAI_AGAIN
    Text(r"Temporary failure in name resolution", True),
    Text(r"(?i)too many connections|connection limit .* exceeded", True),
)
# https://docs.aws.amazon.com/redshift/latest/mgmt/serverless-known-issues.html: a workgroup that sleeps takes a while
_WAKING = Text(r"timeout expired|Connection timed out", True)


def is_connection_lost(error: psycopg2.Error) -> bool:
    """Tell whether the connection was lost before an answer came."""
    if not isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)):
        return False
    # without a code the driver itself found out; those of 57P and 08 are what a server says as it goes
    return error.pgcode is None or error.pgcode.startswith(("57P", "08"))


def statement_passes(error: psycopg2.Error) -> bool:
    """Tell whether a retry of the statement may succeed."""
    return is_connection_lost(error) or error.pgcode in _CODES or _passes(str(error), _TEXTS)


def connection_passes(reason: str, host: str) -> bool:
    """Tell whether another attempt to connect to `host` may succeed."""
    waking = (_WAKING,) if ".redshift-serverless." in host else ()
    return _passes(reason, (*_TEXTS, *_NO_CONNECTION, *waking))


def _passes(message: str, texts: tuple[Text, ...]) -> bool:
    return next((text.passes for text in texts if re.search(text.pattern, message)), False)
