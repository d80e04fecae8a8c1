"""The routes that the sandbox reads from the discovery documents."""

from __future__ import annotations

import pytest

from app.sandbox.google.discovery import APIS, api_named, find_route, scope_descriptions


@pytest.mark.parametrize(
    ("verb", "path", "method_id", "parameters"),
    [
        ("GET", "/gmail/v1/users/me/messages/a1", "gmail.users.messages.get", {"userId": "me", "id": "a1"}),
        ("POST", "/gmail/v1/users/me/messages/batchModify", "gmail.users.messages.batchModify", {"userId": "me"}),
        ("POST", "/upload/gmail/v1/users/me/messages/send", "gmail.users.messages.send", {"userId": "me"}),
        ("GET", "/calendar/v3/calendars/a%2Fb%40c/events", "calendar.events.list", {"calendarId": "a/b@c"}),
        ("PATCH", "/upload/drive/v3/files/f1", "drive.files.update", {"fileId": "f1"}),
        ("GET", "/v1/documents/d1", "docs.documents.get", {"documentId": "d1"}),
        ("POST", "/v1/documents/d1:batchUpdate", "docs.documents.batchUpdate", {"documentId": "d1"}),
        (
            "POST",
            "/v4/spreadsheets/s1/values/A1%3AB2:append",
            "sheets.spreadsheets.values.append",
            {"spreadsheetId": "s1", "range": "A1:B2"},
        ),
        ("GET", "/v1/people/me", "people.people.get", {"resourceName": "people/me"}),
        ("GET", "/v1/people/me/connections", "people.people.connections.list", {"resourceName": "people/me"}),
        ("GET", "/v1/people:searchContacts", "people.people.searchContacts", {}),
        ("GET", "/tasks/v1/users/@me/lists", "tasks.tasklists.list", {}),
    ],
)
def test_a_path_leads_to_its_method(verb: str, path: str, method_id: str, parameters: dict[str, str]) -> None:
    """Service paths, upload paths, custom verbs and nested resource names are distinguished and decoded."""
    found = find_route(verb, path)

    assert found is not None
    assert found[0].method_id == method_id
    assert found[1] == parameters


@pytest.mark.parametrize("path", ["/gmail/v1/users/me", "/gmail/v2/users/me/profile", "/", "/v1/people", "/upload/x"])
def test_another_path_leads_nowhere(path: str) -> None:
    """A path that no document describes has no route."""
    assert find_route("GET", path) is None


def test_every_method_lists_its_scopes_and_every_scope_is_described() -> None:
    """Every method lists its scopes, and each scope has a description for the consent page."""
    routes = [route for name in APIS for group in api_named(name).routes.values() for route in group]

    assert len({route.method_id for route in routes}) == 239
    assert all(route.scopes and route.scopes <= scope_descriptions().keys() for route in routes)
