"""Load statistics: staged records, changes to each table, and files read."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import psycopg2

import sql_queries
from pipeline.failures import name_of
from pipeline.load_errors import read_first
from pipeline.progress import announce_wait
from pipeline.run_log import say
from pipeline.session import Parameters, Session
from pipeline.summary import CopiedTable, Staged, Summary, TableChanges, Transformed


def describe_staged(session: Session, files: Mapping[str, int], replaces: bool) -> Staged:
    """Return the statistics of the staged records. `files` maps each source to its number of files, if known."""
    copied: dict[str, CopiedTable] = {}
    for statement in sql_queries.copy_table_queries:
        steps = [step for step in session.run.log.steps if step.name == statement.name]
        records, seconds = sum(step.rows or 0 for step in steps), sum(step.seconds for step in steps)
        copied[statement.table] = CopiedTable(records, seconds)
    [row] = session.rows(sql_queries.staged_summary)
    return Staged(copied, files, replaces, *row)


class WindowPlays(NamedTuple):
    """Number of plays in a time window, and number that match a catalogue song."""

    plays: int
    matched: int


def plays_in_window(session: Session, window: Parameters) -> WindowPlays:
    """Count the plays in a time window, and those that match a catalogue song."""
    [row] = session.rows(sql_queries.window_summary, window)
    return WindowPlays(*row)


def whole_star(session: Session) -> Parameters:
    """Return the window that spans all plays."""
    [(first, last)] = session.rows(sql_queries.whole_star_window)
    return {"first": first, "last": last}


# Each pair is an upsert: the DELETE removes old versions, the INSERT adds the new ones.
UPSERTS = {
    "users": (sql_queries.users_table_delete, sql_queries.users_table_insert),
    "songs": (sql_queries.songs_table_delete, sql_queries.songs_table_insert),
    "artists": (sql_queries.artists_table_delete, sql_queries.artists_table_insert),
}
# inferred songs and artists: the DELETE removes them, the INSERT restores those that still have a play
INFERRED = {
    "songs": (sql_queries.inferred_songs_delete, sql_queries.inferred_songs_insert),
    "artists": (sql_queries.inferred_artists_delete, sql_queries.inferred_artists_insert),
}


class Written:
    """The number of rows that each statement wrote."""

    def __init__(self, rows: Counter[str]) -> None:
        self._rows = rows

    def __getitem__(self, statement: str) -> int:
        return self._rows[name_of(statement)]


def measure(
    session: Session,
    staged: Staged,
    rows: Counter[str],
    rematched: Counter[str] | None,
    before: WindowPlays,
    after: WindowPlays,
) -> Transformed:
    """Return the changes to each table.

    `rows` maps statement names to the number of rows written; `rematched` is the same mapping for the statements that
    rematch earlier plays, or is None if these did not run. `before` and `after` are counts of the plays in the load's
    time window, taken before and after the insert.
    """
    wrote, rewrote = Written(rows), Written(rematched or Counter())
    [(users, songs, artists, times, inferred_songs, inferred_artists)] = session.rows(
        sql_queries.dimensions_summary, staged.window
    )
    rematched_plays = rewrote[sql_queries.songplays_table_update]
    plays_window: Parameters = staged.window
    plays_read = after.plays
    if rematched is not None:  # rematching reads all plays
        plays_window = whole_star(session)
        plays_read = plays_in_window(session, plays_window).plays
    replaced = Replaced()
    if staged.replaces:
        [row] = session.rows(sql_queries.replaced_summary, staged.window)
        replaced = Replaced(*row)
    return Transformed(
        rows=rows,
        tables={
            "songplays": _songplays(wrote, replaced, before.plays, after.plays, plays_read, rematched_plays),
            "users": _users(wrote, replaced if staged.replaces else None, users),
            "songs": _catalogue("songs", wrote, rewrote, songs),
            "artists": _catalogue("artists", wrote, rewrote, artists),
            "time": _times(wrote, replaced, times),
        },
        plays_window=plays_window,
        rematches=rematched is not None,
        rematched=rematched_plays,
        matched=after.matched - before.matched,
        inferred_songs=inferred_songs,
        inferred_artists=inferred_artists,
    )


class Replaced(NamedTuple):
    """Changes made by --replace, as counted by `replaced_summary`."""

    changed_plays: int = 0
    differing_users: int = 0
    removed_users: int = 0
    upserted_users: int = 0
    removed_times: int = 0


def _songplays(wrote: Written, replaced: Replaced, before: int, after: int, read: int, rematched: int) -> TableChanges:
    new = after - before - replaced.changed_plays
    removed = wrote[sql_queries.replaced_plays_delete] - replaced.changed_plays
    changed = replaced.changed_plays + rematched
    return TableChanges(new, changed, removed, read - new - changed)


def _users(wrote: Written, replaced: Replaced | None, total: int) -> TableChanges:
    """Return the changes to users.

    Without --replace, each upserted user is new or changed. With --replace, a user's row may be written twice, so
    `replaced` is needed to count new and changed users.
    """
    deleted, inserted = (wrote[statement] for statement in UPSERTS["users"])
    if replaced is None:
        return TableChanges(inserted - deleted, deleted, 0, total - inserted)
    inserted += wrote[sql_queries.earlier_users_insert]
    deleted += wrote[sql_queries.replaced_users_delete]
    new = inserted - deleted + replaced.removed_users
    changed = replaced.differing_users - replaced.removed_users + replaced.upserted_users - new
    return TableChanges(new, changed, replaced.removed_users, total - new - changed)


def _catalogue(table: str, wrote: Written, rewrote: Written, total: int) -> TableChanges:
    """Return the changes to songs or artists, including inferred ones."""
    delete, insert = UPSERTS[table]
    inferred_delete, inferred_insert = INFERRED[table]
    changed = wrote[delete]
    new = wrote[insert] - changed + wrote[inferred_insert]
    removed = rewrote[inferred_delete] - rewrote[inferred_insert]
    return TableChanges(new, changed, removed, total - new - changed)


def _times(wrote: Written, replaced: Replaced, total: int) -> TableChanges:
    removed = replaced.removed_times
    new = wrote[sql_queries.time_table_insert] - wrote[sql_queries.replaced_times_delete] + removed
    return TableChanges(new, 0, removed, total - new)


def summarize(session: Session, staged: Staged, loaded: Transformed) -> Summary:
    """Return the summary of a load that is about to be committed."""
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
    """Return the summary with file counts from sys_load_history, if available.

    Call it after the commit, because reading a system table without permission aborts the transaction.
    """
    if None not in summary.files.values():
        return summary
    files = dict(summary.files)
    with contextlib.suppress(psycopg2.Error), announce_wait("the system table to return the number of files"):
        found = read_first(session.connection, [sql_queries.copied_file_counts])
        counts = {int(query): int(files_read) for query, files_read in found.rows if files_read}
        for number, statement in session.copies.items():
            if statement.source in files and number in counts:
                files[statement.source] = counts[number]
    return dataclasses.replace(summary, files=files)


def say_folders_read(session: Session) -> None:
    """Print a note if COPY read several folders whose paths begin with LOG_DATA. Call it after commit."""
    prefix = session.source.log_data
    ends = {name[len(prefix) :].partition("/")[0] for name in _files_read(session) if "/" in name[len(prefix) :]}
    if prefix.endswith("/") or len(ends) < 2:
        return
    folders = ", ".join(sorted(f"{prefix}{end}/" for end in ends))
    say(
        f"{len(ends)} folders match the prefix [S3] LOG_DATA, and COPY reads all of them: {folders}\n"
        f"to read only one, end its name with a slash in {session.settings.path}"
    )


def _files_read(session: Session) -> set[str]:
    """Return the log files that the session's COPYs have read; none if no system table lists them."""
    names: set[str] = set()
    with contextlib.suppress(psycopg2.Error):
        for copy in session.copies:
            found = read_first(session.connection, sql_queries.copied_files_queries, {"copy": copy})
            for (name,) in found.rows:
                names.update(session.packed[name].files if name in session.packed else [name])
    return {name for name in names if name.startswith(session.source.log_data)}
