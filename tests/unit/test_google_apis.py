"""Google's APIs, built once from their discovery documents."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.http import HttpRequest, MediaInMemoryUpload

from app.errors import SettingsError
from app.google.apis import API_VERSIONS, GoogleApis
from app.google.transport import NoHttp

ROOT = "http://127.0.0.1:8085"


@pytest.fixture(scope="module")
def apis() -> GoogleApis:
    """Return the templates, which are loaded as they are used."""
    return GoogleApis(ROOT)


def requests_of(apis: GoogleApis) -> dict[str, HttpRequest]:
    """Return one request of each of the seven APIs."""
    return {
        "calendar": apis.resource("calendar", "v3", "events").list(calendarId="primary"),
        "docs": apis.resource("docs", "v1", "documents").get(documentId="d"),
        "drive": apis.resource("drive", "v3", "files").get(fileId="f"),
        "gmail": apis.resource("gmail", "v1", "users", "messages").list(userId="me"),
        "people": apis.resource("people", "v1", "people", "connections").list(resourceName="people/me"),
        "sheets": apis.resource("sheets", "v4", "spreadsheets").get(spreadsheetId="s"),
        "tasks": apis.resource("tasks", "v1", "tasklists").list(),
    }


def methods_of(resource: Any, path: str = "") -> dict[str, str]:
    """Return the docstring of every method of a resource, and of those below it, by path."""
    found: dict[str, str] = {}
    for name in resource.__dict__:
        method = getattr(resource, name)
        if hasattr(method, "__is_resource__"):
            found |= methods_of(method(), f"{path}.{name}")
        elif not name.startswith("_"):
            found[f"{path}.{name}"] = method.__doc__
    return found


def test_a_changed_root_keeps_each_apis_own_path(apis: GoogleApis) -> None:
    """All APIs use the given root, each with its own service path."""
    paths = {name: request.uri.removeprefix(ROOT).partition("?")[0] for name, request in requests_of(apis).items()}

    assert paths == {
        "calendar": "/calendar/v3/calendars/primary/events",
        "docs": "/v1/documents/d",
        "drive": "/drive/v3/files/f",
        "gmail": "/gmail/v1/users/me/messages",
        "people": "/v1/people/me/connections",
        "sheets": "/v4/spreadsheets/s",
        "tasks": "/tasks/v1/users/@me/lists",
    }


def test_batches_and_uploads_go_to_the_changed_root_too(apis: GoogleApis) -> None:
    """Batches and uploads use the given root too, at the path of their API."""
    batches = {apis.batch_url(request.methodId) for request in requests_of(apis).values()}
    upload = apis.resource("drive", "v3", "files").create(media_body=MediaInMemoryUpload(b"x", "text/plain"))

    assert batches == {f"{ROOT}/batch", f"{ROOT}/batch/calendar/v3", f"{ROOT}/batch/drive/v3"}
    assert upload.uri.startswith(f"{ROOT}/upload/drive/v3/files?")


def test_without_a_root_each_api_is_where_google_has_it() -> None:
    """Without a root, calls and batches go to the hosts in Google's documents."""
    apis = GoogleApis(None)
    request = apis.resource("calendar", "v3", "events").list(calendarId="primary")

    assert request.uri.startswith("https://www.googleapis.com/calendar/v3/calendars/primary/events")
    assert apis.batch_url(request.methodId) == "https://www.googleapis.com/batch/calendar/v3"
    assert apis.batch_url("gmail.users.messages.get") == "https://gmail.googleapis.com/batch"


def test_a_resource_is_made_once_however_many_ask_first() -> None:
    """Threads that ask for an API for the first time at the same moment all get the same resource."""
    apis = GoogleApis(ROOT)
    with ThreadPoolExecutor(16) as threads:
        found = set(threads.map(lambda _: id(apis.resource("sheets", "v4", "spreadsheets")), range(64)))

    assert len(found) == 1
    assert found == {id(apis.resource("sheets", "v4", "spreadsheets"))}


def test_requests_of_two_people_share_nothing_that_changes(apis: GoogleApis) -> None:
    """Two requests of one template have separate headers, which hold no token."""
    messages = apis.resource("gmail", "v1", "users", "messages")
    ada, grace = messages.list(userId="me", q="from:ada"), messages.list(userId="me", q="from:grace")
    ada.headers["x-person"] = "ada"

    assert "x-person" not in grace.headers
    assert "authorization" not in {name.lower() for name in ada.headers}
    assert "grace" not in ada.uri


@pytest.mark.parametrize("api", API_VERSIONS)
def test_a_template_has_every_method_and_no_description_of_bodies(apis: GoogleApis, api: str) -> None:
    """A template has every method of Google's own client, including pages of lists, without megabytes of docstrings."""
    text = get_static_doc(api, API_VERSIONS[api])
    assert text is not None
    whole = methods_of(build_from_document(json.loads(text), http=NoHttp()))
    ours = methods_of(apis.resource(api, API_VERSIONS[api]))

    assert ours.keys() == whole.keys()
    assert sum(map(len, ours.values())) < 200_000


def test_a_template_cannot_send(apis: GoogleApis) -> None:
    """A request of any API that is executed without a person's transport fails."""
    for request in requests_of(apis).values():
        with pytest.raises(RuntimeError, match="GoogleClient"):
            request.execute()


def test_method_scopes_are_those_of_the_document(apis: GoogleApis) -> None:
    """A method's scopes are those of its discovery document, and a method of each of the seven APIs has some."""
    send = apis.method_scopes("gmail.users.messages.send")

    assert "https://www.googleapis.com/auth/gmail.send" in send
    assert "https://www.googleapis.com/auth/gmail.readonly" not in send
    assert all(apis.method_scopes(request.methodId) for request in requests_of(apis).values())
    assert set(API_VERSIONS) == set(requests_of(apis))


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        (("gmail", "v1", "users", "mails"), r"no resource users\.mails; it has .*users\.messages"),
        (("nothing", "v1"), "knows no API nothing v1"),
        (("gmail", "v9"), "in use as v1"),
    ],
)
def test_what_does_not_exist_is_named(apis: GoogleApis, path: tuple[str, str], complaint: str) -> None:
    """A misspelt API, version or resource raises an error that explains the mistake."""
    apis.resource("gmail", "v1")

    with pytest.raises(SettingsError, match=complaint):
        apis.resource(*path)


@pytest.mark.parametrize("method_id", ["gmail.users.messages.teleport", "nothing.at.all"])
def test_an_unknown_method_is_named(apis: GoogleApis, method_id: str) -> None:
    """A misspelt method id is refused, so that a tool's declared scopes are compared with real ones."""
    with pytest.raises(SettingsError, match=method_id):
        apis.method_scopes(method_id)


def test_the_library_logs_no_bodies_and_no_searches() -> None:
    """The library's loggers, which would write search words and error bodies, are silent below errors."""
    for name in ("googleapiclient.http", "googleapiclient.discovery", "googleapiclient.model"):
        assert not logging.getLogger(name).isEnabledFor(logging.WARNING)
