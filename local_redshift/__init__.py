"""A stand-in for an Amazon Redshift cluster on this machine; see README.md beside this file."""

import importlib.util
import sys

# make these checks only for `python -m local_redshift`: sys.argv[0] is "-m" while Python locates the module
if sys.argv[:1] == ["-m"] and sys.version_info < (3, 10):
    sys.exit(
        f"local_redshift: this is Python {sys.version.split()[0]} ({sys.executable}); Python 3.10 or newer is needed"
    )
if sys.argv[:1] == ["-m"] and importlib.util.find_spec("psycopg2") is None:
    sys.exit(
        f"local_redshift: the package psycopg2 is not installed for {sys.executable}; activate the virtual "
        "environment (. .venv/bin/activate)"
    )

from local_redshift.client import connect
from local_redshift.errors import LocalRedshiftError

__all__ = ["LocalRedshiftError", "connect"]
