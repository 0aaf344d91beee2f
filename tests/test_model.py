"""The star schema after any runs is the one that the model gives, row by row, for data made of what bites."""

import random
import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest
from helpers import STAR, Warehouse, event, song
from model import star
from universes import Universe, universes

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
NO_PLAY = event(page="Home", userId="")
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
            nearest = max(others, key=lambda other: sum(map(same, row, other)), default=row)
            names = COLUMNS[table].split()
            columns = [name for name, a, b in zip(names, row, nearest, strict=True) if not same(a, b)]
            listed.append(Difference(table, universe_of(row), where, row, columns))
    return listed


def same(one: object, other: object) -> bool:
    return one == other


def universe_of(row: tuple) -> str:
    found = re.search(r"'u(\d+) |'(?:SO|AR)(\d+)|[(, ](\d+)\d\d[,)]", repr(row))
    return next((number for number in found.groups() if number), "?") if found else "?"


def assert_is_the_models(warehouse: Warehouse, runs: list[Run]) -> None:
    events = [one for part, _ in runs for one in part]
    songs = [one for _, part in runs for one in part]
    expected, found = star(events, songs), warehouse.star()
    wrong = [str(one) for table in STAR for one in differences(table, found[table], expected[table])]
    assert not wrong, "\n".join(wrong)


def load(warehouse: Warehouse, runs: list[Run]) -> None:
    for events, songs in runs:
        warehouse.write_log(events)
        warehouse.write_song_file(songs)
        warehouse.load()


# How the universes are cut into runs: each part of a universe with its own of the others.


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


@pytest.mark.parametrize(
    "cut",
    [
        at_once,
        lambda parts: halves(parts, 0),
        lambda parts: halves(parts, 1),
        catalogue_first,
        lambda parts: catalogue_first(parts)[::-1],
        one_by_one,
        lambda parts: one_by_one(parts)[:1] + one_by_one(parts)[:0:-1],
        overlapping,
    ],
    ids=[
        *("at once", "odd half first", "even half first", "catalogue first", "catalogue last", "catalogue changes"),
        *("catalogue changes back", "overlapping"),
    ],
)
def test_universes(tables: Warehouse, cut: Callable[[list[Universe]], list[Run]]) -> None:
    runs = cut(universes())
    load(tables, runs)
    assert_is_the_models(tables, runs)


@pytest.mark.parametrize("swap", [False, True])
def test_blank_titles_and_names_in_the_catalogue(tables: Warehouse, swap: bool) -> None:
    # an event without a title has no other key than one with an empty title, of which there can only be one universe
    blank = ("", " ", "x", None)
    events = [
        event(song=title, artist=name, itemInSession=n)
        for n, (title, name) in enumerate((title, name) for title in blank for name in blank)
    ]
    songs = [
        song(song_id=f"SO{n}", artist_id=f"AR{n}", title=title, artist_name=name)
        for n, (title, name) in enumerate([("", "x"), ("x", " "), (" ", "")])
    ]
    runs = [(events, [NEVER_PLAYED]), ([NO_PLAY], songs)]
    load(tables, runs[::-1] if swap else runs)
    assert_is_the_models(tables, runs)
