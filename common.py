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
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg2
from psycopg2 import extensions

import sql_queries
from cluster import connect_to_cluster
from config import DEFAULT_CONFIG, Config, PipelineError
from progress import CopyWatch, shown_alive

LOAD_ERRORS_CSV = "load_errors.csv"
SHOWN_ERRORS = 1000  # as many as somebody may want to scroll through

# a COPY that failed on its data names one of the two views, depending on the age of the cluster
_LOAD_ERRORS_HINT = re.compile(r"Check '(stl_load_errors|sys_load_error_detail)' system table")

_connections: dict[extensions.connection, Config] = {}  # those that Ctrl-C has to cancel; how to open another
_outcome = "nothing was changed"  # what is true of the warehouse if this process ends now
_mark = ""  # of the load under way, which is committed with it


def connect(config_path: str | Path = DEFAULT_CONFIG) -> extensions.connection:
    """Open a connection to the warehouse that the config file names, cluster or stand-in.

    Raise PipelineError if the config is wrong or the warehouse can't be reached.
    """
    return connect_to(Config(config_path))


def connect_to(config: Config) -> extensions.connection:
    """As `connect`, for a config that was read already."""
    connection = _open(config)
    _connections[connection] = config
    schema = config.get("CLUSTER", "SCHEMA", "")
    if schema:
        _enter_schema(connection, schema, config)
    return connection


def _enter_schema(connection: extensions.connection, schema: str, config: Config) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql_queries.schema_choice, {"schema": schema})
        cursor.execute(sql_queries.chosen_schema)
        found = cursor.fetchone()[0]
    connection.commit()
    if found != schema:
        connection.close()
        raise PipelineError(f"{config.path}: [CLUSTER] SCHEMA = {schema}: there is no such schema; create it first")


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
    label = _label(query)
    is_copy = label.startswith("COPY")
    started = time.monotonic()
    with shown_alive(label, _watch(cursor.connection) if is_copy else None):
        cursor.execute(query, parameters)
    seconds = time.monotonic() - started
    rows = cursor.rowcount
    if is_copy:
        # what a cluster answers to COPY itself says nothing of rows
        cursor.execute(sql_queries.copy_count)
        rows = cursor.fetchone()[0]
    said = f"{rows:,} rows in " if rows >= 0 and "NOLOAD" not in query else ""
    print(f"{label}: {said}{seconds:.2f} s", flush=True)
    return rows


def _watch(connection: extensions.connection) -> CopyWatch:
    """What tells how far a COPY on the connection has got."""
    config = _connections[connection]
    return CopyWatch(lambda: _open(config), connection.get_backend_pid())


def _label(query: str) -> str:
    """The verb and the table of a statement, as "COPY staging_events"."""
    match = re.match(
        r"\s*(\w+)\s+(?:TEMP\s+|TABLE\s+|INTO\s+|FROM\s+|IF\s+EXISTS\s+)*(\w+(?:, \w+)*)",
        query,
        re.IGNORECASE,
    )
    return f"{match[1].upper()} {match[2]}"


class CommitUnanswered(PipelineError):
    """The connection was lost while the commit was under way; where the load has landed, `mark` is there."""

    def __init__(self, message: str, mark: str) -> None:
        self.mark = mark
        super().__init__(message)


def mark_load(cursor: extensions.cursor) -> None:
    """Leave a mark in the transaction by which its load can be told from all others; see `has_landed`."""
    global _mark
    _mark = f"staged by load {os.urandom(8).hex()}"
    cursor.execute(sql_queries.staging_mark, {"mark": _mark})


def has_landed(config: Config, mark: str) -> bool:
    """Whether the load of this mark is what was committed last. Raise as `connect` where that can't be seen."""
    connection = connect_to(config)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql_queries.staging_marked)
            return cursor.fetchone()[0] == mark
    finally:
        connection.close()


def commit(connection: extensions.connection) -> None:
    """Commit. Raise CommitUnanswered if the answer is lost; where the warehouse refuses, psycopg2.Error."""
    global _outcome
    before = _outcome
    _outcome = "the commit was under way; whether it landed is not known: run it again, that does no harm"
    try:
        connection.commit()
    except psycopg2.Error as error:
        if is_connection_lost(error):
            raise CommitUnanswered(f"{_first_line(error)}: {_outcome}", _mark) from error
        _outcome = before
        raise
    _outcome = "everything had been committed"


def is_connection_lost(error: psycopg2.Error) -> bool:
    """Whether the connection ended, by the warehouse or on its way, so that no answer came."""
    if not isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)):
        return False
    # without a code the driver itself found out; those of 57P and 08 are what a server says as it goes
    return error.pgcode is None or error.pgcode.startswith(("57P", "08"))


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
    latest, _, of_session = zip(*sql_queries.load_error_queries, strict=True)
    try:
        table = _read_first(connection, latest)
        _, errors = _read_first(connection, of_session)
    except psycopg2.Error as error:
        return f"what was wrong with the data can't be read from the system tables ({_first_line(error)})"
    first = describe_load_error(errors[0]) if errors else "the system table has no row about it"
    return f"{first}\n{_save(table, config, 'the latest ')}"


def save_tried_load_errors(connection: extensions.connection, config: Config) -> tuple[list[list[str]], str]:
    """Write all load errors of this session to load_errors.csv, as `save_load_errors` does the latest.

    Returns the errors, as `describe_load_error` takes them, and a sentence about the file. Raise psycopg2.Error
    where no view of the errors can be read.
    """
    _, all_of_session, of_session = zip(*sql_queries.load_error_queries, strict=True)
    _, errors = _read_first(connection, of_session)
    if not errors:
        return [], ""
    return errors, _save(_read_first(connection, all_of_session), config, "")


Table = tuple[list[str], list[list[str]]]  # names of the columns, rows


def _read_first(connection: extensions.connection, queries: Sequence[str]) -> Table:
    """What the first of the queries gives that can be run, as text, without the blanks that pad it."""
    for query in queries:
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                names = [column.name for column in cursor.description]
                return names, [[str(value).strip() for value in row] for row in cursor]
        except psycopg2.Error as error:
            refused = error
        finally:
            connection.rollback()
    raise refused


def _save(table: Table, config: Config, which: str) -> str:
    path = config.path.parent / LOAD_ERRORS_CSV
    names, rows = table
    try:
        _write_csv(path, [names, *rows])
    except OSError as error:
        return f"{path} could not be written: {error.strerror}"
    return f"{which}{len(rows):,} load errors are in {path}"


def show_load_errors(errors: list[list[str]]) -> None:
    """Print the errors, as `describe_load_error` takes them: a table at a terminal, else a line each."""
    if not sys.stdout.isatty():
        for row in errors:
            print(describe_load_error(row))
        return
    from rich.console import Console  # it takes a while to load
    from rich.table import Table as ScreenTable

    screen = ScreenTable("file", "line", "column", "reason", "code")
    screen.columns[0].overflow = "fold"  # a path that is cut is of no use
    for filename, line, column, column_type, length, code, reason in errors[:SHOWN_ERRORS]:
        screen.add_row(filename, line, f"{column} {column_type}({length})" if column else "", reason, code)
    Console(file=sys.stdout, markup=False, highlight=False).print(screen)
    if len(errors) > SHOWN_ERRORS:
        print(f"and {len(errors) - SHOWN_ERRORS:,} more, which {LOAD_ERRORS_CSV} has")


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
        return _failed(database_message(error))
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
                    for connection in list(_connections):
                        with contextlib.suppress(psycopg2.Error):
                            connection.cancel()

    threading.Thread(target=cancel, daemon=True).start()


def database_message(error: psycopg2.Error) -> str:
    """What an error of the warehouse means for the user, and what is true of the tables now."""
    if isinstance(error, psycopg2.errors.UndefinedTable):
        return f"{_first_line(error)}; run create_tables.py first"
    if is_connection_lost(error):
        return f"the connection to the warehouse was lost ({_first_line(error)}); {_outcome}"
    return str(error).strip() or type(error).__name__
