"""The sample data: what lies in the repository is what the generator makes, and it is believable."""

import filecmp
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from helpers import ROOT

SAMPLE = ROOT / "sample_data"


def generate(out: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, str(SAMPLE / "generate.py"), "--out", str(out), *arguments], check=True)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json"))


def events(folder: Path) -> list[dict]:
    paths = sorted((folder / "log-data").rglob("*.json"))
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def songs(folder: Path) -> list[dict]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in (folder / "song-data").rglob("*.json")]


def test_committed_files_are_the_generators_output(tmp_path: Path) -> None:
    generate(tmp_path)
    names = files(SAMPLE)
    assert files(tmp_path) == names
    assert filecmp.cmpfiles(SAMPLE, tmp_path, names, shallow=False) == (names, [], [])


def test_committed_files_are_small() -> None:
    assert sum((SAMPLE / name).stat().st_size for name in files(SAMPLE)) < 1_000_000


@pytest.mark.parametrize(("count", "catalogue", "days"), [(1, 0, 1), (777, 5, 3), (5000, 300, 2)])
def test_any_size(tmp_path: Path, count: int, catalogue: int, days: int) -> None:
    generate(tmp_path, "--events", str(count), "--songs", str(catalogue), "--days", str(days))
    assert len(events(tmp_path)) == count
    assert len(songs(tmp_path)) == catalogue
    assert len(list((tmp_path / "log-data").rglob("*.json"))) == days


def test_another_seed_gives_other_data(tmp_path: Path) -> None:
    generate(tmp_path, "--seed", "2")
    assert events(tmp_path) != events(SAMPLE)


def test_layout_is_that_of_the_real_thing() -> None:
    names = files(SAMPLE)
    assert "log-data/2018/11/2018-11-01-events.json" in names and "log_json_path.json" in names
    for name in names:
        if name.startswith("song-data/"):
            folders, track = name.removeprefix("song-data/").rsplit("/", 1)
            assert folders == "/".join(track[2:5]) and track.startswith("TR")


def test_events_are_believable() -> None:
    lines = events(SAMPLE)
    plays = [line for line in lines if line["page"] == "NextSong"]
    catalogue = {(song["title"], song["artist_name"]) for song in songs(SAMPLE)}
    matching = sum((play["song"], play["artist"]) in catalogue for play in plays) / len(plays)
    assert 0.25 < matching < 0.35
    levels = {}
    for line in lines:
        levels.setdefault(line["userId"], set()).add(line["level"])
    assert sum(len(found) == 2 for user, found in levels.items() if user) >= 3
    assert {line["auth"] for line in lines if line["userId"] == ""} == {"Logged Out"}
    assert len({line["page"] for line in lines}) >= 8
    assert any(not play["song"].isascii() for play in plays)
    assert len({(line["sessionId"], line["itemInSession"]) for line in lines}) == len(lines)


def test_catalogue_is_believable() -> None:
    found = songs(SAMPLE)
    assert max(Counter(song["artist_id"] for song in found).values()) > 1
    assert len({song["song_id"] for song in found}) == len(found)
    assert any(song["artist_latitude"] is None for song in found)
    assert any(song["artist_location"] == "" for song in found)
    versions = Counter((song["title"], song["artist_name"]) for song in found)
    assert max(versions.values()) > 1
