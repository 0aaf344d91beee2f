"""A load costs what is new: what it reads of songplays and time is the window of moments that it staged."""

import contextlib
import datetime as dt
import io
from typing import NamedTuple

import pytest
from helpers import Warehouse, event, plain_cursor, song
from universes import BASE

import etl
from common import counted
from pipeline.session import Session

DAY = 86_400_000
DAYS = 20
PLAYS_A_DAY = 2_000
RANGE = 128  # blocks of 8 kB to an entry of a zone map
OF_A_DAY = 2 * RANGE + 3  # a day lies in one range or across the border of two; the last rows are in none yet

READ = """
SELECT pg_stat_get_numscans(oid), pg_stat_get_blocks_fetched(oid), pg_relation_size(oid) / 8192
FROM pg_class
WHERE relname = %s AND relkind = 'r'
"""
READ_BY_ZONE_MAP = """
SELECT SUM(pg_stat_get_numscans(indexrelid))
FROM pg_catalog.pg_index
WHERE indrelid = %s::regclass
"""


class Reads(NamedTuple):
    """What was read of a table: scans of all of it, scans by its zone map, blocks; and how many blocks it has."""

    whole: int
    by_zone_map: int
    blocks: int
    size: int


def plays_of(day: int) -> list[dict]:
    """The plays of a day, every few seconds."""
    moments = (BASE + day * DAY + n * 10_000 for n in range(PLAYS_A_DAY))
    return [event(ts=ts, itemInSession=n, sessionId=day, song=f"S{n % 50}") for n, ts in enumerate(moments)]


def reads(session: Session, table: str) -> Reads:
    session.rows("SELECT pg_stat_force_next_flush() FROM pg_class LIMIT 1")  # of its own server process
    session.rollback()
    with plain_cursor(session.connection) as cursor:
        cursor.execute(READ, [table])
        whole, blocks, size = cursor.fetchone()
        cursor.execute(READ_BY_ZONE_MAP, [table])
        [by_zone_map] = cursor.fetchone()
    session.rollback()
    return Reads(whole, by_zone_map, blocks, size)


def read_by_a_load(warehouse: Warehouse, table: str) -> Reads:
    """What a load reads of a table."""
    with warehouse.session(needs_source=True) as session:
        before = reads(session, table)
        etl.load(session)
        after = reads(session, table)
    found = (now - then for now, then in zip(after[:3], before[:3], strict=True))
    return Reads(*found, before.size)


@pytest.fixture
def filled(tables: Warehouse) -> Warehouse:
    """A warehouse with many days, and one of them to be loaded next."""
    tables.write_songs([song()])
    tables.write_log([play for day in range(DAYS) for play in plays_of(day)])
    connection = tables.connect()
    with plain_cursor(connection) as cursor:
        # what PostgreSQL's own vacuum reads, whenever it comes by, is counted like a load's reads
        cursor.execute("ALTER TABLE songplays SET (autovacuum_enabled = off)")
        cursor.execute("ALTER TABLE time SET (autovacuum_enabled = off)")
    connection.commit()
    connection.close()
    tables.load()
    tables.write_log(plays_of(DAYS // 2))
    return tables


@pytest.mark.parametrize("table", ["songplays", "time"])
def test_load_reads_no_block_outside_its_window(filled: Warehouse, table: str) -> None:
    found = read_by_a_load(filled, table)
    assert found.whole == 0 and found.by_zone_map >= 3
    assert found.blocks / found.by_zone_map <= OF_A_DAY
    assert found.size > 4 * RANGE or table == "time"


def test_load_of_a_new_day_reads_no_block_of_the_others(filled: Warehouse) -> None:
    filled.write_log(plays_of(DAYS + 1))
    found = read_by_a_load(filled, "songplays")
    blocks = found.blocks - PLAYS_A_DAY  # to write a row fetches a block, too
    assert found.whole == 0 and blocks / found.by_zone_map <= OF_A_DAY


@pytest.mark.usefixtures("capsys")
def test_load_without_a_play_reads_no_block(filled: Warehouse) -> None:
    filled.write_log([event(page="Home")])
    assert read_by_a_load(filled, "songplays")[:3] == (0, 0, 0)
    assert read_by_a_load(filled, "time")[:3] == (0, 0, 0)


def test_play_of_long_ago_is_loaded_with_all_that_lies_between(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log(plays_of(1))
    tables.load()
    tables.write_log([event(ts=BASE - 3650 * DAY, itemInSession=9), *plays_of(1)])
    tables.load()
    [(first, plays)] = tables.query("SELECT MIN(start_time), COUNT(*) FROM songplays")
    assert first == dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=BASE) - dt.timedelta(days=3650)
    assert plays == PLAYS_A_DAY + 1


# The catalogue's first song of what was played is SO2 by AR2.
KNOWN = song(song_id="SO2", artist_id="AR2")


@pytest.mark.parametrize(
    ("change", "looked_at", "moved"),
    [
        (song(song_id="SO2", artist_id="AR2"), 0, 0),  # nothing
        (song(song_id="SO2", artist_id="AR2", year=1998), 0, 0),  # what plays are not matched by
        (song(song_id="SO3", artist_id="AR3", title="Unheard", artist_name="Nobody"), 0, 0),
        (song(song_id="SO3", artist_id="AR2", title="Unheard"), 0, 0),  # the name stands for the same artist
        (song(song_id="SO3", artist_id="AR3", title="Unheard"), 0, 0),  # the lowest id counts
        (song(song_id="SO3", artist_id="AR1", title="Unheard"), 2, 1),  # so the name stands for another artist
        (song(song_id="SO3", artist_id="AR2", duration=1.0), 1, 0),  # another version of what was played
        (song(song_id="SO3", artist_id="AR2", title="Other"), 1, 1),  # what was inferred so far
        (song(song_id="SO3", artist_id="AR4", title="Song", artist_name="Who"), 1, 1),
        (song(song_id="SO3", artist_id="AR4", title="Unheard", artist_name="Who "), 1, 1),  # blanks do not count
        (song(song_id="SO2", artist_id="AR2", title="Song ", duration=200.0), 0, 0),
    ],
)
def test_only_plays_that_the_catalogue_can_move_are_looked_at(
    tables: Warehouse, change: dict, looked_at: int, moved: int
) -> None:
    tables.write_songs([KNOWN])
    tables.write_log([event(), event(song="Other", itemInSession=1), event(artist="Who", itemInSession=2)])
    tables.load()
    tables.write_songs([change])
    tables.write_log([event(page="Home")])
    tables.is_verbose = True
    said = io.StringIO()
    with contextlib.redirect_stdout(said), tables.session(needs_source=True) as session:
        etl.load(session)
        [(count,)] = session.rows("SELECT COUNT(*) FROM play_songs")
    said = said.getvalue()
    for statement in ("plays_to_rematch_insert", "songplays_table_update"):
        assert (statement in said) is (looked_at > 0)
    assert looked_at == 0 or f"songplays_table_update: {counted(moved, 'row')} in" in said
    assert count == looked_at


def test_name_of_several_artists_stands_for_the_lowest_id(tables: Warehouse) -> None:
    tables.write_songs([KNOWN, song(song_id="SO4", artist_id="AR4", title="Unheard")])
    tables.write_log([event(song="Other")])
    tables.load()
    assert tables.query("SELECT artist_id FROM songplays") == [("AR2",)]
    tables.write_songs([song(song_id="SO3", artist_id="AR1", title="Unheard")])
    tables.load()
    assert tables.query("SELECT artist_id FROM songplays") == [("AR1",)]


def test_play_has_the_artist_of_its_song_though_another_has_the_name_too(tables: Warehouse) -> None:
    tables.write_songs([song(artist_id="AR2"), song(song_id="SO2", artist_id="AR1", title="Second")])
    tables.write_log([event(), event(song="Third", itemInSession=1)])
    tables.load()
    found = tables.query("SELECT song_title, artist_id FROM songplays ORDER BY item_in_session")
    assert found == [(event()["song"], "AR2"), ("Third", "AR1")]


def test_plays_leave_a_song_whose_old_artist_name_ended_in_blanks(tables: Warehouse) -> None:
    tables.write_songs([song(artist_name=f"{event()['artist']}  ")])
    tables.write_log([event()])
    tables.load()
    assert tables.query("SELECT song_id FROM songplays") == [(song()["song_id"],)]
    tables.write_songs([song(artist_name="A")])
    tables.load()
    [(song_id,)] = tables.query("SELECT song_id FROM songplays")
    assert song_id.startswith("EV")


def test_plays_move_to_a_song_of_which_the_duration_alone_has_changed(tables: Warehouse) -> None:
    tables.write_log([event(length=206.0)])
    tables.write_songs([song(song_id="SO1", duration=220.0), song(song_id="SO2", duration=200.0)])
    tables.load()
    assert tables.query("SELECT song_id FROM songplays") == [("SO2",)]
    tables.write_songs([song(song_id="SO1", duration=205.0)])
    tables.load()
    assert tables.query("SELECT song_id FROM songplays") == [("SO1",)]


@pytest.mark.parametrize(
    "better",
    [
        {"title": "A better title"},  # sorts before the old one
        {"artist_name": "A better name"},
        {"artist_id": "AR1"},
        {"duration": 100.0},
    ],
)
def test_plays_follow_a_version_that_replaces_another(tables: Warehouse, better: dict) -> None:
    tables.write_songs([KNOWN | {"year": 0}])
    tables.write_log([event(), event(song="Other", itemInSession=1), event(song=None, itemInSession=2)])
    tables.load()
    tables.write_songs([KNOWN | better])
    tables.write_log([event(page="Home")])
    tables.load()
    loaded_later = tables.star()
    tables.create_tables()
    tables.write_songs([KNOWN | {"year": 0}, KNOWN | better])
    tables.write_log([event(), event(song="Other", itemInSession=1), event(song=None, itemInSession=2)])
    tables.load()
    assert tables.star() | {"users": loaded_later["users"]} == loaded_later
