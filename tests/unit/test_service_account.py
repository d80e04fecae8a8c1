"""A service account's key, its assertions, and Google's refusals in words that say what to do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx2
import jwt
import pytest
from pydantic import SecretStr

from app.errors import AccessRefusedError, GoogleError, SettingsError
from app.google.service_account import JWT_BEARER, ServiceAccount, open_service_account
from app.oauth.token_endpoint import TokenEndpoint
from app.sandbox.google.delegation import DelegatedAccount as Registered
from tests.fakes.google_api import google_faults
from tests.fakes.leaks import everything_in
from tests.fakes.sandbox import READ, SEND, Clock

TOKEN_ENDPOINT = "http://127.0.0.1:9/token"
READING = frozenset({READ})
REGISTERED = Registered.delegated("acme.example", [READ])


class Google:
    """A token endpoint; `forms` records what was posted to it."""

    def __init__(self, status: int = 200, answer: dict[str, Any] | bytes | None = None) -> None:
        self.status = status
        self.answer = {"access_token": "ya29.ada", "expires_in": 3600} if answer is None else answer
        self.forms: list[dict[str, list[str]]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.forms.append(parse_qs(request.content.decode()))
        body = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        return httpx2.Response(self.status, content=body)

    def account(self, now: Clock | None = None) -> ServiceAccount:
        """Return a service account that uses this endpoint."""
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self))
        return ServiceAccount(
            json.loads(REGISTERED.key()),
            token_url=TOKEN_ENDPOINT,
            token_endpoint=TokenEndpoint(http, google_faults()),
            now=now or Clock(),
        )


async def test_the_assertion_says_who_acts_as_whom_for_what() -> None:
    """Each person's assertion is signed with the key, for the endpoint in the settings, and expires soon."""
    google, clock = Google(), Clock()
    account = google.account(clock)
    await asyncio.gather(account.token_for("ada@acme.example", READING), account.token_for("g@acme.example", READING))
    assertions = [form["assertion"][0] for form in google.forms]
    claims = [
        jwt.decode(each, REGISTERED.public_key(), ["RS256"], audience=TOKEN_ENDPOINT, options={"verify_exp": False})
        for each in assertions
    ]

    assert [form["grant_type"] for form in google.forms] == [[JWT_BEARER]] * 2
    assert {each["sub"] for each in claims} == {"ada@acme.example", "g@acme.example"}
    assert all(each["scope"] == READ and each["iss"] == REGISTERED.email for each in claims)
    assert all(each["iat"] <= clock() < each["exp"] <= clock() + 600 for each in claims)


async def test_an_answer_without_scope_grants_what_was_asked() -> None:
    """An answer without `scope` grants what was asked for (RFC 6749 section 5.1); its expiry counts from the call."""
    tokens = await Google().account(Clock()).token_for("ada@acme.example", READING)

    assert (tokens.granted_scopes, tokens.expires_at) == (READING, Clock()() + 3600)
    assert "ya29" not in repr(tokens)


@pytest.mark.parametrize(("status", "error", "words"), [
    (401, "unauthorized_client", "gmail.readonly.*Domain-wide delegation"),
    (403, "access_denied", "gmail.readonly.*Domain-wide delegation"),
    (400, "invalid_scope", "gmail.readonly.*Domain-wide delegation"),
    (400, "invalid_grant", "missing or suspended"),
    (401, "invalid_client", "the key was deleted"),
])  # fmt: skip
async def test_a_refusal_names_what_an_administrator_does(status: int, error: str, words: str) -> None:
    """A refusal says what an administrator has to do, and contains neither the assertion nor Google's own text."""
    google = Google(status, {"error": error, "error_description": "text-of-an-answer"})
    with pytest.raises(AccessRefusedError, match=words) as refused:
        await google.account().token_for("ada@acme.example", READING)

    assert REGISTERED.client_id in str(refused.value)
    shown = everything_in(refused.value)
    assert "text-of-an-answer" not in shown
    assert google.forms[0]["assertion"][0] not in shown


@pytest.mark.parametrize(("status", "answer"), [(503, b"busy"), (500, {"error": "internal_failure"}), (200, b"<html>")])
async def test_trouble_at_google_is_no_refusal(status: int, answer: dict[str, Any] | bytes) -> None:
    """A fault of Google that may pass is not reported as a refusal for an administrator."""
    with pytest.raises(GoogleError):
        await Google(status, answer).account().token_for("ada@acme.example", frozenset({SEND}))


@pytest.mark.parametrize("change", [
    {"type": "authorized_user"}, {"client_email": None}, {"private_key": "no key"}, {"private_key": None},
    {"private_key": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LW1hdGVyaWFs\n-----END PRIVATE KEY-----\n"},
])  # fmt: skip
def test_a_key_that_is_none_stops_the_start(change: dict[str, Any]) -> None:
    """An unusable key stops the start with its place in the settings, without quoting it."""
    info = {**json.loads(REGISTERED.key()), **change}
    with pytest.raises(SettingsError, match=r"google\.workspace\.key") as refused:
        open_service_account(
            json.dumps(info),
            None,
            token_url=TOKEN_ENDPOINT,
            token_endpoint=TokenEndpoint(httpx2.AsyncClient(), google_faults()),
        )

    shown = everything_in(refused.value)
    assert "c2VjcmV0" not in shown
    assert "BEGIN" not in shown


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    """A key can be read from a file; a missing file, or one that is not JSON, is reported without its contents."""
    file, broken = tmp_path / "key.json", tmp_path / "broken.json"
    file.write_text(REGISTERED.key())
    broken.write_text("not json, but secret-material")

    def opened(path: Path) -> ServiceAccount:
        return open_service_account(
            None, path, token_url=TOKEN_ENDPOINT, token_endpoint=TokenEndpoint(httpx2.AsyncClient(), google_faults())
        )

    assert opened(file).email == REGISTERED.email
    with pytest.raises(SettingsError, match=r"absent\.json cannot be read"):
        opened(tmp_path / "absent.json")
    with pytest.raises(SettingsError, match="is not JSON") as refused:
        opened(broken)
    assert "secret-material" not in everything_in(refused.value)


def test_no_repr_shows_the_key() -> None:
    """Neither the service account's repr nor the sandbox's shows the key."""
    shown = repr((Google().account(), REGISTERED, SecretStr(REGISTERED.key())))

    assert REGISTERED.email in shown
    assert "PRIVATE KEY" not in shown
