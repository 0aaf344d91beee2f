"""Places that files are in: a bucket of S3, or this machine. Listed, read and written by obstore."""

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, NamedTuple

import obstore
from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, S3Store

from pipeline.errors import PipelineError, Unreachable

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig

PAGE = 1000  # as many names as S3 gives at a time
AT_A_TIME = 128  # requests under way: S3 takes some 20 ms to answer one, whatever its size
BATCH_FILES, BATCH_BYTES = 2048, 32 << 20  # read before any of them is handed on; memory grows with it


class SourceFile(NamedTuple):
    """A file: its full name as COPY takes it, its size in bytes, and what tells its versions apart."""

    name: str
    size: int
    version: str


class Place:
    """A bucket, or all files of this machine; names are full, as "s3://bucket/key" or "/a/path".

    Each method raises PipelineError, saying what was refused, and Unreachable where it may be had later.
    """

    def __init__(self, root: str, store: LocalStore | S3Store) -> None:
        """`root` is what all names begin with and the store does not want to hear."""
        self._root = root
        self._store = store

    def list(self, prefix: str) -> Iterator[SourceFile]:
        """All files whose names begin with `prefix`, as COPY finds them, but empty ones: they have nothing to load.

        A prefix of COPY is any beginning of a name, one of obstore is a folder. So the folder is listed, in S3 from the
        first of these names on and, as names come in their order there, to the last.
        """
        folder, _, beginning = self._key(prefix).rpartition("/")
        is_bucket = self._root != "/"
        # what comes after it in order is the prefix itself, and then all that begins with it
        offset = self._key(prefix)[:-1] if is_bucket and beginning else None
        with self._errors("list", "s3:ListBucket", prefix):
            for page in obstore.list(self._store, folder or None, offset=offset, chunk_size=PAGE):
                for found in page:
                    name = self._root + found["path"]
                    if name.startswith(prefix):
                        if found["size"]:
                            yield SourceFile(name, found["size"], _version(found, is_bucket))
                    elif is_bucket and name > prefix:
                        return

    def read(self, files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, bytes]]:
        """The bytes of each file, in their order, many being read at a time."""
        for batch in _batches(files):
            yield from zip(batch, asyncio.run(self._read_all(batch)), strict=True)

    async def _read_all(self, files: Sequence[SourceFile]) -> Sequence[bytes]:
        turns = asyncio.Semaphore(AT_A_TIME)

        async def read(name: str) -> bytes:
            async with turns:
                with self._errors("read", "s3:GetObject", name):
                    found = await obstore.get_async(self._store, self._key(name))
                    return bytes(await found.bytes_async())

        return await asyncio.gather(*(read(file.name) for file in files))

    def write(self, name: str, data: bytes | IO[bytes]) -> None:
        """Write a file, in parts if it is large."""
        with self._errors("write", "s3:PutObject", name):
            obstore.put(self._store, self._key(name), data)

    def delete(self, names: Sequence[str]) -> None:
        """Delete files; one that is gone already is no error."""
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
            raise _explained(error, f"can't {what} {name}", right if self._root != "/" else "") from error


def _explained(error: Exception, failed: str, right: str) -> PipelineError:
    """What went wrong, in words; `right` is what an AWS identity needs for it, empty on this machine."""
    said = str(error).strip().split("\n")[0]
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or "403 Forbidden" in said:
        who = f"the AWS identity of this machine needs {right} there" if right else "see who may do so"
        return PipelineError(f"{failed}: access denied; {who}")
    if isinstance(error, InvalidPathError):
        return PipelineError(f"{failed}: {said}; leave [S3] TEMP_DIR out: COPY itself takes such names")
    if "NoSuchBucket" in said:
        return PipelineError(f"{failed}: there is no such bucket")
    if isinstance(error, FileNotFoundError):
        return PipelineError(f"{failed}: it is gone, or was moved since it was listed")
    if "configured region" in said:
        return PipelineError(f"{failed}: the bucket is in another region than [S3] REGION says")
    return Unreachable(f"{failed}: {said}")


def place_of(name: str, region: str) -> Place:
    """The place that a file of this name is in."""
    if not name.startswith("s3://"):
        return Place("/", LocalStore())
    import boto3  # only what is in S3 pays for it
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.Session()
    if session.get_credentials() is None:
        raise PipelineError(
            "[S3] TEMP_DIR needs AWS credentials on this machine, and there are none: run aws configure"
        )
    bucket = name.removeprefix("s3://").split("/", 1)[0]
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options: ClientConfig = {"allow_http": bool(endpoint and endpoint.startswith("http:"))}
    credentials = Boto3CredentialProvider(session)
    store = S3Store(bucket, endpoint=endpoint, region=region, client_options=options, credential_provider=credentials)
    return Place(f"s3://{bucket}/", store)


def _version(found: "ObjectMeta", is_bucket: bool) -> str:
    if is_bucket:
        return (found["e_tag"] or "").strip('"')
    return f"{found['size']} bytes of {found['last_modified'].isoformat()}"


def _batches(files: Sequence[SourceFile]) -> Iterator[Sequence[SourceFile]]:
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
