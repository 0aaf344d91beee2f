"""Parse dates and times according to DATEFORMAT and TIMEFORMAT. Values are strings or epoch numbers.

https://docs.aws.amazon.com/redshift/latest/dg/r_DATEFORMAT_and_TIMEFORMAT_strings.html
"""

import datetime as dt
import functools
import re
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

DEFAULT_DATE = "YYYY-MM-DD"
DEFAULT_TIMESTAMP = "YYYY-MM-DD HH:MI:SS"
DEFAULT_TIMESTAMPTZ = "YYYY-MM-DD HH:MI:SSOF"

# the default formats as a cluster's error messages show them
SHOWN = {
    DEFAULT_TIMESTAMP: "YYYY-MM-DD HH24:MI:SS",
    DEFAULT_TIMESTAMPTZ: "YYYY-MM-DD HH24:MI:SSOF",
}

_MONTHS = "JANUARY FEBRUARY MARCH APRIL MAY JUNE JULY AUGUST SEPTEMBER OCTOBER NOVEMBER DECEMBER".split()
_FORMAT_PARTS = {
    "YYYY": r"(?P<year>\d{4})",
    "YY": r"(?P<short_year>\d{2})",
    "MON": rf"(?P<month_name>(?i:{'|'.join(f'{month[:3]}(?:{month[3:]})?' for month in _MONTHS)}))",
    "MM": r"(?P<month>\d{1,2})",
    "DD": r"(?P<day>\d{1,2})",
    "HH24": r"(?P<hour>\d{1,2})",
    "HH12": r"(?P<hour12>\d{1,2})",
    "HH": r"(?P<hour>\d{1,2})",
    "MI": r"(?P<minute>\d{1,2})",
    "SS": r"(?P<second>\d{1,2})(?:\.(?P<fraction>\d{1,6}))?",
    "AM": r"(?P<half>[AaPp][Mm])",
    "PM": r"(?P<half>[AaPp][Mm])",
    "OF": r"\s?(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?",
}
_FORMAT_TOKEN = re.compile("|".join(sorted(_FORMAT_PARTS, key=len, reverse=True)), re.IGNORECASE)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_EPOCH_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?", re.ASCII)


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = []
    at = 0
    found = list(_FORMAT_TOKEN.finditer(template))
    numbers = [match for match in found if match[0].upper() not in ("MON", "AM", "PM", "OF")]
    starts, ends = {match.start() for match in numbers}, {match.end() for match in numbers}
    for match in found:
        part = _FORMAT_PARTS[match[0].upper()]
        # presumably as on a cluster, numbers without a separator between them must be zero-padded
        if match.end() in starts or match.start() in ends:
            part = part.replace(r"\d{1,2}", r"\d{2}")
        parts += [re.escape(template[at : match.start()]), part]
        at = match.end()
    return re.compile("".join([*parts, re.escape(template[at:])]), re.ASCII)


def parse(value: str, template: str) -> dt.datetime | None:
    """Parse `value` in the format `template`; return None if it does not match.

    A template may contain YYYY, YY, MM, MON, DD, HH, HH24, HH12, MI, SS, AM, PM and OF. Seconds may have up to six
    decimal places.
    """
    try:
        match = _pattern(template).fullmatch(value)
        return _moment(match.groupdict()) if match else None
    except (ValueError, re.error):  # an invalid date or time, or a format with a repeated part
        return None


def _moment(parts: dict[str, str | None]) -> dt.datetime:
    moment = dt.datetime(
        _year(parts),
        _month(parts),
        int(parts.get("day") or 1),
        _hour(parts),
        int(parts.get("minute") or 0),
        int(parts.get("second") or 0),
        int((parts.get("fraction") or "0").ljust(6, "0")),
    )
    zone = parts.get("zone")
    return moment.replace(tzinfo=_zone(zone)) if zone else moment


def _year(parts: dict[str, str | None]) -> int:
    short = parts.get("short_year")
    if parts.get("year") is None and short is not None:
        return int(short) + (1900 if int(short) >= 70 else 2000)
    return int(parts.get("year") or 1)


def _month(parts: dict[str, str | None]) -> int:
    name = parts.get("month_name")
    if name is None:
        return int(parts.get("month") or 1)
    return next(number for number, month in enumerate(_MONTHS, 1) if month.startswith(name.upper()))


def _hour(parts: dict[str, str | None]) -> int:
    half = (parts.get("half") or "").upper()
    hour = int(parts.get("hour") or parts.get("hour12") or 0)
    if half or parts.get("hour12"):
        if not 1 <= hour <= 12:
            raise ValueError(f"{hour} is not an hour of a 12-hour clock")
        return hour % 12 + (12 if half == "PM" else 0)
    return hour


def _zone(zone: str) -> dt.timezone:
    if zone == "Z":
        return dt.timezone.utc
    digits = zone[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return dt.timezone(dt.timedelta(minutes=-minutes if zone[0] == "-" else minutes))


def from_epoch(value: str, units_a_second: int) -> dt.datetime | None:
    """Return the UTC timestamp of an epoch number; None if it is not valid.

    Fractions and negative numbers are accepted, presumably as on a cluster; years after 9999 are not.
    """
    if not _EPOCH_NUMBER.fullmatch(value.strip(" ")):
        return None
    microseconds = Decimal(value.strip(" ")) * (1_000_000 // units_a_second)
    if microseconds.adjusted() > 18:  # far beyond the year 9999; don't convert a huge number to int
        return None
    try:
        return _EPOCH + dt.timedelta(microseconds=int(microseconds))
    except OverflowError:
        return None


EPOCH_UNITS = {"epochsecs": 1, "epochmillisecs": 1000}  # units per second, by TIMEFORMAT


def epoch_formatter(units_a_second: int, zone: str) -> Callable[[list[int | None]], list[str | None]]:
    """Return a function that formats integer epoch numbers as UTC timestamps.

    The function appends `zone`. It gives the same results as `from_epoch` and isoformat, in a tenth of the time. It
    raises OverflowError outside the years 1 to 9999.
    """
    minute = 60 * units_a_second
    epoch = _EPOCH.replace(tzinfo=None)
    minutes: FormatCache[int, str] = FormatCache(
        lambda n: (epoch + dt.timedelta(minutes=n)).isoformat(" ", "minutes") + ":"
    )
    seconds: FormatCache[int, str] = FormatCache(lambda n: _seconds(n, units_a_second) + zone)

    def texts(values: list[int | None]) -> list[str | None]:
        return [None if n is None else minutes[n // minute] + seconds[n % minute] for n in values]

    return texts


def _seconds(units: int, units_a_second: int) -> str:
    fraction = f".{units % units_a_second:03}" if units_a_second > 1 else ""
    return f"{units // units_a_second:02}{fraction}"


Value = TypeVar("Value")
Text = TypeVar("Text")


class FormatCache(dict[Value, Text]):
    """A cache that formats each value once, with `make`."""

    def __init__(self, make: Callable[[Value], Text]) -> None:
        self._make = make

    def __missing__(self, value: Value) -> Text:
        text = self[value] = self._make(value)
        return text


def parse_time(value: str) -> dt.time | None:
    """Parse a time of day, HH:MI[:SS[.ffffff]]; return None for any other form."""
    match = _TIME.fullmatch(value.strip())
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    try:
        return dt.time(int(hour), int(minute), int(second or 0), int((fraction or ".0")[1:].ljust(6, "0")))
    except ValueError:
        return None
