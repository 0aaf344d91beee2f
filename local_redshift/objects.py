"""Where the data are: objects in S3 or files here, found by prefix, read whole or as a stream.

A local path follows S3's rule: it is a plain prefix of the names, not a folder.
https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-source-s3.html
"""

import bz2
import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from local_redshift import messages
from local_redshift.copy_statement import CopyStatement, Credentials
from local_redshift.errors import NotSupported, RedshiftError

# what S3 answers where a bucket is in another region than REGION says
_OTHER_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")

BLOCK_BYTES = 1 << 20  # read at a time; memory grows with it


class SourceError(RedshiftError):
    """The source can't be read; raised before loading starts, so it has the DETAIL block and no row.

    `code` is the number in the block, `location` the place in the cluster's own source that it names.
    """

    def __init__(
        self,
        message: str,
        context: str = "",
        location: str = "s3_utility.cpp:568",
        process: str = "padbmaster",
    ) -> None:
        self.context = context
        self.location = location
        self.process = process
        super().__init__(message)

    def with_query(self, query: int, pid: int) -> "SourceError":
        """This error with the number of its query and of the process in the DETAIL block."""
        process = f"{self.process} [pid={pid}]"
        self.detail = messages.detail_block(
            self.message, messages.EXTERNAL, self.context, query, self.location, process
        )
        return self


class NoSuchObject(SourceError):
    """The object named does not exist."""


@dataclass(frozen=True)
class SourceObject:
    """One object to load: its full name ("s3://bucket/key" or a path) and its size in bytes if known."""

    name: str
    size: int | None = None


class Store(Protocol):
    """A place that objects are in. Each method raises SourceError for what can't be read.

    `readers` threads read small objects ahead, `batch` of them at a time.
    """

    readers: int
    batch: int

    def find(self, prefix: str) -> list[SourceObject]:
        """All objects whose name starts with `prefix`, in the order of their names; maybe none."""

    def open(self, name: str) -> BinaryIO:
        """The object's bytes as a stream. Raise NoSuchObject if there is none of that name."""

    def head(self, name: str, limit: int) -> bytes:
        """The object's first `limit` bytes, or all of them if it has fewer. Raise as `open` does."""

    def missing(self, prefix: str) -> SourceError:
        """The error for a prefix that no object has."""


def store_of(name: str, copy: CopyStatement) -> Store:
    """The store that the COPY finds `name` in: its source, or its JSONPaths file."""
    if name.startswith("s3://"):
        return S3Store(copy.region, copy.credentials)
    if "://" in name:
        scheme = name.split("://", 1)[0]
        raise NotSupported(f"the local stand-in's COPY takes s3:// and local paths, not {scheme}://")
    return LocalStore()


class LocalStore:
    """Files on this machine; see Store."""

    # a file takes some microseconds, less than to hand it to a thread: so few threads and many at a time
    readers = 2
    batch = 64

    def find(self, prefix: str) -> list[SourceObject]:
        folder = prefix if prefix.endswith("/") else os.path.dirname(prefix) or "."  # noqa: PTH120
        start = len(folder) + 1 if folder == "." and not prefix.startswith(".") else 0
        found: list[SourceObject] = []
        for path, folders, names in os.walk(folder, followlinks=True):
            above = path.rstrip("/") + "/"
            # whole branches that can't match are not entered: the prefix may be next to a large tree
            folders[:] = [
                name
                for name in folders
                if _may_match(f"{above}{name}/"[start:], prefix) and not _leads_back(above, name)
            ]
            found += [SourceObject(full) for name in names if (full := (above + name)[start:]).startswith(prefix)]
        return sorted(found, key=lambda found_object: os.fsencode(found_object.name))

    def open(self, name: str) -> BinaryIO:
        with _file_errors(name):
            return open(name, "rb", buffering=0)

    def head(self, name: str, limit: int) -> bytes:
        # a file object would take twice the time
        with _file_errors(name):
            descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            try:
                return os.read(descriptor, limit)
            finally:
                os.close(descriptor)

    def missing(self, prefix: str) -> SourceError:
        return NoSuchObject(f"no file's path starts with {prefix}")


@contextmanager
def _file_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NoSuchObject(f"{name} does not exist") from error
    except OSError as error:
        raise SourceError(f"{name} can't be read: {error.strerror}") from error


def _leads_back(above: str, name: str) -> bool:
    """Whether `name` is a link to a folder that it is in itself."""
    return Path(above + name).is_symlink() and os.path.realpath(above).startswith(os.path.realpath(above + name))


def _may_match(folder: str, prefix: str) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)


class S3Store:
    """Objects in S3, by boto3 with its ordinary credential chain; see Store.

    The role a COPY names can't be taken on here, so it is not used; an access key is.
    """

    readers = 32
    batch = 1

    def __init__(self, region: str | None, credentials: Credentials | None) -> None:
        import boto3  # only a load from S3 pays for it
        from botocore.config import Config

        keys = {}
        if credentials is not None:
            keys = {
                "aws_access_key_id": credentials.key_id,
                "aws_secret_access_key": credentials.secret,
                "aws_session_token": credentials.token,
            }
        config = Config(max_pool_connections=64, retries={"mode": "standard"})
        self._client = boto3.client("s3", region_name=region or None, config=config, **keys)
        self._client.meta.events.register_first("needs-retry.s3", _stay_in_region)

    def find(self, prefix: str) -> list[SourceObject]:
        bucket, key = _bucket_and_key(prefix)
        with _s3_errors(f"Listing bucket={bucket} prefix={key}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
            # keys that end in a slash are the folders that consoles draw; they hold nothing
            return [
                SourceObject(f"s3://{bucket}/{found['Key']}", found["Size"])
                for page in pages
                for found in page.get("Contents", [])
                if not found["Key"].endswith("/")
            ]

    def open(self, name: str) -> BinaryIO:
        bucket, key = _bucket_and_key(name)
        with _key_errors(name):
            return self._client.get_object(Bucket=bucket, Key=key)["Body"]

    def head(self, name: str, limit: int) -> bytes:
        with self.open(name) as stream, read_errors(name):
            return stream.read(limit)

    def missing(self, prefix: str) -> SourceError:
        return NoSuchObject(messages.NO_PREFIX.format(prefix=_bucket_and_key(prefix)[1]))


def _stay_in_region(response: tuple | None, operation: object, **_: object) -> None:
    """Fail where boto3 would go to the bucket's own region: a cluster does not."""
    from botocore.exceptions import ClientError

    if response is not None and response[1].get("Error", {}).get("Code") in _OTHER_REGION:
        raise ClientError(response[1], operation.name)


def _bucket_and_key(name: str) -> tuple[str, str]:
    bucket, _, key = name.removeprefix("s3://").partition("/")
    if not name.startswith("s3://") or not bucket:
        raise SourceError(f"{name} is not s3://bucket/key")
    return bucket, key


@contextmanager
def _s3_errors(context: str, location: str = "s3_utility.cpp:840", process: str = "padbmaster") -> Iterator[None]:
    """Turn what boto3 raises inside the block into a SourceError in Redshift's words."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        missing = error.response["Error"].get("Code", "") in ("NoSuchKey", "404")
        kind = NoSuchObject if missing else SourceError
        raise kind(_s3_message(error), context, location, process) from error
    except BotoCoreError as error:
        message = f"S3 can't be read from here: {str(error).rstrip('.')}"
        raise SourceError(message, context, location, process) from error


def _s3_message(error: Exception) -> str:
    answer = error.response["ResponseMetadata"]
    code = error.response["Error"].get("Code", "")
    message = error.response["Error"].get("Message", "")
    status = answer.get("HTTPStatusCode", "")
    if code in _OTHER_REGION:
        message, status, code = messages.OTHER_REGION, 301, "PermanentRedirect"
    return messages.S3_ERROR.format(
        message=message,
        status=status,
        error=code,
        request=answer.get("RequestId", ""),
        host=answer.get("HostId", ""),
    )


def read_object(store: Store, name: str) -> bytes:
    """A small object whole: a manifest or a JSONPaths file."""
    with store.open(name) as stream, read_errors(name):
        return stream.read()


def blocks(stream: BinaryIO, name: str, compression: str | None) -> Iterator[bytes]:
    """The decompressed bytes of an object, a block at a time, however large it is.

    Raise SourceError where the compression is not what the COPY says, or the object breaks off.
    """
    with stream, read_errors(name):
        try:
            reader = _decompressed(stream, compression)
            while block := reader.read(BLOCK_BYTES):
                yield block
        except (EOFError, OSError, zlib.error) as error:
            if compression is None:
                raise
            problem = messages.BAD_COMPRESSION.format(name=name, compression=compression, problem=error)
            raise SourceError(problem) from error


def whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, cut at the ends of lines where a line is not longer than a block."""
    rest = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1 or (len(piece) if len(rest) + len(piece) > BLOCK_BYTES else 0)
        if end:
            yield b"".join((rest, memoryview(piece)[:end]))
            rest = piece[end:]
        else:
            rest += piece
    if rest:
        yield rest


def _decompressed(stream: BinaryIO, compression: str | None) -> BinaryIO:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=stream)
    if compression == "bzip2":
        return bz2.BZ2File(stream)
    return stream


@contextmanager
def read_errors(name: str) -> Iterator[None]:
    """Name the object in errors of reading its bytes."""
    try:
        with _key_errors(name) if name.startswith("s3://") else nullcontext():
            yield
    except OSError as error:
        raise SourceError(f"{name} can't be read: {error.strerror or error}") from error


def _key_errors(name: str) -> AbstractContextManager[None]:
    return _s3_errors(f"S3 key being read : {name}", "table_s3_scanner.cpp:354", "query0_30")
