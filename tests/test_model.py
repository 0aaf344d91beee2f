"""The star schema after any runs is the one that the model gives, row by row, for data made of what bites."""

from collections.abc import Callable

import pytest
from helpers import Warehouse, event, song
from star import (
    NEVER_PLAYED,
    NO_PLAY,
    Run,
    assert_is_the_models,
    at_once,
    catalogue_first,
    halves,
    load,
    one_by_one,
    overlapping,
)
from universes import Universe, universes


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
