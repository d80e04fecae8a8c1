"""Sign-in and API calls of two people against the sandbox Google, over loopback HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import urllib3

from app.deadline import Deadline
from app.errors import CallbackRefusedError, GoogleError, InvalidGrantError
from app.google.apis import GoogleApis
from app.google.auth import GoogleAuth
from app.google.client import GoogleClient
from app.google.endpoints import GoogleEndpoints
from app.oauth.authorization import AuthorizationRequest
from app.oauth.pkce import code_challenge
from app.oauth.token_endpoint import TokenEndpoint
from app.oauth.tokens import ProviderTokens
from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.server import serve_loopback
from tests.fakes.google_api import FakeCredentials, LoopThreads, Recorder, google_faults
from tests.fakes.google_sign_in import exchange

CALLBACK = "http://127.0.0.1:8080/oauth/google/callback"
READ = "https://www.googleapis.com/auth/gmail.readonly"
SEND = "https://www.googleapis.com/auth/gmail.send"
ADA, GRACE = "ada@sandbox.example", "grace@sandbox.example"


@dataclass(frozen=True)
class GoogleAccess:
    """The sandbox, and the objects that live as long as the process."""

    sandbox: GoogleSandbox
    auth: GoogleAuth
    apis: GoogleApis
    pool: urllib3.PoolManager
    http: httpx2.AsyncClient

    async def code(self, email: str, granted: str | None = None) -> str:
        """Consent as this person, to all requested scopes or to these, and return the code; the nonce is `email`."""
        challenge = code_challenge(f"verifier of {email}")
        asked = AuthorizationRequest(frozenset({READ, SEND}), state="s", nonce=email, code_challenge=challenge)
        form = {"email": email, "decision": "allow"} | ({} if granted is None else {"granted": granted})
        answer = await self.http.post(self.auth.authorization_url(asked), data=form)
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    async def connect(self, email: str, granted: str | None = None) -> ProviderTokens:
        code = await self.code(email, granted)
        return await exchange(self.auth, code=code, code_verifier=f"verifier of {email}", nonce=email)

    def client(self, credentials: FakeCredentials) -> GoogleClient:
        return GoogleClient(
            credentials,
            self.apis,
            self.pool,
            LoopThreads(),
            Deadline.after(20),
            Recorder(),
            google_faults(),
        )


@asynccontextmanager
async def open_google() -> AsyncIterator[GoogleAccess]:
    """Serve a sandbox, and yield it with the objects that call it."""
    sandbox = GoogleSandbox(client_id="client", client_secret="secret", redirect_uris=frozenset({CALLBACK}))
    async with serve_loopback(sandbox.app) as url, httpx2.AsyncClient() as http:
        endpoints = GoogleEndpoints(
            f"{url}/o/oauth2/v2/auth", f"{url}/token", f"{url}/revoke", f"{url}/oauth2/v3/certs", url
        )
        with urllib3.PoolManager(maxsize=16) as pool:
            auth = GoogleAuth(
                endpoints,
                client_id="client",
                client_secret="secret",
                redirect_uri=CALLBACK,
                token_endpoint=TokenEndpoint(http, google_faults()),
                pool=pool,
            )
            yield GoogleAccess(sandbox, auth, GoogleApis(url), pool, http)


@pytest.fixture
async def google() -> AsyncIterator[GoogleAccess]:
    """Yield a sandbox for one test."""
    async with open_google() as google:
        yield google


async def test_two_people_connect_and_grant_what_each_ticked(google: GoogleAccess) -> None:
    """Each exchange returns its own account, and only the scopes that this person left ticked."""
    ada, grace = await asyncio.gather(google.connect(ADA), google.connect(GRACE, granted=READ))

    assert ada.account
    assert ada.account.email == ADA
    assert {READ, SEND} <= ada.granted_scopes
    assert grace.account
    assert grace.account.email == GRACE
    assert READ in grace.granted_scopes
    assert SEND not in grace.granted_scopes


async def test_anothers_callback_is_refused(google: GoogleAccess) -> None:
    """A code is refused with another person's verifier or nonce, and when it is used again."""
    with pytest.raises(CallbackRefusedError):
        await exchange(google.auth, code=await google.code(ADA), code_verifier=f"verifier of {GRACE}", nonce=ADA)
    with pytest.raises(CallbackRefusedError):
        await exchange(google.auth, code=await google.code(ADA), code_verifier=f"verifier of {ADA}", nonce=GRACE)
    used = await google.code(ADA)
    await exchange(google.auth, code=used, code_verifier=f"verifier of {ADA}", nonce=ADA)
    with pytest.raises(CallbackRefusedError):
        await exchange(google.auth, code=used, code_verifier=f"verifier of {ADA}", nonce=ADA)


async def test_a_refresh_rotates_and_leaves_the_other_person_alone(google: GoogleAccess) -> None:
    """A refresh rotates the refresh token, reuse ends the grant, and another person's grant continues."""
    ada, grace = await google.connect(ADA), await google.connect(GRACE)
    next_ada = await google.auth.refresh(ada.refresh_token or "")

    with pytest.raises(InvalidGrantError):
        await google.auth.refresh(ada.refresh_token or "")
    next_grace = await google.auth.refresh(grace.refresh_token or "")

    assert next_ada.refresh_token not in (None, ada.refresh_token)
    assert next_ada.granted_scopes == ada.granted_scopes
    assert google.sandbox.bearer_owner(next_grace.access_token) == GRACE


async def test_a_revoked_grant_is_over_and_may_be_revoked_again(google: GoogleAccess) -> None:
    """After a revocation neither token works, and revoking again is not an error."""
    ada, grace = await google.connect(ADA), await google.connect(GRACE)
    await google.auth.revoke(ada.refresh_token or "")
    await google.auth.revoke(ada.refresh_token or "")

    with pytest.raises(InvalidGrantError):
        await google.auth.refresh(ada.refresh_token or "")
    assert google.sandbox.bearer_owner(ada.access_token) is None
    assert google.sandbox.bearer_owner(grace.access_token) == GRACE


async def test_two_people_read_their_own_mail_at_once(google: GoogleAccess) -> None:
    """Interleaved calls and batches of two people read only each one's own mailbox."""
    people = {
        email: google.client(FakeCredentials((await google.connect(email)).access_token)) for email in (ADA, GRACE)
    }
    messages = google.apis.resource("gmail", "v1", "users", "messages")
    users = google.apis.resource("gmail", "v1", "users")

    async def read(email: str) -> set[str]:
        client = people[email]
        listed = (await client.execute(messages.list(userId="me", maxResults=5)))["messages"]
        await client.execute_batch([messages.get(userId="me", id=each["id"], format="metadata") for each in listed])
        return {(await client.execute(users.getProfile(userId="me")))["emailAddress"]}

    owners = await asyncio.gather(*(read(email) for email in [ADA, GRACE] * 10))

    assert owners == [{ADA}, {GRACE}] * 10
    assert {call.status for call in google.sandbox.calls} <= {200, 302}


async def test_a_batch_gives_each_part_its_own_answer(google: GoogleAccess) -> None:
    """In a batch another person's message is not found, and the other parts are answered."""
    ada = google.client(FakeCredentials((await google.connect(ADA)).access_token))
    grace = google.client(FakeCredentials((await google.connect(GRACE)).access_token))
    messages = google.apis.resource("gmail", "v1", "users", "messages")
    mine = (await ada.execute(messages.list(userId="me")))["messages"][0]["id"]
    theirs = (await grace.execute(messages.list(userId="me")))["messages"][0]["id"]

    found, missing = await ada.execute_batch([messages.get(userId="me", id=each) for each in (mine, theirs)])

    assert found["id"] == mine
    assert isinstance(missing, GoogleError)
    assert (missing.status, missing.reason) == (404, "notFound")


async def test_a_batch_with_an_ended_token_is_renewed_once(google: GoogleAccess) -> None:
    """If Google answers every part of a batch with 401, the token is renewed only once."""
    token = (await google.connect(ADA)).access_token
    credentials = FakeCredentials("ya29.ended", renewed=token)
    users = google.apis.resource("gmail", "v1", "users")

    profiles = await google.client(credentials).execute_batch([users.getProfile(userId="me") for _ in range(60)])

    assert [profile["emailAddress"] for profile in profiles] == [ADA] * 60
    assert len(credentials.renewals) == 1


async def test_a_scope_that_was_not_granted_is_named_by_reason(google: GoogleAccess) -> None:
    """A call beyond the granted scopes is refused with a reason that a tool can recognise."""
    tokens = await google.connect(ADA, granted=SEND)
    messages = google.apis.resource("gmail", "v1", "users", "messages")

    with pytest.raises(GoogleError) as refused:
        await google.client(FakeCredentials(tokens.access_token)).execute(messages.list(userId="me"))

    assert (refused.value.status, refused.value.reason) == (403, "insufficientPermissions")
