"""Events made, changed, moved and deleted.

The organizer changes an event for everybody. A guest changes their own answer and how the event stands in their own
calendar. https://developers.google.com/workspace/calendar/api/concepts/sharing
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

from app.sandbox.google.api import ApiError, ApiRequest, Handler
from app.sandbox.google.calendar.calendars import Calendar, Calendars, zone_of
from app.sandbox.google.calendar.event import OWN_FIELDS, RESPONSES, SHARED_FIELDS, Event, Guest
from app.sandbox.google.calendar.store import EventStore, check_version
from app.sandbox.google.calendar.times import DAY, Span, read_span
from app.sandbox.google.schemas import without_nulls

_SETTABLE = {*SHARED_FIELDS, *OWN_FIELDS, "start", "end", "attendees", "attendeesOmitted", "recurrence", "id"}
_ADDRESS = re.compile(r"[^\s@<>,]+@[^\s@<>,]+\.[^\s@<>,]+")
_QUICK = re.compile(
    r"\b(?:(?P<day>\d{4}-\d{2}-\d{2}|today|tomorrow) )?(?:at )?(?P<hour>\d{1,2}):(?P<minute>\d{2})\b", re.I
)


class EventWriting:
    """The handlers that change events. Lives with the sandbox.

    Attributes:
        notified: The address of each mail about a change, with the event's id; oldest first.
    """

    def __init__(self, calendars: Calendars, store: EventStore) -> None:
        self._calendars = calendars
        self._store = store
        self.notified: list[tuple[str, str]] = []
        self.handlers: Mapping[str, Handler] = {
            "calendar.events.insert": self._insert,
            "calendar.events.quickAdd": self._quick_add,
            "calendar.events.patch": self._patch,
            "calendar.events.move": self._move,
            "calendar.events.delete": self._delete,
        }

    def _insert(self, request: ApiRequest) -> Mapping[str, Any]:
        calendar, body = self._calendars.of(request), request.body
        _check_fields(body)
        event = Event(
            event_id=self._store.new_id(body.get("id")),
            calendar_id=calendar.calendar_id,
            creator=request.person.email,
            span=read_span(body["start"], body["end"]),
            created=self._store.now(),
            updated=self._store.now(),
            fields={name: body[name] for name in (*SHARED_FIELDS, *OWN_FIELDS) if name in body},
            guests=_guests(body.get("attendees", []), calendar),
            rules=tuple(body.get("recurrence", ())),
        )
        return self._keep(event, calendar, request)

    def _quick_add(self, request: ApiRequest) -> Mapping[str, Any]:
        """Make an event of a text; the sandbox reads ``tomorrow at 10:00`` and dates, and else takes the next hour."""
        calendar, text = self._calendars.of(request), request.parameters["text"].strip()
        if not text:
            raise ApiError(400, "Missing event text.", "required")
        now = self._store.now().astimezone(zone_of(calendar))
        start = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        if match := _QUICK.search(text):
            day = {"": now.date(), "today": now.date(), "tomorrow": (now + DAY).date()}.get(
                (match["day"] or "").lower()
            )
            try:
                day = day or datetime.fromisoformat(match["day"]).date()
                start = datetime.combine(day, time(int(match["hour"]), int(match["minute"])), zone_of(calendar))
            except ValueError:
                raise ApiError(400, "Invalid start time.", "invalid") from None
            text = " ".join(f"{text[: match.start()]} {text[match.end() :]}".split())
        event = Event(
            event_id=self._store.new_id(None),
            calendar_id=calendar.calendar_id,
            creator=request.person.email,
            span=Span(start, start + timedelta(hours=1)),
            created=self._store.now(),
            updated=self._store.now(),
            fields={"summary": text},
        )
        return self._keep(event, calendar, request)

    def _patch(self, request: ApiRequest) -> Mapping[str, Any]:
        calendar, body = self._calendars.of(request), request.body
        event = self._store.find(calendar, request.parameters["eventId"])
        check_version(event, request)
        _check_fields(body)
        if event.cancelled:
            raise ApiError(403, "Forbidden", "forbidden")
        if event.calendar_id != calendar.calendar_id:
            return self._answer(event, calendar, request)
        given = {name: body[name] for name in (*SHARED_FIELDS, *OWN_FIELDS) if name in body}
        fields = {name: value for name, value in {**event.fields, **given}.items() if value is not None}
        zone = zone_of(calendar)
        times = {name: without_nulls(body.get(name, value)) for name, value in event.span.json(zone).items()}
        changed = replace(event, fields=fields, span=read_span(times["start"], times["end"]))
        if "attendees" in body:
            changed = replace(changed, guests=_guests(body["attendees"], calendar))
        if "recurrence" in body:
            if event.series:
                raise ApiError(400, "An instance has no recurrence of its own.", "invalid")
            changed = replace(changed, rules=tuple(body["recurrence"] or ()))
        if changed.span != event.span or changed.fields.get("location") != event.fields.get("location"):
            changed = replace(changed, sequence=event.sequence + 1)
        self._store.part(event)
        left = [guest for guest in event.guests if not changed.guest(guest.email)]
        return self._keep(changed, calendar, request, left)

    def _answer(self, event: Event, calendar: Calendar, request: ApiRequest) -> Mapping[str, Any]:
        """Change a guest's answer."""
        email, body = calendar.owner.email, request.body
        if forbidden := body.keys() - {"attendees", "attendeesOmitted", *OWN_FIELDS}:
            names = ", ".join(sorted(forbidden))
            raise ApiError(
                403,
                f"Shared properties can only be changed by the organizer of the event: {names}",
                "forbiddenForNonOrganizer",
            )
        given = {each["email"].lower(): each for each in body.get("attendees", []) if "email" in each}
        if not body.get("attendeesOmitted") and given.keys() != {guest.email for guest in event.guests}:
            raise ApiError(403, "Shared properties can only be changed by the organizer.", "forbiddenForNonOrganizer")
        own = given.get(email, {})
        answered = _guest(own, event.guest(email)) if own else event.guest(email)
        assert answered is not None
        guests = tuple(answered if guest.email == email else guest for guest in event.guests)
        self._store.part(event)
        kept = self._store.put(replace(event, guests=guests, away=event.away - {email}))
        self._notify(kept, [Guest(event.calendar_id)], request)
        return kept.json(email, zone_of(calendar))

    def _move(self, request: ApiRequest) -> Mapping[str, Any]:
        calendar = self._calendars.of(request)
        event = self._store.find(calendar, request.parameters["eventId"])
        destination = self._calendars.of(request, "destination")
        if event.series:
            raise ApiError(400, "Cannot change the organizer of an instance.", "cannotChangeOrganizerOfInstance")
        if event.cancelled or event.calendar_id != calendar.calendar_id:
            raise ApiError(403, "Forbidden", "forbidden")
        return self._keep(replace(event, calendar_id=destination.calendar_id), destination, request)

    def _delete(self, request: ApiRequest) -> None:
        calendar = self._calendars.of(request)
        email = calendar.owner.email
        event = self._store.find(calendar, request.parameters["eventId"])
        check_version(event, request)
        if event.cancelled or email in event.away:
            raise ApiError(410, "Resource has been deleted", "deleted")
        self._store.part(event)
        if event.calendar_id == calendar.calendar_id:
            kept = self._store.put(replace(event, cancelled=True))
            self._notify(kept, event.guests, request)
            return
        guests = tuple(replace(guest, response="declined") if guest.email == email else guest for guest in event.guests)
        self._store.put(replace(event, guests=guests, away=event.away | {email}))

    def _keep(
        self, event: Event, calendar: Calendar, request: ApiRequest, left: Sequence[Guest] = ()
    ) -> Mapping[str, Any]:
        kept = self._store.put(event)
        self._notify(kept, [*kept.guests, *left], request)
        return kept.json(calendar.owner.email, zone_of(calendar))

    def _notify(self, event: Event, guests: Iterable[Guest], request: ApiRequest) -> None:
        if request.parameters.get("sendUpdates") in ("all", "externalOnly"):
            others = {guest.email for guest in guests} - {request.person.email}
            self.notified += [(email, event.event_id) for email in sorted(others)]


def _check_fields(body: Mapping[str, Any]) -> None:
    if unknown := body.keys() - _SETTABLE:
        raise ApiError(501, f"The sandbox cannot set {', '.join(sorted(unknown))} yet.", "notImplemented")
    if any(not rule.startswith("RRULE:") for rule in body.get("recurrence") or ()):
        raise ApiError(400, "Invalid recurrence rule.", "invalid")


def _guests(given: Sequence[Mapping[str, Any]], calendar: Calendar) -> tuple[Guest, ...]:
    """Return the guests of an event, once each; the organizer is one of them as soon as there are others."""
    guests = {guest.email: guest for guest in map(_guest, given)}
    if guests and calendar.primary and calendar.owner.email not in guests:
        guests[calendar.owner.email] = Guest(calendar.owner.email, "accepted")
    if len(guests) > 200:
        raise ApiError(400, "The number of attendees exceeds the limit.", "limitExceeded")
    return tuple(guests.values())


def _guest(given: Mapping[str, Any], known: Guest | None = None) -> Guest:
    email = given.get("email", "").lower()
    if not _ADDRESS.fullmatch(email):
        raise ApiError(400, "Invalid attendee email.", "invalid")
    response = given.get("responseStatus", known.response if known else "needsAction")
    if response not in RESPONSES:
        raise ApiError(400, "Invalid attendee response status.", "invalid")
    comment = given.get("comment", known.comment if known else "")
    return Guest(email, response, bool(given.get("optional", known.optional if known else False)), comment)
