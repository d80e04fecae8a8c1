"""The sandbox's Calendar refuses what Google Calendar refuses, over plain HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.toolkits.calendar import EDIT_EVENTS, FREE_BUSY, READ_EVENTS
from tests.fakes.sandbox import ADA, GRACE, SandboxClient, in_memory, sandbox

EVENTS = "/calendar/v3/calendars/primary/events"
NOON, ONE = {"dateTime": "2055-01-05T12:00:00Z"}, {"dateTime": "2055-01-05T13:00:00Z"}
OWNED = "https://www.googleapis.com/auth/calendar.app.created"


class Diary:
    """One person's calendar."""

    def __init__(self, client: SandboxClient, token: str) -> None:
        self._client = client
        self._token = token

    async def call(self, verb: str, path: str = "", **options: Any) -> tuple[int, Any]:
        """Return the status of a call, and its answer or the reason of its refusal."""
        headers = {"Authorization": f"Bearer {self._token}", **options.pop("headers", {})}
        path = path if path.startswith("/calendar/") else f"{EVENTS}{path}"
        response = await self._client.http.request(verb, path, headers=headers, **options)
        answer = response.json() if response.content else {}
        return response.status_code, answer["error"]["errors"][0]["reason"] if response.is_error else answer


@pytest.fixture
async def diaries() -> AsyncIterator[tuple[Diary, Diary]]:
    """Yield Ada's and Grace's calendars."""
    async with in_memory(sandbox()) as client:
        tokens = [await client.sign_in(email, EDIT_EVENTS, FREE_BUSY) for email in (ADA, GRACE)]
        ada, grace = (Diary(client, each["access_token"]) for each in tokens)
        yield ada, grace


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"start": NOON}, 400, "required"),
        ({"start": ONE, "end": NOON}, 400, "timeRangeEmpty"),
        ({"start": {"date": "2055-01-05"}, "end": ONE}, 400, "invalid"),
        ({"start": {"dateTime": "2055-01-05T12:00:00"}, "end": ONE}, 400, "invalidArgument"),  # without a time zone
        ({"start": {**NOON, "timeZone": "Middle/Earth"}, "end": ONE}, 400, "invalid"),
        ({"start": {**NOON, "date": "2055-01-05"}, "end": ONE}, 400, "required"),
        ({"start": NOON, "end": ONE, "id": "not base32hex"}, 400, "invalid"),
        ({"start": NOON, "end": ONE, "attendees": [{"email": "ada"}]}, 400, "invalid"),
        ({"start": NOON, "end": ONE, "recurrence": ["DTSTART:20550105T120000Z"]}, 400, "invalid"),
        ({"start": NOON, "end": ONE, "unknown": 1}, 400, "invalidArgument"),
        ({"start": NOON, "end": ONE, "conferenceData": {}}, 501, "notImplemented"),
    ],
)
async def test_an_event_that_is_not_one_is_refused(
    diaries: tuple[Diary, Diary], body: dict[str, Any], status: int, reason: str
) -> None:
    """An invalid event is refused with Google's status and reason, and an unsupported one with a 501."""
    ada, _ = diaries

    assert await ada.call("POST", json=body) == (status, reason)


async def test_an_id_is_taken_once_and_a_version_is_held(diaries: tuple[Diary, Diary]) -> None:
    """A used id conflicts, an old etag fails, and a deleted event is cancelled for its organizer."""
    ada, _ = diaries
    body = {"id": "abcde12345", "start": NOON, "end": ONE, "summary": "Lunch"}
    status, event = await ada.call("POST", json=body)
    assert status == 200
    assert await ada.call("POST", json=body) == (409, "duplicate")
    old = {"If-Match": event["etag"]}
    assert (await ada.call("PATCH", "/abcde12345", json={"summary": "Brunch"}, headers=old))[0] == 200
    assert await ada.call("PATCH", "/abcde12345", json={"summary": "x"}, headers=old) == (412, "conditionNotMet")
    assert await ada.call("DELETE", "/abcde12345", headers=old) == (412, "conditionNotMet")
    assert (await ada.call("DELETE", "/abcde12345"))[0] == 204
    assert await ada.call("DELETE", "/abcde12345") == (410, "deleted")
    assert (await ada.call("GET", "/abcde12345"))[1]["status"] == "cancelled"


async def test_a_guest_changes_an_answer_and_no_more(diaries: tuple[Diary, Diary]) -> None:
    """A guest can change only their own answer, and a person who is not invited does not see the event."""
    ada, grace = diaries
    _, event = await ada.call("POST", json={"start": NOON, "end": ONE, "attendees": [{"email": GRACE}]})
    path = f"/{event['id']}"
    own = {"email": GRACE, "responseStatus": "accepted"}

    assert await grace.call("PATCH", path, json={"summary": "x"}) == (403, "forbiddenForNonOrganizer")
    assert await grace.call("PATCH", path, json={"attendees": [own]}) == (403, "forbiddenForNonOrganizer")
    status, answered = await grace.call("PATCH", path, json={"attendees": [own], "attendeesOmitted": True})
    assert status == 200
    assert {each["email"]: each["responseStatus"] for each in answered["attendees"]}[GRACE] == "accepted"
    assert [each["email"] for each in answered["attendees"] if each.get("self")] == [GRACE]
    _, alone = await ada.call("POST", json={"start": NOON, "end": ONE})
    assert await grace.call("GET", f"/{alone['id']}") == (404, "notFound")
    assert await grace.call("GET", f"/calendar/v3/calendars/{ADA}/events") == (404, "notFound")


async def test_lists_take_only_what_google_takes(diaries: tuple[Diary, Diary]) -> None:
    """A list with an unsuitable order, a foreign page token, an empty range or an unknown time zone is refused."""
    ada, _ = diaries

    assert await ada.call("GET", params={"orderBy": "startTime"}) == (400, "invalid")
    assert await ada.call("GET", params={"pageToken": "2"}) == (400, "invalid")
    empty = {"timeMin": "2055-01-05T12:00:00Z", "timeMax": "2055-01-05T12:00:00Z"}
    assert await ada.call("GET", params=empty) == (400, "timeRangeEmpty")
    assert await ada.call("GET", params={"timeZone": "Middle/Earth"}) == (400, "invalid")
    query = {**empty, "timeMax": "2055-01-05T13:00:00Z", "items": [{"id": ADA}] * 51}
    assert await ada.call("POST", "/calendar/v3/freeBusy", json=query) == (400, "tooManyCalendarsRequested")


async def test_scopes_that_reach_no_calendar_read_none() -> None:
    """A token whose scope covers only calendars made by the app cannot read others, and a read scope cannot write."""
    async with in_memory(sandbox()) as client:
        created, reading = [await client.sign_in(ADA, scope) for scope in (OWNED, READ_EVENTS)]
        refused = await Diary(client, created["access_token"]).call("GET")
        read, _ = await Diary(client, reading["access_token"]).call("GET")
        written = await Diary(client, reading["access_token"]).call("POST", json={"start": NOON, "end": ONE})

    assert refused == (403, "insufficientPermissions")
    assert read == 200
    assert written == (403, "insufficientPermissions")
