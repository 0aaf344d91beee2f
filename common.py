"""The connection helpers that both scripts share: connect, run a statement, commit, save load errors."""

import contextlib
import re
import shlex
import time
from pathlib import Path

import psycopg2
from psycopg2 import extensions

import sql_queries
from pipeline.database_errors import first_line, label
from pipeline.diagnosis import remark
from pipeline.errors import PipelineError, StatementFailed
from pipeline.load_errors import LOAD_ERRORS_CSV, LoadError, Table, read_first, write_csv
from pipeline.progress import CopyWatch, said_if_slow
from pipeline.session import Parameters, Session
from pipeline.settings import DEFAULT_CONFIG, Settings, read_settings
from pipeline.story import Step, Summary
from pipeline.warehouse import open_connection


def connect(config_path: str | Path = DEFAULT_CONFIG) -> extensions.connection:
    """Open a connection to the warehouse that the config file names, cluster or stand-in.

    Raise PipelineError if the config is wrong or the warehouse can't be reached.
    """
    return Session(read_settings(config_path)).__enter__().connection


def run(session: Session, query: str, parameters: Parameters | None = None) -> int:
    """Run one statement and print a line about it; the number of rows it wrote, -1 where it wrote none."""
    name = label(query)
    is_copy = name.startswith("COPY")
    started = time.monotonic()
    session.connection.notices.clear()
    # LOCK is what waits for others, and only runs of the pipeline use the staging tables by design
    waiting = said_if_slow("another run to finish loading") if name.startswith("LOCK") else contextlib.nullcontext()
    with waiting:
        rows = session.execute(query, parameters, _watch(session) if is_copy else None).rowcount
    seconds = time.monotonic() - started
    if is_copy:
        # what a cluster answers to COPY itself says nothing of rows
        _count_left_out(session, name, query)
        [(rows, copy)] = session.rows(sql_queries.copy_count)
        session.copies.append(copy)
    wrote_rows = rows >= 0 and "NOLOAD" not in query
    said = f"{counted(rows, 'row')} in " if wrote_rows else ""
    step = Step(name, rows if wrote_rows else None, round(seconds, 3))
    session.run.story.step(step, f"{name}: {said}{seconds:.2f} s")
    return rows


# https://docs.aws.amazon.com/redshift/latest/dg/tutorial-loading-run-copy.html
_LEFT_OUT = re.compile(r"completed, (\d+) record\(s\) could not be loaded")


def _count_left_out(session: Session, name: str, query: str) -> None:
    """Count the bad records that a COPY has left out, as it says in a notice. Raise PipelineError for too many.

    MAXERROR is for one COPY, and a source may have two.
    """
    found = sum(int(match[1]) for notice in session.connection.notices if (match := _LEFT_OUT.search(notice)))
    if not found or "NOLOAD" in query:
        return
    session.left_out[name] += found
    limit = session.source.maxerror
    if 0 < limit < session.left_out[name]:
        raise PipelineError(
            f"{name}: {session.left_out[name]} records would be left out, and [S3] MAXERROR = {limit} in "
            f"{session.settings.path}; nothing was changed\n{save_load_errors(session)}"
        )


def _watch(session: Session) -> CopyWatch:
    """What tells how far a COPY in the session has got."""
    return CopyWatch(lambda: open_connection(session.settings), session.number)


def counted(count: int, noun: str) -> str:
    """A number of things in words, as "1 row" or "1,535 rows"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def commit(session: Session, summary: Summary | None = None) -> None:
    """Commit what the session has done, which `summary` sums up; see `Session.commit` for what may go wrong."""
    session.commit(summary)


def save_load_errors(session: Session) -> str:
    """Write the latest load errors to load_errors.csv beside the config file, whole or not at all.

    Undoes what the session has not committed. Returns a sentence about the first error of the session's last COPY
    and one about the file; where no view of the errors can be read, about that.
    """
    try:
        session.rollback()
        table = read_first(session.connection, sql_queries.latest_load_errors_queries)
        rows = read_first(session.connection, sql_queries.session_load_errors_queries).rows
        errors = [LoadError(*row).traced(session.packed) for row in rows]
        said = [str(errors[0]), remark(session, errors[0])] if errors else ["the system table has no row about it"]
    except (psycopg2.Error, StatementFailed) as error:
        why = first_line(error) if isinstance(error, psycopg2.Error) else error
        return f"what was wrong with the data can't be read from the system tables ({why})"
    ours = min(len(errors), len(table.rows))
    said += [
        _save(table.traced(session.packed), session.settings, "the latest ", f"; from this run: {ours:,}"),
        f"{check_command(session.settings)} shows every record that would not load",
    ]
    return "\n".join(line for line in said if line)


def check_command(settings: Settings) -> str:
    """The command that tries the whole source of these settings."""
    config = "" if settings.path == DEFAULT_CONFIG else f" --config {shlex.quote(str(settings.path))}"
    return f"python etl.py --check{config}"


def save_tried_load_errors(session: Session) -> tuple[list[LoadError], str]:
    """Write all load errors of this session to load_errors.csv, as `save_load_errors` does the latest.

    Returns the errors and a sentence about the file. Raise PipelineError where no view of the errors can be read.
    """
    session.rollback()
    try:
        found = read_first(session.connection, sql_queries.session_load_errors_queries)
        if not found.rows:
            return [], ""
        table = read_first(session.connection, sql_queries.tried_load_errors_queries)
    except psycopg2.Error as error:
        raise PipelineError(
            f"what would not load can't be read from the system tables ({first_line(error)})"
        ) from error
    errors = [LoadError(*row).traced(session.packed) for row in found.rows]
    return errors, _save(table.traced(session.packed), session.settings, "", "")


def _save(table: Table, settings: Settings, which: str, ours: str) -> str:
    path = settings.path.parent / LOAD_ERRORS_CSV
    try:
        write_csv(path, table)
    except OSError as error:
        return f"{path} could not be written: {error.strerror}"
    return f"{path} has {which if len(table.rows) > 1 else ''}{counted(len(table.rows), 'load error')}{ours}"
