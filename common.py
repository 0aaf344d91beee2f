"""What both scripts share: the config, the password, the connection, running SQL, saving load errors."""

import argparse
import configparser
import contextlib
import csv
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
from psycopg2 import extensions

import sql_queries

DEFAULT_CONFIG = Path(__file__).with_name("dwh.cfg")
LOAD_ERRORS_CSV = "load_errors.csv"

# a COPY that failed on its data names one of the two views, depending on the age of the cluster
_LOAD_ERRORS_HINT = re.compile(r"Check '(stl_load_errors|sys_load_error_detail)' system table")
_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_REGION_OF_HOST = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.redshift(?:-serverless)?\.amazonaws\.com")

_connections: list[extensions.connection] = []  # those that Ctrl-C has to cancel
_outcome = "nothing was changed"  # what is true of the warehouse if this process ends now


class PipelineError(Exception):
    """Something the user can mend; the message says what failed, where, and what to do next."""


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


def connect(config_path: str | Path = DEFAULT_CONFIG) -> extensions.connection:
    """Open a connection to the warehouse that the config file names, cluster or stand-in.

    Raise PipelineError if the config is wrong or the warehouse can't be reached.
    """
    return connect_to(Config(config_path))


def connect_to(config: Config) -> extensions.connection:
    """As `connect`, for a config that was read already."""
    connection = _open(config)
    _connections.append(connection)
    return connection


def _open(config: Config) -> extensions.connection:
    database, user = config.get("CLUSTER", "DB_NAME"), config.get("CLUSTER", "DB_USER")
    if config.is_local:
        return _connect_local(config, database, user)
    host, port = config.get("CLUSTER", "HOST"), config.get("CLUSTER", "DB_PORT", "5439")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise PipelineError(f"{config.path}: [CLUSTER] DB_PORT = {port} is not a port number, such as 5439")
    secret = password(config)
    try:
        return psycopg2.connect(host=host, port=port, dbname=database, user=user, password=secret)
    except psycopg2.OperationalError as error:
        reason = _masked(" ".join(str(error).split()), secret)
        raise PipelineError(
            f"can't connect to {database} on {host}:{port} as {user}: {reason}; "
            f"see HOST, DB_NAME, DB_USER and the password in {config.path}"
        ) from None


def _connect_local(config: Config, database: str, user: str) -> extensions.connection:
    import local_redshift  # only where it is used: a cluster needs none of it

    data_dir = config.path.parent / config.get("CLUSTER", "DATA_DIR", ".local_redshift")
    try:
        return local_redshift.connect(data_dir, database, user)
    except local_redshift.LocalRedshiftError as error:
        raise PipelineError(str(error)) from error


def password(config: Config) -> str | None:
    """The password: DB_PASSWORD, or else from credstash, or else None for libpq's own ways.

    Raise PipelineError if credstash is asked and can't answer.
    """
    key = config.get("CREDSTASH", "KEY", "")
    given = config.get("CLUSTER", "DB_PASSWORD", "")
    if given or not key:
        return given or None
    return _credstash_password(config, key)


def _credstash_password(config: Config, key: str) -> str:
    import inspect

    import botocore.exceptions
    import credstash  # with boto3 it takes a while to load: only where a password comes from it

    table = config.get("CREDSTASH", "TABLE", "credential-store")
    region = config.get("CREDSTASH", "REGION", "") or None
    profile = config.get("CREDSTASH", "PROFILE", "") or None
    # credstash wraps the function to print AWS's errors and exit; underneath it raises them
    get_secret = inspect.unwrap(credstash.getSecret)
    try:
        return get_secret(key, table=table, region=region, profile_name=profile)
    except credstash.ItemNotFound:
        problem = f"table {table} has no such key; put it there with: credstash put {key}"
    except credstash.KmsError as error:
        problem = f"KMS did not decrypt it ({error}); the AWS user needs kms:Decrypt on credstash's key"
    except credstash.IntegrityError:
        problem = f"what table {table} holds was changed since it was put there"
    except botocore.exceptions.ClientError as error:
        problem = f"AWS refused ({error})"
    except botocore.exceptions.BotoCoreError as error:
        problem = f"AWS can't be asked ({error})"
    where = f"{config.path}: [CREDSTASH] KEY = {key}, TABLE = {table}, REGION = {region}, PROFILE = {profile}"
    raise PipelineError(f"no password from credstash: {problem}; see {where}")


def _masked(text: str, secret: str | None) -> str:
    """`text` with the secret, if it is in it, made unreadable."""
    return text.replace(secret, "*****") if secret else text


def run(cursor: extensions.cursor, query: str, parameters: dict[str, str] | None = None) -> int:
    """Run one statement and print a line about it; the number of rows it wrote, -1 where it wrote none."""
    started = time.monotonic()
    cursor.execute(query, parameters)
    seconds = time.monotonic() - started
    label = _label(query)
    rows = cursor.rowcount
    if label.startswith("COPY"):
        # what a cluster answers to COPY itself says nothing of rows
        cursor.execute(sql_queries.copy_count)
        rows = cursor.fetchone()[0]
    said = f"{rows:,} rows in " if rows >= 0 else ""
    print(f"{label}: {said}{seconds:.2f} s", flush=True)
    return rows


def _label(query: str) -> str:
    """The verb and the table of a statement, as "COPY staging_events"."""
    match = re.match(
        r"\s*(\w+)\s+(?:TEMP\s+|TABLE\s+|INTO\s+|FROM\s+|IF\s+EXISTS\s+)*(\w+(?:, \w+)*)",
        query,
        re.IGNORECASE,
    )
    return f"{match[1].upper()} {match[2]}"


def commit(connection: extensions.connection) -> None:
    """Commit. Raise PipelineError if the answer is lost, so that nobody knows whether it landed."""
    global _outcome
    _outcome = "the commit was under way; whether it landed is not known: run it again, that does no harm"
    try:
        connection.commit()
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise PipelineError(f"{_first_line(error)}: {_outcome}") from error
    _outcome = "everything had been committed"


def _first_line(error: psycopg2.Error) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


def is_load_failure(error: psycopg2.Error) -> bool:
    """Whether a COPY failed on its data, so that the system table has rows about it."""
    return bool(_LOAD_ERRORS_HINT.search(str(error)))


def save_load_errors(connection: extensions.connection, config: Config) -> str:
    """Write the latest load errors to load_errors.csv beside the config file, whole or not at all.

    The failed transaction must have been rolled back. Returns a sentence about the first error of this
    session's last COPY and about the file.
    """
    path = config.path.parent / LOAD_ERRORS_CSV
    with connection.cursor() as cursor:
        cursor.execute(sql_queries.first_load_error)
        first = _first_error(cursor.fetchone())
        cursor.execute(sql_queries.load_errors)
        names = [column.name for column in cursor.description]
        rows = [[str(value).strip() for value in row] for row in cursor]
    connection.rollback()
    try:
        _write_csv(path, [names, *rows])
    except OSError as error:
        return f"{first}\n{path} could not be written: {error.strerror}"
    return f"{first}\nthe latest {len(rows)} load errors are in {path}"


def _first_error(row: tuple | None) -> str:
    if row is None:
        return "the system table has no row about it"
    filename, line, column, column_type, length, code, reason = row
    what = f", column {column} {column_type}({length})" if column else ""
    return f"{filename}, line {line}{what}: {reason} (error {code})"


def _write_csv(path: Path, rows: list[list[str]]) -> None:
    handle, unfinished = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(path)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)
        raise


def run_script(main: Callable[..., None], description: str, **flags: str) -> int:
    """Parse the command line, run `main` on the config, and turn what goes wrong into one message.

    Each of `flags` is an option --NAME with its help text; `main` gets it as a keyword, True where given.
    Returns the exit status: 0 done, 1 failed, 130 or 143 ended by Ctrl-C or SIGTERM; wrong usage exits
    with 2.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", default=DEFAULT_CONFIG, metavar="PATH", help="default: %(default)s")
    for name, text in flags.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    arguments = vars(parser.parse_args())
    try:
        _cancel_on_signals()
        return _run_main(main, Config(arguments.pop("config")), arguments)
    except Terminated:
        return _failed(f"terminated; {_outcome}", 128 + signal.SIGTERM)
    except KeyboardInterrupt:
        return _failed(f"interrupted; {_outcome}", 128 + signal.SIGINT)
    except PipelineError as error:
        return _failed(str(error))
    except BrokenPipeError:
        # what is still to be written at exit has nowhere to go either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _failed(f"its output was closed; {_outcome}")


def _run_main(main: Callable[..., None], config: Config, flags: dict[str, bool]) -> int:
    try:
        main(config, **flags)
    except PipelineError as error:
        return _failed(str(error))
    except psycopg2.Error as error:
        return _failed(_database_message(error))
    return 0


def _failed(message: str, status: int = 1) -> int:
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    return status


class Terminated(KeyboardInterrupt):
    """SIGTERM: what a scheduler sends; handled as Ctrl-C is."""


def _terminate(number: int, frame: object) -> None:
    raise Terminated


def _cancel_on_signals() -> None:
    """Have Ctrl-C and SIGTERM cancel what the warehouse is doing for us.

    While a statement runs, Python is inside the driver and handles no signal. So the number of the signal
    goes to a thread, which cancels the statement; the driver returns, and then Python handles the signal.
    """
    signal.signal(signal.SIGTERM, _terminate)
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def cancel() -> None:
        with writer:
            while number := reader.recv(1):
                if number[0] in (signal.SIGINT, signal.SIGTERM):
                    for connection in _connections:
                        with contextlib.suppress(psycopg2.Error):
                            connection.cancel()

    threading.Thread(target=cancel, daemon=True).start()


def _database_message(error: psycopg2.Error) -> str:
    if isinstance(error, psycopg2.errors.UndefinedTable):
        return f"{_first_line(error)}; run create_tables.py first"
    if isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)) and error.pgcode is None:
        return f"the connection to the warehouse was lost ({_first_line(error)}); {_outcome}"
    return str(error).strip() or type(error).__name__
