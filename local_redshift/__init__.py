"""A stand-in for an Amazon Redshift cluster on this machine; see README.md beside this file."""

from local_redshift.connection import connect
from local_redshift.errors import LocalRedshiftError

__all__ = ["LocalRedshiftError", "connect"]
