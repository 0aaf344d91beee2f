"""Sources of a COPY: local files, S3, manifests, compression and read-ahead."""

from local_redshift.sources.by_name import store_of
from local_redshift.sources.manifest import objects_to_load
from local_redshift.sources.read_ahead import ObjectRead, read_ahead
from local_redshift.sources.stores import Credentials, SourceObject, Store, read_object
from local_redshift.sources.streams import BLOCK_BYTES, blocks, whole_lines

__all__ = [
    "BLOCK_BYTES",
    "Credentials",
    "ObjectRead",
    "SourceObject",
    "Store",
    "blocks",
    "objects_to_load",
    "read_ahead",
    "read_object",
    "store_of",
    "whole_lines",
]
