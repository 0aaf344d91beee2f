"""List, read and write files on this machine, or in S3 with concurrent requests."""

import contextlib
import datetime as dt
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

import obstore
from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from pipeline.errors import PipelineError, Unreachable
from pipeline.failures import is_transient_s3_failure
from storage.endpoints import without_password
from storage.local_files import walk

if TYPE_CHECKING:
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import ClientConfig

PAGE = 1000  # names per page of an S3 listing
AT_A_TIME = 128  # concurrent requests: S3 takes some 20 ms for each, whatever its size
BATCH_FILES, BATCH_BYTES = 2048, 32 << 20  # files and bytes read at a time; limits memory use
CREDENTIALS_KEPT = dt.timedelta(minutes=5)  # safe: boto3 refreshes credentials some 10 minutes before they expire

GONE = "it has been deleted or moved since it was listed"  # transient, because a retry lists the files again

# S3's error inside obstore's message
_S3_SAYS = re.compile(r"<Code>(?P<code>\w+)</Code>.*?<Message>(?P<message>[^<]*)</Message>", re.DOTALL)


class SourceFile(NamedTuple):
    """A file: its full name, as COPY accepts it, and its size in bytes."""

    name: str
    size: int


class FoundFile(NamedTuple):
    """A listed file: name, size in bytes, and a version that changes with the content."""

    name: str
    size: int
    version: str


class FileStore(Protocol):
    """Storage for files.

    Names are full paths: "s3://bucket/key" or "/a/path". Each method raises PipelineError if it fails, or Unreachable
    if a retry may succeed.
    """

    def list(self, prefix: str) -> Iterator[FoundFile]:
        """Yield all files whose names begin with `prefix`, in any order."""

    def can_read(self, name: str) -> bool:
        """Tell whether `read` accepts this name."""

    def read(self, files: Iterable[SourceFile]) -> Iterator[tuple[SourceFile, bytes]]:
        """Yield each file and its content, in the order given."""

    def head(self, name: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a file, or the whole file if it is shorter."""

    def write(self, name: str, data: IO[bytes]) -> None:
        """Write a file."""

    def delete(self, names: Sequence[str]) -> None:
        """Delete files; missing ones are ignored."""


class LocalFileStore:
    """Files on this machine; see FileStore."""

    def list(self, prefix: str) -> Iterator[FoundFile]:
        with _local_errors("list", prefix):
            for path in walk(prefix):
                found = os.stat(path)  # noqa: PTH116
                yield FoundFile(path, found.st_size, f"{found.st_size} bytes of {found.st_mtime_ns}")

    def can_read(self, name: str) -> bool:
        return True

    def read(self, files: Iterable[SourceFile]) -> Iterator[tuple[SourceFile, bytes]]:
        for file in files:
            with _local_errors("read", file.name):
                data = Path(file.name).read_bytes()
            yield file, data

    def head(self, name: str, limit: int) -> bytes:
        with _local_errors("read", name), open(name, "rb") as file:
            return file.read(limit)

    def write(self, name: str, data: IO[bytes]) -> None:
        with _local_errors("write", name):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            with open(name, "xb") as file:
                shutil.copyfileobj(data, file)

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            with _local_errors("delete", name), contextlib.suppress(NotADirectoryError):
                Path(name).unlink(missing_ok=True)


def check_name(path: str) -> None:
    """Raise PipelineError for a non-UTF-8 file name, which a manifest can't contain."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        shown = path.encode(errors="backslashreplace").decode()
        raise PipelineError(
            f"can't read {shown} with [S3] TEMP_DIR: the file's name is not UTF-8; rename it, or leave TEMP_DIR out"
        ) from error


@contextlib.contextmanager
def _local_errors(what: str, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        path = error.filename or name  # if a folder can't be listed, error.filename is its path
        if os.path.islink(path):  # noqa: PTH114
            raise PipelineError(f"can't {what} {path}: it is a broken symbolic link") from error
        if isinstance(error, FileNotFoundError) and what != "write":
            raise Unreachable(f"can't {what} {path}: {GONE}") from error
        raise PipelineError(f"can't {what} {path}: {error.strerror}") from error


class S3FileStore:
    """Files in an S3 bucket; see FileStore. `store` is the obstore client."""

    def __init__(self, bucket: str, store: S3Store) -> None:
        self._root = f"s3://{bucket}/"
        self._bucket = bucket
        self._store = store

    def list(self, prefix: str) -> Iterator[FoundFile]:
        last = None
        with self._errors("list", "s3:ListBucket", prefix):
            try:
                for found in self._listed(prefix):
                    last = found
                    yield found
                return
            except (InvalidPathError, ValueError):
                pass  # obstore rejects the prefix, or a name in the listing
        yield from self._listed_by_boto3(prefix, last)

    def _listed(self, prefix: str) -> Iterator[FoundFile]:
        """List the files under `prefix` with obstore, which itself filters by folder only.

        Names arrive sorted, so the first one past the prefix ends the listing.
        """
        key = self._key(prefix)
        folder, _, beginning = key.rpartition("/")
        for page in obstore.list(self._store, folder or None, offset=key[:-1] if beginning else None, chunk_size=PAGE):
            for found in page:
                name = self._root + found["path"]
                if name.startswith(prefix):
                    yield FoundFile(name, found["size"], (found["e_tag"] or "").strip('"'))
                elif name > prefix:
                    return

    def _listed_by_boto3(self, prefix: str, last: FoundFile | None) -> Iterator[FoundFile]:
        """List files after `last` with boto3. Unlike obstore, boto3 accepts any name, but takes 4 times as long."""
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        after = {"StartAfter": self._key(last.name)} if last else {}
        try:
            pages = boto3.client("s3", region_name=self._store.config.get("region")).get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._key(prefix), **after):
                for found in page.get("Contents", []):
                    yield FoundFile(self._root + found["Key"], found["Size"], found["ETag"].strip('"'))
        except (BotoCoreError, ClientError) as error:
            raise PipelineError(f"can't list {prefix}: {without_password(str(error))}") from error

    def can_read(self, name: str) -> bool:
        segments = self._key(name).split("/")
        return name.isprintable() and not {"", ".", ".."} & set(segments)

    def read(self, files: Iterable[SourceFile]) -> Iterator[tuple[SourceFile, bytes]]:
        import asyncio  # slow to import

        for batch in _batches(files):
            yield from zip(batch, asyncio.run(self._read_all(batch)), strict=True)

    async def _read_all(self, files: Sequence[SourceFile]) -> Sequence[bytes]:
        import asyncio

        turns = asyncio.Semaphore(AT_A_TIME)

        async def read(name: str) -> bytes:
            async with turns:
                with self._errors("read", "s3:GetObject", name):
                    found = await obstore.get_async(self._store, self._key(name))
                    return bytes(await found.bytes_async())

        return await asyncio.gather(*(read(file.name) for file in files))

    def head(self, name: str, limit: int) -> bytes:
        with self._errors("read", "s3:GetObject", name):
            return bytes(obstore.get(self._store, self._key(name), options={"range": (0, limit)}).bytes())

    def write(self, name: str, data: IO[bytes]) -> None:
        """Write a file, with a multipart upload if it is large."""
        with self._errors("write", "s3:PutObject", name):
            obstore.put(self._store, self._key(name), data)

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            with self._errors("delete", "s3:DeleteObject", name), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, self._key(name))

    def _key(self, name: str) -> str:
        return name.removeprefix(self._root)

    @contextlib.contextmanager
    def _errors(self, what: str, right: str, name: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise _explained(error, f"can't {what} {name}", right) from error


def _explained(error: Exception, failed: str, right: str) -> PipelineError:
    """Convert an error to a PipelineError; `right` is the AWS permission needed."""
    message = without_password(str(error).strip().split("\n")[0])
    s3 = _S3_SAYS.search(str(error))
    code = s3["code"] if s3 else ""
    kind = Unreachable if is_transient_s3_failure(message) else PipelineError
    if code == "NoSuchBucket":
        return PipelineError(f"{failed}: there is no such bucket")
    if isinstance(error, FileNotFoundError):
        return Unreachable(f"{failed}: {GONE}")
    if s3 and code != "AccessDenied":
        return kind(f"{failed}: S3 says {code}: {s3['message']}")
    if isinstance(error, UnauthenticatedError):
        return PipelineError(f"{failed}: there are no valid AWS credentials: {message}")
    if isinstance(error, PermissionDeniedError) or code or "403 Forbidden" in message:
        return PipelineError(f"{failed}: access denied; the AWS identity of this machine needs {right} there")
    if "configured region" in message:
        return PipelineError(f"{failed}: the bucket is not in the region set by [S3] REGION")
    return kind(f"{failed}: {message}")


def file_store_of(name: str, region: str) -> FileStore:
    """Return the store for a path or an s3:// URL; for S3, raise PipelineError if there are no AWS credentials."""
    if not name.startswith("s3://"):
        return LocalFileStore()
    bucket = name.removeprefix("s3://").split("/", 1)[0]
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint is None and region.startswith("cn-"):
        endpoint = f"https://s3.{region}.amazonaws.com.cn"
    options: ClientConfig = {"allow_http": bool(endpoint and endpoint.startswith("http:"))}
    credentials = _aws_credentials()
    store = S3Store(bucket, endpoint=endpoint, region=region, client_options=options, credential_provider=credentials)
    return S3FileStore(bucket, store)


def head(name: str, region: str, limit: int) -> bytes:
    """Return the first `limit` bytes of a file, or all of a shorter one."""
    return file_store_of(name, region).head(name, limit)


def _aws_credentials() -> "Boto3CredentialProvider":
    """Return boto3's credentials for obstore, refreshed before they expire."""
    import boto3  # slow to import, and needed for S3 only
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        session = boto3.Session()
        if session.get_credentials() is not None:
            return Boto3CredentialProvider(session, ttl=CREDENTIALS_KEPT)
    except BotoCoreError as error:
        raise PipelineError(f"S3 can't be reached from this machine: {error}") from error
    raise PipelineError("S3 can't be reached from this machine: it has no AWS credentials; run aws configure")


def _batches(files: Iterable[SourceFile]) -> Iterator[Sequence[SourceFile]]:
    batch: list[SourceFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) == BATCH_FILES or size + file.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch
