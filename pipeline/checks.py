"""What a load did, what must not be in the tables, and what is odd about the data."""

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg2

import sql_queries
from pipeline.database_errors import name_of
from pipeline.errors import PipelineError
from pipeline.load_errors import read_first
from pipeline.run_log import Summary, say
from pipeline.session import Parameters, Session
from sql_queries import Statement, songplays_table_insert


@dataclass(frozen=True)
class Staged:
    """Counts of the staged events and plays, and the first and last timestamp of each.

    `files` says which files are new, if that was looked at, `replaces` whether this is a load with --replace.
    Timestamps are as the warehouse writes them; None if there is no event or no play.
    """

    files: str
    replaces: bool
    events: int
    plays: int
    first_play: str | None
    last_play: str | None
    first_event: str | None
    last_event: str | None

    @property
    def window(self) -> Parameters:
        """The moments between which a load reads songplays and time, as statements take them.

        With --replace they are those of all staged events: one may not be a play any more.
        """
        if self.replaces:
            return {"first": self.first_event, "last": self.last_event}
        return {"first": self.first_play, "last": self.last_play}


@dataclass(frozen=True)
class Transformed:
    """What became of what is staged.

    `rows` has how many rows each statement wrote, `moving` whether plays of earlier runs may be of another song or
    artist now, `matched` how many of the new plays have a song of the catalogue.
    """

    rows: Counter[str]
    moving: bool
    matched: int

    @property
    def new_plays(self) -> int:
        """How many plays were not there before."""
        return self.rows[name_of(songplays_table_insert)]


def summary(session: Session, staged: Staged, loaded: Transformed) -> Summary:
    """What was staged and loaded, how much of the new the catalogue covers, and what it does not cover."""
    new = loaded.new_plays
    repeated = int(session.rows(sql_queries.repeated_plays)[0][0]) if new < staged.plays else 0
    [(songs, artists)] = session.rows(sql_queries.inferred_summary)
    figures = {
        "events staged": staged.events,
        "plays staged": staged.plays,
        "plays staged more than once": repeated,
        "first play": staged.first_play,
        "last play": staged.last_play,
        "records left out": sum(session.left_out.values()),
        "plays loaded": new,
        "plays replaced": loaded.rows[name_of(sql_queries.replaced_plays_delete)],
        "plays matched": loaded.matched,
        "songs inferred": songs,
        "songs inferred now": _added(loaded, sql_queries.inferred_songs_insert, sql_queries.inferred_songs_delete),
        "artists inferred": artists,
        "artists inferred now": _added(
            loaded, sql_queries.inferred_artists_insert, sql_queries.inferred_artists_delete
        ),
    }
    return Summary(figures, _text(figures, staged.files))


def _text(figures: dict[str, Any], files: str) -> str:
    """The summary as it is printed at the end of a load; `files` says which files were new, if that was looked at."""
    plays, new, matched = figures["plays staged"], figures["plays loaded"], figures["plays matched"]
    repeated = figures["plays staged more than once"]
    head = f"\n{files}" if files else ""
    again = f"\n{repeated:>12,} plays staged more than once" if repeated else ""
    moments = f", from {figures['first play']} to {figures['last play']} UTC" if plays else ""
    left_out, replaced = figures["records left out"], figures["plays replaced"]
    return f"""{head}{f"{chr(10)}{left_out:>12,} records left out" if left_out else ""}
{figures["events staged"]:>12,} events staged
{plays:>12,} plays among them{moments}{again}
{f"{replaced:>12,} old versions of plays removed{chr(10)}" if replaced else ""}{new:>12,} plays loaded now
{plays - repeated - new:>12,} plays already there
{matched:>12,} new plays matched to the catalogue{_share(matched, new)}
{figures["songs inferred"]:>12,} inferred songs ({figures["songs inferred now"]:+,})
{figures["artists inferred"]:>12,} inferred artists ({figures["artists inferred now"]:+,})"""


def say_folders_read(session: Session) -> None:
    """Say that COPY has read several folders whose names begin with LOG_DATA, if it has; for after the commit."""
    prefix = session.source.log_data
    ends = {name[len(prefix) :].partition("/")[0] for name in _files_read(session) if "/" in name[len(prefix) :]}
    if prefix.endswith("/") or len(ends) < 2:
        return
    folders = ", ".join(sorted(f"{prefix}{end}/" for end in ends))
    say(
        f"{len(ends)} folders begin with [S3] LOG_DATA, and COPY reads all of them: {folders}\n"
        f"to read one alone, end its name with a slash in {session.settings.path}"
    )


def _files_read(session: Session) -> set[str]:
    """The log files that the COPYs of the session have read; nothing if no system table tells."""
    names: set[str] = set()
    with contextlib.suppress(psycopg2.Error):
        for copy in session.copies:
            found = read_first(session.connection, sql_queries.copied_files_queries, {"copy": copy})
            for (name,) in found.rows:
                names.update(session.packed[name].files if name in session.packed else [name])
    return {name for name in names if name.startswith(session.source.log_data)}


def _share(matched: int, new: int) -> str:
    if not new:
        return ""
    why = "" if matched else ": it has no song with the title and artist of any play"
    return f" ({matched / new:.1%}){why}"


def _added(loaded: Transformed, insert: Statement, delete: Statement) -> int:
    return loaded.rows[name_of(insert)] - loaded.rows[name_of(delete)]


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
    """Check what the load in this session touched: its window of moments and, if plays may have moved, all of those.

    Raise PipelineError, naming each thing that is wrong; nothing may be committed then.
    """
    started = time.monotonic()
    advice = ""
    checks = _checks(session, sql_queries.check_queries, staged.window)
    # where each staged play is new, none has the key of another
    if loaded.new_plays < staged.plays:
        conflicts = _checks(session, [sql_queries.conflicts_check], staged.window)
        advice = _conflict_advice(session) if any(check.found for check in conflicts) else ""
        checks += conflicts
    if staged.replaces:
        checks += _checks(session, [sql_queries.lost_values_check])
    plays_window = _whole_star(session) if loaded.moving else staged.window
    checks += _checks(session, [sql_queries.loaded_plays_check], plays_window)
    if loaded.moving:
        checks += _checks(session, [sql_queries.inferred_check])
    for table, (delete, insert) in REPLACED.items():
        lost = max(0, loaded.rows[name_of(delete)] - loaded.rows[name_of(insert)])
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
        session.run.log.warn(f"warning: COPY {table} left out {number:,} bad records")
    for query in sql_queries.warn_queries:
        for text, found, total in session.rows(query):
            session.run.log.warn(f"warning: {found:,} of {total:,} {text}")


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


def _checks(session: Session, queries: Sequence[str], window: Parameters | None = None) -> list[Check]:
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
    session.run.log.sum_up_quiet_steps()
    say(f"CHECK: {len(checks)} passed in {time.monotonic() - started:.2f} s")
