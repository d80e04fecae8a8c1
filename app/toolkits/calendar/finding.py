"""A time for several people: when they are busy, and when nobody is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

from pydantic import Field

from app.errors import ToolError
from app.toolkits.calendar.arguments import People, Time
from app.toolkits.calendar.oauth_scopes import FREE_BUSY
from app.toolkits.calendar.phrases import PEOPLE, TIME
from app.toolkits.calendar.reading import CalendarReading
from app.toolkits.calendar.slots import WorkingHours, free_slots
from app.toolkits.calendar.times import Moment, read_moment
from app.toolkits.phrases import END
from app.toolkits.shapes import mapping, objects, text
from app.toolkits.toolkit import tool

_MAX_SPAN = timedelta(days=31)
_OWN = "primary"

_Busy = dict[str, list[tuple[datetime, datetime]] | None]


class CalendarFinding(CalendarReading):
    """Looks at when people are busy. Lives for one request."""

    @tool(
        oauth_scopes=(FREE_BUSY,),
        doing="looking when people are busy",
        phrases=(
            rf"when (?:is|are) (?P<people>{PEOPLE}) (?:busy|free) (?:between|from) (?P<earliest>{TIME}) "
            rf"(?:and|to|until) (?P<latest>{TIME}){END}",
        ),
    )
    async def free_busy(self, people: People, earliest: Time, latest: Time) -> dict[str, Any]:
        """Show when people are busy, without saying why; a calendar that the person cannot see is named as such.

        Args:
            people: Whose calendars.
            earliest: The beginning; the answer's times are in its zone or offset.
            latest: The end, at most 31 days later.
        """
        start, end = _window(earliest, latest)
        asked = people.split(", ")
        busy = await self._busy(asked, start, end)
        return {
            "busy": {
                who: [f"{_shown(first, start)} to {_shown(last, start)}" for first, last in spans]
                for who, spans in busy.items()
                if spans is not None
            },
            **_unseen(busy),
        }

    @tool(
        oauth_scopes=(FREE_BUSY,),
        doing="looking for a time that suits everybody",
        phrases=(
            rf"find (?:a )?(?:slot|time)(?: of (?P<minutes>\d{{1,3}}) minutes)? (?:for|with) (?P<people>{PEOPLE}) "
            rf"(?:between|from) (?P<earliest>{TIME}) (?:and|to|until) (?P<latest>{TIME}){END}",
        ),
    )
    async def find_slot(
        self,
        people: People,
        earliest: Time,
        latest: Time,
        minutes: Annotated[int, Field(ge=5, le=1440)] = 30,
        first_hour: Annotated[int, Field(ge=0, le=23)] = 9,
        last_hour: Annotated[int, Field(ge=1, le=24)] = 17,
        weekends: bool = False,
        limit: Annotated[int, Field(ge=1, le=20)] = 5,
    ) -> dict[str, Any]:
        """Find times at which the person and others are all free.

        Args:
            people: The others; the person's own calendar is always looked at.
            earliest: No time begins earlier. Its zone or offset is that of the hours below and of the answer.
            latest: No time ends later, at most 31 days after `earliest`.
            minutes: How long it takes.
            first_hour: The hour at which a working day begins.
            last_hour: The hour at which it ends.
            weekends: Whether Saturdays and Sundays count.
            limit: How many times at most.
        """
        if last_hour <= first_hour:
            raise ToolError("the last hour comes after the first")
        start, end = _window(earliest, latest)
        busy = await self._busy([_OWN, *people.split(", ")], start, end)
        taken = [span for spans in busy.values() for span in spans or ()]
        hours = WorkingHours(first_hour, last_hour, weekends, start.local)
        found = free_slots(taken, max(start.at, datetime.now(UTC)), end.at, timedelta(minutes=minutes), hours)
        slots = [
            {"title": f"{minutes} minutes", "start": _shown(first, start), "end": _shown(last, start)}
            for first, last in islice(found, limit)
        ]
        return {"slots": slots, **_unseen(busy)}

    async def _busy(self, people: list[str], start: Moment, end: Moment) -> _Busy:
        """Return when each person is busy; None for a calendar that cannot be seen."""
        body = {
            "timeMin": start.at.isoformat(timespec="seconds"),
            "timeMax": end.at.isoformat(timespec="seconds"),
            "items": [{"id": each} for each in people],
        }
        query = self._google.resource("calendar", "v3", "freebusy").query(body=body, fields="calendars")
        answer = mapping(await self._google.execute(query, repeatable=True), "calendars")
        busy: _Busy = {}
        for each in people:
            calendar = mapping(answer, each)
            seen = each in answer and not objects(calendar, "errors")
            busy[each] = [span for part in objects(calendar, "busy") if (span := _span(part))] if seen else None
        return busy


def _window(earliest: str, latest: str) -> tuple[Moment, Moment]:
    start, end = read_moment(earliest), read_moment(latest)
    if end.at <= start.at:
        raise ToolError("the end comes after the beginning")
    if end.at - start.at > _MAX_SPAN:
        raise ToolError("at most 31 days at once, please")
    return start, end


def _span(part: Any) -> tuple[datetime, datetime] | None:
    try:
        first, last = (datetime.fromisoformat(text(part, side)) for side in ("start", "end"))
    except ValueError:
        return None
    return (first, last) if first.tzinfo and last.tzinfo else None


def _shown(at: datetime, like: Moment) -> str:
    return at.astimezone(like.local).isoformat(timespec="minutes")


def _unseen(busy: _Busy) -> dict[str, Any]:
    """Name those whose calendar could not be seen, so that nobody takes them for free."""
    unseen = [who for who, spans in busy.items() if spans is None]
    note = "I can't see these calendars, so I don't know whether these people are free."
    return {"unseen": unseen, "note": note} if unseen else {}
