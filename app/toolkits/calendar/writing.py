"""Tools that change the calendar. Others see it and Google mails those who are invited, so each call needs approval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from app.approvals.question import Question
from app.errors import GoogleError, ToolError
from app.toolkits.calendar.arguments import CalendarId, Description, EventId, Location, People, Title, When
from app.toolkits.calendar.changes import guests_after, new_span, span
from app.toolkits.calendar.event import is_own, own_guest, when
from app.toolkits.calendar.finding import CalendarFinding
from app.toolkits.calendar.oauth_scopes import EDIT_EVENTS
from app.toolkits.calendar.phrases import EVENT_ID, PEOPLE, TIME
from app.toolkits.phrases import END, PLEASE
from app.toolkits.shapes import objects, text
from app.toolkits.toolkit import Effect, tool

LABELS = MappingProxyType(
    {
        "event_id": "Event",
        "title": "Title",
        "words": "Text",
        "start": "Start",
        "end": "End",
        "place": "Place",
        "guests": "Guests",
        "add_guests": "Also invite",
        "remove_guests": "No longer invite",
        "description": "Description",
        "to_calendar": "To calendar",
    }
)

_MADE = "id,start,end"


class InvitationAnswer(StrEnum):
    """The answer to an invitation, as the API writes it."""

    YES = "accepted"
    NO = "declined"
    MAYBE = "tentative"


class CalendarToolkit(CalendarFinding):
    """Reads and changes the person's calendar, and finds a time for several people. Lives for one request.

    Args:
        google: Google's APIs as that person.
    """

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(EDIT_EVENTS,),
        doing="making an event",
        asks=Question("Put this into your calendar?", LABELS, "put it in", ("title",)),
        phrases=(
            rf"{PLEASE}(?:create|make|add|schedule)(?: an?)?(?: new)? (?:event|meeting|appointment) "
            rf"[\"']?(?P<title>.+?)[\"']? (?:from|at|on) (?P<start>{TIME}) (?:to|until) (?P<end>{TIME})"
            rf"(?: with (?P<guests>{PEOPLE}))?{END}",
        ),
    )
    async def create(
        self,
        title: Title,
        start: When,
        end: When,
        guests: People | None = None,
        place: Location | None = None,
        description: Description | None = None,
        calendar: CalendarId = "primary",
    ) -> dict[str, Any]:
        """Make an event; the person is asked first, and Google mails an invitation to every guest.

        Args:
            title: The title, in one line.
            start: When it begins.
            end: When it ends; for whole days, the last one.
            guests: Whom to invite.
            place: Where it is.
            description: The text that the guests read.
            calendar: Which calendar it goes into.
        """
        body: dict[str, Any] = {"summary": title, **span(start, end)}
        if place:
            body["location"] = place
        if description:
            body["description"] = description
        if guests:
            body["attendees"] = [{"email": each} for each in guests.split(", ")]
        events = self._google.resource("calendar", "v3", "events")
        made = await self._google.execute(
            events.insert(calendarId=calendar, sendUpdates="all" if guests else "none", body=body, fields=_MADE)
        )
        invited = f" and invited {guests}" if guests else ""
        return await self._done(made, f"I put it into your calendar{invited}")

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(EDIT_EVENTS,),
        doing="making an event",
        asks=Question("Shall Google put this into your calendar, as it understands it?", LABELS, "add it", ("words",)),
        phrases=(rf"{PLEASE}quick(?:ly)?[- ]add(?: event)? [\"']?(?P<words>.+?)[\"']?",),
    )
    async def quick_add(self, words: Title, calendar: CalendarId = "primary") -> dict[str, Any]:
        """Make an event of a sentence, as Google understands it: `Lunch with Rosa tomorrow at 12:30`.

        The person is asked first. Say afterwards what Google made of it.

        Args:
            words: The sentence, in one line.
            calendar: Which calendar it goes into.
        """
        events = self._google.resource("calendar", "v3", "events")
        made = await self._google.execute(
            events.quickAdd(calendarId=calendar, text=words, sendUpdates="none", fields=_MADE)
        )
        return await self._done(made, "Google put it into your calendar")

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(EDIT_EVENTS,),
        doing="changing an event",
        asks=Question("Change this event?", LABELS, "change it", ("event_id",)),
    )
    async def update(
        self,
        event_id: EventId,
        title: Title | None = None,
        start: When | None = None,
        end: When | None = None,
        place: Location | None = None,
        description: Description | None = None,
        add_guests: People | None = None,
        remove_guests: People | None = None,
        calendar: CalendarId = "primary",
    ) -> dict[str, Any]:
        """Change an event that the person organises; they are asked first, and Google mails the guests.

        Only what is given here is changed. With a new start and no end, the event stays as long as it was.

        Args:
            event_id: The event; the `series_id` of an occurrence changes all of them.
            title: Its new title.
            start: When it now begins.
            end: When it now ends; for whole days, the last one.
            place: Where it now is.
            description: Its new text.
            add_guests: Whom to invite as well.
            remove_guests: Whose invitation to withdraw.
            calendar: The calendar that it is in.
        """
        event = await self._event(event_id, calendar)
        if not is_own(event) and event.get("guestsCanModify") is not True:
            raise ToolError("somebody else organises this event; only they can change it. calendar_respond answers it")
        body: dict[str, Any] = {"summary": title, "location": place, "description": description}
        body = {name: value for name, value in body.items() if value is not None}
        if start or end:
            body |= new_span(event, start, end)
        if add_guests or remove_guests:
            body["attendees"] = guests_after(event, add_guests, remove_guests)
        if not body:
            raise ToolError("say what to change")
        changed = await self._patch(event, calendar, body)
        return await self._done(changed, "I changed it")

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(EDIT_EVENTS,),
        doing="moving an event",
        asks=Question("Move this event to another calendar?", LABELS, "move it", ("event_id",)),
    )
    async def move(
        self, event_id: EventId, to_calendar: CalendarId, calendar: CalendarId = "primary"
    ) -> dict[str, Any]:
        """Move an event to another of the person's calendars; they are asked first. It changes who organises it.

        To move it to another time, use calendar_update.

        Args:
            event_id: The event, or the `series_id` of an occurrence.
            to_calendar: Where it goes.
            calendar: The calendar that it is in.
        """
        events = self._google.resource("calendar", "v3", "events")
        moved = await self._google.execute(
            events.move(calendarId=calendar, eventId=event_id, destination=to_calendar, sendUpdates="all", fields=_MADE)
        )
        return await self._done(moved, f"I moved it to the calendar {to_calendar}")

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(EDIT_EVENTS,),
        doing="answering an invitation",
        asks=Question("Answer this invitation?", LABELS, "send the answer", ("event_id",)),
        phrases=(rf"{PLEASE}answer(?: the)? {EVENT_ID} (?:with )?(?P<answer>accepted|declined|tentative){END}",),
    )
    async def respond(
        self,
        event_id: EventId,
        answer: InvitationAnswer,
        comment: Title | None = None,
        calendar: CalendarId = "primary",
    ) -> dict[str, Any]:
        """Answer an invitation; the person is asked first, and the organizer sees the answer.

        Args:
            event_id: The event, or the `series_id` of an occurrence.
            answer: `accepted`, `declined` or `tentative`.
            comment: A line for the organizer.
            calendar: The calendar that it is in.
        """
        event = await self._event(event_id, calendar)
        own = own_guest(event)
        if own is None:
            raise ToolError("the person is not invited to this event, so there is nothing to answer")
        answered = {"email": text(own, "email"), "responseStatus": answer.value}
        body = {"attendees": [answered | ({"comment": comment} if comment else {})], "attendeesOmitted": True}
        if is_own(event):
            others = [guest for guest in objects(event, "attendees") if guest.get("self") is not True]
            body = {"attendees": [*others, {**own, **answered}]}
        return await self._done(await self._patch(event, calendar, body), f"I answered: {answer.value}")

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(EDIT_EVENTS,),
        doing="deleting an event",
        asks=Question("Delete this event?", LABELS, "delete it", ("event_id",)),
        phrases=(rf"{PLEASE}(?:delete|cancel)(?: the)? {EVENT_ID}{END}",),
    )
    async def delete(self, event_id: EventId, calendar: CalendarId = "primary") -> dict[str, Any]:
        """Delete an event; the person is asked first.

        One that they organise is cancelled for everybody, and Google mails the guests. Any other one is declined and
        removed from their calendar.

        Args:
            event_id: The event; the `series_id` of an occurrence deletes all of them.
            calendar: The calendar that it is in.
        """
        event = await self._event(event_id, calendar)
        events = self._google.resource("calendar", "v3", "events")
        request = events.delete(calendarId=calendar, eventId=event_id, sendUpdates="all")
        await self._unchanged(event, request)
        return {"summary": f"I deleted it: {when(event, await self._zone())}.", "id": event_id}

    async def approval_details(self, tool: str, arguments: Mapping[str, Any]) -> Sequence[str]:
        """Return which event a call is about: its title, when it takes place now, and who hears of the change."""
        if "event_id" in arguments:
            return await self._described(arguments)
        return ["Google mails an invitation to each guest"] if arguments.get("guests") else ()

    async def _patch(self, event: Mapping[str, Any], calendar: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        events = self._google.resource("calendar", "v3", "events")
        event_id = text(event, "id")
        request = events.patch(calendarId=calendar, eventId=event_id, sendUpdates="all", body=body, fields=_MADE)
        changed = await self._unchanged(event, request)
        return changed if isinstance(changed, Mapping) else {}

    async def _unchanged(self, event: Mapping[str, Any], request: Any) -> Any:
        """Make a change to the version of an event that was read, and to no other.

        Raises:
            ToolError: It was changed since; nothing was done.
        """
        request.headers["If-Match"] = text(event, "etag")
        try:
            return await self._google.execute(request)
        except GoogleError as error:
            if error.status == 412:
                raise ToolError(
                    "somebody changed this event a moment ago, so nothing was done; look at it again"
                ) from error
            raise

    async def _done(self, event: Any, said: str) -> dict[str, Any]:
        """Return what a person reads about a change, with the time that Google has for the event."""
        at = when(event, await self._zone()) if isinstance(event, Mapping) else ""
        return {"summary": f"{said}: {at}.", "id": text(event, "id")}
