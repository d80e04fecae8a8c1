"""The person's calendar read: their calendars, lists of events, and one event in full."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.errors import ToolError
from app.google.client import GoogleClient
from app.toolkits.arguments import Day, Limit, ListPage, TextPage
from app.toolkits.calendar.arguments import CalendarId, EventId
from app.toolkits.calendar.event import described, in_full, summary
from app.toolkits.calendar.oauth_scopes import LIST_CALENDARS, READ_EVENTS
from app.toolkits.calendar.phrases import EVENT_ID, EVENTS
from app.toolkits.calendar.times import ONE_DAY
from app.toolkits.pages import pages
from app.toolkits.phrases import ASK, DAY, END
from app.toolkits.shapes import objects, text
from app.toolkits.toolkit import Toolkit, tool
from app.toolkits.untrusted import Quotes
from app.toolkits.zones import day_start, zone_of_calendar

# Of one event; a change of it needs the version (`etag`) and the whole list of guests.
_READ = (
    "id,etag,status,summary,description,location,start,end,organizer(self,email),attendees,attendeesOmitted,"
    "guestsCanModify,recurrence,recurringEventId,hangoutLink"
)
_DAYS = 7  # listed if no last day is given
_MAX_DAYS = 366
_LISTED = (
    "items(id,status,summary,location,start,end,organizer(self,email),attendees(self,email,responseStatus),"
    "recurringEventId),nextPageToken,timeZone"
)


class CalendarReading(Toolkit):
    """Reads calendars and events. Lives for one request, and so does what it knows of the person's time zone.

    Args:
        google: Google's APIs as that person.
    """

    name = "calendar"

    def __init__(self, google: GoogleClient) -> None:
        self._google = google
        self._own_zone: ZoneInfo | None = None

    @tool(oauth_scopes=(LIST_CALENDARS,), doing="looking at your calendars", phrases=(rf"{ASK}calendars{END}",))
    async def calendars(self, page: ListPage = None) -> dict[str, Any]:
        """List the person's calendars: the name, the id that other tools take, and whether it can be changed."""
        calendars = self._google.resource("calendar", "v3", "calendarList")
        fields = "items(id,summary,summaryOverride,timeZone,accessRole,primary),nextPageToken"
        listed = await self._google.execute(calendars.list(maxResults=50, pageToken=page, fields=fields))
        quotes = Quotes()
        found = [
            {
                "id": text(each, "id"),
                "name": quotes.quote(text(each, "summaryOverride") or text(each, "summary")),
                "zone": text(each, "timeZone"),
                "can_change": text(each, "accessRole") in ("owner", "writer"),
                **({"primary": True} if each.get("primary") is True else {}),
            }
            for each in objects(listed, "items")
        ]
        return {**(quotes.note if found else {}), "calendars": found, **_more(listed)}

    @tool(
        oauth_scopes=(READ_EVENTS,),
        doing="looking at your calendar",
        phrases=(
            rf"{ASK}(?:next |upcoming )?{EVENTS}(?: (?:on|for|from|since) (?P<first_day>{DAY}))?"
            rf"(?: (?:until|till|to) (?P<last_day>{DAY}))?{END}",
            rf"what(?:'s| is|s) (?:on|in) my (?:calendar|agenda){END}|(?:my )?(?:calendar|agenda)",
        ),
    )
    async def agenda(
        self,
        first_day: Day | None = None,
        last_day: Day | None = None,
        calendar: CalendarId = "primary",
        limit: Limit = 25,
        page: ListPage = None,
    ) -> dict[str, Any]:
        """List the events of some days in order: when, the title, the place, and how many are invited.

        Days begin at midnight in the person's own time zone, which the result names. Each occurrence of a series is an
        event of its own; its `series_id` is the event to change for all of them.

        Args:
            first_day: The first day, YYYY-MM-DD; today otherwise.
            last_day: The last day, which is included; a week from the first otherwise.
            calendar: Which calendar.
            limit: How many events at most.
            page: `next_page` of an earlier result.
        """
        return await self._list(calendar, first_day, last_day, limit, page)

    @tool(
        oauth_scopes=(READ_EVENTS,),
        doing="searching your calendar",
        phrases=(
            rf"(?:search|find|look for) (?:in )?(?:my |the )?{EVENTS} "
            rf"(?:for|about|with|named|called) (?P<words>.+?){END}",
        ),
    )
    async def search(
        self,
        words: str,
        first_day: Day | None = None,
        last_day: Day | None = None,
        calendar: CalendarId = "primary",
        limit: Limit = 25,
        page: ListPage = None,
    ) -> dict[str, Any]:
        """Find events by words in the title, the text, the place, or the guests' names and addresses, in order.

        Args:
            words: The words; an event has all of them.
            first_day: The first day, YYYY-MM-DD; today otherwise.
            last_day: The last day, which is included; a year from the first otherwise.
            calendar: Which calendar.
            limit: How many events at most.
            page: `next_page` of an earlier result.
        """
        if not words.strip():
            raise ToolError("say what to look for")
        return await self._list(calendar, first_day, last_day, limit, page, days=_MAX_DAYS - 1, q=words)

    @tool(
        oauth_scopes=(READ_EVENTS,),
        doing="reading an event",
        phrases=(rf"(?:read|show|get|open)(?: me)?(?: the)? {EVENT_ID}{END}",),
    )
    async def get(self, event_id: EventId, calendar: CalendarId = "primary", page: TextPage = 1) -> dict[str, Any]:
        """Read one event: when, where, the text, who is invited and what they answered, and how it repeats.

        Args:
            event_id: The event.
            calendar: The calendar that it is in.
            page: Which page of a long text.
        """
        event = await self._event(event_id, calendar)
        quotes = Quotes()
        parts = pages(text(event, "description"))
        if page > len(parts):
            raise ToolError(f"the text has {len(parts)} pages")
        shown = in_full(event, await self._zone(), quotes)
        about = {"body": quotes.quote(parts[page - 1])} if parts[page - 1] else {}
        place = {"page": page, "pages": len(parts)} if len(parts) > 1 else {}
        return {**quotes.note, **shown, "zone": (await self._zone()).key, **place, **about}

    async def _event(self, event_id: str, calendar: str) -> Mapping[str, Any]:
        events = self._google.resource("calendar", "v3", "events")
        found = await self._google.execute(events.get(calendarId=calendar, eventId=event_id, fields=_READ))
        return found if isinstance(found, Mapping) else {}

    async def _described(self, arguments: Mapping[str, Any]) -> list[str]:
        """Return lines about the event that a call names, for the question that the person is asked."""
        event = await self._event(arguments["event_id"], arguments.get("calendar", "primary"))
        return described(event, await self._zone())

    async def _list(
        self,
        calendar: str,
        first_day: date | None,
        last_day: date | None,
        limit: int,
        page: str | None,
        *,
        days: int = _DAYS - 1,
        **selection: Any,
    ) -> dict[str, Any]:
        zone = await self._zone()
        first = first_day or datetime.now(zone).date()
        last = last_day or first + timedelta(days=days)
        if last < first:
            raise ToolError(f"{last} is before {first}: the first day comes first")
        if (last - first).days > _MAX_DAYS:
            raise ToolError("at most a year at once, please")
        events = self._google.resource("calendar", "v3", "events")
        listed = await self._google.execute(
            events.list(
                calendarId=calendar,
                timeMin=_stamp(day_start(first, zone)),
                timeMax=_stamp(day_start(last + ONE_DAY, zone)),
                singleEvents=True,
                orderBy="startTime",
                maxResults=limit,
                pageToken=page,
                timeZone=zone.key,
                fields=_LISTED,
                **selection,
            )
        )
        quotes = Quotes()
        found = [summary(each, zone, quotes) for each in objects(listed, "items")]
        about = {"zone": zone.key, "first_day": first.isoformat(), "last_day": last.isoformat()}
        return {**(quotes.note if found else {}), **about, "events": found, **_more(listed)}

    async def _zone(self) -> ZoneInfo:
        """Return the time zone of the person's own calendar; asked for once a request."""
        if self._own_zone is None:
            self._own_zone = await zone_of_calendar(self._google)
        return self._own_zone


def _more(listed: Any) -> dict[str, str]:
    more = text(listed, "nextPageToken")
    return {"next_page": more} if more else {}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
