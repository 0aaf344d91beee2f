"""Summary of a run: staged records and table changes, as JSON and as text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, such as "1 row" or "1,535 rows"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def matched_share(matched: int, plays: int) -> str:
    """Return the share of plays matched to the catalogue, as text; `plays` must not be 0."""
    return f"{matched:,} of {counted(plays, 'play')} ({matched / plays:.1%}) matched to the catalogue"


class CopiedTable(NamedTuple):
    """The number of records copied into a staging table, and the seconds it took."""

    records: int
    seconds: float


@dataclass(frozen=True)
class Staged:
    """Counts of the staged records, and the time ranges of plays and all events.

    `copied` is keyed by staging table, `files` is the number of files read from each source, if known, and `replaces`
    is set with --replace. Timestamps are strings in the warehouse's format; None if there is no play or event.
    """

    copied: Mapping[str, CopiedTable]
    files: Mapping[str, int]
    replaces: bool
    events: int
    plays: int
    songs: int
    first_play: str | None
    last_play: str | None
    first_event: str | None
    last_event: str | None

    @property
    def window(self) -> dict[str, Any]:
        """The range of start times that a load reads in `songplays` and `time`, as query parameters.

        With --replace it spans all staged events, because an event that was loaded as a play may no longer be one.
        """
        if self.replaces:
            return {"first": self.first_event, "last": self.last_event}
        return {"first": self.first_play, "last": self.last_play}

    @property
    def text(self) -> str:
        """The staged records in one line."""
        return f"{counted(self.events, 'event')}, {self.plays:,} of them plays, and {counted(self.songs, 'song')}"

    @property
    def lines(self) -> Sequence[str]:
        """A line for each staging table."""
        return [
            f"  {table:<15}{records:>12,} record{' ' if records == 1 else 's'}{seconds:>10.2f} s"
            for table, (records, seconds) in self.copied.items()
        ]


class TableChanges(NamedTuple):
    """Row counts of a table in one load: added, changed, removed and unchanged.

    `unchanged` covers only rows that the load read. Inferred songs whose artist changed count as unchanged.
    """

    new: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0


TABLES = ("songplays", "users", "songs", "artists", "time")


@dataclass(frozen=True)
class Transformed:
    """The effects of the staged records on the star schema.

    `rows` is the number of rows that each statement wrote, and `tables` has the changes to each table. `rematches`
    tells whether plays of earlier runs were matched again, and `rematched` is the number of those plays that now have a
    different song or artist. `matched` is the number of inserted plays that match a song in the catalogue.
    `plays_window` is the time range of the plays that the load read.
    """

    rows: Counter[str]
    tables: Mapping[str, TableChanges]
    plays_window: Mapping[str, Any]
    rematches: bool
    rematched: int
    matched: int
    inferred_songs: int
    inferred_artists: int

    @property
    def inserted(self) -> int:
        """The number of inserted plays: new plays, and new versions of existing plays."""
        return self.tables["songplays"].new + self.tables["songplays"].changed - self.rematched

    @property
    def _shown(self) -> list[str]:
        """The kinds of changes to show; "removed" only if rows were removed."""
        removed = any(table.removed for table in self.tables.values())
        return [kind for kind in TableChanges._fields if removed or kind != "removed"]

    @property
    def text(self) -> str:
        """Changes to all tables, on one line."""
        return "; ".join(
            f"{name} " + ", ".join(f"{getattr(table, kind):,} {kind}" for kind in self._shown)
            for name, table in self.tables.items()
        )

    @property
    def lines(self) -> Sequence[str]:
        """Changes to all tables, one line per table."""
        head = "  " + " " * 10 + "".join(f"{kind:>12}" for kind in self._shown)
        rows = [
            f"  {name:<10}" + "".join(f"{getattr(table, kind):>12,}" for kind in self._shown)
            for name, table in self.tables.items()
        ]
        return [head, *rows]


@dataclass(frozen=True)
class Summary:
    """The figures of a load for its report; zero or None if nothing was loaded."""

    events_staged: int = 0
    songs_staged: int = 0
    plays_staged: int = 0
    plays_repeated: int = 0
    plays_present: int = 0
    records_left_out: int = 0
    first_play: str | None = None
    last_play: str | None = None
    plays_matched: int = 0
    plays_rematched: int = 0
    songs_inferred: int = 0
    artists_inferred: int = 0
    files: dict[str, int | None] = field(default_factory=lambda: {"log_data": None, "song_data": None})
    tables: dict[str, dict[str, int]] = field(
        default_factory=lambda: {name: TableChanges()._asdict() for name in TABLES}
    )

    def loaded(self, warehouse: str) -> str:
        """Return a one-line message with the number of plays loaded into `warehouse`."""
        plays = self.tables["songplays"]
        changed = plays["changed"] - self.plays_rematched
        replaced = f", {changed:,} replaced" if changed else ""
        removed = f", {plays['removed']:,} removed" if plays["removed"] else ""
        return f"{counted(plays['new'], 'play')} loaded into {warehouse}{replaced}{removed}"

    @property
    def lines(self) -> Sequence[str]:
        """Additional statistics of the load, one per line."""
        new = self.tables["songplays"]["new"]
        changed = self.tables["songplays"]["changed"] - self.plays_rematched
        lines = []
        if self.plays_staged:
            lines.append(f"staged plays are from {self.first_play} to {self.last_play} UTC")
        if self.plays_present or self.plays_repeated or changed:
            changes = f"{changed:,} changed, " if changed else ""
            again = f", {self.plays_repeated:,} staged more than once" if self.plays_repeated else ""
            of = f"{counted(self.plays_staged, 'play')} staged"
            lines.append(f"{of}: {new:,} new, {changes}{self.plays_present:,} already there{again}")
        if self.records_left_out:
            lines.append(f"{counted(self.records_left_out, 'record')} left out")
        if inserted := new + changed:
            why = "" if self.plays_matched else ": it has no song with the title and artist of any play"
            lines.append(matched_share(self.plays_matched, inserted) + why)
        if self.plays_rematched:
            lines.append(f"{counted(self.plays_rematched, 'earlier play')} matched again: the catalogue has changed")
        if self.songs_inferred or self.artists_inferred:
            songs, artists = counted(self.songs_inferred, "song"), counted(self.artists_inferred, "artist")
            lines.append(f"{songs} and {artists} are inferred: played, but not in the catalogue")
        logs, song_files = self.files["log_data"], self.files["song_data"]
        if logs is not None and song_files is not None:
            lines.append(f"read from {counted(logs, 'log file')} and {counted(song_files, 'song file')}")
        return lines
