"""The checks before the commit: each is shown to fire, with a count and an example, and nothing is loaded."""

import pytest
from helpers import Warehouse, event, song

import sql_queries
from pipeline.errors import PipelineError

pytestmark = pytest.mark.also_on_cluster

BREAKS = {  # the query of the check: SQL that breaks just that, the count and the example in the message
    "duplicate_users_check": ("INSERT INTO users SELECT * FROM users", "1, for example 7"),
    "duplicate_songs_check": ("INSERT INTO songs SELECT * FROM songs WHERE song_id = 'SO1'", "1, for example SO1"),
    "duplicate_artists_check": (
        "INSERT INTO artists SELECT * FROM artists WHERE artist_id = 'AR1'",
        "1, for example AR1",
    ),
    "duplicate_times_check": ("INSERT INTO time SELECT * FROM time", "1, for example 2018-11-01 20:57:10.796"),
    "duplicate_songplays_check": (
        "INSERT INTO songplays (start_time, user_id, level, song_id, artist_id, session_id, location, user_agent, "
        "item_in_session, song_title, artist_name, song_length) SELECT start_time, user_id, level, song_id, artist_id, "
        "session_id, location, user_agent, item_in_session, song_title, artist_name, song_length FROM songplays "
        "WHERE song_id = 'SO1'",
        "1, for example 2018-11-01 20:57:10.796",
    ),
    "lost_plays_check": ("DELETE FROM songplays WHERE song_id = 'SO1'", "1, for example 2018-11-01 20:57:10.796"),
    "missing_users_check": ("DELETE FROM users", "2, for example 7"),
    "missing_songs_check": ("DELETE FROM songs WHERE song_id = 'SO1'", "1, for example SO1"),
    "missing_artists_check": ("DELETE FROM artists WHERE artist_id = 'AR1'", "1, for example AR1"),
    "missing_times_check": ("DELETE FROM time", "2, for example 2018-11-01 20:57:10.796"),
    "songs_without_artist_check": (
        "INSERT INTO songs (song_id, artist_id) VALUES ('SO9', 'AR9')",
        "1, for example AR9",
    ),
    "plays_without_song_check": ("UPDATE songplays SET song_id = NULL WHERE song_id = 'SO1'", "1, for example Song"),
    "unplayed_inferred_songs_check": ("INSERT INTO songs (song_id) VALUES ('EV9')", "1, for example EV9"),
    "unplayed_inferred_artists_check": ("INSERT INTO artists (artist_id) VALUES ('EV9')", "1, for example EV9"),
    "reserved_ids_check": ("UPDATE staging_songs SET song_id = 'EV9'", "1, for example EV9"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_check_fires_and_nothing_is_loaded(tables: Warehouse, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking, example = BREAKS[name]
    tables.write_log([event(), event(song="Other", artist="X", itemInSession=1)])
    tables.write_songs([song()])
    before = tables.everything()
    queries = sql_queries.insert_table_queries
    monkeypatch.setattr(sql_queries, "insert_table_queries", [*queries[:-1], breaking, queries[-1]])
    query = getattr(sql_queries, name)
    only = [(wrong, check) for wrong, check in sql_queries.check_queries if check == query]
    monkeypatch.setattr(sql_queries, "check_queries", only)
    with pytest.raises(PipelineError, match="nothing was loaded") as raised:
        tables.load()
    assert f"{only[0][0]}: {example}" in str(raised.value)
    assert tables.everything() == before


@pytest.mark.parametrize("change", [{"ts": event()["ts"] + 1}, {"sessionId": 2}, {"itemInSession": 1}])
def test_play_is_lost_though_another_has_all_but_one_of_its_keys(
    tables: Warehouse, change: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write_log([event(), event(song="Other", **change)])
    tables.write_songs([song()])
    queries = sql_queries.insert_table_queries
    losing = "DELETE FROM songplays WHERE song_title = 'Other'"
    monkeypatch.setattr(sql_queries, "insert_table_queries", [*queries[:-1], losing, queries[-1]])
    with pytest.raises(PipelineError, match="plays are in staging_events but not in songplays, by start_time: 1, "):
        tables.load()


def test_every_check_is_tried() -> None:
    tried = {getattr(sql_queries, name) for name in BREAKS}
    assert tried == {query for _, query in sql_queries.check_queries}
