"""etl.py --status: what the star holds, for a terminal and for a report."""

import json
import re

import pytest
from helpers import ROOT, Warehouse, at_terminal, event, song

from pipeline.errors import PipelineError

DAY = 86_400_000  # milliseconds


@pytest.fixture
def played(tables: Warehouse) -> Warehouse:
    """Three plays of one song of the catalogue, two of an inferred one, one without a title, on two days."""
    tables.write_songs([song()])
    other = {"song": "Other", "artist": None}
    tables.write_log(
        [
            *(event(itemInSession=number) for number in range(3)),
            *(event(itemInSession=number, **other) for number in range(3, 5)),
            event(itemInSession=5, song=None, ts=event()["ts"] + DAY),
        ]
    )
    tables.load()
    return tables


def test_status_shows_what_the_star_holds(played: Warehouse) -> None:
    said = played.output("status")
    lines = said.splitlines()
    first, last = "2018-11-01 20:57:10", "2018-11-02 20:57:10"
    assert lines[0] == f"  songplays  6 rows   {first} to {last} UTC"
    assert lines[2] == "  songs      2 rows" and lines[4] == f"  time       2 rows   {first} to {last} UTC"
    assert "3 of 6 plays (50.0%) matched to the catalogue" in lines
    bars = dict(re.findall(r"^  (\S+) +\d (█+)$", said, re.MULTILINE))
    assert {day: len(bar) for day, bar in bars.items()} == {"2018-11-01": 40, "2018-11-02": 8}
    assert said.split("most played songs\n")[1].splitlines()[:2] == [
        f"  3  {event()['song']} by {event()['artist']}",
        "  2  Other",
    ]


def test_status_changes_nothing(played: Warehouse) -> None:
    before = played.everything()
    played.run("etl.py", "--status")
    assert played.everything() == before


def test_status_says_when_files_were_loaded_last(played: Warehouse) -> None:
    assert "recorded only if [S3] TEMP_DIR is set" in played.output("status")
    played.configure({("S3", "TEMP_DIR"): "temp"})
    played.load()
    assert re.search(
        r"^last load that used TEMP_DIR: \d{4}-\d\d-\d\d \S+ UTC; 2 files loaded so far$",
        played.output("status"),
        re.MULTILINE,
    )


def test_users_are_shown_from_the_first_last_event_to_the_latest(played: Warehouse) -> None:
    played.write_log([event(userId="8", firstName="Bea", ts=event()["ts"] - 3 * DAY)], "2018-10-29")
    played.load()
    assert "  users      2 rows   seen 2018-10-29 20:57:10 to 2018-11-02 20:57:10 UTC" in played.output("status")


def test_last_load_is_the_latest_of_all_files(played: Warehouse) -> None:
    played.configure({("S3", "TEMP_DIR"): "temp"})
    played.load()
    played.query("UPDATE loaded_files SET loaded_at = '2001-02-03' WHERE source = 'song_data'")
    assert "2001-02-03" not in played.output("status")


def test_most_played_are_five_songs_of_which_the_lowest_ids_win_ties(tables: Warehouse) -> None:
    titles = [f"Song {number}" for number in range(6)]
    tables.write_songs([song(song_id=f"SO{n}", title=title) for n, title in enumerate(titles[::-1])])
    untitled = [event(itemInSession=number, song=None) for number in range(6, 9)]
    tables.write_log(untitled + [event(itemInSession=number, song=title) for number, title in enumerate(titles)])
    tables.load()
    shown = tables.output("status").split("most played songs\n")[1].splitlines()
    assert shown == [f"  1  {title} by {song()['artist_name']}" for title in titles[:0:-1]]


def test_days_are_shown_in_order(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event(ts=event()["ts"] + days * DAY) for days in range(25)])
    tables.load()
    days = re.findall(r"^  (2018-\S+) +1 ", tables.output("status"), re.MULTILINE)
    assert len(days) == 25 and days == sorted(days)


def test_status_in_the_report_is_what_was_shown(played: Warehouse) -> None:
    path = played.folder / "report.json"
    played.run("etl.py", "--status", "--report", str(path))
    star = json.loads(path.read_text())["star"]
    assert star["tables"]["songplays"]["rows"] == 6 and star["plays_matched"] == 3 and star["last_load"] is None
    assert star["plays_by_day"] == [{"day": "2018-11-01", "plays": 5}, {"day": "2018-11-02", "plays": 1}]
    assert [one["plays"] for one in star["most_played"]] == [3, 2]


def test_status_shows_thirty_days_to_the_last_play(tables: Warehouse) -> None:
    tables.write_songs([song()])
    # the play of the first day shown is at an earlier time of day than the last play
    tables.write_log([event(ts=event()["ts"] + int(days * DAY)) for days in (0, 0.9, 30)])
    tables.load()
    assert re.findall(r"^  (2018-\S+) +1 ", tables.output("status"), re.MULTILINE) == ["2018-11-02", "2018-12-01"]


def test_status_of_an_empty_star(tables: Warehouse) -> None:
    said = tables.output("status")
    assert "  songplays  0 rows\n" in said and "plays by day" not in said and "most played" not in said


def test_status_shows_titles_that_fit_and_do_not_move_the_cursor(tables: Warehouse) -> None:
    tables.write_songs([song()])
    tables.write_log([event(song="\33[2J" + "x" * 100, artist=None)])
    tables.load()
    last = tables.output("status").splitlines()[-1]
    assert last == f"  1   [2J{'x' * 55}…"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_status_is_shown_in_any_encoding(played: Warehouse, encoding: str) -> None:
    played.write_log([event(song="静かな", itemInSession=9)], "2018-11-03")
    played.load()
    played.environment = {"PYTHONIOENCODING": encoding}
    assert "  1  \\u9759\\u304b\\u306a by " in played.run("etl.py", "--status").stdout


def test_status_needs_no_list_of_loaded_files(played: Warehouse) -> None:
    played.query("DROP TABLE loaded_files")
    assert "recorded only if [S3] TEMP_DIR is set" in played.output("status")


def test_status_without_tables_says_what_to_do(tables: Warehouse) -> None:
    tables.query("DROP TABLE time")
    with pytest.raises(PipelineError, match=r"missing tables: time; run create_tables\.py"):
        tables.output("status")


def test_status_fits_a_terminal_of_80_columns(tables: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    tables.use(ROOT / "sample_data")
    tables.load()
    code, screen = at_terminal(tables, "", "--status", script="etl.py")
    assert code == 0 and "█" in screen
    assert [line for line in screen.splitlines()[1:] if len(line) > 80] == []
