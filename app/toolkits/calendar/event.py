"""Events as the Calendar API gives them, and as they are shown.

https://developers.google.com/workspace/calendar/api/v3/reference/events. Others write the title,
the text and the place, so all three are quoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.toolkits.calendar.times import ONE_DAY, can_be_counted, days_in_words, in_words
from app.toolkits.shapes import mapping, objects, text
from app.toolkits.untrusted import Quotes

UNKNOWN_TIME = "unknown"
_MAX_TITLE = 300  # characters shown of one
_MAX_GUESTS = 50  # shown of one event


def summary(event: Mapping[str, Any], zone: ZoneInfo, quotes: Quotes) -> dict[str, Any]:
    """Return what a list says about an event, with its times in a zone."""
    guests = objects(event, "attendees")
    own = own_answer(event)
    return {
        "id": text(event, "id"),
        "title": quotes.quote(text(event, "summary")[:_MAX_TITLE]) or "(no title)",
        **_times(event, zone),
        **_unless_empty("where", quotes.quote(text(event, "location")[:_MAX_TITLE])),
        **({"guests": len(guests)} if guests else {}),
        **({"your_answer": own} if own else {}),
        **_unless_empty("series_id", text(event, "recurringEventId")),
        **({"cancelled": True} if text(event, "status") == "cancelled" else {}),
    }


def in_full(event: Mapping[str, Any], zone: ZoneInfo, quotes: Quotes) -> dict[str, Any]:
    """Return everything that is shown of one event, apart from its text."""
    guests = objects(event, "attendees")
    shown = [
        {
            "email": quotes.quote(text(guest, "email")[:_MAX_TITLE]),
            "answer": _ANSWERS.get(text(guest, "responseStatus"), "none yet"),
            **_unless_empty("comment", quotes.quote(text(guest, "comment")[:_MAX_TITLE])),
        }
        for guest in guests[:_MAX_GUESTS]
    ]
    return {
        **summary(event, zone, quotes),
        "organised_by": "you"
        if is_own(event)
        else quotes.quote(text(mapping(event, "organizer"), "email")[:_MAX_TITLE]),
        **({"guests": shown, "guests_in_all": len(guests)} if guests else {}),
        **({"repeats": [quotes.quote(each) for each in _rules(event)]} if _rules(event) else {}),
        **_unless_empty("video_call", text(event, "hangoutLink")[:_MAX_TITLE]),
    }


def described(event: Mapping[str, Any], zone: ZoneInfo) -> list[str]:
    """Return lines that tell a person which event is meant, for the question that they are asked."""
    lines = [f"event: {text(event, 'summary')[:_MAX_TITLE] or '(no title)'}", f"now: {when(event, zone)}"]
    if not is_own(event):
        lines.append(f"organised by {text(mapping(event, 'organizer'), 'email')[:_MAX_TITLE] or 'somebody else'}")
    if guests := objects(event, "attendees"):
        lines.append(f"{len(guests)} people are invited; Google mails them about the change")
    if _rules(event):
        lines.append("this is the whole series: every occurrence changes")
    elif text(event, "recurringEventId"):
        lines.append("one occurrence of a series: the others stay as they are")
    return lines


def when(event: Mapping[str, Any], zone: ZoneInfo) -> str:
    """Return when an event takes place, as a person reads it, with the zone's name."""
    days = whole_days(event)
    if days:
        return days_in_words(days[0], days[1] - ONE_DAY)
    start, end = instant(event, "start"), instant(event, "end")
    if start is None or end is None:
        return "at a time that cannot be read"
    return f"{in_words(start.astimezone(zone), end.astimezone(zone))} ({zone.key})"


def whole_days(event: Mapping[str, Any]) -> tuple[date, date] | None:
    """Return the first day of an event and the day after its last; None if it does not take whole days."""
    try:
        first, after = (date.fromisoformat(text(mapping(event, side), "date")) for side in ("start", "end"))
    except ValueError:
        return None
    return (first, after) if can_be_counted(first) and can_be_counted(after) else None


def instant(event: Mapping[str, Any], side: str) -> datetime | None:
    """Return when an event begins (``start``) or ends (``end``); None if it takes whole days or cannot be read."""
    try:
        read = datetime.fromisoformat(text(mapping(event, side), "dateTime"))
    except ValueError:
        return None
    return read if read.tzinfo is not None and can_be_counted(read) else None


def is_own(event: Mapping[str, Any]) -> bool:
    """Return whether the person organises the event, so that their changes are everybody's."""
    return mapping(event, "organizer").get("self") is True


def own_guest(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the person's own invitation, or None."""
    return next((guest for guest in objects(event, "attendees") if guest.get("self") is True), None)


def own_answer(event: Mapping[str, Any]) -> str | None:
    """Return the person's answer to an invitation in words; None if they are not invited."""
    guest = own_guest(event)
    return None if guest is None else _ANSWERS.get(text(guest, "responseStatus"), "none yet")


_ANSWERS = {"accepted": "yes", "declined": "no", "tentative": "maybe"}


def _times(event: Mapping[str, Any], zone: ZoneInfo) -> dict[str, str]:
    days = whole_days(event)
    if days:
        return {"first_day": days[0].isoformat(), "last_day": (days[1] - ONE_DAY).isoformat()}
    shown = {}
    for side in ("start", "end"):
        at = instant(event, side)
        shown[side] = at.astimezone(zone).isoformat(timespec="minutes") if at else UNKNOWN_TIME
    return shown


def _rules(event: Mapping[str, Any]) -> list[str]:
    found = event.get("recurrence")
    return [each[:_MAX_TITLE] for each in found if isinstance(each, str)][:5] if isinstance(found, list) else []


def _unless_empty(name: str, value: str) -> dict[str, str]:
    return {name: value} if value else {}
