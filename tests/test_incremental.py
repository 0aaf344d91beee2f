"""However a source is cut into runs, in whatever order and how often: the star schema is the model's."""

import datetime as dt
import os
from typing import NamedTuple

import pytest
from helpers import Warehouse, event, song
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model import History
from star import NEVER_PLAYED, NO_PLAY, assert_is_the_star_of
from universes import BASE, DURATIONS, LENGTHS, SPELLINGS, milliseconds

from pipeline import packing
from pipeline.summary import Summary

pytestmark = pytest.mark.also_on_cluster

QUICK = settings(
    max_examples=int(os.environ.get("TEST_SEQUENCES", "25")),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

MOMENTS = [BASE, BASE + 1, BASE + 40_000_000, milliseconds(dt.datetime(2021, 1, 1))]
NAMES = [*SPELLINGS[:4], "", None]


def pick(*values: object) -> st.SearchStrategy:
    return st.sampled_from(values)


KEYS = st.tuples(pick(*MOMENTS), pick(1, 2), pick(0, 1))


def plays_of(users: st.SearchStrategy, pages: st.SearchStrategy, names: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(
        event,
        song=pick(*NAMES),
        artist=pick(*NAMES),
        length=pick(*LENGTHS),
        page=pages,
        level=pick("free", "paid", None),
        userId=users,
        firstName=names,
    )


songs = st.builds(
    song,
    song_id=pick("SO1", "SO2", "SO3"),
    artist_id=pick("AR1", "AR2"),
    title=pick(*NAMES[:-1]),
    artist_name=pick(*NAMES[:-1]),
    duration=pick(*DURATIONS),
    year=pick(0, 1999, None),
    artist_location=pick("", "Portland", None),
    artist_latitude=pick(None, 45.5),
)


class Load(NamedTuple):
    """The events and songs of one load, and whether it runs with --replace."""

    events: list[dict]
    songs: list[dict]
    replace: bool


@st.composite
def all_versions(draw: st.DrawFn) -> dict[tuple, list[dict]]:
    """Up to eight events by their keys, each with the versions that logs may have of it.

    Either a correction may give an event to another user, or there are events that are no plays: of those the star
    keeps nothing but the latest of each user, so that it can't go back to an earlier one.
    """
    moves = draw(st.booleans())
    found = {}
    for key in draw(st.lists(KEYS, max_size=8, unique=True)):
        user = pick("1", "2", "") if moves else st.just(draw(pick("1", "2", "")))
        pages = st.just("NextSong") if moves else pick("NextSong", "NextSong", "NextSong", "Home")
        names = st.just("Ada") if moves else pick("Ada", "Ida", None)
        named = dict(zip(("ts", "sessionId", "itemInSession"), key, strict=True))
        found[key] = [draw(plays_of(user, pages, names)) | named for _ in range(3)]
    return found


@st.composite
def all_loads(draw: st.DrawFn) -> list[Load]:
    """Loads of parts of a source, some of it more than once and in more than one version, some with --replace."""
    versions = draw(all_versions())
    catalogue = draw(st.lists(songs, max_size=5))
    loads = []
    for _ in range(draw(st.integers(1, 4))):
        chosen = draw(st.lists(pick(*versions), max_size=8)) if versions else []
        events = [versions[key][draw(pick(0, 0, 0, 0, 1, 2))] for key in chosen]
        some = draw(st.lists(pick(*catalogue), max_size=4)) if catalogue else []
        loads.append(Load(events or [NO_PLAY], some or [NEVER_PLAYED], draw(pick(False, False, True))))
    return loads


@pytest.fixture(params=["each prefix", "new files packed"])
def loading(tables: Warehouse, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A warehouse that loads its whole source, or one with TEMP_DIR that packs each new file."""
    if request.param != "each prefix":
        monkeypatch.setattr(packing, "FEW", 0)
        tables.configure({("S3", "TEMP_DIR"): "temp"})
    return tables


@pytest.mark.stand_in_only  # a cluster takes texts that differ in trailing blanks for one, which the model does not
@QUICK
@given(loads=all_loads())
def test_any_loads_and_corrections_end_in_the_star_of_the_model(loading: Warehouse, loads: list[Load]) -> None:
    assert_ends_in_the_star_of_the_model(loading, loads)


def assert_ends_in_the_star_of_the_model(warehouse: Warehouse, loads: list[Load]) -> None:
    warehouse.empty()
    history = History()
    for events, catalogue, replace in loads:
        warehouse.write_log(events)
        warehouse.write_songs(catalogue)
        if history.load(events, catalogue, replace):
            before = warehouse.star()
            summary = warehouse.load(replace=replace)
            after = warehouse.star()
            assert_figures_are_true(summary, before, after)
            staged = {key_of(one) for one in events if one["page"] == "NextSong"}
            old, new = (keyed(star["songplays"], KEYS_OF["songplays"], MATCH) for star in (before, after))
            assert summary.plays_present == sum(old.get(key) == new[key] for key in staged & new.keys())
        else:
            assert "staged plays differ from the play of the same key" in warehouse.failing_output()
    assert_is_the_star_of(warehouse, history)
    warehouse.output("verify")


# the columns that tell the rows of a table apart, by their places in `Warehouse.star`
KEYS_OF = {"songplays": (0, 5, 8), "users": (0,), "songs": (0,), "artists": (0,), "time": (0,)}
MATCH = (3, 4)  # song_id and artist_id of a play, which another catalogue may change


def assert_figures_are_true(summary: Summary, before: dict[str, list[tuple]], after: dict[str, list[tuple]]) -> None:
    """Compare what a load says became of each table with the rows before and after it."""
    for table, places in KEYS_OF.items():
        old, new = (keyed(star[table], places) for star in (before, after))
        changed = {key for key in old.keys() & new.keys() if old[key] != new[key]}
        if table == "songs":  # an inferred song that gets another artist is made anew
            changed = {(song_id,) for (song_id,) in changed if not song_id.startswith("EV")}
        figures = summary.tables[table]
        assert figures["new"] == len(new.keys() - old.keys()), table
        assert figures["changed"] == len(changed), table
        assert figures["removed"] == len(old.keys() - new.keys()), table
        if table in ("users", "songs", "artists"):
            assert figures["unchanged"] == len(new) - figures["new"] - figures["changed"], table


def key_of(staged: dict) -> tuple:
    """The key of the play that a staged event is."""
    at = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=staged["ts"])
    return at, staged["sessionId"], staged["itemInSession"]


def keyed(rows: list[tuple], places: tuple[int, ...], without: tuple[int, ...] = ()) -> dict[tuple, tuple]:
    return {
        tuple(row[place] for place in places): tuple(row[place] for place in range(len(row)) if place not in without)
        for row in rows
    }
