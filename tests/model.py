"""What a load means, once more in plain Python: the five star tables that any number of runs have to end in.

It is written from docs/star-schema.md, not from the SQL, and says nothing of how a cluster gets there. All runs
together mean the same as one run of everything that `History` keeps: all song files there ever were, and all events,
less the old versions of those that a run replaced.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Row = tuple[Any, ...]
Star = dict[str, set[Row]]

EPOCH = dt.datetime(1970, 1, 1)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class History:
    """The events and song files of all loads so far."""

    def __init__(self) -> None:
        self.events: list[dict] = []
        self.songs: list[dict] = []

    def load(self, events: Iterable[dict], songs: Iterable[dict], replace: bool = False) -> bool:
        """Load these; False, and nothing is loaded, where a play has the key of another and other values."""
        events = newest(events) if replace else list(events)
        if replace:
            staged = {key_of(event) for event in events}
            self.events = [event for event in self.events if key_of(event) not in staged]
        elif self._conflicts(events):
            return False
        self.events += events
        self.songs += songs
        return True

    def _conflicts(self, events: list[dict]) -> bool:
        versions: dict[Row, set[Row]] = {}
        for play in (event for event in [*self.events, *events] if event["page"] == "NextSong"):
            versions.setdefault(key_of(play), set()).add(play_row(play, None, None))
        return any(len(versions[key_of(event)]) > 1 for event in events if key_of(event) in versions)

    @property
    def star(self) -> "Star":
        """The rows of each table, without songplay_id."""
        return star(self.events, self.songs)


def key_of(event: dict) -> Row:
    return event["ts"], event["sessionId"], event["itemInSession"]


def newest(events: Iterable[dict]) -> list[dict]:
    """One version of each event: where nothing says which is newer, the first by its values."""
    found: dict[Row, dict] = {}
    for event in sorted(events, key=event_order):
        found.setdefault(key_of(event), event)
    return list(found.values())


def event_order(event: dict) -> Row:
    user_id = int(event["userId"]) if event["userId"] else None
    names = "level location userAgent song artist length firstName lastName gender".split()
    return event["page"] != "NextSong", *ascending([event["page"], user_id, *(event[name] for name in names)])


def star(events: Iterable[dict], songs: Iterable[dict]) -> Star:
    """The rows of each table, without songplay_id, for these events and song files."""
    events, songs = list(events), list(songs)
    catalogue = best_of(songs, "song_id", song_order)
    artists = best_of(songs, "artist_id", artist_order)
    plays = [event for event in events if event["page"] == "NextSong"]
    matched = match(plays, catalogue)
    return {
        "songplays": {play_row(play, *matched[identity(play)]) for play in plays},
        "users": {user_row(event) for event in latest_by_user(events)},
        "songs": {song_row(song) for song in catalogue} | inferred_songs(matched),
        "artists": {artist_row(song) for song in artists} | inferred_artists(matched),
        "time": {time_row(moment(play)) for play in plays},
    }


# Of several rows for one song or artist the most complete wins; among equally complete ones the first by its values,
# column by column, an unknown value being the last.


def best_of(songs: list[dict], key: str, order: Callable[[dict], Row]) -> list[dict]:
    found: dict[str, dict] = {}
    for song in sorted(songs, key=order):
        found.setdefault(song[key], song)
    return list(found.values())


def song_order(song: dict) -> Row:
    known = ((song["year"] or 0) > 0) + ((song["duration"] or 0) > 0)
    values = [song[name] for name in ("title", "artist_name", "artist_id", "year", "duration")]
    return (-known, ascending(values))


def artist_order(song: dict) -> Row:
    location, latitude, longitude = (song[f"artist_{name}"] for name in ("location", "latitude", "longitude"))
    known = bool(location) + (latitude is not None) + (longitude is not None)
    return (-known, ascending([song["artist_name"], location, latitude, longitude]))


def ascending(values: Sequence[Any]) -> list[Row]:
    return [(value is None, value) if value is not None else (True,) for value in values]


# A play is of the catalogue's song with this title and artist name; trailing blanks do not count. Of several the one
# whose duration is the closest wins (a play without a length counts as one of -1 seconds, a song without a duration
# comes last), then the one with the lowest id. A play that lacks the title or the name is matched to nothing.


def key(text: str | None) -> str:
    return (text or "").rstrip(" ")


def identity(play: dict) -> Row:
    return key(play["song"]), key(play["artist"]), play["length"]


def match(plays: list[dict], catalogue: list[dict]) -> dict[Row, tuple[str | None, str | None]]:
    """The song id and the artist id of each title, artist name and length among the plays."""
    by_names: dict[Row, list[dict]] = {}
    namesakes: dict[str, str] = {}
    for song in catalogue:
        name = key(song["artist_name"])
        by_names.setdefault((key(song["title"]), name), []).append(song)
        namesakes[name] = min(song["artist_id"], namesakes.get(name, song["artist_id"]))
    found: dict[Row, tuple[str | None, str | None]] = {}
    for title, artist, length in {identity(play) for play in plays}:
        candidates = by_names.get((title, artist), []) if title and artist else []
        if candidates:
            wanted = -1 if length is None else length
            closest = min(candidates, key=lambda song: (distance(song["duration"], wanted), song["song_id"]))
            found[title, artist, length] = closest["song_id"], closest["artist_id"]
        else:
            found[title, artist, length] = inferred_ids(title, artist, namesakes.get(artist))
    return found


def distance(duration: float | None, wanted: float) -> float:
    return float("inf") if duration is None else abs(duration - wanted)


# What the catalogue lacks is inferred: an id that starts with EV and is a hash of the names; where the catalogue
# knows the artist by another song, that artist. No title means no song, no name no artist.


def inferred_ids(title: str, artist: str, namesake: str | None) -> tuple[str | None, str | None]:
    song_id = "EV" + md5(md5(artist) + title) if title else None
    artist_id = (namesake or "EV" + md5(artist)) if artist else None
    return song_id, artist_id


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


# An inferred row has the title and the name that the events have, less trailing blanks; all else is unknown.


def inferred_songs(matched: dict[Row, tuple[str | None, str | None]]) -> set[Row]:
    return {
        (song_id, title, artist_id, None, None, artist or None)
        for (title, artist, _), (song_id, artist_id) in matched.items()
        if song_id is not None and song_id.startswith("EV")
    }


def inferred_artists(matched: dict[Row, tuple[str | None, str | None]]) -> set[Row]:
    return {
        (artist_id, artist, None, None, None)
        for (_, artist, _), (_, artist_id) in matched.items()
        if artist_id is not None and artist_id.startswith("EV")
    }


# One row per user, from the latest event of any page; at one moment the later session, in it the later item, counts,
# where an unknown one is the latest; then the first by level and names.


def latest_by_user(events: list[dict]) -> list[dict]:
    found: dict[int, dict] = {}
    for event in sorted(events, key=recency):
        if event["userId"]:
            found.setdefault(int(event["userId"]), event)
    return list(found.values())


def recency(event: dict) -> Row:
    later = [(number is not None, -(number or 0)) for number in (event["sessionId"], event["itemInSession"])]
    return (-event["ts"], later, ascending([event[name] for name in ("level", "firstName", "lastName", "gender")]))


# The rows, column by column.


def moment(event: dict) -> dt.datetime:
    return EPOCH + dt.timedelta(milliseconds=event["ts"])


def play_row(play: dict, song_id: str | None, artist_id: str | None) -> Row:
    user_id = int(play["userId"]) if play["userId"] else None
    names = ("sessionId", "location", "userAgent", "itemInSession", "song", "artist", "length")
    return (moment(play), user_id, play["level"], song_id, artist_id, *(play[name] for name in names))


def user_row(event: dict) -> Row:
    names = [event[name] for name in ("firstName", "lastName", "gender", "level")]
    return (int(event["userId"]), *names, moment(event), event["sessionId"], event["itemInSession"])


def song_row(song: dict) -> Row:
    return tuple(song[name] for name in ("song_id", "title", "artist_id", "year", "duration", "artist_name"))


def artist_row(song: dict) -> Row:
    names = ("artist_id", "artist_name", "artist_location", "artist_latitude", "artist_longitude")
    return tuple(song[name] for name in names)


def time_row(at: dt.datetime) -> Row:
    return (at, at.hour, at.day, at.isocalendar().week, at.month, at.year, WEEKDAYS[at.weekday()])
