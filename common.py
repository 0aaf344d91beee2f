"""Helpers for both scripts: connect, run statements and COPYs, save load errors."""

import pipeline.startup  # noqa: F401  # before all that takes a while to load

# isort: split

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psycopg2
from psycopg2 import extensions

import sql_queries
from pipeline.errors import CopyFailed, PipelineError, StatementFailed
from pipeline.failures import first_line, name_of
from pipeline.load_errors import LOAD_ERRORS_CSV, LoadError, Table, load_errors_of, read_first, write_csv
from pipeline.progress import CopyWatch, announce_wait
from pipeline.session import Parameters, Session
from pipeline.settings import DEFAULT_CONFIG, Settings, read_settings
from pipeline.source_check import remark
from pipeline.summary import counted
from pipeline.warehouse import open_connection
from sql_queries import Copy


def connect(config: Settings | str | Path = DEFAULT_CONFIG) -> extensions.connection:
    """Connect to the configured warehouse: a cluster or the stand-in.

    The connection uses [CLUSTER] SCHEMA. Raise PipelineError if the config is wrong, the warehouse can't be reached, or
    the schema does not exist.
    """
    return open_connection(config if isinstance(config, Settings) else read_settings(config))


def run(session: Session, statement: str, parameters: Parameters | None = None) -> int:
    """Run a statement and record it in the run log; return the number of rows written."""
    with session.step(statement) as step:
        written = session.execute(statement, parameters).rowcount
        step.rows = written if written >= 0 else None
    return step.rows or 0


def run_all(session: Session, statements: Sequence[str], parameters: Parameters | None = None) -> Counter[str]:
    """Run statements as `run` does; return the number of rows written, by statement name."""
    return Counter({name_of(statement): run(session, statement, parameters) for statement in statements})


def count(session: Session, query: str, parameters: Parameters | None = None) -> int:
    """Return the single number that a query selects."""
    [(number,)] = session.rows(query, parameters)
    return int(number)


def wait_for_lock(session: Session, lock: str, awaited: str) -> None:
    """Run a LOCK. If this takes a while, print `awaited`, the reason for the wait."""
    with announce_wait(awaited):
        run(session, lock)


def copy(session: Session, statement: Copy, parameters: Parameters) -> None:
    """Run a COPY and record it in the run log.

    Raise PipelineError if COPY fails because of bad records, or if the COPYs of a source together leave out more of
    them than [S3] MAXERROR allows. In both cases the transaction is rolled back, and the load errors are saved to
    load_errors.csv.
    """
    with session.step(statement) as step:
        session.connection.notices.clear()
        try:
            session.execute(statement, parameters, _watch(session))
        except CopyFailed as error:
            raise PipelineError(_with_load_errors(session, str(error))) from error
        _count_left_out(session, statement)
        # a cluster returns no row count for COPY
        [(step.rows, number)] = session.rows(sql_queries.copy_count)
        session.copies[number] = statement


def try_copy(session: Session, statement: Copy, parameters: Parameters) -> None:
    """Run a COPY with NOLOAD and record it in the run log."""
    with session.step(statement):
        session.execute(statement, parameters, _watch(session))


# https://docs.aws.amazon.com/redshift/latest/dg/tutorial-loading-run-copy.html
_LEFT_OUT = re.compile(r"completed, (\d+) record\(s\) could not be loaded")


def _count_left_out(session: Session, statement: Copy) -> None:
    """Count the bad records that a COPY left out, as stated in its notices.

    Raise PipelineError if the COPYs of a source together left out more than MAXERROR records. The check is needed
    because the warehouse applies MAXERROR to each COPY separately, and a source may need two COPYs.
    """
    table = statement.table
    found = sum(int(match[1]) for notice in session.connection.notices if (match := _LEFT_OUT.search(notice)))
    if not found:
        return
    session.left_out[table] += found
    limit = session.source.maxerror
    if 0 < limit < session.left_out[table]:
        refused = (
            f"{statement.name}: {session.left_out[table]} records would be left out, "
            f"more than [S3] MAXERROR = {limit} in {session.settings.path}; nothing was changed"
        )
        raise PipelineError(_with_load_errors(session, refused))


def _with_load_errors(session: Session, message: str) -> str:
    """Save the load errors.

    Return the message, preceded by the first error and followed by a note about load_errors.csv.
    """
    first, saved = save_load_errors(session)
    return "\n".join(part for part in (first, message, saved) if part)


def _watch(session: Session) -> CopyWatch:
    """Return a watcher that shows the progress of the session's COPY."""
    return CopyWatch(lambda: open_connection(session.settings), session.number)


def save_load_errors(session: Session) -> tuple[str, str]:
    """Roll back, then save the latest load errors to load_errors.csv.

    The file is written beside the config file. Return two strings: the location and reason of the last COPY's first
    error, empty if the system tables list none; and a message about the file.
    """
    try:
        session.rollback()
        table = read_first(session.connection, sql_queries.latest_load_errors_queries)
        errors = load_errors_of(read_first(session.connection, sql_queries.session_load_errors_queries), session.packed)
    except (psycopg2.Error, StatementFailed) as error:
        why = first_line(error) if isinstance(error, psycopg2.Error) else error
        return "", f"can't read the load errors from the system tables ({why})"
    session.run.log.note_load_errors(errors)
    first = max(errors, key=lambda error: error.query.zfill(20), default=None)  # the first error of the last COPY
    place = "\n".join(line for line in (str(first), remark(session, first)) if line) if first else ""
    ours = min(len(errors), len(table.rows))
    saved = [
        "" if first else "the system table has no row for this failure",
        _save(table.traced(session.packed), session.settings, "the latest ", f"; from this run: {ours:,}"),
        f"{check_command(session.settings)} shows every record that would not load",
    ]
    return place, "\n".join(line for line in saved if line)


def check_command(settings: Settings) -> str:
    """Return the etl.py --check command for these settings."""
    config = "" if settings.path == DEFAULT_CONFIG else f" --config {shlex.quote(str(settings.path))}"
    return f"python etl.py --check{config}"


def save_tried_load_errors(session: Session) -> tuple[list[LoadError], str]:
    """Write all load errors of this session to load_errors.csv.

    Return the errors, and a message about the file. Raise PipelineError if no system table can be read.
    """
    session.rollback()
    try:
        table = read_first(session.connection, sql_queries.session_load_errors_queries)
    except psycopg2.Error as error:
        raise PipelineError(f"can't read the load errors from the system tables ({first_line(error)})") from error
    errors = load_errors_of(table, session.packed)
    session.run.log.note_load_errors(errors)
    return errors, _save(table.traced(session.packed), session.settings, "", "") if errors else ""


def _save(table: Table, settings: Settings, which: str, ours: str) -> str:
    path = settings.path.parent / LOAD_ERRORS_CSV
    try:
        write_csv(path, table)
    except OSError as error:
        return f"{path} could not be written: {error.strerror}"
    return f"{path} has {which if len(table.rows) > 1 else ''}{counted(len(table.rows), 'load error')}{ours}"
