"""Times that people and models write: with an offset or with a time zone, never with both and never with neither.

``2026-12-01T10:00+01:00`` and ``2026-12-01T10:00 Europe/Berlin`` each name one instant. A time without either would be
read in the zone of whoever reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from app.toolkits.arguments import LAST_DAY
from app.toolkits.zones import read_zone

_FIRST_YEAR = 2  # Python has no days before the year 1, in which another zone's first one begins

_TIME = re.compile(
    r"(?P<time>\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?) ?"
    r"(?:(?P<offset>[Zz]|[+-]\d{2}:\d{2})|(?P<zone>[A-Za-z][\w+/-]{1,60}))?"
)


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant and how it was written.

    Attributes:
        at: The instant, in the zone or with the offset that it was written with.
        zone: The IANA name of the time zone, or None if it was written with an offset.
    """

    at: datetime
    zone: str | None = None

    def json(self) -> dict[str, str]:
        """Return the moment as an ``EventDateTime`` of the Calendar API."""
        written = {"dateTime": self.at.isoformat(timespec="seconds")}
        return {**written, "timeZone": self.zone} if self.zone else written

    @property
    def local(self) -> tzinfo:
        """Return the time zone or the offset that it was written with."""
        assert self.at.tzinfo is not None
        return self.at.tzinfo


def read_moment(text: str) -> Moment:
    """Return the moment that a text names.

    Raises:
        ValueError: It names none, names two, or has neither an offset nor a time zone; the text says what to write.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError("write a time as 2026-12-01T10:00+01:00 or as 2026-12-01T10:00 Europe/Berlin")
    if match["offset"] is None and match["zone"] is None:
        raise ValueError(
            "this time has neither an offset nor a time zone: write 2026-12-01T10:00+01:00 or "
            "2026-12-01T10:00 Europe/Berlin; every list of events names the person's own zone"
        )
    naive = datetime.fromisoformat(match["time"])
    if not can_be_counted(naive):
        raise ValueError("no calendar has this year")
    if match["offset"]:
        return Moment(datetime.fromisoformat(naive.isoformat() + match["offset"].upper()))
    zone = read_zone(match["zone"])
    return Moment(_in_zone(naive, zone), zone.key)


def can_be_counted(day: date) -> bool:
    """Return whether a day or a time has days before and after it in every time zone, and a year in which to end."""
    return _FIRST_YEAR <= day.year <= LAST_DAY.year


def _in_zone(naive: datetime, zone: ZoneInfo) -> datetime:
    """Return a local time in a zone.

    Raises:
        ValueError: The clocks skip this time, or show it twice.
    """
    first, second = naive.replace(tzinfo=zone, fold=0), naive.replace(tzinfo=zone, fold=1)
    if first.utcoffset() != second.utcoffset():
        exists = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == naive
        why = "is there twice" if exists else "does not exist"
        raise ValueError(f"{naive.isoformat(sep=' ')} {why} in {zone.key}, where the clocks change: write an offset")
    return first


def read_when(text: str) -> Moment | date:
    """Return the moment or the whole day that a text names.

    Raises:
        ValueError: It names neither.
    """
    try:
        if len(text.strip()) != 10:
            return read_moment(text)
        day = date.fromisoformat(text.strip())
        if not can_be_counted(day):
            raise ValueError
        return day
    except ValueError as error:
        if len(text.strip()) == 10:
            raise ValueError("write a whole day as 2026-12-01") from None
        raise error


def in_words(start: datetime, end: datetime) -> str:
    """Return a span of time of one zone as a person reads it: ``Tue 1 Dec 2026, 10:00 to 11:00``."""
    first = f"{start:%a} {start.day} {start:%b %Y}, {start:%H:%M}"
    if start.date() == end.date():
        return f"{first} to {end:%H:%M}"
    return f"{first} to {end:%a} {end.day} {end:%b %Y}, {end:%H:%M}"


def days_in_words(first: date, last: date) -> str:
    """Return whole days, the last included, as a person reads them: ``Tue 1 Dec 2026, all day``."""
    begins = f"{first:%a} {first.day} {first:%b %Y}"
    return f"{begins}, all day" if first == last else f"{begins} to {last:%a} {last.day} {last:%b %Y}, all day"


ONE_DAY = timedelta(days=1)
