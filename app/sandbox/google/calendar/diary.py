"""The events that the sandbox's people find in their calendars: drawn anew at each start, around the day of the start.

For a proof, every title and description holds a marker, as the mail does: where it turns up, this event was read.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.sandbox.google.calendar.calendars import Calendar
from app.sandbox.google.calendar.event import Event, Guest
from app.sandbox.google.calendar.times import DAY, Span
from app.sandbox.people import Person

_RANDOM = secrets.SystemRandom()
_TITLES = (
    "Budget review", "Call with the printers", "Candidate interview", "Dentist", "Design review", "Lunch with Rosa",
    "Planning for January", "Quarterly figures", "Release meeting", "Supplier visit", "Talk rehearsal", "Town hall",
)  # fmt: skip
_PLACES = ("Room Amber", "Room Birch", "The library", "Café Meridian", "Video call")


def diary(calendar: Calendar, people: tuple[Person, ...], now: datetime, *, marked: bool) -> Iterator[Event]:
    """Yield the events of a primary calendar: a meeting of every working day, three others, and a day off.

    The first of the three has a guest, if the sandbox has a second person.

    Args:
        calendar: The calendar.
        people: Everybody at the sandbox.
        now: When the sandbox starts.
        marked: Whether titles and descriptions hold markers.
    """
    sign = _marked if marked else str
    zone = ZoneInfo(calendar.zone)
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    titles = _RANDOM.sample(_TITLES, 4)
    monday = today - DAY * today.weekday()
    yield _event(
        calendar,
        Span(_at(monday, 9, 30), _at(monday, 9, 45), zone=calendar.zone),
        {"summary": sign("Stand-up"), "location": "Video call"},
        now,
        rules=("RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",),
    )
    others = [person for person in people if person != calendar.owner]
    for number, title in enumerate(titles[:3]):
        day, hour = today + DAY * (number + 1), _RANDOM.choice((10, 11, 14, 15, 16))
        guests = (
            (Guest(calendar.owner.email, "accepted"), Guest(_RANDOM.choice(others).email))
            if others and number == 0
            else ()
        )
        about = {
            "summary": sign(title),
            "location": _RANDOM.choice(_PLACES),
            "description": sign(f"Notes for {title.lower()}: bring what is open, and say what was decided."),
        }
        yield _event(calendar, Span(_at(day, hour), _at(day, hour + 1), zone=calendar.zone), about, now, guests=guests)
    first = datetime(today.year, today.month, today.day, tzinfo=UTC) + DAY * 9
    yield _event(calendar, Span(first, first + DAY, all_day=True), {"summary": sign("Day off")}, now)


def _event(calendar: Calendar, span: Span, fields: dict[str, Any], now: datetime, **more: Any) -> Event:
    made = now - timedelta(days=_RANDOM.randint(3, 60))
    event_id = "".join(_RANDOM.choice("0123456789abcdefghijklmnopqrstuv") for _ in range(26))
    return Event(event_id, calendar.calendar_id, calendar.owner.email, span, made, made, fields, **more)


def _at(day: datetime, hour: int, minute: int = 0) -> datetime:
    return day.replace(hour=hour, minute=minute)


def _marked(text: str) -> str:
    return f"{text} mk{secrets.token_hex(5)}"
