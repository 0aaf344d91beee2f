"""Compare the star schema of a warehouse with the model's; divide a source into runs."""

import operator
import random
import re
from collections import Counter
from typing import NamedTuple

from helpers import STAR, Warehouse, event, song
from model import History
from universes import Universe

COLUMNS = {
    "songplays": "start_time user_id level song_id artist_id session_id location user_agent item_in_session song_title "
    "artist_name song_length",
    "users": "user_id first_name last_name gender level last_event_time last_session_id last_item_in_session",
    "songs": "song_id title artist_id year duration artist_name",
    "artists": "artist_id name location latitude longitude",
    "time": "start_time hour day week month year weekday",
}


SHOWN = 5  # rows that differ, of each table


# a prefix with nothing under it fails, so each run has at least these
NO_PLAY = event(page="Home", userId="", sessionId=999_999)


NEVER_PLAYED = song(song_id="SOfiller", artist_id="ARfiller", title="filler", artist_name="filler")


Run = tuple[list[dict], list[dict]]


class Difference(NamedTuple):
    """A row that only one of the two has, and the columns in which the nearest row of the other differs."""

    table: str
    universe: str
    where: str
    row: tuple
    columns: list[str]

    def __str__(self) -> str:
        differs = f", differs in {', '.join(self.columns)}" if self.columns else ""
        return f"{self.table}, universe {self.universe}: only {self.where}{differs}: {self.row}"


def differences(table: str, found: list[tuple], expected: set[tuple]) -> list[Difference]:
    """What the table has too much or too little, some of it at most."""
    counted = Counter(found)
    too_many = list((counted - Counter(expected)).elements())
    missing = list((Counter(expected) - counted).elements())
    listed = []
    for where, rows, others in (("in the warehouse", too_many, missing), ("in the model", missing, too_many)):
        for row in sorted(rows, key=repr)[:SHOWN]:
            nearest = max(others, key=lambda other: sum(map(operator.eq, row, other)), default=row)
            names = COLUMNS[table].split()
            columns = [name for name, a, b in zip(names, row, nearest, strict=True) if a != b]
            listed.append(Difference(table, universe_of(row), where, row, columns))
    return listed


def universe_of(row: tuple) -> str:
    found = re.search(r"'u(\d+) |'(?:SO|AR)(\d+)|[(, ](\d+)\d\d[,)]", repr(row))
    return next((number for number in found.groups() if number), "?") if found else "?"


def assert_is_the_models(warehouse: Warehouse, runs: list[Run]) -> None:
    history = History()
    for events, songs in runs:
        assert history.load(events, songs)
    assert_is_the_star_of(warehouse, history)


def assert_is_the_star_of(warehouse: Warehouse, history: History) -> None:
    expected, found = history.star, warehouse.star()
    wrong = [str(one) for table in STAR for one in differences(table, found[table], expected[table])]
    assert not wrong, "\n".join(wrong)


def load(warehouse: Warehouse, runs: list[Run]) -> None:
    for events, songs in runs:
        warehouse.write_log(events)
        warehouse.write_song_file(songs)
        warehouse.load()


def at_once(parts: list[Universe]) -> list[Run]:
    return [([one for part in parts for one in part.events], [one for part in parts for one in part.songs])]


def halves(parts: list[Universe], first: int) -> list[Run]:
    """Every other event and song in one run, the rest in another."""
    runs = []
    for start in (first, 1 - first):
        events = [one for part in parts for one in part.events[start::2]]
        songs = [one for part in parts for one in part.songs[start::2]]
        runs.append((events, songs))
    return runs


def one_by_one(parts: list[Universe]) -> list[Run]:
    """The events, then the song files one version after the other."""
    [(events, _)] = at_once(parts)
    versions = [[one for part in parts for one in part.songs[n : n + 1]] for n in range(2)]
    return [(events, [NEVER_PLAYED]), *(([NO_PLAY], songs) for songs in versions)]


def catalogue_first(parts: list[Universe]) -> list[Run]:
    [(events, songs)] = at_once(parts)
    return [([NO_PLAY], songs), (events, [NEVER_PLAYED])]


def overlapping(parts: list[Universe]) -> list[Run]:
    """Three runs in which most of everything comes more than once, in an order of its own."""
    rng = random.Random(1)
    [(events, songs)] = at_once(parts)
    runs = [(rng.sample(events, len(events) * 2 // 3), rng.sample(songs, len(songs) * 2 // 3)) for _ in range(2)]
    return [*runs, (rng.sample(events, len(events)), rng.sample(songs, len(songs)))]
