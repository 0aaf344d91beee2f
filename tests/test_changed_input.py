"""A changed input is noticed: plays with the key of others, fields that vanish, impossible moments, bad records."""

import csv
import datetime as dt
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator

import pytest
from helpers import REAL_DATA, ROOT, Warehouse, event, needs_real_data, song, upload

import sql_queries
from pipeline.errors import PipelineError

PATHS = ROOT / "sample_data" / "log_json_path.json"
KEY = "start_time 2018-11-01 20:57:10.796, session_id 1, item_in_session 0"


def day(plays: int = 20, **changes: object) -> list[dict]:
    """The plays of a day."""
    return [event(itemInSession=n, **changes) for n in range(plays)]


@pytest.fixture(params=["", "temp"])
def loaded(tables: Warehouse, request: pytest.FixtureRequest) -> Warehouse:
    """A day that has been loaded, by its prefix or with TEMP_DIR."""
    tables.configure({("S3", "TEMP_DIR"): request.param or None})
    tables.write_songs([song()])
    tables.write_log(day())
    tables.load()
    return tables


def rename(events: list[dict], old: str, new: str) -> list[dict]:
    return [{new if key == old else key: value for key, value in one.items()} for one in events]


# the columns that a play is made of, by the fields of the logs
PLAY_FIELDS = {
    "userId": "user_id",
    "level": "level",
    "song": "song",
    "artist": "artist",
    "length": "length",
    "location": "location",
    "userAgent": "user_agent",
}


# another value of each
CHANGED = {"userId": "8", "level": "paid", "location": "Ames, IA", "userAgent": "Lynx", "song": "B", "artist": "B"}
CHANGED["length"] = 1.5


@pytest.mark.parametrize(
    ("old", "new", "column"), [("userId", "user_id", "user_id"), ("song", "track", "song"), ("length", "len", "length")]
)
def test_renamed_field_fails_the_load(loaded: Warehouse, old: str, new: str, column: str) -> None:
    before = loaded.everything()
    loaded.write_log(rename(day(), old, new))
    said = loaded.failing_output()
    assert f"20 plays, but none has a {column} (`$.{old}` in the JSONPaths file): was the field renamed?" in said
    assert "staged plays differ from the play of the same key in" in said
    assert loaded.everything() == before
    # new plays alone have no key in common with what was there
    loaded.write_log(rename(day(ts=event()["ts"] + 1), old, new))
    assert f"none has a {column}" in loaded.failing_output()
    with pytest.raises(PipelineError, match=f"none has a {column}"):
        loaded.output(replace=True)
    assert loaded.everything() == before


@pytest.mark.parametrize("field", PLAY_FIELDS)
def test_no_play_of_twenty_with_a_value_fails_the_load(tables: Warehouse, field: str) -> None:
    tables.write_songs([song()])
    tables.write_log(day(20, **{field: None}))
    column = PLAY_FIELDS[field]
    assert f"20 plays, but none has a {column} (`$.{field}` in the JSONPaths file)" in tables.failing_output()
    assert tables.counts()["songplays"] == 0


def test_each_column_that_many_plays_lack_is_a_warning(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([*day(17), *day(3, sessionId=2, **dict.fromkeys(PLAY_FIELDS))])
    said = tables.output()
    for field, column in PLAY_FIELDS.items():
        assert f"warning: 3 of 20 plays have no {column} (`$.{field}` in the JSONPaths file)\n" in said


OTHER_EVENT_FIELDS = {
    "auth": "auth",
    "firstName": "first_name",
    "gender": "gender",
    "lastName": "last_name",
    "method": "method",
    "registration": "registration",
    "status": "status",
}
OTHER_SONG_FIELDS = ("num_songs", "artist_latitude", "artist_longitude", "artist_location", "duration", "year")


@pytest.mark.parametrize(("records", "warned"), [(19, False), (20, True)])
def test_each_other_column_without_a_value_in_many_records_is_a_warning(
    tables: Warehouse, records: int, warned: bool
) -> None:
    tables.write_log(day(records, **dict.fromkeys(OTHER_EVENT_FIELDS)))
    tables.write_song_file([song(song_id=f"SO{n}", **dict.fromkeys(OTHER_SONG_FIELDS)) for n in range(records)])
    report = tables.folder / "report.json"
    said = tables.run("etl.py", "--report", str(report)).stdout
    columns = [f"staging_events.{name}" for name in OTHER_EVENT_FIELDS.values()]
    columns += [f"staging_songs.{name}" for name in OTHER_SONG_FIELDS]
    texts = [f"{records} of {records} records have no value for {column}" for column in columns]
    assert [text for text in texts if f"warning: {text}\n" in said] == (texts if warned else [])
    assert said.count("warning: ") == len(columns) * warned
    assert json.loads(report.read_text())["warnings"] == (texts if warned else [])


def test_renamed_day_among_many_is_noticed_only_alone(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log(day(400), "2018-11-01")
    renamed = tables.write_log(day(20, sessionId=2, level=None), "2018-11-02")
    assert "420 plays loaded into" in (said := tables.output()) and "warning" not in said
    tables.create_tables()
    tables.configure({("S3", "LOG_DATA"): str(renamed)})
    assert "none has a level" in tables.failing_output()


def test_rule_that_is_taken_out_of_the_list_fails_nothing(tables: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.write_songs([song()])
    tables.write_log(day(20, level=None))
    rules = [query for query in sql_queries.check_queries if query != sql_queries.fields_check]
    monkeypatch.setattr(sql_queries, "check_queries", rules)
    assert "20 plays loaded into" in tables.output()


@pytest.mark.parametrize(("hours", "loads"), [(23, True), (48, False)])
def test_timestamp_may_be_up_to_a_day_from_now(tables: Warehouse, hours: int, loads: bool) -> None:
    tables.write_songs([song()])
    tables.write_log([event(ts=int(time.time() + hours * 3600) * 1000)])
    if loads:
        assert "1 play loaded into" in tables.output()
    else:
        assert "is `ts` in milliseconds?" in tables.failing_output()


def test_play_whose_user_was_taken_away_gets_it_back_by_replace(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event(), event(userId="8", itemInSession=1)])
    tables.load()
    before = tables.star()
    tables.query("UPDATE songplays SET user_id = NULL WHERE user_id = 8")
    tables.output("verify")
    assert "staged plays differ from the play of the same key in user_id: 1" in tables.failing_output()
    tables.output(replace=True)
    assert tables.star() == before


def test_user_without_a_play_is_gone_until_an_event_of_theirs_is_loaded(tables: Warehouse) -> None:
    tables.write_songs([song()])
    earlier, latest = event(page="Home", ts=event()["ts"] - 1000), event(page="Home")
    tables.write_log([earlier, latest])
    tables.load()
    tables.write_log([latest | {"userId": "8"}])
    tables.output(replace=True)
    assert tables.query("SELECT user_id FROM users") == [(8,)]
    tables.write_log([earlier])
    tables.load()
    assert tables.query("SELECT user_id, last_event_time FROM users WHERE user_id = 7") != []


def test_few_plays_without_a_field_are_loaded_with_a_warning(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log(day(19, location=None))
    said = tables.output()
    assert "warning: 19 of 19 plays have no location (`$.location` in the JSONPaths file)\n" in said
    assert "19 plays loaded into" in said


def test_few_plays_without_any_field_are_loaded(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log(day(19, **dict.fromkeys(PLAY_FIELDS)))
    assert "19 plays loaded into" in tables.output()
    tables.output("verify")


@pytest.mark.parametrize(("lacking", "warned"), [(2, False), (3, True)])
def test_more_than_one_play_in_twenty_without_a_value_is_a_warning(
    tables: Warehouse, lacking: int, warned: bool
) -> None:
    tables.write_songs([song()])
    tables.write_log([*day(40 - lacking), *day(lacking, sessionId=2, **dict.fromkeys(PLAY_FIELDS))])
    said = tables.output()
    for column in PLAY_FIELDS.values():
        assert (f"warning: {lacking} of 40 plays have no {column}" in said) is warned
    assert "40 plays loaded into" in said


@pytest.mark.parametrize(
    ("field", "value", "column"),
    [
        ("userId", "8", "user_id"),
        ("userId", "", "user_id"),
        ("level", "paid", "level"),
        ("location", None, "location"),
        ("userAgent", "", "user_agent"),
        ("song", "Corrected", "song_title"),
        ("artist", "Corrected", "artist_name"),
        ("length", 200.25, "song_length"),
        ("length", None, "song_length"),
    ],
)
def test_play_with_other_values_is_a_conflict_until_it_replaces_the_old(
    loaded: Warehouse, field: str, value: object, column: str
) -> None:
    before = loaded.everything()
    loaded.write_log([event(**{field: value}), *day()[1:]])
    loaded.write_songs([song(num_songs=10)])  # what changed of the songs is no reason for a conflict
    said = loaded.failing_output()
    changed = f"another version of this file was loaded before: {loaded.folder}/log-data/2018-11-01-events.json"
    assert said.count("another version of this file was loaded before") == bool(loaded.values["S3", "TEMP_DIR"])
    lost = " (1 lost a value)" if value is None or (field == "userId" and not value) else ""
    assert f"staged plays differ from the play of the same key in {column}{lost}: 1, for example {KEY}\n" in said
    assert "load it with: python etl.py --replace" in said
    assert (changed in said) is bool(loaded.values["S3", "TEMP_DIR"])
    assert loaded.everything() == before
    said = loaded.output(replace=True)
    assert (
        "songplays 0 new, 1 changed, 19 unchanged; " in said
        and "\n0 plays loaded into " in said
        and ", 1 replaced in " in said
    )
    replaced = loaded.star()
    loaded.output("verify")
    loaded.empty()
    loaded.load()
    assert loaded.star() == replaced
    assert "0 plays loaded into" in loaded.output(replace=True, everything=True)


def test_conflict_names_only_the_files_that_have_changed(tables: Warehouse) -> None:
    tables.configure({("S3", "TEMP_DIR"): "temp"})
    tables.write_songs([song()])
    tables.write_log([event()])
    tables.write_log([event(sessionId=2)], "2018-11-02")
    tables.load()
    changed = tables.write_log([event(level="paid")])
    said = tables.failing_output(everything=True)
    assert re.findall(r"another version of this file was loaded before: (.*)", said) == [str(changed)]


@pytest.mark.parametrize(
    ("files", "last"), [(10, "another version of this file was loaded before: "), (11, "and 1 more files")]
)
def test_ten_changed_files_are_named(tables: Warehouse, files: int, last: str) -> None:
    tables.configure({("S3", "TEMP_DIR"): "temp"})
    tables.write_songs([song()])
    for level in ("free", "paid"):
        for number in range(files):
            tables.write_log([event(itemInSession=number, level=level)], f"day-{number:02}")
        if level == "free":
            tables.load()
    lines = tables.failing_output().splitlines()
    assert sum("another version of this file was loaded before" in line for line in lines) == 10
    assert lines[-1].startswith(last)


def test_corrected_log_that_is_there_twice_is_one_conflict(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event()])
    tables.load()
    tables.write_log([event(level="paid")] * 2)
    assert "in level: 1, for example" in tables.failing_output()


def test_plays_that_are_none_any_more_lose_no_value(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log(day(20))
    tables.load()
    tables.write_log(day(20, page="Home", song=None, artist=None, length=None))
    tables.output(replace=True)
    assert tables.counts()["songplays"] == 0


def test_replace_that_takes_many_values_away_fails(tables: Warehouse) -> None:
    """A renamed field in one day of many: the other plays have it."""
    tables.write_songs([song()])
    tables.write_log(day(30))
    tables.write_log(day(100, sessionId=2), "2018-11-02")
    tables.load()
    before = tables.everything()
    tables.write_log(rename(day(20), "userId", "user_id"))
    assert "in user_id (20 lost a value): 20, for example" in tables.failing_output()
    with pytest.raises(PipelineError, match=r"20 plays would lose their user_id: was the field renamed\?"):
        tables.output(replace=True)
    assert tables.everything() == before
    tables.write_log(rename(day(19), "userId", "user_id"))
    tables.output(replace=True)
    assert tables.query("SELECT COUNT(*) FROM songplays WHERE user_id IS NULL") == [(19,)]


def test_each_column_that_many_plays_would_lose_is_named_with_their_number(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([*day(30), *day(100, sessionId=2)])
    tables.load()
    lacking = [{key: value for key, value in one.items() if key not in PLAY_FIELDS} for one in day(20)]
    tables.write_log([*lacking, event(itemInSession=20, **CHANGED), *day(100, sessionId=3)])
    said = tables.failing_output(replace=True)
    for column in ("user_id", "level", "location", "user_agent", "song_title", "artist_name", "song_length"):
        assert f"20 plays would lose their {column}: was the field renamed?" in said


@pytest.mark.parametrize("events", [19, 20])
def test_many_events_without_a_play_are_a_warning(tables: Warehouse, events: int) -> None:
    tables.write_songs([song()])
    tables.write_log(day(events, page="Next Song"))
    assert (f"warning: {events} of {events} events are no play\n" in tables.output()) is (events == 20)


def test_events_that_are_no_longer_plays_may_lose_all_values(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log(day())
    tables.load()
    tables.write_log([*day(page="Home", **dict.fromkeys(CHANGED)), event(itemInSession=20)])
    tables.output(replace=True)
    assert tables.counts()["songplays"] == 1


def test_message_shows_no_value_of_a_conflict(loaded: Warehouse) -> None:
    loaded.write_log([event(song="Secret Song", location="Secret Place")])
    said = loaded.failing_output()
    assert "in location, song_title: 1," in said and "Secret" not in said


def test_conflict_names_each_column_that_differs_in_any_play(loaded: Warehouse) -> None:
    loaded.write_log([event(itemInSession=n, **{field: CHANGED[field]}) for n, field in enumerate(CHANGED)])
    columns = "user_id, level, location, user_agent, song_title, artist_name, song_length"
    assert (
        f"staged plays differ from the play of the same key in {columns}: 7, for example {KEY}"
        in loaded.failing_output()
    )


@pytest.mark.parametrize("lacks", ["the loaded play", "the staged play"])
def test_value_beside_none_is_a_conflict_in_each_column(tables: Warehouse, lacks: str) -> None:
    with_values = [event(itemInSession=n) for n in range(len(PLAY_FIELDS))]
    without = [event(itemInSession=n, **{field: None}) for n, field in enumerate(PLAY_FIELDS)]
    first, second = (without, with_values) if lacks == "the loaded play" else (with_values, without)
    tables.write_songs([song()])
    tables.write_log(first)
    tables.load()
    tables.write_log(second)
    said = tables.failing_output()
    assert "in user_id, level, location, user_agent, song_title, artist_name, song_length" in said
    assert ("(7 lost a value): 7, " if lacks == "the staged play" else ": 7, ") in said
    tables.output(replace=True)
    tables.output("verify")
    [replaced] = tables.query(
        "SELECT COUNT(user_id), COUNT(level), COUNT(location), COUNT(user_agent), COUNT(song_title), "
        "COUNT(artist_name), COUNT(song_length) FROM songplays"
    )
    assert replaced == ((6,) * 7 if lacks == "the staged play" else (7,) * 7)


def test_two_versions_in_one_load_are_a_conflict(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event(level="free"), event(level="paid"), event(level="paid")])
    assert "in level: 1, for example" in tables.failing_output()
    assert tables.counts()["songplays"] == 0
    assert "2 staged events left out: only one event per key is kept" in tables.output(replace=True)
    assert tables.query("SELECT level FROM songplays") == [("free",)]
    assert tables.query("SELECT level FROM users") == [("free",)]


VERSIONS = [  # a field, the value that counts, the other
    ("page", "NextSong", "About"),
    ("userId", "7", "8"),
    ("userId", "7", ""),
    ("level", "free", "paid"),
    ("location", "Ames, IA", "Lansing, MI"),
    ("userAgent", "Mozilla", None),
    ("song", "A", "B"),
    ("artist", "A", "B"),
    ("length", 1.5, 200.5),
    ("firstName", "Ada", "Ida"),
    ("lastName", "Berg", None),
    ("gender", "F", "M"),
]


@pytest.mark.parametrize(("field", "counts", "other"), VERSIONS)
def test_first_of_two_versions_by_their_values_counts(
    tables: Warehouse, field: str, counts: object, other: object
) -> None:
    tables.write_songs([song()])
    versions = [event(**{field: counts}), event(**{field: other})]
    stars = []
    for staged in (versions, versions[::-1], versions[:1]):
        tables.empty()
        tables.write_log(staged)
        tables.output(replace=True)
        stars.append(tables.star())
    assert stars[0] == stars[1] == stars[2]


ORDER = ["userId", "level", "location", "userAgent", "song", "artist", "length", "firstName", "lastName", "gender"]
LOWER, HIGHER = (
    {"userId": "7", "length": 1.5} | dict.fromkeys(set(ORDER) - {"userId", "length"}, "A"),
    {"userId": "8", "length": 200.5} | dict.fromkeys(set(ORDER) - {"userId", "length"}, "B"),
)


@pytest.mark.parametrize(("first", "second"), list(itertools.pairwise(ORDER)))
def test_earlier_column_decides_between_two_versions(tables: Warehouse, first: str, second: str) -> None:
    tables.write_songs([song()])
    same = {field: LOWER[field] for field in ORDER}
    counts = event(**same | {second: HIGHER[second]})
    tables.write_log([event(**same | {first: HIGHER[first]}), counts])
    tables.output(replace=True)
    star = tables.star()
    tables.empty()
    tables.write_log([counts])
    tables.output(replace=True)
    assert tables.star() == star


@pytest.mark.parametrize("other", [{"sessionId": 2}, {"itemInSession": 6}])
def test_replace_leaves_a_user_whose_latest_event_has_another_key(tables: Warehouse, other: dict) -> None:
    """Another user's event at the same moment, in another session or at another place in it."""
    tables.write_songs([song()])
    latest = event(page="Home", song=None, artist=None, length=None, level="paid", itemInSession=5)
    tables.write_log([event(level="free", ts=event()["ts"] - 1), latest])
    tables.load()
    before = tables.query("SELECT * FROM users WHERE user_id = 7")
    tables.write_log([event(userId="8", **({"sessionId": event()["sessionId"], "itemInSession": 5} | other))])
    tables.output(replace=True)
    assert tables.query("SELECT * FROM users WHERE user_id = 7") == before


def test_user_whose_event_goes_to_another_is_taken_from_the_later_item_of_their_plays(tables: Warehouse) -> None:
    tables.write_songs([song()])
    earlier = [event(level=level, itemInSession=item) for item, level in ((1, "free"), (2, "paid"), (3, "free"))]
    tables.write_log([earlier[1], earlier[0], event(ts=event()["ts"] + 1, itemInSession=9)])
    tables.load()
    tables.write_log([event(userId="8", ts=event()["ts"] + 1, itemInSession=9)])
    tables.output(replace=True)
    assert tables.query("SELECT level, last_item_in_session FROM users WHERE user_id = 7") == [("paid", 2)]


def test_inferred_artist_of_a_replaced_play_without_a_song_goes(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event(song=None, artist="X")])
    tables.load()
    tables.write_log([event(song=None, artist="Y")])
    tables.output(replace=True)
    assert tables.query("SELECT name FROM artists WHERE artist_id LIKE 'EV%'") == [("Y",)]


def test_replace_counts_new_users_apart_from_those_whose_row_is_written_again(loaded: Warehouse) -> None:
    new = [event(userId=str(number), itemInSession=number) for number in (98, 99)]
    loaded.write_log([event(song="Another", itemInSession=19), *new])
    assert "; users 2 new, 0 changed, 1 unchanged; " in loaded.output(replace=True)


def test_inferred_artist_of_a_replaced_play_stays_for_other_plays(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event(song="One", artist="X")], "2018-11-01")
    later = tables.write_log([event(song="Two", artist="X", ts=event()["ts"] + 86_400_000)], "2018-11-02")
    tables.load()
    later.unlink()
    tables.write_log([event(song="One", artist="Y")], "2018-11-01")
    tables.output(replace=True)
    tables.output("verify")
    assert tables.query("SELECT name FROM artists WHERE artist_id LIKE 'EV%' ORDER BY 1") == [("X",), ("Y",)]


def test_replaced_play_of_a_song_of_the_catalogue_leaves_the_other_plays_unread(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event(level="free")])
    tables.load()
    tables.write_log([event(level="paid")])
    tables.is_verbose = True
    said = tables.output(replace=True)
    assert "replaced_plays_delete: 1 row in" in said and "plays_to_rematch_insert" not in said


def test_event_that_is_no_play_any_more_takes_all_of_it_along(loaded: Warehouse) -> None:
    loaded.write_log([event(song="Lonely", artist="Hermit", sessionId=5, ts=event()["ts"] + 1)], "2018-11-02")
    loaded.load()
    loaded.write_log(
        [event(page="Home", song=None, artist=None, length=None, sessionId=5, ts=event()["ts"] + 1)], "2018-11-02"
    )
    loaded.load()  # a page that is no play says nothing of plays
    assert loaded.query("SELECT COUNT(*) FROM songs WHERE title = 'Lonely'") == [(1,)]
    loaded.output(replace=True, everything=True)
    loaded.output("verify")
    assert loaded.counts() | {"songplays": 20, "songs": 1, "artists": 1, "time": 1} == loaded.counts()


def test_user_whose_latest_event_is_of_another_goes_back_to_the_latest_play(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event(), event(ts=event()["ts"] + 5, level="paid")])
    tables.load()
    tables.write_log([event(ts=event()["ts"] + 5, level="paid", userId="8", firstName="Bea")])
    tables.output(replace=True)
    tables.output("verify")
    assert tables.query("SELECT user_id, first_name, level FROM users ORDER BY 1") == [
        (7, "Ada", "free"),
        (8, "Bea", "paid"),
    ]


@pytest.mark.parametrize(
    ("changed", "question"),
    [
        (lambda ts: ts // 1000, "20 plays begin in 1970: is `ts` in milliseconds?"),
        (lambda ts: ts * 10 + 1, "20 plays begin in 2458: is `ts` in milliseconds?"),
        (lambda ts: 946_684_799_999, "20 plays begin in 1999: is `ts` in milliseconds?"),
    ],
)
def test_moment_that_cant_be_fails_the_load(tables: Warehouse, changed: object, question: str) -> None:
    tables.write_songs([song()])
    tables.write_log([one | {"ts": changed(one["ts"])} for one in day()])
    assert question in tables.failing_output()
    assert tables.counts()["songplays"] == 0


@pytest.mark.parametrize("ts", [1_541_105_830, 95_617_584_000_000])
def test_impossible_timestamp_of_another_page_fails_the_load(tables: Warehouse, ts: int) -> None:
    tables.write_songs([song()])
    tables.write_log([event(), event(page="Home", ts=ts), event(page="Home", itemInSession=1)])
    year = dt.datetime.fromtimestamp(ts / 1000, dt.timezone.utc).year
    assert f"1 other events are from {year}: is `ts` in milliseconds?" in tables.failing_output()
    tables.write_log([event(ts=ts), event(itemInSession=1)])
    assert f"1 plays begin in {year}: is `ts` in milliseconds?" in tables.failing_output()


def test_timestamps_too_early_and_too_late_are_both_named(tables: Warehouse) -> None:
    tables.write_songs([song()])
    early, late = event()["ts"] // 1000, event()["ts"] * 10
    tables.write_log([event(ts=early + n, itemInSession=n) for n in range(2)] + [event(ts=late)])
    said = tables.failing_output()
    assert "2 plays begin in 1970: is `ts` in milliseconds?" in said
    assert "1 plays begin in 2458: is `ts` in milliseconds?" in said


def test_timestamps_too_early_are_named_for_plays_and_for_other_pages(tables: Warehouse) -> None:
    tables.write_songs([song()])
    of_plays, of_others = 300_000_000_000, 200_000_000_000
    tables.write_log([event(ts=of_plays), event(page="Logout", ts=of_others), event(itemInSession=1)])
    said = tables.failing_output()
    assert "1 plays begin in 1979: is `ts` in milliseconds?" in said
    assert "1 other events are from 1976: is `ts` in milliseconds?" in said


def test_timestamps_too_late_are_named_for_plays_and_for_other_pages(tables: Warehouse) -> None:
    tables.write_songs([song()])
    pages = {"NextSong": 2970, "Home": 3170, "Logout": 3070}
    summers = {page: dt.datetime(year, 6, 1, tzinfo=dt.timezone.utc) for page, year in pages.items()}
    tables.write_log([event(page=page, ts=int(day.timestamp() * 1000)) for page, day in summers.items()])
    said = tables.failing_output()
    assert "1 plays begin in 2970: is `ts` in milliseconds?" in said
    assert "2 other events are from 3170: is `ts` in milliseconds?" in said


def test_user_goes_back_to_a_play_of_their_own(tables: Warehouse) -> None:
    tables.write_songs([song()])
    another = event(userId="8", level="paid", ts=event()["ts"] + 2, itemInSession=1)
    tables.write_log([event(level="free"), another, event(ts=event()["ts"] + 9, page="Home", itemInSession=2)])
    tables.load()
    tables.write_log([event(ts=event()["ts"] + 9, page="Home", itemInSession=2, userId="9")])
    tables.output(replace=True)
    assert tables.query("SELECT level, last_item_in_session FROM users WHERE user_id = 7") == [("free", 0)]


def test_play_stays_a_play_where_another_page_is_staged_with_its_key(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event(), event(page="Home", song=None)])
    tables.load()
    tables.output(replace=True)
    assert tables.counts()["songplays"] == 1


@pytest.mark.parametrize("kept", [{"sessionId": 0}, {"itemInSession": 0, "sessionId": 2}])
def test_latest_play_of_a_user_is_told_by_session_and_item_too(tables: Warehouse, kept: dict) -> None:
    tables.write_songs([song()])
    moved = event(sessionId=2, itemInSession=1, level="paid")
    tables.write_log([event(sessionId=1) | kept, event(sessionId=1, itemInSession=5, level="old"), moved])
    tables.load()
    expected = [("free",)] if "itemInSession" in kept else [("old",)]
    tables.write_log([moved | {"userId": "8"}, event(sessionId=0, itemInSession=0, page="Home", level="older")])
    tables.output(replace=True)
    assert tables.query("SELECT level FROM users WHERE user_id = 7") == expected


@pytest.mark.parametrize("staged", [{"sessionId": 1, "itemInSession": 5}, {"sessionId": 2, "itemInSession": 0}])
def test_user_goes_back_to_a_play_of_the_moment_of_a_staged_event_if_it_is_later(
    tables: Warehouse, staged: dict
) -> None:
    tables.write_songs([song()])
    latest = event(ts=event()["ts"] + 5, itemInSession=9)
    tables.write_log([event(sessionId=2, itemInSession=1, level="paid"), latest])
    tables.load()
    tables.write_log([latest | {"userId": "8"}, event(page="Home", level="other", **staged)])
    tables.output(replace=True)
    assert tables.query("SELECT level FROM users WHERE user_id = 7") == [("paid",)]


def test_first_moment_that_can_be_is_loaded_and_named(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event(ts=946_684_800_000), event()])
    said = tables.output()
    assert "\nstaged plays are from 2000-01-01 00:00:00 to 2018-11-01 20:57:10.796 UTC; " in said


def broken(good: int, bad: int) -> list[dict]:
    return [*day(good), *(event(itemInSession=100 + n, userId="me") for n in range(bad))]


def left_out(tables: Warehouse) -> list[dict[str, str]]:
    with open(tables.folder / "load_errors.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("temp_dir", [None, "temp"])
def test_maxerror_leaves_out_as_many_bad_records_and_accounts_for_them(tables: Warehouse, temp_dir: str | None) -> None:
    tables.configure({("S3", "MAXERROR"): "3", ("S3", "TEMP_DIR"): temp_dir})
    tables.write_songs([song()])
    log = tables.write_log(broken(2, 3))
    report = tables.folder / "report.json"
    said = tables.run("etl.py", "--report", str(report)).stdout
    assert "; 3 records left out; " in said
    assert f"{tables.folder}/load_errors.csv has 3 load errors" in said
    assert [(row["filename"], row["line_number"]) for row in left_out(tables)] == [
        (str(log), str(n)) for n in (3, 4, 5)
    ]
    told = json.loads(report.read_text())
    assert told["summary"]["records_left_out"] == 3
    assert told["warnings"] == ["COPY staging_events left out 3 bad records"]
    assert tables.counts()["songplays"] == 2
    if temp_dir:  # the file counts as loaded; corrected, it is read again
        assert "no new files" in tables.output()
    tables.write_log([*day(2), *(event(itemInSession=100 + n) for n in range(3))])
    assert "3 plays loaded into" in (said := tables.output()) and "left out" not in said
    tables.write_log(broken(2, 4), "2018-11-02")
    before = tables.everything()
    said = tables.failing_output()
    assert "staging_events_copy (sql_queries.py) failed: Load into table 'staging_events' failed" in said
    assert tables.everything() == before


def test_load_with_records_left_out_succeeds_where_no_view_of_them_can_be_read(tables: Warehouse) -> None:
    tables.configure({("S3", "MAXERROR"): "1"})
    tables.write_songs([song()])
    tables.write_log(broken(1, 1))
    tables.query("DROP VIEW local_redshift.stl_load_errors; DROP VIEW local_redshift.sys_load_error_detail")
    assert "can't read the load errors from the system tables" in tables.run("etl.py").stdout
    assert tables.counts()["songplays"] == 1


def test_message_is_about_the_copy_that_failed_not_about_records_left_out_before(tables: Warehouse) -> None:
    tables.configure({("S3", "MAXERROR"): "1"})
    tables.write_log(broken(1, 1))
    tables.write_song_file([song(), *[song(title=None)] * 2])
    said = tables.failing_output()
    assert "song-data/all.json, line 2, column title" in said and "events.json, line" not in said


def test_maxerror_counts_what_a_source_has_in_both_of_its_copies(
    tables: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.packing.FEW", 0)
    monkeypatch.setattr("pipeline.packing.SMALL", 1500)
    tables.configure({("S3", "MAXERROR"): "3", ("S3", "TEMP_DIR"): "temp"})
    tables.write_songs([song()])
    tables.write_log(broken(1, 1), "small")
    tables.write_log(broken(10, 3), "large")
    assert "staging_events_copy: 4 records would be left out, more than [S3] MAXERROR = 3" in tables.failing_output()
    assert tables.counts()["songplays"] == 0 and len(left_out(tables)) == 4


def test_maxerror_is_for_each_source(tables: Warehouse) -> None:
    tables.configure({("S3", "MAXERROR"): "2"})
    tables.write_log([event(), *(event(userId="me", itemInSession=n) for n in (1, 2))])
    tables.write_song_file([song(), song(title=None), song(title=None)])
    said = tables.output()
    assert "warning: COPY staging_events left out 2 bad records\n" in said
    assert "warning: COPY staging_songs left out 2 bad records\n" in said
    tables.write_song_file([song(), *[song(title=None)] * 3])
    assert "Missing data for not-null field" in tables.failing_output()


@pytest.mark.parametrize("value", ["-1", "many", "100000", "1.5"])
def test_maxerror_is_a_number_that_copy_takes(tables: Warehouse, value: str) -> None:
    tables.configure({("S3", "MAXERROR"): value})
    with pytest.raises(PipelineError, match=r"\[S3\] MAXERROR = .* is not a number of records from 0 to 99999"):
        tables.load()


def test_maxerror_written_into_the_sql_is_accounted_for(tables: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    import sql_queries

    by_hand = [copy.with_options("MAXERROR 10") for copy in sql_queries.copy_table_queries]
    monkeypatch.setattr(sql_queries, "copy_table_queries", by_hand)
    tables.write_songs([song()])
    tables.write_log(broken(2, 3))
    said = tables.output()
    assert "3 records left out" in said and len(left_out(tables)) == 3


def test_replace_goes_with_no_mode_that_loads_nothing(tables: Warehouse) -> None:
    for mode in ("--check", "--ping", "--verify"):
        assert "--replace" in tables.run("etl.py", "--replace", mode, code=2).stderr


def checked(tables: Warehouse) -> list[str]:
    """The lines of --check about fields, of a source that would load."""
    said = tables.output("check")
    assert "every record can be copied, and nothing was changed (" in said.splitlines()[-1]
    return [line for line in said.splitlines() if line.startswith("[S3] ")]


@pytest.fixture(params=["local", "s3"])
def sampled(tables: Warehouse, request: pytest.FixtureRequest) -> Iterator[Callable[[], list[str]]]:
    """A function that returns the lines of --check about fields, for a local source and for S3."""

    def check() -> list[str]:
        if request.param == "s3":
            upload(request.getfixturevalue("bucket"), tables.folder)
            tables.use("s3://sparkify")
        return checked(tables)

    return check


def test_check_names_what_no_column_takes_and_what_no_record_has(
    tables: Warehouse, sampled: Callable[[], list[str]]
) -> None:
    tables.write_log([event(device="phone"), *rename(day(3), "userId", "user_id")])
    tables.write_songs([{key: value for key, value in song(genre="Jazz").items() if key != "year"}])
    assert sampled() == [
        "[S3] LOG_DATA: no column is loaded from the field device, which 25% of the records have",
        "[S3] LOG_DATA: no column is loaded from the field user_id, which 75% of the records have",
        "[S3] SONG_DATA: no column is loaded from the field genre, which 100% of the records have",
        "[S3] SONG_DATA: a column is loaded from the field year, but no record has it",
    ]


def test_check_names_fields_whose_type_varies_and_texts_that_nearly_fill_their_column(
    tables: Warehouse, sampled: Callable[[], list[str]]
) -> None:
    tables.write_log([*day(199), event(itemInSession=500, userId=7, song="é" * 500)])
    tables.write_songs([song()])
    assert sampled() == [
        "[S3] LOG_DATA: the longest value of song has 1,000 bytes; column song holds 1,024",
        "[S3] LOG_DATA: the field userId has mixed types: text in more than 99%, number in less than 1%",
    ]


def test_check_names_fields_that_are_null_in_all_of_many_records(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log(day(20, level=None))
    assert checked(tables) == [
        "[S3] LOG_DATA: a column is loaded from the field level, but no record has a value in it"
    ]


def test_check_is_silent_where_all_agrees(tables: Warehouse) -> None:
    tables.use(ROOT / "sample_data")
    assert checked(tables) == []


def test_check_looks_at_the_columns_of_its_own_schema(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event()])
    tables.query("CREATE SCHEMA other")
    tables.query("CREATE TABLE other.staging_events (device VARCHAR(9))")
    assert checked(tables) == []


@needs_real_data
def test_check_is_silent_about_the_real_data(tables: Warehouse) -> None:
    tables.use(REAL_DATA)
    assert checked(tables) == []


def test_check_looks_at_the_first_and_the_last_of_many_files(tables: Warehouse) -> None:
    tables.write_songs([song(song_id=f"SO{n}") | ({"odd": 1} if n in (0, 199) else {}) for n in range(200)])
    tables.write_log([event()])
    assert checked(tables) == ["[S3] SONG_DATA: no column is loaded from the field odd, which 4% of the records have"]


def test_check_takes_any_names_and_paths(tables: Warehouse) -> None:
    paths = json.loads(PATHS.read_text())
    paths["jsonpaths"][0] = "$[\"by\"]['artist']"
    (tables.folder / "paths.json").write_text(json.dumps(paths))
    tables.configure({("S3", "LOG_JSONPATH"): "paths.json"})
    odd = {"\ud800k\x1b[31m": 1, "x" * 200: 1, "by": {"artist": "Band"}, "": 1}
    tables.write_log([{key: value for key, value in event().items() if key != "artist"} | odd])
    tables.write_songs([song(**{f"user{n}@example.org": 1 for n in range(30)})])
    said = checked(tables)
    assert said[0] == '[S3] LOG_DATA: no column is loaded from the field "", which 100% of the records have'
    assert said[1] == f"[S3] LOG_DATA: no column is loaded from the field {'x' * 80}..., which 100% of the records have"
    assert said[2] == "[S3] LOG_DATA: no column is loaded from the field ?k?[31m, which 100% of the records have"
    assert len(said) == 3 + 21 and said[-1] == "[S3] SONG_DATA: and 10 more like these"


def test_check_without_credentials_of_its_own_says_that_no_sample_was_looked_at(
    tables: Warehouse, bucket: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write_log([event()])
    tables.write_songs([song()])
    upload(bucket, tables.folder)
    tables.use("s3://sparkify")
    monkeypatch.setattr("pipeline.file_store._aws_credentials", no_credentials)
    assert [line.split(" (")[0] for line in checked(tables)] == [
        f"[S3] {key}: no sample was checked" for key in ("LOG_DATA", "SONG_DATA")
    ]


def no_credentials() -> None:
    raise PipelineError("there are none")


def test_replace_leaves_users_alone_whose_latest_event_stays_theirs(tables: Warehouse) -> None:
    ts = event()["ts"]
    other = event(userId="9", firstName="Cleo", page="Home", ts=ts + 50, sessionId=9, itemInSession=0)
    latest = event(page="Home", ts=ts + 90, level="paid")
    tables.write_songs([song()])
    tables.write_log([event(sessionId=9, ts=ts + 10, level="old"), event(userId="9", sessionId=8), other, latest])
    tables.load()
    row = "user_id, first_name, level, last_event_time"
    before = tables.query(f"SELECT {row} FROM users ORDER BY 1")
    tables.write_log([latest, event(sessionId=9, ts=ts + 10, level="new")])
    tables.output(replace=True)
    assert tables.query(f"SELECT {row} FROM users ORDER BY 1") == before
    tables.output("verify")


def test_user_goes_back_to_the_play_that_is_latest_in_time_with_all_names(tables: Warehouse) -> None:
    ts = event()["ts"]
    moved = event(ts=ts + 90, sessionId=5, level="paid")
    tables.write_songs([song()])
    tables.write_log([event(sessionId=9, level="old"), event(ts=ts + 10, sessionId=1, level="free"), moved])
    tables.load()
    tables.write_log([moved | {"userId": "8"}])
    tables.output(replace=True)
    found = tables.query("SELECT first_name, last_name, gender, level, last_session_id FROM users WHERE user_id = 7")
    assert found == [("Ada", "Berg", "F", "free", 1)]


def test_check_reads_at_most_five_thousand_records_of_a_source(tables: Warehouse) -> None:
    tables.write_log([event()])
    songs = [song(song_id=f"SO{n}") for n in range(5001)]
    songs[4999]["in_the_sample"] = songs[5000]["behind_it"] = 1
    # small enough that more of them are in the part of the file that is read
    kept = ("song_id", "artist_id", "title", "artist_name", "in_the_sample", "behind_it")
    tables.write_song_file([{key: value for key, value in one.items() if key in kept} for one in songs])
    said = tables.output("check")
    assert "no column is loaded from the field in_the_sample" in said and "behind_it" not in said


def test_check_shows_each_bad_record_whatever_maxerror_is(tables: Warehouse) -> None:
    tables.configure({("S3", "MAXERROR"): "1"})
    tables.write_songs([song()])
    tables.write_log([event(), *(event(userId="me", itemInSession=n) for n in range(1, 4))])
    assert "3 records would not load" in tables.run("etl.py", "--check", code=1).stderr


def test_columns_that_a_user_adds_may_be_called_as_those_of_events_and_users(tables: Warehouse) -> None:
    for column in ("page", "gender", "first_name", "last_name", "ts"):
        tables.query(f"ALTER TABLE songplays ADD COLUMN {column} VARCHAR(16)")
    tables.write_songs([song()])
    tables.write_log([event(), event(song="Other", itemInSession=1)])
    tables.load()
    tables.load()
    tables.write_log([event(song="Another"), event(song="Other", itemInSession=1)])
    tables.load(replace=True)
    assert tables.query("SELECT song_title FROM songplays ORDER BY 1") == [("Another",), ("Other",)]
    tables.load("verify")
