"""Times that people and models write, and times at which nobody is busy."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.toolkits.calendar.changes import new_span
from app.toolkits.calendar.event import summary, when
from app.toolkits.calendar.slots import WorkingHours, free_slots
from app.toolkits.calendar.times import Moment, days_in_words, in_words, read_moment, read_when
from app.toolkits.untrusted import Quotes
from app.toolkits.zones import day_start

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("written", "instant", "sent"),
    [
        ("2026-12-01T10:00+01:00", datetime(2026, 12, 1, 9, tzinfo=UTC), {"dateTime": "2026-12-01T10:00:00+01:00"}),
        ("2026-12-01 10:00Z", datetime(2026, 12, 1, 10, tzinfo=UTC), {"dateTime": "2026-12-01T10:00:00+00:00"}),
        (
            "2026-12-01T10:00:30 Europe/Berlin",
            datetime(2026, 12, 1, 9, 0, 30, tzinfo=UTC),
            {"dateTime": "2026-12-01T10:00:30+01:00", "timeZone": "Europe/Berlin"},
        ),
        (
            "2026-07-01T10:00 America/Argentina/Buenos_Aires",
            datetime(2026, 7, 1, 13, tzinfo=UTC),
            {"dateTime": "2026-07-01T10:00:00-03:00", "timeZone": "America/Argentina/Buenos_Aires"},
        ),
    ],
)
def test_a_time_names_one_instant(written: str, instant: datetime, sent: dict[str, str]) -> None:
    """A time is read with its offset or in its zone, and sent with both if a zone was written."""
    moment = read_moment(written)

    assert moment.at == instant
    assert moment.json() == sent


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("2026-12-01T10:00", "neither an offset nor a time zone"),
        ("2026-12-01T10:00+01:00 Europe/Berlin", "write a time as"),
        ("2026-12-01T10:00 Europe/Berlin+01:00", "write a time as"),
        ("2026-12-01T10:00 Middle/Earth", "there is no time zone Middle/Earth"),
        ("2026-12-01T10:00 ../../etc/passwd", "write a time as"),
        ("2026-03-29T02:30 Europe/Berlin", "does not exist"),
        ("2026-10-25T02:30 Europe/Berlin", "is there twice"),
        ("2026-02-30T10:00Z", "day is out of range"),
        ("tomorrow at ten", "write a time as"),
        ("2026-12-01", "write a time as"),
    ],
)
def test_a_time_that_names_none_or_two_is_refused(written: str, says: str) -> None:
    """A time without an offset, with an unknown zone, or that the clocks skip or repeat, is refused."""
    with pytest.raises(ValueError, match=says):
        read_moment(written)


def test_a_whole_day_is_no_midnight() -> None:
    """A date alone is a whole day, wherever its reader is."""
    assert read_when("2026-12-01") == date(2026, 12, 1)
    assert isinstance(read_when("2026-12-01T00:00Z"), Moment)
    with pytest.raises(ValueError, match="whole day"):
        read_when("2026-13-01")


def test_a_day_begins_where_the_clocks_say() -> None:
    """If the clocks skip midnight, the day begins an hour later."""
    assert day_start(date(2026, 12, 1), BERLIN) == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert day_start(date(2026, 9, 6), ZoneInfo("America/Santiago")).hour == 1


@pytest.mark.parametrize("side", [{"date": "9999-12-31"}, {"date": "0001-01-01"}, {"dateTime": "0001-01-01T00:00Z"}])
def test_an_invitation_to_the_end_of_time_is_shown(side: dict[str, str]) -> None:
    """An event at the end of time is still listed, because anybody can invite the person to one."""
    event = {"id": "e1", "summary": "Doom", "start": side, "end": side}

    assert "time that cannot be read" in when(event, BERLIN)
    assert summary(event, ZoneInfo("America/Los_Angeles"), Quotes())["id"] == "e1"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-29T01:00 Europe/Berlin", "2026-03-29T05:00:00+02:00"),  # two o'clock is skipped
        ("2026-10-25T01:00 Europe/Berlin", "2026-10-25T03:00:00+01:00"),  # two o'clock occurs twice
    ],
)
def test_an_event_that_is_moved_lasts_as_long_as_before(start: str, end: str) -> None:
    """An event that is moved keeps its length, even if the clocks change during it."""
    event = {"start": {"dateTime": "2026-12-01T10:00:00Z"}, "end": {"dateTime": "2026-12-01T13:00:00Z"}}

    assert new_span(event, start, None)["end"]["dateTime"] == end


def test_spans_in_words() -> None:
    """Spans are worded for a person, and a day that is the same at both ends stands there once."""
    start = datetime(2026, 12, 1, 10, tzinfo=BERLIN)

    assert in_words(start, start + timedelta(hours=1)) == "Tue 1 Dec 2026, 10:00 to 11:00"
    assert in_words(start, start + timedelta(days=1)) == "Tue 1 Dec 2026, 10:00 to Wed 2 Dec 2026, 10:00"
    assert days_in_words(date(2026, 12, 1), date(2026, 12, 1)) == "Tue 1 Dec 2026, all day"


def _utc(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 12, day, hour, minute, tzinfo=UTC)


def _slots(busy: list[tuple[datetime, datetime]], minutes: int, **hours: int | bool) -> list[tuple[datetime, datetime]]:
    working = WorkingHours(
        int(hours.get("first_hour", 9)), int(hours.get("last_hour", 12)), bool(hours.get("weekends", False)), UTC
    )
    return list(free_slots(busy, _utc(4, 8), _utc(7, 10), timedelta(minutes=minutes), working))


def test_free_times_are_between_the_busy_ones() -> None:
    """Free times lie between busy times that overlap or nest, begin at a quarter and keep the working hours."""
    busy = [
        (_utc(4, 10), _utc(4, 11)),
        (_utc(4, 9, 20), _utc(4, 10, 30)),
        (_utc(4, 9, 30), _utc(4, 9, 40)),
        (_utc(7, 9, 5), _utc(7, 9, 10)),
    ]

    assert _slots(busy, 30) == [
        (_utc(4, 11), _utc(4, 11, 30)),
        (_utc(4, 11, 30), _utc(4, 12)),
        (_utc(7, 9, 15), _utc(7, 9, 45)),
    ]


def test_weekends_and_nights_count_only_if_asked_for() -> None:
    """Weekends and nights are offered only if they are asked for (4 December 2026 is a Friday)."""
    assert {start.day for start, _ in _slots([], 60)} == {4, 7}
    assert {start.day for start, _ in _slots([], 60, weekends=True)} == {4, 5, 6, 7}
    assert _slots([], 60, first_hour=23, last_hour=24)[0] == (_utc(4, 23), _utc(5, 0))


def test_nothing_is_free_where_somebody_is_always_busy() -> None:
    """Nothing is offered during busy times, and no slot is longer than the gap it is in."""
    assert _slots([(_utc(1, 0), _utc(9, 0))], 5) == []
    assert _slots([(_utc(4, 9), _utc(4, 11, 45)), (_utc(7, 0), _utc(7, 23))], 30) == []


def test_working_hours_follow_the_clocks_of_their_zone() -> None:
    """Working hours follow their zone's clocks, so nine in Berlin is another instant in summer."""
    hours = WorkingHours(9, 10, True, BERLIN)
    spans = list(hours.spans(datetime(2026, 10, 24, tzinfo=BERLIN), datetime(2026, 10, 25, 23, tzinfo=BERLIN)))

    assert [start.hour for start, _ in spans] == [7, 8]
