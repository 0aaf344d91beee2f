"""dwh.cfg: where the data and the warehouse are."""

import configparser
import os
import re
from pathlib import Path

DEFAULT_CONFIG = Path(__file__).with_name("dwh.cfg")

_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_REGION_OF_HOST = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.redshift(?:-serverless)?\.amazonaws\.com")


class PipelineError(Exception):
    """Something the user can mend; the message says what failed, where, and what to do next."""


class Unreachable(PipelineError):
    """The warehouse did not take the connection, for a reason that may pass."""


class Config:
    """dwh.cfg: values by section and key, quotes around them taken off."""

    def __init__(self, path: str | Path) -> None:
        """Read the file. Raise PipelineError if it is not there or not an INI file."""
        self.path = Path(path).resolve()
        # % is just a character, and a second # or ; may be part of a password
        self._parser = configparser.ConfigParser(interpolation=None)
        try:
            with open(self.path, encoding="utf-8") as file:
                self._parser.read_file(file)
        except OSError as error:
            raise PipelineError(
                f"config file {self.path} can't be read: {error.strerror}; name another with --config"
            ) from error
        except UnicodeDecodeError as error:
            raise PipelineError(f"config file {self.path} is not UTF-8 text") from error
        except configparser.Error as error:
            problem = " ".join(str(error).split("\n")[0].split())
            raise PipelineError(f"config file {self.path}: {problem}") from error

    def get(self, section: str, key: str, default: str | None = None) -> str:
        """The value, or `default` where it is missing or empty.

        Raise PipelineError, naming section and key, if it is missing and there is no default.
        """
        value = self._parser.get(section, key, fallback="").strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        if value:
            return value
        if default is None:
            raise PipelineError(f"{self.path}: [{section}] {key} is missing; give it a value")
        return default

    @property
    def is_local(self) -> bool:
        """Whether the warehouse is the stand-in on this machine."""
        return self.get("CLUSTER", "HOST").lower() == "local"

    def source(self, key: str) -> str:
        """[S3] `key` as COPY takes it: s3:// as it is, another path from the config file's folder.

        Raise PipelineError for a local path with a cluster, which can't read it.
        """
        value = self.get("S3", key)
        if value.startswith("s3://"):
            return value
        if "://" in value:
            raise PipelineError(f"{self.path}: [S3] {key} = {value} must be s3://bucket/... or a path")
        if not self.is_local:
            raise PipelineError(
                f"{self.path}: [S3] {key} = {value} is a path on this machine, which a cluster can't read; "
                "name s3://bucket/... or set [CLUSTER] HOST = local"
            )
        # not Path: a slash at the end says that the prefix is a folder
        return os.path.normpath(self.path.parent / value) + ("/" if value.endswith("/") else "")

    def copy_parameters(self) -> dict[str, str]:
        """The values for the placeholders of the COPY statements.

        Raise PipelineError, naming section and key, for one that is missing or malformed.
        """
        role = self.get("IAM_ROLE", "ARN")
        if not _ROLE_ARN.fullmatch(role):
            raise PipelineError(
                f"{self.path}: [IAM_ROLE] ARN = {role} is not the ARN of a role, "
                "which looks like arn:aws:iam::123456789012:role/name"
            )
        return {
            "log_data": self.source("LOG_DATA"),
            "log_jsonpath": self.source("LOG_JSONPATH"),
            "song_data": self.source("SONG_DATA"),
            "iam_role": role,
            "region": self._region(),
        }

    def _region(self) -> str:
        """[S3] REGION, or what COPY itself would use without one: the region of the cluster."""
        host = self.get("CLUSTER", "HOST")
        in_host = _REGION_OF_HOST.search(host)
        default = in_host[1] if in_host else "us-east-1" if self.is_local else None
        return self.get("S3", "REGION", default)
