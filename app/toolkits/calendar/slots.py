"""Times at which nobody is busy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

_STEP = timedelta(minutes=15)  # suggested times begin at a quarter of an hour


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """When people meet.

    Attributes:
        first_hour: The hour at which a day begins.
        last_hour: The hour at which it ends; 24 is midnight.
        weekends: Whether Saturdays and Sundays count.
        zone: The time zone of these hours.
    """

    first_hour: int
    last_hour: int
    weekends: bool
    zone: tzinfo

    def spans(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the working hours between two times, day by day."""
        day, last = start.astimezone(self.zone).date(), end.astimezone(self.zone).date()
        while day <= last:
            if self.weekends or day.weekday() < 5:
                midnight = datetime.combine(day, time(), self.zone)
                opens = midnight.replace(hour=self.first_hour)
                following = datetime.combine(day + timedelta(days=1), time(), self.zone)
                closes = following if self.last_hour == 24 else midnight.replace(hour=self.last_hour)
                first, until = max(opens, start), min(closes, end)
                if first.astimezone(UTC) < until.astimezone(UTC):
                    yield first.astimezone(UTC), until.astimezone(UTC)
            day += timedelta(days=1)


def free_slots(
    busy: Iterable[tuple[datetime, datetime]],
    start: datetime,
    end: datetime,
    length: timedelta,
    hours: WorkingHours,
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the times of this length at which nobody is busy, the earliest first; they do not overlap.

    Args:
        busy: When somebody is busy, in any order.
        start: No time begins earlier.
        end: No time ends later.
        length: How long each is.
        hours: Each lies within these hours of one day.
    """
    taken = sorted((first.astimezone(UTC), last.astimezone(UTC)) for first, last in busy)
    for opens, closes in hours.spans(start, end):
        at = _on_a_quarter(opens)
        for first, last in [*taken, (closes, closes)]:
            while at + length <= min(first, closes):
                yield at, at + length
                at = _on_a_quarter(at + length)
            at = max(at, _on_a_quarter(last))
            if at >= closes:
                break


def _on_a_quarter(at: datetime) -> datetime:
    """Return the first quarter of an hour that is not earlier."""
    past = timedelta(minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond)
    return at if not past else at - past + _STEP
