"""Times and dates of events, as the API writes them.

https://developers.google.com/workspace/calendar/api/v3/reference/events#resource-representations
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.sandbox.google.api import ApiError


@dataclass(frozen=True, slots=True)
class Span:
    """When an event takes place.

    Attributes:
        start: When it begins; midnight UTC of the first day if it takes whole days.
        end: When it ends; midnight UTC after its last day if it takes whole days.
        all_day: Whether it takes whole days, which begin at midnight wherever the reader is.
        zone: The IANA name of the time zone that it was given in, or None.
    """

    start: datetime
    end: datetime
    all_day: bool = False
    zone: str | None = None

    def overlaps(self, start: datetime | None, end: datetime | None, zone: ZoneInfo) -> bool:
        """Return whether it ends after `start` and begins before `end`; whole days are those of `zone`."""
        begins, ends = self.within(zone)
        return (start is None or ends > start) and (end is None or begins < end)

    def within(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Return its start and its end, with whole days as they are in `zone`."""
        if not self.all_day:
            return self.start, self.end
        return self.start.replace(tzinfo=zone), self.end.replace(tzinfo=zone)

    def moved_to(self, start: datetime) -> Span:
        """Return the same span at another start."""
        return Span(start, start + (self.end - self.start), self.all_day, self.zone)

    def json(self, zone: ZoneInfo) -> dict[str, Any]:
        """Return the fields ``start`` and ``end``, in `zone`."""
        return {"start": moment_json(self, self.start, zone), "end": moment_json(self, self.end, zone)}


def moment_json(span: Span, at: datetime, zone: ZoneInfo) -> dict[str, str]:
    """Return one time of a span as an ``EventDateTime``."""
    if span.all_day:
        return {"date": at.date().isoformat()}
    return {"dateTime": at.astimezone(zone).isoformat(timespec="seconds"), "timeZone": span.zone or zone.key}


def read_span(start: Mapping[str, Any], end: Mapping[str, Any]) -> Span:
    """Return the span of two ``EventDateTime`` values.

    Raises:
        ApiError: One is missing, they are of different kinds, or the end does not come after the start.
    """
    begins, all_day = _read(start, "start")
    ends, until_day = _read(end, "end")
    if all_day != until_day:
        raise ApiError(400, "Invalid start or end time.", "invalid")
    if ends <= begins:
        raise ApiError(400, "The specified time range is empty.", "timeRangeEmpty")
    return Span(begins, ends, all_day, start.get("timeZone"))


def read_instant(text: str, name: str) -> datetime:
    """Return the instant of an RFC 3339 time.

    Raises:
        ApiError: There is no such time.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ApiError(400, f"Invalid value for {name}: {text}", "invalid") from None


def read_zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        ApiError: No time zone has this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ApiError(400, f"Invalid time zone definition: {name}", "invalid") from None


def _read(value: Mapping[str, Any], name: str) -> tuple[datetime, bool]:
    if ("date" in value) == ("dateTime" in value):
        raise ApiError(400, f"Missing {name} time.", "required")
    if "timeZone" in value:
        read_zone(value["timeZone"])
    if "dateTime" in value:
        return read_instant(value["dateTime"], name), False
    try:
        day = date.fromisoformat(value["date"])
    except ValueError:
        raise ApiError(400, f"Invalid value for {name}: {value['date']}", "invalid") from None
    return datetime.combine(day, time(), UTC), True


def merged(spans: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return spans in order, with those that touch or overlap as one."""
    joined: list[tuple[datetime, datetime]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


DAY = timedelta(days=1)
