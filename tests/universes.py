"""Data made of what bites: small universes side by side, each crossing all values of a few columns.

A universe has its own users, and its own titles, names and ids where these matter, so that none has to do with
another, and one load tries thousands of cases. Its number is in whatever row it leads to: "u12 ..." in texts,
12 * 100 and up in users, "SO12-..." in songs.
"""

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from helpers import event, song

EPOCH = dt.datetime(1970, 1, 1)
BASE = 1_541_105_830_796

# https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html: trailing blanks do not count, all else does
SPELLINGS = ("T", "T ", "T  ", "t", " T", "Ť", "T\t")
LENGTHS = (None, 0.0, 100.0, 150.0, 150.5, 200.0, 1e6)
DURATIONS = (None, 0.0, 100.0, 200.0, 300.0)
SONG_VERSIONS = {
    "title": ("A", "B", "a"),
    "artist_name": ("A", "B", "a"),
    "artist_id": ("A", "B"),
    "year": (1999, 2000, 0, None, -1),
    "duration": (100.0, 200.0, 0.0, None),
}
ARTIST_VERSIONS = {
    "artist_name": ("A", "B", "a"),
    "artist_location": ("P", "Q", "", None),
    "artist_latitude": (1.0, 2.0, -1.0, None),
    "artist_longitude": (1.0, 2.0, 0.0, None),
}
PLAY_VERSIONS = {
    "ts": (BASE, BASE + 1),
    "userId": ("0", "1", ""),
    "level": ("free", "paid", None),
    "sessionId": (1, 2),
    "location": ("Here", "There", "", None),
    "userAgent": ("A", "B", None),
    "itemInSession": (0, 1),
    "song": ("S", "s", "S ", None),
    "artist": ("A", "a", "A ", None),
    "length": (1.0, 2.0, None),
}
MOMENTS = (
    *(dt.datetime(2018, 11, 5) + dt.timedelta(days=n, hours=3 * n) for n in range(7)),  # Monday to Sunday
    # ISO weeks 52, 53 and 1 around new year: https://docs.aws.amazon.com/redshift/latest/dg/r_EXTRACT_function.html
    *(dt.datetime(year, month, day) for year in (2015, 2016, 2020, 2021) for month, day in ((1, 1), (1, 4), (12, 31))),
    *(dt.datetime(2022, 1, day, 23, 59, 59) for day in range(1, 4)),
    *(dt.datetime(year, 2, 29) for year in (2000, 2016, 2020)),
    *(dt.datetime(year, 3, 1) for year in (2016, 2017)),
    dt.datetime(2000, 1, 1),
)
MILLISECONDS = (0, 5, 50, 500, 999)
PAGES = ("NextSong", "Home", "nextsong", "Logout", "")
LIMITS = {"song": 1024, "artist": 1024, "location": 1024, "userAgent": 1024, "firstName": 256, "lastName": 256}


class Universe(NamedTuple):
    """Events and song files that belong together."""

    events: list[dict]
    songs: list[dict]


def milliseconds(moment: dt.datetime) -> int:
    return (moment - EPOCH) // dt.timedelta(milliseconds=1)


def universes() -> list[Universe]:
    """All of them, in the order of their numbers."""
    makers = (
        *(spellings, closest, versions_of_songs, versions_of_artists, namesakes, nameless),
        *(latest, moments, duplicates, odd_pages, unknown, limits, respelled),
    )
    numbers = itertools.count(1)
    return [universe for maker in makers for universe in maker(numbers)]


def own(number: int, text: str | None) -> str | None:
    """A text of this universe; one that is unknown or blank stays so."""
    return f"u{number} {text}" if text and text.strip(" ") else text


def own_song(number: int, name: str, **changes: object) -> dict:
    made = song(song_id=f"SO{number}-{name}", artist_id=f"AR{number}", title="T", artist_name="A", year=0) | changes
    return made | {"title": own(number, made["title"]), "artist_name": own(number, made["artist_name"])}


def own_event(number: int, item: int, **changes: object) -> dict:
    """An event of this universe; `item` tells it from the others."""
    made = event(userId=str(number * 100), sessionId=number, itemInSession=item, song="T", artist="A") | changes
    return made | {"song": own(number, made["song"]), "artist": own(number, made["artist"])}


def variants(base: dict, values: dict[str, tuple]) -> list[dict]:
    """`base`, and all that differ from it in one column."""
    return [base | {column: value} for column, choices in values.items() for value in choices]


def spellings(numbers: Iterator[int]) -> Iterable[Universe]:
    """Titles and names as the catalogue and the events may spell them."""
    for title, name in itertools.product(SPELLINGS[:4], repeat=2):
        number = next(numbers)
        names = itertools.product(SPELLINGS, repeat=2)
        events = [own_event(number, n, song=song, artist=artist) for n, (song, artist) in enumerate(names)]
        yield Universe(events, [own_song(number, "1", title=title, artist_name=name)])


def closest(numbers: Iterator[int]) -> Iterable[Universe]:
    """Lengths between the durations of two songs, whichever has the lower id."""
    for durations in itertools.product(DURATIONS, repeat=2):
        number = next(numbers)
        events = [own_event(number, n, length=length) for n, length in enumerate(LENGTHS)]
        yield Universe(events, [own_song(number, str(n), duration=d) for n, d in enumerate(durations)])


def versions_of_songs(numbers: Iterator[int]) -> Iterable[Universe]:
    """Two versions of a song that differ in one column or two."""
    base = {"year": 1999, "duration": 100.0, "artist_id": "A", "title": "A", "artist_name": "A"}
    for one, other in itertools.combinations(variants(base, SONG_VERSIONS), 2):
        number = next(numbers)
        ids = {"song_id": f"SO{number}"}
        pair = [own_song(number, "", **made) | ids for made in (one, other)]
        pair = [made | {"artist_id": f"AR{number}{made['artist_id']}"} for made in pair]
        events = [own_event(number, n, song=title) for n, title in enumerate(("A", "B", "a"))]
        yield Universe(events, pair)


def versions_of_artists(numbers: Iterator[int]) -> Iterable[Universe]:
    """Two versions of an artist that differ in one column or two, each by a song of its own."""
    base = {"artist_name": "A", "artist_location": "P", "artist_latitude": 1.0, "artist_longitude": 1.0}
    for one, other in itertools.combinations(variants(base, ARTIST_VERSIONS), 2):
        number = next(numbers)
        pair = [own_song(number, str(n), **made) for n, made in enumerate((one, other))]
        yield Universe([own_event(number, n, artist=name) for n, name in enumerate(("A", "B", "a"))], pair)


def namesakes(numbers: Iterator[int]) -> Iterable[Universe]:
    """Two artists of one name; plays of songs by that name which the catalogue lacks."""
    for first, second in (("A", "A"), ("A", "A "), ("A ", "A"), ("A", "a")):
        for order in (("1", "2"), ("2", "1")):
            number = next(numbers)
            ids = [f"AR{number}-{n}" for n in order]
            names = zip(ids, (first, second), strict=True)
            songs = [own_song(number, i, artist_id=i, artist_name=name, title=i) for i, name in names]
            yield Universe([own_event(number, 0, song="Other"), own_event(number, 1, song="Other", artist="a")], songs)


def nameless(numbers: Iterator[int]) -> Iterable[Universe]:
    """Songs of the catalogue without a title or a name, and plays without the same."""
    for title, name in (("T", ""), ("T", " "), ("", "A"), (" ", "A")):
        number = next(numbers)
        blanks = itertools.product((title, None), (name, None))
        events = [own_event(number, n, song=song, artist=artist) for n, (song, artist) in enumerate(blanks)]
        yield Universe(events, [own_song(number, "1", title=title, artist_name=name)])


def latest(numbers: Iterator[int]) -> Iterable[Universe]:
    """Events of one user at one moment: which of them the user's row is from."""
    columns = {
        "sessionId": (1, 2),
        "itemInSession": (0, 9, 10),
        "level": ("free", "paid", None),
        "firstName": ("Ada", "Bea", None),
        "lastName": ("Ada", "Bea", None),
        "gender": ("F", "M", None),
    }
    base = {"page": "Home"}
    for one, other in itertools.combinations(variants(base, columns), 2):
        number = next(numbers)
        events = [event(userId=str(number * 100)) | made for made in (one, other)]
        events = [made | {"sessionId": number * 1000 + made["sessionId"]} for made in events]
        older = event(userId=str(number * 100), ts=BASE - 1, sessionId=number * 1000 + 99, level="old")
        yield Universe([*events, older], [])


def moments(numbers: Iterator[int]) -> Iterable[Universe]:
    number = next(numbers)
    times = (milliseconds(moment) + more for moment in MOMENTS for more in MILLISECONDS)
    yield Universe([own_event(number, n, ts=ts) for n, ts in enumerate(times)], [])


def duplicates(numbers: Iterator[int]) -> Iterable[Universe]:
    """The same event twice, and events that differ in one column of the key, or in the key and one other column."""
    number = next(numbers)
    events = []
    for item, made in enumerate(variants({}, PLAY_VERSIONS), 100):
        user = made.pop("userId", "0")
        made = {name: number * 1000 + value if name == "sessionId" else value for name, value in made.items()}
        own_item = item if not made.keys() & {"ts", "sessionId", "itemInSession"} else 0
        events.append(own_event(number, own_item, **made) | {"userId": user and str(number * 100 + int(user))})
    yield Universe([*events, *events], [])


def odd_pages(numbers: Iterator[int]) -> Iterable[Universe]:
    number = next(numbers)
    events = [own_event(number, n, page=page, ts=BASE + n, level=page[:9]) for n, page in enumerate(PAGES)]
    yield Universe(events, [own_song(number, "1")])


def unknown(numbers: Iterator[int]) -> Iterable[Universe]:
    """Plays without user, title, name or length."""
    number = next(numbers)
    columns = {"userId": ("", "7"), "song": (None, "", "T"), "artist": (None, "", "A"), "length": (None, 1.0)}
    crossed = itertools.product(*columns.values())
    changes = [dict(zip(columns, values, strict=True)) for values in crossed]
    events = [own_event(number, n, **made) for n, made in enumerate(changes)]
    yield Universe(events, [])


def respelled(numbers: Iterator[int]) -> Iterable[Universe]:
    """Songs and artists the catalogue lacks, first with a trailing blank and then without."""
    for titles, names in itertools.product((("T ", "T"), ("T", "T"), (None, None)), (("A ", "A"), ("A", "A"))):
        number = next(numbers)
        spelled = zip(titles, names, strict=True)
        yield Universe([own_event(number, n, song=title, artist=name) for n, (title, name) in enumerate(spelled)], [])


def limits(numbers: Iterator[int]) -> Iterable[Universe]:
    """Texts that fill their columns to the last byte."""
    number = next(numbers)
    events = [own_event(number, 0, firstName=None)]
    cases = [(column, text) for column, n in LIMITS.items() for text in ("x" * n, "é" * (n // 2))]
    for item, (column, text) in enumerate(cases, 1):
        events.append(event(userId=str(number * 100 + item), sessionId=number, itemInSession=item) | {column: text})
    full = "é" * 512
    yield Universe(events, [song(song_id=f"SO{number}", title=full, artist_name=full, artist_location=full)])
