"""What must not be in the tables: looked for in what a load touched before it commits, or in the whole star schema."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import sql_queries
from pipeline.errors import PipelineError
from pipeline.session import Parameters, Session
from pipeline.summary import Staged, Transformed
from pipeline.terminal import say

SHOWN_FILES = 10  # that had been loaded in another version


class Check(NamedTuple):
    """One row of a check: the problem, how often it occurs, and one example.

    A text that ends in a question follows its number, and needs no example.
    """

    wrong: str
    found: int
    example: str | None

    def __str__(self) -> str:
        if self.wrong.endswith("?"):
            return f"{self.found:,} {self.wrong}"
        return f"{self.wrong}: {self.found:,}, for example {self.example}"


# the statements that replace rows of a table: what the one deletes the other inserts again, and new rows with it
REPLACED = {
    "users": (sql_queries.users_table_delete, sql_queries.users_table_insert),
    "songs": (sql_queries.songs_table_delete, sql_queries.songs_table_insert),
    "artists": (sql_queries.artists_table_delete, sql_queries.artists_table_insert),
}


def check_load(session: Session, staged: Staged, loaded: Transformed) -> None:
    """Check what the load in this session touched: its window of moments or, if plays may have moved, the whole star.

    Raise PipelineError, naming each thing that is wrong; nothing may be committed then.
    """
    started = time.monotonic()
    window = _whole_star(session) if loaded.moving else staged.window
    advice = ""
    checks = []
    # where each staged play is new, none has the key of another
    if loaded.new_plays < staged.plays:
        checks = _checks(session, [sql_queries.conflicts_check], window)
        advice = _conflict_advice(session) if any(check.found for check in checks) else ""
    if staged.replaces:
        checks += _checks(session, [sql_queries.lost_values_check], window)
    if loaded.moving:
        checks += _checks(session, [sql_queries.inferred_check], window)
    checks += _checks(session, sql_queries.check_queries, window)
    for table, (delete, insert) in REPLACED.items():
        lost = max(0, loaded.rows[delete.name] - loaded.rows[insert.name])
        checks.append(Check(f"{table} were deleted", lost, "any of them"))
    _report(session, checks, started, "nothing was loaded", advice)


def _conflict_advice(session: Session) -> str:
    lines = ["", "if the new version is right, and no field was renamed, python etl.py --replace loads it"]
    if session.source.temp_dir:
        files = [file for (file,) in session.rows(sql_queries.changed_files)]
        lines += [f"loaded before in another version: {file}" for file in files[:SHOWN_FILES]]
        lines += [f"and {len(files) - SHOWN_FILES:,} more files"] if len(files) > SHOWN_FILES else []
    return "\n".join(lines)


def warn_of_load(session: Session) -> None:
    """Say what is odd about the staged data, though not wrong."""
    for table, number in session.left_out.items():
        session.run.story.warn(f"warning: COPY {table} left out {number:,} bad records")
    for query in sql_queries.warn_queries:
        for text, found, total in session.rows(query):
            session.run.story.warn(f"warning: {found:,} of {total:,} {text}")


def verify_star(session: Session) -> None:
    """Check the whole star schema, all moments of it. Raise PipelineError, naming each thing that is wrong.

    Each query is a transaction of its own: it sees what was committed when it began, and nobody has to wait for all of
    them. None reads the staging tables, which loads lock.
    """
    started = time.monotonic()
    window = _whole_star(session)
    checks = []
    for query in sql_queries.verify_queries:
        session.rollback()
        checks += _checks(session, [query], window)
    advice = "\ndocs/runs.md says how to correct that, at 'Checking the whole star'"
    _report(session, checks, started, "nothing was changed", advice)


def _whole_star(session: Session) -> Parameters:
    [(first, last)] = session.rows(sql_queries.whole_star_window)
    return {"first": first, "last": last}


def _checks(session: Session, queries: Sequence[str], window: Parameters) -> list[Check]:
    return [
        Check(wrong, int(found or 0), example)
        for query in queries
        for wrong, found, example in session.rows(query, window)
    ]


def _report(session: Session, checks: list[Check], started: float, outcome: str, advice: str = "") -> None:
    failed = [str(check) for check in checks if check.found]
    if len(failed) == 1:
        raise PipelineError(f"check failed, {outcome}: {failed[0]}{advice}")
    if failed:
        raise PipelineError("\n  ".join([f"{len(failed)} checks failed, {outcome}:", *failed]) + advice)
    session.run.story.sum_up_quiet_steps()
    say(f"CHECK: {len(checks)} passed in {time.monotonic() - started:.2f} s")
