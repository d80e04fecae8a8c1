"""The sandbox checks each call, and each of its own answers, against the discovery documents."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from app.sandbox.google.api import ApiRequest, RestApi, WireRequest
from app.sandbox.google.grants import Authorization, SandboxGrants, challenge_of
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.log import Call
from app.sandbox.people import PEOPLE, SandboxPeople
from tests.fakes.sandbox import ADA, GRACE, READ, SEND, Clock, SandboxClient, in_memory, sandbox

MESSAGES = "/gmail/v1/users/me/messages"


@pytest.fixture
def google() -> GoogleSandbox:
    """Return a sandbox."""
    return sandbox()


@pytest.fixture
async def client(google: GoogleSandbox) -> AsyncIterator[SandboxClient]:
    """Yield a client of that sandbox."""
    async with in_memory(google) as found:
        yield found


async def bearer(client: SandboxClient, email: str = ADA, *scopes: str) -> str:
    """Return an access token for reading and sending, or for these scopes."""
    token: str = (await client.sign_in(email, *(scopes or (READ, SEND))))["access_token"]
    return token


@pytest.mark.parametrize("authorization", [None, "Bearer ya29.unknown", "Bearer ", "Basic YTpi", "ya29.unknown"])
async def test_without_a_bearer_of_somebodys_nothing_is_answered(
    google: GoogleSandbox, client: SandboxClient, authorization: str | None
) -> None:
    """Without a valid bearer the answer is a 401 in Google's format, with the header that google-auth refreshes on."""
    headers = {"Authorization": authorization} if authorization else {}
    response = await client.http.get(MESSAGES, headers=headers)

    assert response.status_code == 401
    assert response.json()["error"]["status"] == "UNAUTHENTICATED"
    assert response.json()["error"]["errors"][0]["reason"] == "authError"
    assert "invalid_token" in response.headers["WWW-Authenticate"]
    assert (google.calls[-1].method_id, google.calls[-1].email) == ("gmail.users.messages.list", None)


async def test_a_method_needs_one_of_its_scopes(client: SandboxClient) -> None:
    """A bearer without a method's scopes gets a 403 that names the scopes that would suffice."""
    response = await client.call(await bearer(client, ADA, SEND), "GET", MESSAGES)

    assert response.status_code == 403
    assert response.json()["error"]["errors"][0]["reason"] == "insufficientPermissions"
    assert READ in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (MESSAGES, {"query": "mill"}),
        (MESSAGES, {"maxResults": "many"}),
        (MESSAGES, {"maxResults": "-1"}),
        (MESSAGES, {"maxResults": "1_0"}),
        (MESSAGES, {"includeSpamTrash": "yes"}),
        (MESSAGES, {"q": ["a", "b"]}),
        (MESSAGES, {"alt": "media"}),
        (MESSAGES, {"pageToken": "nonsense"}),
        (MESSAGES, {"fields": "messages("}),
        (MESSAGES, {"labelIds": ["INBOX", "Label_99"]}),
        (MESSAGES, {"q": "larger:5M"}),
        (f"{MESSAGES}/a1", {"format": "complete"}),
    ],
)
async def test_a_parameter_that_does_not_fit_is_refused(
    client: SandboxClient, path: str, params: Mapping[str, Any]
) -> None:
    """A parameter that is unknown, mistyped, out of range or repeated gets a 400, as at Google."""
    response = await client.call(await bearer(client), "GET", path, params=params)

    assert response.status_code == 400
    assert response.json()["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "options",
    [
        {"json": {"raw": "a+b/"}},
        {"json": {"raw": 5}},
        {"json": {"body": "text"}},
        {"json": ["raw"]},
        {"json": {"threadId": "a1"}},
        {"content": b"{"},
        {},
    ],
)
async def test_a_body_that_does_not_fit_is_refused(
    google: GoogleSandbox, client: SandboxClient, options: dict[str, Any]
) -> None:
    """A body that is not JSON, or does not match the method's schema, gets a 400 and changes nothing."""
    before = len(google.mailbox(ADA))
    response = await client.call(await bearer(client), "POST", f"{MESSAGES}/send", **options)

    assert response.status_code == 400
    assert len(google.mailbox(ADA)) == before


async def test_what_a_method_requires_is_missed_by_name(client: SandboxClient) -> None:
    """A missing required property is named in the error."""
    token = await bearer(client, ADA, "https://www.googleapis.com/auth/gmail.labels")
    response = await client.call(token, "POST", "/gmail/v1/users/me/labels", json={"labelListVisibility": "labelShow"})

    assert response.status_code == 400
    assert response.json()["error"]["message"].endswith(": messageListVisibility, name")


async def test_a_body_where_none_belongs_is_refused(client: SandboxClient) -> None:
    """A body for a method that takes none gets a 400."""
    token = await bearer(client, ADA, "https://www.googleapis.com/auth/gmail.modify")
    response = await client.call(token, "POST", f"{MESSAGES}/a1/trash", json={"id": "a1"})

    assert response.status_code == 400


async def test_a_method_without_a_handler_says_so(google: GoogleSandbox, client: SandboxClient) -> None:
    """A described method without a handler gets a 501."""
    scope = "https://www.googleapis.com/auth/gmail.settings.basic"
    response = await client.call(await bearer(client, ADA, scope), "GET", "/gmail/v1/users/me/settings/vacation")

    assert (response.status_code, response.json()["error"]["status"]) == (501, "UNIMPLEMENTED")
    assert google.calls[-1].method_id == "gmail.users.settings.getVacation"


async def test_an_unknown_path_is_not_found(google: GoogleSandbox, client: SandboxClient) -> None:
    """A path that no document describes gets a 404."""
    response = await client.call(await bearer(client), "GET", "/gmail/v1/users/me/letters")

    assert response.status_code == 404
    assert google.calls[-1].method_id == "unknown"


async def test_fields_select_part_of_an_answer(client: SandboxClient) -> None:
    """`fields` limits an answer to the requested fields."""
    response = await client.call(await bearer(client), "GET", MESSAGES, params={"fields": "messages/id"})

    assert response.json().keys() == {"messages"}
    assert all(each.keys() == {"id"} for each in response.json()["messages"])


async def test_another_persons_account_is_refused(client: SandboxClient) -> None:
    """A path's userId may be the bearer's own address, and another person's gets a 403."""
    ada, grace = await bearer(client), await bearer(client, GRACE)
    own = await client.call(ada, "GET", f"/gmail/v1/users/{ADA}/profile")
    others = [
        await client.call(ada, "GET", f"/gmail/v1/users/{GRACE}/profile"),
        await client.call(grace, "GET", f"/gmail/v1/users/{ADA}/messages"),
    ]

    assert own.json()["emailAddress"] == ADA
    assert [each.status_code for each in others] == [403, 403]


def test_the_sandbox_refuses_its_own_invalid_answer(caplog: pytest.LogCaptureFixture) -> None:
    """An answer of the sandbox that does not fit its document becomes a logged 500 with the place and the rule."""
    calls: list[Call] = []
    grants = SandboxGrants(rotate_refresh_tokens=True, access_token_seconds=60, now=Clock())
    code = grants.authorize(Authorization(ADA, "http://x", (READ,), challenge_of("v"), None, False, False))
    token = grants.exchange(code, "http://x", "v").access_token

    def wrong(_: ApiRequest) -> Mapping[str, Any]:
        return {"emailAddress": ADA, "messagesTotal": "a secret"}

    api = RestApi({"gmail.users.getProfile": wrong}, SandboxPeople(PEOPLE), grants, calls.append, Clock())
    request = WireRequest("GET", "/gmail/v1/users/me/profile", {"authorization": f"Bearer {token}"}, b"")
    with caplog.at_level(logging.ERROR):
        response = api.answer(request)

    assert response.status == calls[0].status == 500
    assert "Profile.messagesTotal: type is 'integer'" in json.loads(response.body)["error"]["message"]
    assert "Profile.messagesTotal" in caplog.text
    assert "a secret" not in caplog.text + response.body.decode()
