"""Choose where to read an object from, S3 or local files, by its URL scheme."""

from local_redshift.errors import NotSupported
from local_redshift.program import Program
from local_redshift.sources.local_files import LocalStore
from local_redshift.sources.stores import Credentials, Store


def store_of(name: str, program: Program, region: str | None, credentials: Credentials | None) -> Store:
    """Return the store for an object's name.

    `program` has the client program's AWS settings and working directory; `region` and `credentials` apply only to S3.
    """
    if name.startswith("s3://"):
        from local_redshift.sources.s3 import S3Store  # imported here: only loads from S3 need boto3

        return S3Store(program, region, credentials)
    if "://" in name:
        scheme = name.split("://", 1)[0]
        raise NotSupported(f"the local stand-in's COPY takes s3:// and local paths, not {scheme}://")
    return LocalStore(program.folder)
