"""The figures of a load: what was staged, what became of each table, which files were read."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import psycopg2

import sql_queries
from pipeline.load_errors import read_first
from pipeline.run_log import say
from pipeline.session import Session
from pipeline.summary import CopiedTable, Staged, Summary, TableChanges, Transformed


def describe_staged(session: Session, files: Mapping[str, int], replaces: bool) -> Staged:
    """Return the figures of what is staged; `files` are the numbers of files by source, if they are known."""
    copied: dict[str, CopiedTable] = {}
    for statement in sql_queries.copy_table_queries:
        steps = [step for step in session.run.log.steps if step.name == statement.name]
        records, seconds = sum(step.rows or 0 for step in steps), sum(step.seconds for step in steps)
        copied[statement.table] = CopiedTable(records, seconds)
    [row] = session.rows(sql_queries.staged_summary)
    return Staged(copied, files, replaces, *row)


class WindowPlays(NamedTuple):
    """How many plays the window of a load holds, and how many of them have a song of the catalogue."""

    plays: int
    matched: int


def plays_in_window(session: Session, staged: Staged) -> WindowPlays:
    """Count the plays in the window of a load."""
    [row] = session.rows(sql_queries.window_summary, staged.window)
    return WindowPlays(*row)


def measure(
    session: Session,
    staged: Staged,
    rows: Counter[str],
    rematched: Counter[str] | None,
    before: WindowPlays,
    after: WindowPlays,
) -> Transformed:
    """Return what became of each table.

    `rows` has how many rows each statement wrote, by its name, `rematched` the same for those that match earlier plays
    anew, if they ran. The plays in the window are those `before` and `after` the staged ones were inserted.
    """
    [(users, songs, artists, times, inferred_songs, inferred_artists)] = session.rows(
        sql_queries.dimensions_summary, staged.window
    )
    rematching = rematched or Counter()
    replaced = (0, 0, 0, rows["users_table_insert"], 0)
    if staged.replaces:
        [replaced] = session.rows(sql_queries.replaced_summary, staged.window)
    changed_plays, differing_users, removed_users, upserted_users, removed_times = replaced
    new_users = rows["users_table_insert"] + rows["earlier_users_insert"] + removed_users
    new_users -= rows["users_table_delete"] + rows["replaced_users_delete"]
    changed_users = differing_users - removed_users + upserted_users - new_users
    new_plays = after.plays - before.plays - changed_plays
    removed_plays = rows["replaced_plays_delete"] - changed_plays
    new_times = rows["time_table_insert"] - rows["replaced_times_delete"] + removed_times
    tables = {
        "songplays": TableChanges(new_plays, changed_plays, removed_plays, after.plays - new_plays - changed_plays),
        "users": TableChanges(new_users, changed_users, removed_users, users - new_users - changed_users),
        "songs": _catalogue_changes("songs", songs, rows, rematching),
        "artists": _catalogue_changes("artists", artists, rows, rematching),
        "time": TableChanges(new_times, 0, removed_times, times - new_times),
    }
    return Transformed(
        tables=tables,
        rows=rows,
        rematches=rematched is not None,
        rematched=rematching["songplays_table_update"],
        matched=after.matched - before.matched,
        inferred_songs=inferred_songs,
        inferred_artists=inferred_artists,
    )


def _catalogue_changes(table: str, total: int, rows: Counter[str], rematching: Counter[str]) -> TableChanges:
    """Return what became of songs or artists, inferred ones included; `total` is how many there are now."""
    changed = rows[f"{table}_table_delete"]
    new = rows[f"{table}_table_insert"] - changed + rows[f"inferred_{table}_insert"]
    removed = rematching[f"inferred_{table}_delete"] - rematching[f"inferred_{table}_insert"]
    return TableChanges(new, changed, removed, total - new - changed)


def summarize(session: Session, staged: Staged, loaded: Transformed) -> Summary:
    """Return the figures of a load that is about to be committed."""
    inserted = loaded.inserted
    repeated = int(session.rows(sql_queries.repeated_plays)[0][0]) if inserted < staged.plays else 0
    return Summary(
        events_staged=staged.events,
        songs_staged=staged.songs,
        plays_staged=staged.plays,
        plays_repeated=repeated,
        plays_present=staged.plays - repeated - inserted,
        records_left_out=sum(session.left_out.values()),
        first_play=staged.first_play,
        last_play=staged.last_play,
        plays_matched=loaded.matched,
        plays_rematched=loaded.rematched,
        songs_inferred=loaded.inferred_songs,
        artists_inferred=loaded.inferred_artists,
        files={source: staged.files.get(source) for source in ("log_data", "song_data")},
        tables={name: table._asdict() for name, table in loaded.tables.items()},
    )


def count_files(session: Session, summary: Summary) -> Summary:
    """Return the summary with the numbers of files that COPY read, as far as the system tables tell.

    Call it after the commit: a table that can't be read ends the transaction.
    """
    files = dict(summary.files)
    with contextlib.suppress(psycopg2.Error):
        for number, statement in session.copies.items():
            if files.get(statement.source, 0) is None:
                found = read_first(session.connection, sql_queries.copied_file_count_queries, {"copy": number})
                files[statement.source] = int(found.rows[0][0])
    return dataclasses.replace(summary, files=files)


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
