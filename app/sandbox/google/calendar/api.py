"""All of the sandbox's Google Calendar put together.

https://developers.google.com/workspace/calendar/api/v3/reference
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.sandbox.google.api import Handler
from app.sandbox.google.calendar.calendars import Calendars
from app.sandbox.google.calendar.diary import diary
from app.sandbox.google.calendar.event import Event
from app.sandbox.google.calendar.free_busy import FreeBusy
from app.sandbox.google.calendar.reading import EventReading
from app.sandbox.google.calendar.store import EventStore
from app.sandbox.google.calendar.writing import EventWriting
from app.sandbox.people import SandboxPeople


class GoogleCalendar:
    """Everybody's calendars. Lives with the sandbox.

    Args:
        people: The owners of the calendars.
        now: The clock, in seconds since the epoch.
        marked: Whether each event holds a marker.

    Attributes:
        handlers: The handler of each method, by the method's id.
    """

    def __init__(self, people: SandboxPeople, now: Callable[[], float], *, marked: bool) -> None:
        self._calendars = Calendars(people)
        store = EventStore(self._calendars, now)
        for person in people.values():
            for event in diary(self._calendars.primary(person), tuple(people.values()), store.now(), marked=marked):
                store.put(event)
        self._writing = EventWriting(self._calendars, store)
        self.handlers: Mapping[str, Handler] = {
            **self._calendars.handlers,
            **EventReading(self._calendars, store).handlers,
            **self._writing.handlers,
            **FreeBusy(self._calendars).handlers,
        }

    def events(self, email: str) -> list[Event]:
        """Return the events in a person's primary calendar, by start; those that were deleted are left out.

        Raises:
            KeyError: Nobody has this address.
        """
        calendar = self._calendars.primary(self._calendars.people[email])
        inside = self._calendars.inside(calendar)
        kept = [event for event in inside if not event.cancelled and email not in event.away]
        return sorted(kept, key=lambda event: (event.span.start, event.event_id))

    @property
    def notified(self) -> list[tuple[str, str]]:
        """The addresses that were sent a mail about a change, each with the event's id; oldest first."""
        return self._writing.notified
