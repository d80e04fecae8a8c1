"""The calendars of the sandbox's people: who has which, and what stands in them.

https://developers.google.com/workspace/calendar/api/v3/reference/calendarList
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from app.sandbox.google.api import ApiError, ApiRequest, Handler
from app.sandbox.google.calendar.event import Event
from app.sandbox.people import Person, SandboxPeople

ZONES = ("Europe/London", "America/New_York", "Asia/Kolkata", "Europe/Berlin")  # of the people, one after the other
# Scopes that reach no whole calendar of the person: availability, public calendars, and calendars that the app made.
_OF_NO_USE = frozenset(
    f"https://www.googleapis.com/auth/calendar.{name}"
    for name in ("events.freebusy", "events.public.readonly", "app.created")
)


@dataclass(frozen=True, slots=True)
class Calendar:
    """One calendar; a primary calendar's id is its owner's address.

    Attributes:
        zone: The IANA name of its time zone.
    """

    calendar_id: str
    owner: Person
    summary: str
    zone: str

    @property
    def primary(self) -> bool:
        """Return whether it is the calendar that invitations come to."""
        return self.calendar_id == self.owner.email


class Calendars:
    """Everybody's calendars and events. Lives with the sandbox.

    Attributes:
        people: The owners of the calendars.
        events: The events by id, those that were deleted included.
        handlers: The handlers of the methods about calendars, by the method's id.
    """

    def __init__(self, people: SandboxPeople) -> None:
        self.people = people
        self.events: dict[str, Event] = {}
        self._calendars: dict[str, Calendar] = {}
        for number, person in enumerate(people.values()):
            zone = ZONES[number % len(ZONES)]
            name = sha256(person.email.encode()).hexdigest()[:24]
            for calendar_id, summary in (
                (person.email, person.email),
                (f"c_{name}@group.calendar.google.com", "Private"),
            ):
                self._calendars[calendar_id] = Calendar(calendar_id, person, summary, zone)
        self.handlers: Mapping[str, Handler] = {
            "calendar.calendarList.list": self._list,
            "calendar.calendars.get": self._get,
            "calendar.settings.get": self._setting,
        }

    def primary(self, person: Person) -> Calendar:
        """Return a person's primary calendar."""
        return self._calendars[person.email]

    def of(self, request: ApiRequest, parameter: str = "calendarId") -> Calendar:
        """Return the calendar that a call names.

        Raises:
            ApiError: The person has no such calendar, or the token reaches no whole calendar.
        """
        if request.scopes <= _OF_NO_USE:
            raise ApiError(403, "Request had insufficient authentication scopes.", "insufficientPermissions")
        named = request.parameters[parameter]
        calendar = self._calendars.get(request.person.email if named == "primary" else named)
        if calendar is None or calendar.owner != request.person:
            raise ApiError(404, "Not Found", "notFound")
        return calendar

    def inside(self, calendar: Calendar) -> Iterator[Event]:
        """Yield the events of a calendar; a primary one also has those that its owner is invited to."""
        for event in self.events.values():
            if event.calendar_id == calendar.calendar_id or (calendar.primary and event.guest(calendar.owner.email)):
                yield event

    def _list(self, request: ApiRequest) -> Mapping[str, Any]:
        own = [calendar for calendar in self._calendars.values() if calendar.owner == request.person]
        size = min(request.parameters.get("maxResults", 100), 250)
        start = int(request.parameters.get("pageToken", "0") or 0)
        shown = own[start : start + size]
        more = {"nextPageToken": str(start + size)} if start + size < len(own) else {}
        return {"kind": "calendar#calendarList", "items": [_entry(calendar) for calendar in shown], **more}

    def _get(self, request: ApiRequest) -> Mapping[str, Any]:
        calendar = self.of(request)
        return {
            "kind": "calendar#calendar",
            "id": calendar.calendar_id,
            "summary": calendar.summary,
            "timeZone": calendar.zone,
        }

    def _setting(self, request: ApiRequest) -> Mapping[str, Any]:
        name = request.parameters["setting"]
        if name != "timezone":
            raise ApiError(404, "Not Found", "notFound")
        return {"kind": "calendar#setting", "id": name, "value": self.primary(request.person).zone}


def zone_of(calendar: Calendar) -> ZoneInfo:
    """Return the time zone of a calendar."""
    return ZoneInfo(calendar.zone)


def _entry(calendar: Calendar) -> dict[str, Any]:
    return {
        "kind": "calendar#calendarListEntry",
        "id": calendar.calendar_id,
        "summary": calendar.summary,
        "timeZone": calendar.zone,
        "accessRole": "owner",
        **({"primary": True} if calendar.primary else {}),
    }
