"""Settings: the values of dwh.cfg, checked before any connection is opened."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.config_file import ConfigValues
from pipeline.errors import PipelineError
from storage.local_files import user_path

DEFAULT_CONFIG = Path(__file__).resolve().parent.parent / "dwh.cfg"

# maximum length of TEMP_DIR: the names of packed objects are appended to it, and the system tables truncate names at
# 256 bytes
TEMP_DIR_BYTES = 180

# https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-load.html#copy-maxerror
MOST_ERRORS = 100_000

SSLMODES = ("verify-full", "verify-ca", "require", "prefer", "allow", "disable")
_SWITCH = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}

# one role, or a chain of roles separated by commas
_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_REGION_OF_HOST = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.redshift(?:-serverless)?\.amazonaws\.com")
_ENDPOINT = re.compile(r"(?P<host>[^/:]+)(?::(?P<port>[^/:]*))?(?:/(?P<database>.*))?")  # as AWS's console shows it
# a host name, a Unix socket's folder, or an IPv6 address
_HOST = re.compile(r"[\w.-]+|/.*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d+")


@dataclass(frozen=True)
class CredstashEntry:
    """Location of the password in credstash; None means the default of credstash or AWS."""

    key: str
    table: str
    region: str | None
    profile: str | None


@dataclass(frozen=True)
class Source:
    """The sources that COPY reads, and the role and region that a cluster needs."""

    log_data: str
    log_jsonpath: str
    song_data: str
    iam_role: str
    region: str
    temp_dir: str = ""  # without a trailing slash; empty if not set
    maxerror: int = 0  # number of bad records per source that a run may leave out

    def copy_parameters(self) -> dict[str, str | int]:
        """Return the values for the placeholders of the COPY statements.

        COPY fails when it reaches its MAXERROR; [S3] MAXERROR is the number of errors allowed, so COPY's MAXERROR is
        one higher.
        https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-load.html#copy-maxerror
        """
        texts = {name: value for name, value in vars(self).items() if name not in ("temp_dir", "maxerror")}
        return {**texts, "maxerror": self.maxerror + 1}


@dataclass(frozen=True)
class Settings:
    """The checked config. `path` is the config file; strings that are not set are empty."""

    path: Path
    host: str
    port: int
    database: str
    user: str
    schema: str
    iam_auth: bool
    sslmode: str
    sslrootcert: str
    data_dir: Path
    credstash: CredstashEntry | None
    source: Source | None
    password: str = field(repr=False)

    @property
    def is_local(self) -> bool:
        """True if the warehouse is the stand-in on this machine."""
        return self.host == "local"

    @property
    def short_location(self) -> str:
        """Short name of the warehouse: "local", or the cluster's name and region."""
        if self.is_local or (region := _REGION_OF_HOST.search(self.host)) is None:
            return "local" if self.is_local else self.location
        return f"{self.host.split('.')[0]}.{region[1]}"

    @property
    def location(self) -> str:
        """The warehouse's name in messages: host and port, or the stand-in's folder."""
        return f"local ({self.data_dir})" if self.is_local else f"{self.host}:{self.port}"


def read_settings(path: str | Path = DEFAULT_CONFIG, *, needs_source: bool = False) -> Settings:
    """Read and check a config file. `needs_source` tells whether the run reads the sources.

    Raise PipelineError, naming file, section and key, for anything missing, unknown or malformed.
    """
    values = ConfigValues(user_path(path).resolve())
    host, port, database = _endpoint(values)
    iam_auth = _switch(values, "CLUSTER", "IAM_AUTH")
    return Settings(
        path=values.path,
        host=host,
        port=port,
        database=database,
        user=values.get("CLUSTER", "DB_USER", "" if iam_auth and host != "local" else None),
        # Redshift folds names to lower case, even quoted ones. https://docs.aws.amazon.com/redshift/latest/dg/r_names.html
        schema=values.get("CLUSTER", "SCHEMA", "").lower(),
        iam_auth=iam_auth,
        sslmode=_sslmode(values),
        sslrootcert=_sslrootcert(values),
        data_dir=values.path.parent / user_path(values.get("CLUSTER", "DATA_DIR", ".local_redshift")),
        credstash=_credstash(values),
        source=_source(values, host) if needs_source else None,
        password=values.get("CLUSTER", "DB_PASSWORD", ""),
    )


def _endpoint(values: ConfigValues) -> tuple[str, int, str]:
    """Return host, port and database; HOST may contain all three, as AWS's console shows them."""
    given = values.get("CLUSTER", "HOST")
    if "://" in given or "@" in given:
        raise PipelineError(f"{values.path}: [CLUSTER] HOST is a URL; give the endpoint alone, as name:5439/database")
    parts = _ENDPOINT.fullmatch(given)
    host, port, database = parts.group("host", "port", "database") if parts else (given, None, None)
    if host.lower() == "local":
        host = "local"
    if not _HOST.fullmatch(host):
        raise PipelineError(f"{values.path}: [CLUSTER] HOST = {given} is neither 'local' nor a host name")
    port = _same(values, "DB_PORT", port) or "5439"
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise PipelineError(f"{values.path}: [CLUSTER] DB_PORT = {port} is not a port number; use one such as 5439")
    return host, int(port), _same(values, "DB_NAME", database) or values.get("CLUSTER", "DB_NAME")


def _same(values: ConfigValues, key: str, in_host: str | None) -> str:
    """Return the value from HOST or `key`; if both are set, they must agree."""
    given = values.get("CLUSTER", key, "")
    if in_host and given and given != in_host:
        raise PipelineError(
            f"{values.path}: [CLUSTER] HOST contains {in_host}, but {key} = {given}; leave one of them out"
        )
    return in_host or given


def _switch(values: ConfigValues, section: str, key: str) -> bool:
    given = values.get(section, key, "no")
    if given.lower() not in _SWITCH:
        raise PipelineError(f"{values.path}: [{section}] {key} = {given} is neither yes nor no")
    return _SWITCH[given.lower()]


def _sslmode(values: ConfigValues) -> str:
    given = values.get("CLUSTER", "SSLMODE", SSLMODES[0])
    if given not in SSLMODES:
        listed = f"{', '.join(SSLMODES[:-1])} or {SSLMODES[-1]}"
        raise PipelineError(f"{values.path}: [CLUSTER] SSLMODE takes {listed}, not {given}")
    return given


def _sslrootcert(values: ConfigValues) -> str:
    given = values.get("CLUSTER", "SSLROOTCERT", "")
    return str(values.path.parent / user_path(given)) if given not in ("", "system") else given


def _credstash(values: ConfigValues) -> CredstashEntry | None:
    key = values.get("CREDSTASH", "KEY", "")
    if not key:
        return None
    return CredstashEntry(
        key=key,
        table=values.get("CREDSTASH", "TABLE", "credential-store"),
        region=values.get("CREDSTASH", "REGION", "") or None,
        profile=values.get("CREDSTASH", "PROFILE", "") or None,
    )


def _source(values: ConfigValues, host: str) -> Source:
    role = values.get("IAM_ROLE", "ARN")
    if not all(_ROLE_ARN.fullmatch(one) for one in role.split(",")):
        raise PipelineError(
            f"{values.path}: [IAM_ROLE] ARN = {role} is not the ARN of a role, "
            "which looks like arn:aws:iam::123456789012:role/name"
        )
    return Source(
        log_data=_location(values, "LOG_DATA", host),
        log_jsonpath=_location(values, "LOG_JSONPATH", host),
        song_data=_location(values, "SONG_DATA", host),
        iam_role=role,
        region=_region(values, host),
        temp_dir=_temp_dir(values, host),
        maxerror=_maxerror(values),
    )


def _maxerror(values: ConfigValues) -> int:
    """Return [S3] MAXERROR, which is at most one less than COPY's maximum."""
    given = values.get("S3", "MAXERROR", "0")
    if not (given.isascii() and given.isdecimal() and int(given) < MOST_ERRORS):
        raise PipelineError(
            f"{values.path}: [S3] MAXERROR = {given} is not a number of records from 0 to {MOST_ERRORS - 1}"
        )
    return int(given)


def _temp_dir(values: ConfigValues, host: str) -> str:
    """Return [S3] TEMP_DIR. It must be in S3 if the source files are, otherwise on this machine."""
    given = values.get("S3", "TEMP_DIR", "")
    if not given:
        return ""
    if re.fullmatch(r"s3://[^/]+/*|/+", given):
        raise PipelineError(f"{values.path}: [S3] TEMP_DIR = {given} is a whole bucket or disk; name a folder in it")
    path = _location(values, "TEMP_DIR", host).rstrip("/")
    if path.startswith("s3://") and {"", ".", ".."} & set(path.removeprefix("s3://").split("/")):
        raise PipelineError(
            f"{values.path}: [S3] TEMP_DIR = {given} must not contain an empty folder name, '.' or '..'"
        )
    if len(path.encode()) > TEMP_DIR_BYTES:
        raise PipelineError(
            f"{values.path}: [S3] TEMP_DIR = {given}: its full path is longer than {TEMP_DIR_BYTES} bytes"
        )
    for key in ("LOG_DATA", "SONG_DATA"):
        if path.startswith("s3://") != values.get("S3", key).startswith("s3://"):
            raise PipelineError(
                f"{values.path}: [S3] TEMP_DIR = {given} and {key} must both be in S3, or both on this machine"
            )
        if f"{path}/".startswith(_location(values, key, host)):
            raise PipelineError(f"{values.path}: [S3] TEMP_DIR = {given} is itself under {key}; name another folder")
    return path


def _location(values: ConfigValues, key: str, host: str) -> str:
    """Return [S3] `key`, with a local path resolved against the config's folder."""
    value = values.get("S3", key)
    if re.match(r"s3://[^/]", value):
        return value
    if "://" in value or value.startswith("s3:"):
        raise PipelineError(f"{values.path}: [S3] {key} = {value} must be s3://bucket/... or a path")
    if host != "local":
        raise PipelineError(
            f"{values.path}: [S3] {key} = {value} is a path on this machine, which a cluster can't read; "
            "use s3://bucket/... or set [CLUSTER] HOST = local"
        )
    # a string, because a Path can't keep the trailing slash that marks a folder prefix
    path = os.path.normpath(values.path.parent / user_path(value))
    return path + ("/" if value.endswith("/") else "")


def _region(values: ConfigValues, host: str) -> str:
    """Return [S3] REGION, or COPY's own default: the region of the cluster."""
    in_host = _REGION_OF_HOST.search(host)
    default = in_host[1] if in_host else "us-east-1" if host == "local" else None
    given = values.get("S3", "REGION", default)
    if not _REGION.fullmatch(given):
        raise PipelineError(f"{values.path}: [S3] REGION = {given} is not an AWS region such as us-west-2")
    return given
