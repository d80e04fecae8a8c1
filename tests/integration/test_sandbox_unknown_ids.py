"""Calendar's and Drive's methods answer 404 for an unknown id and for another person's id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.sandbox.google.discovery import find_route
from tests.fakes.sandbox import ADA, GRACE, SandboxClient, in_memory, sandbox
from tests.integration.test_sandbox_batch import post_batch

SCOPES = ("https://www.googleapis.com/auth/calendar", "https://www.googleapis.com/auth/drive")
CALENDAR, DRIVE = "/calendar/v3/calendars", "/drive/v3/files"
TIMES = {"start": {"dateTime": "2055-01-05T12:00:00Z"}, "end": {"dateTime": "2055-01-05T13:00:00Z"}}
READER = {"role": "reader", "type": "user", "emailAddress": "bob@example.com"}
# Each with the kind of id that replaces {}.
CALLS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "calendar": ("GET", f"{CALENDAR}/{{calendar}}", None),
    "events of": ("GET", f"{CALENDAR}/{{calendar}}/events", None),
    "event in": ("GET", f"{CALENDAR}/{{calendar}}/events/{{own_event}}", None),
    "insert in": ("POST", f"{CALENDAR}/{{calendar}}/events", TIMES),
    "quick add in": ("POST", f"{CALENDAR}/{{calendar}}/events/quickAdd?text=Lunch", None),
    "patch in": ("PATCH", f"{CALENDAR}/{{calendar}}/events/{{own_event}}", {"summary": "x"}),
    "move to": ("POST", f"{CALENDAR}/primary/events/{{own_event}}/move?destination={{calendar}}", None),
    "delete in": ("DELETE", f"{CALENDAR}/{{calendar}}/events/{{own_event}}", None),
    "event": ("GET", f"{CALENDAR}/primary/events/{{event}}", None),
    "patch": ("PATCH", f"{CALENDAR}/primary/events/{{event}}", {"summary": "x"}),
    "move": ("POST", f"{CALENDAR}/primary/events/{{event}}/move?destination={ADA}", None),
    "delete": ("DELETE", f"{CALENDAR}/primary/events/{{event}}", None),
    "file": ("GET", f"{DRIVE}/{{file}}", None),
    "download": ("GET", f"{DRIVE}/{{file}}?alt=media", None),
    "export": ("GET", f"{DRIVE}/{{file}}/export?mimeType=text/plain", None),
    "copy": ("POST", f"{DRIVE}/{{file}}/copy", {}),
    "update": ("PATCH", f"{DRIVE}/{{file}}", {"name": "x"}),
    "trash": ("PATCH", f"{DRIVE}/{{file}}", {"trashed": True}),
    "add a parent": ("PATCH", f"{DRIVE}/{{own_file}}?addParents={{file}}", {}),
    "create in": ("POST", DRIVE, {"name": "x", "parents": ["{file}"]}),
    "copy to": ("POST", f"{DRIVE}/{{own_file}}/copy", {"parents": ["{file}"]}),
    "permissions": ("GET", f"{DRIVE}/{{file}}/permissions", None),
    "share": ("POST", f"{DRIVE}/{{file}}/permissions", READER),
}


class Account:
    """One person's calendar and files."""

    def __init__(self, client: SandboxClient, token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}

    async def call(self, verb: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the status of a call, and its answer."""
        json = {} if body is None else {"json": body}
        response = await self._client.http.request(verb, path, headers=self._headers, **json)  # type: ignore[arg-type]
        return response.status_code, response.json() if response.content else {}

    async def ids(self) -> dict[str, str]:
        """Return the ids of a calendar, an event and a file of this person."""
        calendars = (await self.call("GET", "/calendar/v3/users/me/calendarList"))[1]["items"]
        event = (await self.call("POST", f"{CALENDAR}/primary/events", TIMES))[1]
        file = (await self.call("POST", DRIVE, {"name": "Mine"}))[1]
        return {"calendar": calendars[1]["id"], "event": event["id"], "file": file["id"]}


@pytest.fixture
async def two() -> AsyncIterator[tuple[Account, Account]]:
    """Yield Ada's account and Grace's."""
    async with in_memory(sandbox()) as client:
        tokens = [(await client.sign_in(email, *SCOPES))["access_token"] for email in (ADA, GRACE)]
        yield Account(client, tokens[0]), Account(client, tokens[1])


def filled(value: Any, ids: dict[str, str]) -> Any:
    """Return the value with the ids filled in."""
    if isinstance(value, dict):
        return {name: filled(each, ids) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, ids) for each in value]
    return value.format(**ids) if isinstance(value, str) else value


@pytest.mark.parametrize("whose", ["nobody's", "another's"])
@pytest.mark.parametrize("name", CALLS)
async def test_an_id_that_is_not_ones_own_is_not_found(two: tuple[Account, Account], name: str, whose: str) -> None:
    """An unknown id and another person's get the same 404, and nothing of that person's changes."""
    ada, grace = two
    own, theirs = await ada.ids(), await grace.ids()
    unknown = {"calendar": "nobody@example.com", "event": "0123456789abcdef", "file": "nothing-here"}
    mine = {"own_event": own["event"], "own_file": own["file"]}
    verb, path, body = (filled(part, {**(theirs if whose == "another's" else unknown), **mine}) for part in CALLS[name])
    status, answer = await ada.call(verb, path, body)
    event, file = f"{CALENDAR}/primary/events/{theirs['event']}", f"{DRIVE}/{theirs['file']}"

    assert (status, answer["error"]["errors"][0]["reason"]) == (404, "notFound")
    assert (await grace.call("GET", event))[1].get("summary") != "x"
    assert (await grace.call("GET", f"{file}?fields=name,trashed"))[1] == {"name": "Mine", "trashed": False}


def test_every_method_that_takes_an_id_is_in_the_table() -> None:
    """Every method of the sandbox that takes an id is in `CALLS`, so a new one has to be added."""
    ids = dict.fromkeys(("calendar", "event", "file", "own_event", "own_file"), "x")
    found = [find_route(verb, filled(path, ids).partition("?")[0]) for verb, path, _ in CALLS.values()]
    tested = {route[0].method_id for route in found if route is not None}
    without = {"calendarList.list", "settings.get", "freebusy.query", "files.list", "drives.list"}
    google = sandbox()
    known = {*google.calendar.handlers, *google.drive.handlers}

    assert known - tested == {name for name in known if name.partition(".")[2] in without}


async def test_a_batch_applies_each_calls_field_mask() -> None:
    """In a batch each call's field mask works as in a single call, and an invalid mask gets the same 400."""
    async with in_memory(sandbox()) as client:
        token = (await client.sign_in(ADA, *SCOPES))["access_token"]
        calls = [f"GET {CALENDAR}/primary?fields={mask} HTTP/1.1\n\n" for mask in ("id", "id(", "nothing", "id/x")]
        response = await post_batch(client, "/batch/calendar/v3", *calls, Authorization=f"Bearer {token}")
        single = [
            await client.http.get(call.split()[1], headers={"Authorization": f"Bearer {token}"}) for call in calls
        ]

    assert [each.status_code for each in single] == [200, 400, 400, 400]
    pieces = response.text.split("Content-Type: application/http")[1:]
    assert [" 200 " in piece for piece in pieces] == [True, False, False, False]
    assert all(each.text in piece for each, piece in zip(single, pieces, strict=True))
