"""Parse and run COPY from JSON."""

from local_redshift.copy.run import run_copy
from local_redshift.copy.statement import CopyStatement, parse_copy

__all__ = ["CopyStatement", "parse_copy", "run_copy"]
