"""Make a data set of a music streaming company that does not exist: logs, song catalogue, JSONPaths file.

    python sample_data/generate.py --out DIR [--events 2000] [--songs 60] [--days 30] [--seed 1]

The same arguments give the same bytes, on every machine and Python. What lies beside this script is the
output of its defaults. Days are made one after the other, so memory does not grow with their number.
"""

import argparse
import bisect
import datetime as dt
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

FIRST_DAY = dt.date(2018, 11, 1)
DAY_MS = 86_400_000
MATCHING = 0.3  # of the plays are of songs in the catalogue
LOGGED_OUT = 0.04  # of the sessions
COLUMNS = (
    "artist auth firstName gender itemInSession lastName length level location method page registration "
    "sessionId song status ts userAgent userId"
).split()

ADJECTIVES = (
    "Amber Broken Crystal Distant Electric Fading Golden Hollow Ivory Jagged Kinetic Lunar Mellow "
    "Northern Opal Paper Quiet Restless Silver Twilight Umber Velvet Wandering Young Été Größte Señora "
    "Иней Зимний 静かな"
).split()
NOUNS = (
    "Avenue Bridge Canyon Drift Echo Ferry Garden Harbor Island Jungle Kites Lantern Mirror Nightfall "
    "Orchard Parade Quarry River Station Tide Umbrella Valley Window Yard Zephyr "
    "Ångström Façade Naïveté Весна 雨の庭"
).split()
BAND_FORMS = ["The {a} {n}s", "{a} {n}", "{n} & the {a}s", "{a} {n} Orchestra", "DJ {n}", "{f} {l}"]
TITLE_FORMS = [
    "{a} {n}",
    "{n}",
    "The {n} (Live)",
    "{a} {n} / {n}",
    "My {a} {n}",
    'Don\'t "{n}" Me',
    "{n}, {n}",
]
FIRST_NAMES = {
    "F": ("Ada Bente Chloé Dalia Esra Fatou Gudrún Hana Inés Jamila Kiri Lena Māra Noor Olga Priya").split(),
    "M": ("Anton Björn Carlos Dmitri Emeka Felix Goran Hugo Ibrahim José Kenji Liam Milan Nuno Omar Pavel").split(),
}
LAST_NAMES = (
    "Abara Berg Castillo Dahl Eriksson Fontaine Grüber Haddad Ito Jensen Kovač Larsen Müller Novák Okafor "
    "Petrov Quinn Rossi Sørensen Tanaka Uchida Vargas Weiß Yılmaz Zhou"
).split()
PLACES = [
    ("Portland-Vancouver-Hillsboro, OR-WA", 45.51179, -122.67563),
    ("San José-Sunnyvale-Santa Clara, CA", 37.33865, -121.88542),
    ("Chicago-Naperville-Elgin, IL-IN-WI", 41.88415, -87.63241),
    ("Lansing-East Lansing, MI", 42.73194, -84.55247),
    ("Tampa-St. Petersburg-Clearwater, FL", 27.94653, -82.45927),
    ("Atlanta-Sandy Springs-Roswell, GA", 33.74831, -84.39111),
    ("New York-Newark-Jersey City, NY-NJ-PA", 40.71455, -74.00712),
    ("Houston-The Woodlands-Sugar Land, TX", 29.76045, -95.36978),
    ("Reykjavík, Ísland", 64.14598, -21.94224),
]
AGENTS = [
    '"Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 Chrome/36.0.1985.143 Safari/537.36"',
    '"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_4) AppleWebKit/537.77.4 Version/7.0.5 Safari/537.77.4"',
    "Mozilla/5.0 (X11; Linux x86_64; rv:31.0) Gecko/20100101 Firefox/31.0",
    "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0)",
]
OTHER_PAGES = ["Home", "Home", "Home", "Help", "Settings", "About", "Error", "Save Settings"]
LOGGED_OUT_PAGES = ["Home", "Login", "Help", "About"]


class Chance:
    """Random picks that are the same on every version of Python: they use nothing but `random()`."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed).random

    def below(self, n: int) -> int:
        return int(self.random() * n)

    def pick(self, choices: list) -> object:
        return choices[self.below(len(choices))]

    def code(self, length: int) -> str:
        return "".join(self.pick("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for _ in range(length))

    def fill(self, forms: list[str]) -> str:
        first = self.pick(FIRST_NAMES[self.pick("FM")])
        words = {"a": self.pick(ADJECTIVES), "n": self.pick(NOUNS), "f": first, "l": self.pick(LAST_NAMES)}
        return self.pick(forms).format(**words)


def make_catalogue(chance: Chance, count: int) -> list[dict]:
    """`count` songs; about three to two artists, and one in forty also in a version of another length."""
    artists: list[dict] = []
    songs: list[dict] = []
    for i in range(count):
        if not artists or chance.random() < 0.65:
            artists.append(make_artist(chance, len(artists)))
        song = {"num_songs": 1} | chance.pick(artists)
        if songs and i % 40 == 39:  # the same title and artist again
            song |= {key: songs[-1][key] for key in song} | {"title": songs[-1]["title"]}
        else:
            song["title"] = chance.fill(TITLE_FORMS) + (f" {i}" if count > 500 else "")
        song["song_id"] = f"SO{chance.code(10)}{i:06X}"
        song["duration"] = round(90 + 300 * chance.random(), 5)
        song["year"] = 0 if chance.random() < 0.4 else 1965 + chance.below(50)
        songs.append(song)
    return songs


def make_artist(chance: Chance, number: int) -> dict:
    """An artist; of every five, two have no coordinates and one has no place at all."""
    place, latitude, longitude = chance.pick(PLACES)
    known = chance.random()
    return {
        "artist_id": f"AR{chance.code(10)}{number:06X}",
        "artist_latitude": latitude if known < 0.6 else None,
        "artist_longitude": longitude if known < 0.6 else None,
        "artist_location": place if known < 0.8 else "",
        "artist_name": chance.fill(BAND_FORMS) + (f" {number}" if number >= 300 else ""),
    }


def make_other_songs(chance: Chance, catalogue: list[dict]) -> list[tuple[str, str, float]]:
    """Title, artist and length of songs that are played but not in the catalogue; some by its artists."""
    others = []
    known = {(song["title"], song["artist_name"]) for song in catalogue}
    for i in range(5 * len(catalogue) + 50):
        by_known = catalogue and chance.random() < 0.15
        artist = chance.pick(catalogue)["artist_name"] if by_known else chance.fill(BAND_FORMS)
        title = chance.fill(TITLE_FORMS) + (f" {i}" if i >= 300 else "")
        if (title, artist) not in known:
            others.append((title, artist, round(90 + 300 * chance.random(), 5)))
    return others


def make_user(chance: Chance, number: int) -> dict:
    """What the log says of a user; the level changes later."""
    gender = chance.pick("FM")
    started = dt.datetime(2018, 5, 1, tzinfo=dt.timezone.utc).timestamp() * 1000
    return {
        "userId": str(number),
        "firstName": chance.pick(FIRST_NAMES[gender]),
        "lastName": chance.pick(LAST_NAMES),
        "gender": gender,
        "level": "paid" if chance.random() < 0.25 else "free",
        "location": chance.pick(PLACES)[0],
        "registration": float(int(started + chance.random() * 150 * DAY_MS)),
        "userAgent": chance.pick(AGENTS),
    }


class Listeners:
    """Everybody who listens, and what they do on one day after the other."""

    def __init__(self, chance: Chance, users: list[dict], catalogue: list[dict], others: list) -> None:
        self.chance = chance
        self.users = users
        self.catalogue = [(song["title"], song["artist_name"], song["duration"]) for song in catalogue]
        self.others = others
        # few songs are played often, many seldom
        self.popularity = list(itertools.accumulate(1 / (n + 10) for n in range(len(others))))
        self.sessions = 0

    def day(self, start_ms: int, count: int) -> list[dict]:
        """`count` events of the day that begins at `start_ms`, in the order of time."""
        events: list[dict] = []
        while len(events) < count:
            events += itertools.islice(self.session(start_ms), count - len(events))
        return sorted(events, key=lambda event: (event["ts"], event["sessionId"], event["itemInSession"]))

    def session(self, start_ms: int) -> Iterator[dict]:
        """One session: a few visits of somebody logged out, or a user who plays song after song."""
        self.sessions += 1
        # more in the afternoon than in the night
        now = start_ms + int(DAY_MS * (0.15 + 0.8 * (self.chance.random() + self.chance.random()) / 2))
        if self.chance.random() < LOGGED_OUT:
            yield from self.logged_out(now)
            return
        user = self.chance.pick(self.users)
        length = 1 + int(25 * self.chance.random() ** 2)
        yield self.event(user, 0, now, "Home")
        for item in range(1, length + 1):
            page, seconds = self.next_page(user)
            if page == "NextSong":
                title, artist, seconds = self.song()
                yield self.event(user, item, now, page, title, artist, seconds)
            else:
                yield self.event(user, item, now, page)
            # a session that would run past midnight is cut there: a file holds the events of its day
            now = min(now + int(seconds * 1000), start_ms + DAY_MS - 1)

    def next_page(self, user: dict) -> tuple[str, float]:
        """The next page and how long the user stays; upgrading and downgrading change the level."""
        throw = self.chance.random()
        if throw < 0.005:
            if user["level"] == "free":
                user["level"] = "paid"
                return "Submit Upgrade", 20
            user["level"] = "free"
            return "Submit Downgrade", 20
        return ("NextSong", 0) if throw < 0.88 else (self.chance.pick(OTHER_PAGES), 30)

    def song(self) -> tuple[str, str, float]:
        """A song to play, in the catalogue or not."""
        if self.catalogue and self.chance.random() < MATCHING:
            return self.chance.pick(self.catalogue)
        at = bisect.bisect(self.popularity, self.chance.random() * self.popularity[-1])
        return self.others[min(at, len(self.others) - 1)]

    def logged_out(self, now: int) -> Iterator[dict]:
        """Visits of somebody of whom nothing is known."""
        nobody = dict.fromkeys(["firstName", "lastName", "gender", "location", "registration", "userAgent"])
        nobody |= {"userId": "", "level": self.chance.pick(["free", "paid"])}
        for item in range(1 + self.chance.below(3)):
            event = self.event(nobody, item, now + item * 15_000, self.chance.pick(LOGGED_OUT_PAGES))
            yield event | {"auth": "Logged Out"}

    def event(self, user: dict, item: int, now: int, page: str, *play: object) -> dict:
        """One line of the log; `play` is title, artist and length."""
        title, artist, length = play or (None, None, None)
        event = user | {
            "artist": artist,
            "auth": "Logged In",
            "itemInSession": item,
            "length": length,
            "method": "GET" if page in ("Home", "Help", "About", "Settings", "Error") else "PUT",
            "page": page,
            "sessionId": self.sessions,
            "song": title,
            "status": {"Error": 404, "Save Settings": 307, "Login": 307}.get(page, 200),
            "ts": now,
        }
        return {column: event[column] for column in COLUMNS}


def write_songs(songs: list[dict], out: Path, chance: Chance) -> None:
    """One file a song, in folders by three letters of its name."""
    for song in songs:
        track = f"TR{chance.pick('ABCDE')}{chance.pick('ABCDEFGHIJ')}{chance.code(1)}{song['song_id'][-8:]}"
        path = out / "song-data" / track[2] / track[3] / track[4] / f"{track}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(song), encoding="utf-8")


def write_logs(listeners: Listeners, out: Path, count: int, days: int) -> None:
    """One file a day; weekends are quieter."""
    dates = [FIRST_DAY + dt.timedelta(days=day) for day in range(days)]
    weights = list(itertools.accumulate(0.5 if date.weekday() >= 5 else 1 for date in dates))
    done = 0
    for date, weight in zip(dates, weights, strict=True):
        until = round(count * weight / weights[-1])
        start = dt.datetime(date.year, date.month, date.day, tzinfo=dt.timezone.utc)
        events = listeners.day(int(start.timestamp() * 1000), until - done)
        done = until
        path = out / "log-data" / f"{date:%Y}" / f"{date:%m}" / f"{date}-events.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n" for event in events)
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)


def generate(out: Path, events: int = 2000, songs: int = 60, days: int = 30, seed: int = 1) -> None:
    """Write `events` events over `days` days, a catalogue of `songs`, and the JSONPaths file to `out`."""
    chance = Chance(seed)
    catalogue = make_catalogue(chance, songs)
    users = [make_user(chance, number) for number in range(2, 2 + max(10, events // 40))]
    out.mkdir(parents=True, exist_ok=True)
    write_songs(catalogue, out, chance)
    write_logs(Listeners(chance, users, catalogue, make_other_songs(chance, catalogue)), out, events, days)
    paths = json.dumps({"jsonpaths": [f"$.{column}" for column in COLUMNS]}, indent=2)
    (out / "log_json_path.json").write_text(paths + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--songs", type=int, default=60)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    generate(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
