"""Data checks of a load or of the whole star schema, and warnings about a load."""

from collections.abc import Sequence
from dataclasses import dataclass

import sql_queries
from pipeline.errors import PipelineError
from pipeline.failures import name_of
from pipeline.results import UPSERTS, whole_star
from pipeline.run_log import CheckResult
from pipeline.session import Parameters, Session
from pipeline.summary import Staged, Transformed, counted

SHOWN_FILES = 10  # a message lists at most this many changed files


@dataclass(frozen=True)
class Passed:
    """The number of checks that passed."""

    rules: int

    @property
    def text(self) -> str:
        """The number of checks that passed, as a message."""
        return f"{counted(self.rules, 'check')} passed"

    @property
    def lines(self) -> Sequence[str]:
        """Empty, so that a terminal shows `text`, too."""
        return ()


def check_load(session: Session, staged: Staged, loaded: Transformed) -> Passed:
    """Check the plays in the load's window and, if some were matched again, all plays.

    If a check fails, raise PipelineError, naming each violation; the caller must not commit in that case.
    """
    advice = ""
    checks = _checks(session, sql_queries.check_queries, staged.window)
    # if every staged play is new, none repeats the key of another staged or loaded play, so none can conflict
    if loaded.inserted < staged.plays:
        conflicts = _checks(session, [sql_queries.conflicts_check], staged.window)
        advice = _conflict_advice(session) if any(check.found for check in conflicts) else ""
        checks += conflicts
    if staged.replaces:
        checks += _checks(session, [sql_queries.lost_values_check])
    checks += _checks(session, [sql_queries.loaded_plays_check], loaded.plays_window)
    if loaded.rematches:
        checks += _checks(session, [sql_queries.inferred_check])
    for table, (delete, insert) in UPSERTS.items():
        lost = loaded.rows[name_of(delete)] - loaded.rows[name_of(insert)]
        checks += _noted(session, [CheckResult(f"rows lost from {table}", max(0, lost), None)])
    return _report(checks, "nothing was loaded", advice)


def _conflict_advice(session: Session) -> str:
    lines = ["", "if the new version is right, and no field was renamed, load it with: python etl.py --replace"]
    if session.source.temp_dir:
        files = [file for (file,) in session.rows(sql_queries.changed_files)]
        lines += [f"another version of this file was loaded before: {file}" for file in files[:SHOWN_FILES]]
        lines += [f"and {len(files) - SHOWN_FILES:,} more files"] if len(files) > SHOWN_FILES else []
    return "\n".join(lines)


def warn_of_load(session: Session) -> None:
    """Print warnings about staged data that is unusual, but not wrong."""
    for table, number in session.left_out.items():
        session.run.log.warn(f"COPY {table} left out {counted(number, 'bad record')}")
    for query in sql_queries.warn_queries:
        for text, found, total in session.rows(query):
            session.run.log.warn(f"{found:,} of {total:,} {text}")


def verify_star(session: Session) -> None:
    """Check the whole star schema. Raise PipelineError, naming each violation.

    Each query runs in its own transaction, so that other sessions wait for at most one query. No query reads the
    staging tables, because loads lock them.
    """
    session.run.log.expected = len(sql_queries.verify_queries)
    window = whole_star(session)
    checks = []
    for query in sql_queries.verify_queries:
        session.rollback()
        checks += _checks(session, [query], window)
    advice = "\nto fix this, see 'Checking the whole star' in docs/runs.md"
    passed = _report(checks, "nothing was changed", advice)
    session.run.log.succeed(f"{passed.text} in {session.run.log.warehouse}")


def _checks(session: Session, queries: Sequence[str], window: Parameters | None = None) -> list[CheckResult]:
    found = []
    for query in queries:
        with session.step(query):
            rows = session.rows(query, window)
        results = [CheckResult(name, int(number or 0), example) for name, number, example in rows]
        found += _noted(session, results)
    return found


def _noted(session: Session, results: list[CheckResult]) -> list[CheckResult]:
    for result in results:
        session.run.log.check(result)
    return results


def _report(checks: list[CheckResult], outcome: str, advice: str = "") -> Passed:
    """Return the number of checks that passed. If any failed, raise PipelineError, naming each."""
    failed = [str(check) for check in checks if check.found]
    if len(failed) == 1:
        raise PipelineError(f"check failed, {outcome}: {failed[0]}{advice}")
    if failed:
        raise PipelineError("\n  ".join([f"{len(failed)} checks failed, {outcome}:", *failed]) + advice)
    return Passed(len(checks))
