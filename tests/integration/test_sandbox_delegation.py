"""The sandbox's JWT bearer grant, which refuses wrong assertions as Google does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import google.auth.transport.urllib3
import google.oauth2.service_account
import jwt
import pytest
import urllib3

from app.sandbox.google.delegation import JWT_BEARER, DelegatedAccount
from tests.fakes.sandbox import ADA, GRACE, READ, SEND, Clock, SandboxClient, in_memory, on_loopback, sandbox

AUDIENCE = "http://127.0.0.1/token"
ACCOUNT = DelegatedAccount.delegated("sandbox.example", [READ])
STRANGER = DelegatedAccount.delegated("sandbox.example", [READ])


@pytest.fixture
def clock() -> Clock:
    """Return the sandbox's clock."""
    return Clock()


@pytest.fixture
async def client(clock: Clock) -> AsyncIterator[SandboxClient]:
    """Yield a client of a sandbox that knows one account."""
    async with in_memory(sandbox(service_accounts=[ACCOUNT], now=clock)) as client:
        yield client


def assertion(clock: Clock, signer: DelegatedAccount = ACCOUNT, **changes: Any) -> str:
    """Return a valid assertion with some claims changed; a claim that is None is left out."""
    claims = {"iss": ACCOUNT.email, "sub": ADA, "scope": READ, "aud": AUDIENCE, "iat": int(clock()),
              "exp": int(clock()) + 600}  # fmt: skip
    return jwt.encode({k: v for k, v in (claims | changes).items() if v is not None}, signer.private_key, "RS256")


async def exchange(client: SandboxClient, signed: str) -> tuple[int, dict[str, Any]]:
    """Return the status and answer of the token endpoint, without a client secret."""
    answer = await client.post_token(grant_type=JWT_BEARER, assertion=signed, client_id="", client_secret="")
    return answer.status_code, answer.json()


async def test_each_subject_gets_their_own_mail(client: SandboxClient, clock: Clock) -> None:
    """With one service account each person's token opens their own mailbox, without a refresh token."""
    profiles = []
    for email in (ADA, GRACE):
        status, tokens = await exchange(client, assertion(clock, sub=email))
        assert status == 200
        assert "refresh_token" not in tokens
        profiles.append((await client.call(tokens["access_token"], "GET", "/gmail/v1/users/me/profile")).json())

    assert [profile["emailAddress"] for profile in profiles] == [ADA, GRACE]


@pytest.mark.parametrize(("changes", "status", "error"), [
    ({"scope": SEND}, 401, "unauthorized_client"),
    ({"scope": f"{READ} {SEND}"}, 401, "unauthorized_client"),
    ({"scope": None}, 401, "unauthorized_client"),
    ({"sub": "nobody@sandbox.example"}, 400, "invalid_grant"),
    ({"sub": "eve@elsewhere.example"}, 400, "invalid_grant"),
    ({"sub": None}, 400, "invalid_grant"),
    ({"iss": "other@sandbox.iam.gserviceaccount.example"}, 400, "invalid_grant"),
    ({"aud": "https://elsewhere.example/token"}, 400, "invalid_grant"),
    ({"aud": None}, 400, "invalid_grant"),
    ({"iat": None}, 400, "invalid_grant"),
    ({"exp": None}, 400, "invalid_grant"),
    ({"iat": 1_795_000_100}, 400, "invalid_grant"),
    ({"exp": 1_794_999_900}, 400, "invalid_grant"),
    ({"exp": 1_795_003_700}, 400, "invalid_grant"),
])  # fmt: skip
async def test_what_does_not_fit_is_refused(
    changes: dict[str, Any], status: int, error: str, client: SandboxClient, clock: Clock
) -> None:
    """A single wrong claim is refused with Google's error code, and a correct assertion still works afterwards."""
    refused = await exchange(client, assertion(clock, **changes))

    assert (refused[0], refused[1]["error"]) == (status, error)
    assert (await exchange(client, assertion(clock)))[0] == 200


async def test_only_the_registered_key_signs(client: SandboxClient, clock: Clock) -> None:
    """An assertion that is not signed with the registered key, or is malformed, is refused."""
    claims = jwt.decode(assertion(clock), options={"verify_signature": False})
    forged = [
        assertion(clock, STRANGER),
        jwt.encode(claims, "k" * 32, "HS256", headers={"typ": "JWT"}),
        jwt.encode(claims, "", "none"),
        "rubbish",
        "",
    ]
    answers = [await exchange(client, each) for each in forged]

    assert [(status, answer["error"]) for status, answer in answers] == [(400, "invalid_grant")] * len(forged)


async def test_somebody_of_another_domain_is_not_delegated(clock: Clock) -> None:
    """An account for one domain cannot act for a person in another domain."""
    elsewhere = DelegatedAccount.delegated("elsewhere.example", [READ])
    async with in_memory(sandbox(service_accounts=[elsewhere], now=clock)) as client:
        status, answer = await exchange(client, assertion(clock, elsewhere))

    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_delegation_is_no_grant_of_the_person(client: SandboxClient, clock: Clock) -> None:
    """A delegated scope is not included in a consent by include_granted_scopes."""
    await exchange(client, assertion(clock))
    tokens = await client.sign_in(ADA, SEND, include_granted_scopes="true")

    assert READ not in tokens["scope"].split()


async def test_googles_own_library_gets_a_token() -> None:
    """google-auth's service account credentials, unmodified, act as a person of the domain."""
    google_sandbox = sandbox(service_accounts=[ACCOUNT], now=time.time)
    async with on_loopback(google_sandbox) as (base_url, _):
        info = json.loads(ACCOUNT.key()) | {"token_uri": f"{base_url}/token"}
        credentials = google.oauth2.service_account.Credentials.from_service_account_info(
            info, subject=GRACE, scopes=[READ]
        )
        with urllib3.PoolManager() as pool:
            await asyncio.to_thread(credentials.refresh, google.auth.transport.urllib3.Request(pool))

    assert google_sandbox.bearer_owner(credentials.token) == GRACE
