"""Read objects from S3, with Redshift's error messages."""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local_redshift import messages
from local_redshift.errors import NoSuchObject, SourceError
from local_redshift.program import Program
from local_redshift.sources.stores import Credentials, SourceObject
from storage.endpoints import without_password

# S3 error codes for a bucket outside REGION
_OTHER_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")


class S3Store:
    """A Store of S3 objects.

    It uses the boto3 credentials of `program`, the client program, unless the COPY has an access key. An IAM role is
    ignored, because it can't be assumed here.
    """

    readers = 32
    batch = 1

    def __init__(self, program: Program, region: str | None, credentials: Credentials | None) -> None:
        with _s3_errors(""), program.environment():
            self._client = program.aws.client(
                "s3",
                region_name=region or None,
                config=Config(max_pool_connections=64, retries={"mode": "standard"}),
                aws_access_key_id=credentials.key_id if credentials else None,
                aws_secret_access_key=credentials.secret if credentials else None,
                aws_session_token=credentials.token if credentials else None,
            )
        self._client.meta.events.register_first("needs-retry.s3", _stay_in_region)

    def find(self, prefix: str) -> list[SourceObject]:
        bucket, key = _bucket_and_key(prefix)
        with _s3_errors(f"Listing bucket={bucket} prefix={key}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
            # skip the empty objects that the S3 console creates for folders; their keys end in a slash
            return [
                SourceObject(f"s3://{bucket}/{found['Key']}", found["Size"])
                for page in pages
                for found in page.get("Contents", [])
                if found["Size"] or not found["Key"].endswith("/")
            ]

    def holds(self, name: str) -> bool:
        bucket, key = _bucket_and_key(name)
        with self._key_errors(name):
            try:
                self._client.head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error.response["Error"].get("Code") not in ("404", "NoSuchKey", "NotFound"):
                    raise
                return False
        return True

    def open(self, name: str) -> BinaryIO:
        bucket, key = _bucket_and_key(name)
        with self._key_errors(name):
            # The wrapper is needed because a `with` statement on botocore's stream returns the raw stream beneath it,
            # which does not detect a truncated download.
            return io.BufferedReader(self._client.get_object(Bucket=bucket, Key=key)["Body"])

    def head(self, name: str, limit: int) -> bytes:
        with self.open(name) as stream, self.reading(name):
            return stream.read(limit)

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        try:
            with self._key_errors(name):
                yield
        except OSError as error:
            raise SourceError(f"{name} can't be read: {error.strerror or error}") from error

    @staticmethod
    def _key_errors(name: str) -> AbstractContextManager[None]:
        return _s3_errors(f"S3 key being read : {name}", "table_s3_scanner.cpp:354", "query0_30")

    def missing(self, prefix: str) -> SourceError:
        return NoSuchObject(messages.NO_PREFIX.format(prefix=_bucket_and_key(prefix)[1]))


def _stay_in_region(response: tuple[Any, Any] | None, operation: Any, **_: object) -> None:
    """Fail, as a cluster does, instead of following a redirect to another region."""
    if response is not None and response[1].get("Error", {}).get("Code") in _OTHER_REGION:
        raise ClientError(response[1], operation.name)


def _bucket_and_key(name: str) -> tuple[str, str]:
    bucket, _, key = name.removeprefix("s3://").partition("/")
    if not name.startswith("s3://") or not bucket:
        raise SourceError(f"{name} is not of the form s3://bucket/key")
    return bucket, key


@contextmanager
def _s3_errors(context: str, location: str = "s3_utility.cpp:840", process: str = "padbmaster") -> Iterator[None]:
    """Convert boto3's errors in the block to a SourceError with Redshift's message."""
    try:
        yield
    except ClientError as error:
        missing = error.response["Error"].get("Code", "") in ("NoSuchKey", "404")
        kind = NoSuchObject if missing else SourceError
        raise kind(_s3_message(error), context, location, process) from error
    except (BotoCoreError, ValueError) as error:  # ValueError means an invalid setting
        # clusters have no such error, so omit the cluster's DETAIL block
        raise SourceError(
            f"S3 can't be read from here: {without_password(str(error).rstrip('.'))}", process=""
        ) from error


def _s3_message(error: ClientError) -> str:
    answer: dict[str, Any] = dict(error.response["ResponseMetadata"])
    code = error.response["Error"].get("Code", "")
    message = error.response["Error"].get("Message", "")
    status: int | str = answer.get("HTTPStatusCode", "")
    if code in _OTHER_REGION:
        message, status, code = messages.OTHER_REGION, 301, "PermanentRedirect"
    return messages.S3_ERROR.format(
        message=message,
        status=status,
        error=code,
        request=answer.get("RequestId", ""),
        host=answer.get("HostId", ""),
    )
