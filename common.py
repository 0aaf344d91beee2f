"""What both scripts share: connecting, running SQL, committing, saving load errors, the command line."""

import argparse
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
from cluster import connect_to_cluster
from config import DEFAULT_CONFIG, Config, PipelineError

LOAD_ERRORS_CSV = "load_errors.csv"

# a COPY that failed on its data names one of the two views, depending on the age of the cluster
_LOAD_ERRORS_HINT = re.compile(r"Check '(stl_load_errors|sys_load_error_detail)' system table")

_connections: list[extensions.connection] = []  # those that Ctrl-C has to cancel
_outcome = "nothing was changed"  # what is true of the warehouse if this process ends now


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
    if not config.is_local:
        return connect_to_cluster(config)
    return _connect_local(config, config.get("CLUSTER", "DB_NAME"), config.get("CLUSTER", "DB_USER"))


def _connect_local(config: Config, database: str, user: str) -> extensions.connection:
    import local_redshift  # only where it is used: a cluster needs none of it

    data_dir = config.path.parent / config.get("CLUSTER", "DATA_DIR", ".local_redshift")
    try:
        return local_redshift.connect(data_dir, database, user)
    except local_redshift.LocalRedshiftError as error:
        raise PipelineError(str(error)) from error


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
    said = f"{rows:,} rows in " if rows >= 0 and "NOLOAD" not in query else ""
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
    session's last COPY and about the file; where no view of the errors can be read, about that.
    """
    path = config.path.parent / LOAD_ERRORS_CSV
    for latest, of_session in sql_queries.load_error_queries:
        try:
            names, rows = _stripped(connection, latest)
            _, errors = _stripped(connection, of_session)
        except psycopg2.Error as error:
            connection.rollback()
            problem = _first_line(error)
            continue
        first = describe_load_error(errors[0]) if errors else "the system table has no row about it"
        try:
            _write_csv(path, [names, *rows])
        except OSError as error:
            return f"{first}\n{path} could not be written: {error.strerror}"
        return f"{first}\nthe latest {len(rows)} load errors are in {path}"
    return f"what was wrong with the data can't be read from the system tables ({problem})"


def session_load_errors(connection: extensions.connection) -> list[list[str]]:
    """The load errors of this session; see `describe_load_error`. Raise psycopg2.Error if there is no way."""
    for _, of_session in sql_queries.load_error_queries:
        try:
            return _stripped(connection, of_session)[1]
        except psycopg2.Error as error:
            connection.rollback()
            refused = error
    raise refused


def _stripped(connection: extensions.connection, query: str) -> tuple[list[str], list[list[str]]]:
    """The names of the columns and the rows, as text, without the blanks that pad them."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        names = [column.name for column in cursor.description]
        rows = [[str(value).strip() for value in row] for row in cursor]
    connection.rollback()
    return names, rows


def describe_load_error(row: list[str]) -> str:
    """One line that says where an error is and what it is."""
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
