"""The fields of an event that are sent to make it or to change it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date
from typing import Any

from app.errors import ToolError
from app.toolkits.calendar.event import instant, whole_days
from app.toolkits.calendar.times import ONE_DAY, Moment, read_when
from app.toolkits.shapes import objects, text


def span(start: str, end: str) -> dict[str, dict[str, str]]:
    """Return the ``start`` and ``end`` of an event.

    Raises:
        ToolError: One is a whole day and the other is not, or the end does not come after the start.
    """
    first, last = read_when(start), read_when(end)
    if isinstance(first, Moment) and isinstance(last, Moment):
        if last.at <= first.at:
            raise ToolError("the end comes after the start")
        return {"start": first.json(), "end": last.json()}
    if isinstance(first, Moment) or isinstance(last, Moment):
        raise ToolError("either both are times, or both are whole days")
    if last < first:
        raise ToolError("the last day comes after the first")
    return {"start": {"date": first.isoformat()}, "end": {"date": (last + ONE_DAY).isoformat()}}


def new_span(event: Mapping[str, Any], start: str | None, end: str | None) -> dict[str, dict[str, str | None]]:
    """Return the changed ``start`` and ``end`` of an event; a side that is not given follows from what it was."""
    days = whole_days(event)
    was = (instant(event, "start"), instant(event, "end"))
    if start and not end:
        first = read_when(start)
        if isinstance(first, Moment) and was[0] and was[1]:
            at = first.at.astimezone(UTC) + (was[1] - was[0])  # lasts as long, though the clocks change in between
            end = at.astimezone(first.local).isoformat(timespec="seconds")
        elif isinstance(first, date) and days:
            end = (first + (days[1] - days[0]) - ONE_DAY).isoformat()
        else:
            raise ToolError("say when it ends, too")
    if end and not start:
        if days:
            start = days[0].isoformat()
        elif was[0]:
            start = was[0].isoformat(timespec="seconds")
    if not (start and end):
        raise ToolError("say when it begins and when it ends")
    # A patch merges: the other kind of time has to be taken out.
    return {side: {"date": None, "dateTime": None, **value} for side, value in span(start, end).items()}


def guests_after(event: Mapping[str, Any], add: str | None, remove: str | None) -> list[dict[str, Any]]:
    """Return the whole list of guests after a change; a patch replaces it.

    Raises:
        ToolError: Google gave only some of the guests, or somebody who is to be left out is not invited.
    """
    if event.get("attendeesOmitted") is True:
        raise ToolError("this event has too many guests to change them here")
    guests = {text(guest, "email").lower(): dict(guest) for guest in objects(event, "attendees")}
    for each in remove.split(", ") if remove else ():
        if guests.pop(each.lower(), None) is None:
            raise ToolError(f"{each} is not invited, so nothing was changed")
    for each in add.split(", ") if add else ():
        guests.setdefault(each.lower(), {"email": each})
    return [*guests.values()]
