"""AWS settings and working directory of the program that sent a COPY."""

import contextlib
import functools
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import boto3

# A client program sends its settings to the server with this statement, followed by a JSON string. The statement is not
# passed on to PostgreSQL.
HANDOVER = "SET local_redshift.program TO"

# environment variables that boto3 reads, besides AWS_*
_NAMES = frozenset(
    "HOME BOTO_CONFIG REQUESTS_CA_BUNDLE HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy".split()
)
_environment = threading.RLock()  # guards os.environ, which all threads share


class Program:
    """The AWS environment variables and the working directory of a client program."""

    def __init__(self, variables: Mapping[str, str], folder: Path) -> None:
        self._variables = dict(variables)
        self.folder = folder

    @classmethod
    def this(cls) -> "Program":
        """Return the Program of the current process."""
        return cls(_aws_variables(), Path.cwd())

    @classmethod
    def from_json(cls, text: str) -> "Program":
        """Return the Program that `as_json` serialized."""
        told = json.loads(text)
        return cls(told["variables"], Path(told["folder"]))

    def as_json(self) -> str:
        """Return the settings and folder as JSON, which may contain secrets."""
        return json.dumps({"variables": self._variables, "folder": str(self.folder)})

    @functools.cached_property
    def aws(self) -> "boto3.Session":
        """The boto3 session with the program's settings."""
        import boto3  # imported here: only loads from S3 need it

        with self.environment():
            session = boto3.Session()
            session.get_credentials()
            return session

    @contextlib.contextmanager
    def environment(self) -> Iterator[None]:
        """Use the client program's AWS variables in this process during the block."""
        with _environment:
            own = _aws_variables()
            _replace(own, self._variables)
            try:
                yield
            finally:
                _replace(self._variables, own)


def environment_without_aws() -> dict[str, str]:
    """Return this process's environment without AWS settings."""
    with _environment:
        return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def _aws_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_") or name in _NAMES}


def _replace(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    for name in old:
        os.environ.pop(name, None)
    os.environ.update(new)
