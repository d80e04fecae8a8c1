"""The sandbox's consent page and OAuth endpoints, as a browser and an application use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import urllib3
from bs4 import BeautifulSoup
from google.auth.transport.urllib3 import Request as Urllib3Request
from google.oauth2 import id_token

from app.sandbox.google.sandbox import GoogleSandbox
from tests.fakes.sandbox import (
    ADA,
    CLIENT_ID,
    CLIENT_SECRET,
    CONSENT_PAGE,
    GRACE,
    METADATA,
    READ,
    SEND,
    Clock,
    SandboxClient,
    in_memory,
    on_loopback,
    sandbox,
)

LONG_EMAIL = "https://www.googleapis.com/auth/userinfo.email"


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


@pytest.fixture
def google(clock: Clock) -> GoogleSandbox:
    """Return a sandbox on that clock."""
    return sandbox(now=clock)


@pytest.fixture
async def client(google: GoogleSandbox) -> AsyncIterator[SandboxClient]:
    """Yield a client of that sandbox."""
    async with in_memory(google) as found:
        yield found


async def profile(client: SandboxClient, tokens: dict[str, Any]) -> int:
    """Return the status of a call that any live Gmail token may make."""
    return (await client.call(tokens["access_token"], "GET", "/gmail/v1/users/me/profile")).status_code


async def test_the_page_offers_the_people_and_every_scope_that_can_be_refused(client: SandboxClient) -> None:
    """The page shows the sandbox's people, and a checkbox for each scope that is not about identity."""
    page = await client.http.get(CONSENT_PAGE, params=client.asks(READ, SEND, login_hint=GRACE))
    soup = BeautifulSoup(page.text, "html.parser")

    assert [each["value"] for each in soup.select("input[type=radio]")] == [ADA, GRACE]
    assert [each["value"] for each in soup.select("input[type=radio][checked]")] == [GRACE]
    assert [each["value"] for each in soup.select("input[type=checkbox]")] == [READ, SEND]
    assert [each["value"] for each in soup.select("button[name=decision]")] == ["deny", "allow"]
    assert "SANDBOX" in page.text


async def test_looking_at_the_page_changes_nothing(google: GoogleSandbox, client: SandboxClient) -> None:
    """A link preview's HEAD and GET do not change the consent."""
    head = await client.http.head(CONSENT_PAGE, params=client.asks(READ))
    await client.http.get(CONSENT_PAGE, params=client.asks(READ))

    assert head.status_code == 200
    assert google.calls == []
    assert (await client.decide(ADA, READ))["state"] == "state-1"


async def test_what_the_page_shows_is_escaped(client: SandboxClient) -> None:
    """HTML in a parameter is escaped on the page."""
    page = await client.http.get(CONSENT_PAGE, params=client.asks(scope="<script>alert(1)</script>"))

    assert page.status_code == 400
    assert "<script>" not in page.text


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_id": "other"}, 401, "invalid_client"),
        ({"redirect_uri": "http://127.0.0.1:8080/oauth/google/callback/"}, 400, "redirect_uri_mismatch"),
        ({"redirect_uri": ""}, 400, "redirect_uri_mismatch"),
        ({"response_type": "token"}, 400, "unsupported_response_type"),
        ({"scope": ""}, 400, "invalid_request"),
        ({"scope": "openid https://www.googleapis.com/auth/gmail.everything"}, 400, "invalid_scope"),
        ({"code_challenge": ""}, 400, "invalid_request"),
        ({"code_challenge_method": "plain"}, 400, "invalid_request"),
        ({"access_type": "forever"}, 400, "invalid_request"),
    ],
)
async def test_a_malformed_request_goes_nowhere(
    client: SandboxClient, changes: dict[str, str], status: int, error: str
) -> None:
    """A malformed request gets an error page instead of a redirect, for GET and POST alike."""
    shown = await client.http.get(CONSENT_PAGE, params=client.asks(**changes))
    posted = await client.http.post(
        CONSENT_PAGE, params=client.asks(**changes), data={"email": ADA, "decision": "allow"}
    )

    assert (shown.status_code, posted.status_code) == (status, status)
    assert error in shown.text
    assert "location" not in posted.headers


@pytest.mark.parametrize("form", [{}, {"email": ADA}, {"email": "eve@evil.example", "decision": "allow"}])
async def test_a_form_without_a_person_or_a_decision_grants_nothing(
    client: SandboxClient, form: dict[str, str]
) -> None:
    """A form without a person of the sandbox or without a decision grants nothing."""
    response = await client.http.post(CONSENT_PAGE, params=client.asks(READ), data=form)

    assert response.status_code == 400


async def test_who_denies_is_sent_back_with_access_denied(client: SandboxClient) -> None:
    """Denying redirects with the error and the state, and without a code."""
    answer = await client.decide(ADA, READ, decision="deny")

    assert answer == {"state": "state-1", "error": "access_denied"}


async def test_prompt_none_asks_nobody(client: SandboxClient) -> None:
    """With prompt=none the client gets interaction_required instead of a page."""
    response = await client.http.get(CONSENT_PAGE, params=client.asks(READ, prompt="none"))

    assert response.status_code == 302
    assert "error=interaction_required" in response.headers["location"]


async def test_an_exchanged_code_brings_tokens_of_whoever_allowed(google: GoogleSandbox, client: SandboxClient) -> None:
    """Each person's code is exchanged for their own tokens, with the scopes in Google's long form."""
    ada_code, grace_code = (await client.decide(ADA, READ))["code"], (await client.decide(GRACE, READ))["code"]
    grace, ada = (await client.exchange(grace_code)).json(), (await client.exchange(ada_code)).json()

    assert google.bearer_owner(ada["access_token"]) == ADA
    assert google.bearer_owner(grace["access_token"]) == GRACE
    assert ada["scope"].split() == ["openid", LONG_EMAIL, READ]
    assert (ada["token_type"], ada["expires_in"]) == ("Bearer", 3600)
    assert [call.email for call in google.calls] == [ADA, GRACE, GRACE, ADA]
    assert google.calls[-1].method_id == "oauth.token.authorization_code"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "another-verifier-that-is-long-enough-to-be-one"}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:8080/other"}, "redirect_uri_mismatch"),
        ({"redirect_uri": ""}, "redirect_uri_mismatch"),
        ({"code": "4/0unknown"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
async def test_a_code_is_bound_to_its_request(client: SandboxClient, changes: dict[str, str], error: str) -> None:
    """A code is exchanged only with the PKCE verifier and the redirect URI of its authorization request."""
    code = (await client.decide(ADA, READ))["code"]
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": client.asks()["redirect_uri"]}
    response = await client.post_token(**{**fields, "code_verifier": client.verifier, **changes})

    assert (response.status_code, response.json()["error"]) == (400, error)


async def test_a_code_dies_after_ten_minutes(clock: Clock, client: SandboxClient) -> None:
    """A code works after 599 seconds and not after 600."""
    first, second = (await client.decide(ADA, READ))["code"], (await client.decide(GRACE, READ))["code"]
    clock.now += 599
    good = await client.exchange(first)
    clock.now += 1
    late = await client.exchange(second)

    assert (good.status_code, late.status_code) == (200, 400)


async def test_a_second_use_of_a_code_revokes_what_the_first_issued(client: SandboxClient) -> None:
    """A code's second use revokes the tokens of its first (RFC 6749 section 4.1.2), and no others."""
    code = (await client.decide(ADA, READ))["code"]
    stolen, other = (await client.exchange(code)).json(), await client.sign_in(ADA, READ)
    grace = await client.sign_in(GRACE, READ)
    again = await client.exchange(code)

    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert await profile(client, stolen) == 401
    assert (await client.refresh(stolen["refresh_token"])).status_code == 400
    assert await profile(client, other) == await profile(client, grace) == 200


async def test_a_failed_exchange_uses_the_code_up(client: SandboxClient) -> None:
    """A failed exchange uses up the code, so a verifier cannot be guessed by trying."""
    code = (await client.decide(ADA, READ))["code"]
    await client.exchange(code, code_verifier="x" * 43)

    assert (await client.exchange(code)).status_code == 400


@pytest.mark.parametrize(
    "fields", [{"client_secret": "wrong"}, {"client_secret": ""}, {"client_id": "other"}, {"client_id": ""}]
)
async def test_a_client_that_is_not_ours_gets_nothing(client: SandboxClient, fields: dict[str, str]) -> None:
    """A wrong or missing client id or secret gets invalid_client, and the code stays valid."""
    code = (await client.decide(ADA, READ))["code"]
    response = await client.exchange(code, **fields)

    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert (await client.exchange(code)).status_code == 200


async def test_the_client_may_name_itself_by_http_basic(client: SandboxClient) -> None:
    """A client may send its id and secret in the Authorization header (RFC 6749 section 2.3.1)."""
    tokens = await client.sign_in(ADA, READ)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    good = await client.http.post("/token", data=form, auth=httpx2.BasicAuth(CLIENT_ID, CLIENT_SECRET))
    bad = await client.http.post("/token", data=form, auth=httpx2.BasicAuth(CLIENT_ID, "wrong"))

    assert (good.status_code, bad.status_code) == (200, 401)


async def test_granted_is_what_was_ticked(client: SandboxClient) -> None:
    """A scope that was not ticked is not granted and allows nothing; the identity scopes cannot be unticked."""
    answer = await client.decide(ADA, READ, SEND, granted=[SEND])
    tokens = (await client.exchange(answer["code"])).json()
    refused = await client.call(tokens["access_token"], "GET", "/gmail/v1/users/me/messages")

    assert answer["scope"] == tokens["scope"] == f"openid {LONG_EMAIL} {SEND}"
    assert refused.status_code == 403


async def test_all_unticked_leaves_identity(client: SandboxClient) -> None:
    """With no box ticked only the identity scopes are granted, and without any of those, access is denied."""
    answer = await client.decide(ADA, READ, granted=[])
    nothing = await client.decide(ADA, granted=[], scope=READ)

    assert answer["scope"] == f"openid {LONG_EMAIL}"
    assert nothing["error"] == "access_denied"


async def test_a_scope_that_was_not_asked_for_cannot_be_ticked(client: SandboxClient) -> None:
    """A form that names a scope which was not requested does not grant it."""
    answer = await client.decide(ADA, READ, granted=[READ, SEND])

    assert SEND not in answer["scope"].split()


async def test_a_refresh_token_comes_with_the_first_offline_consent_only(client: SandboxClient) -> None:
    """A refresh token comes with a person's first offline consent, and later only with prompt=consent."""
    online = await client.sign_in(ADA, READ, access_type="online")
    first, second = await client.sign_in(ADA, READ), await client.sign_in(ADA, READ)
    prompted = await client.sign_in(ADA, READ, prompt="consent select_account")
    other_person = await client.sign_in(GRACE, READ)

    assert "refresh_token" not in online
    assert "refresh_token" in first
    assert "refresh_token" not in second
    assert "refresh_token" in prompted
    assert "refresh_token" in other_person


async def test_include_granted_scopes_gives_the_union_of_this_person_alone(client: SandboxClient) -> None:
    """With include_granted_scopes a token has all that the person granted before; without it, only the request."""
    await client.sign_in(ADA, READ)
    await client.sign_in(GRACE, METADATA)
    union = await client.sign_in(ADA, SEND, include_granted_scopes="true")
    plain = await client.sign_in(ADA, SEND)

    assert set(union["scope"].split()) == {"openid", LONG_EMAIL, READ, SEND}
    assert set(plain["scope"].split()) == {"openid", LONG_EMAIL, SEND}


async def test_a_refresh_rotates_and_a_spent_token_kills_its_grant(client: SandboxClient) -> None:
    """A refresh rotates the refresh token; reusing the old one ends that grant, and no other person's."""
    ada, grace = await client.sign_in(ADA, READ), await client.sign_in(GRACE, READ)
    renewed = (await client.refresh(ada["refresh_token"])).json()
    assert await profile(client, renewed) == 200
    reused = await client.refresh(ada["refresh_token"])

    assert reused.json()["error"] == "invalid_grant"
    assert (await client.refresh(renewed["refresh_token"])).status_code == 400
    assert await profile(client, ada) == await profile(client, renewed) == 401
    assert (await client.refresh(grace["refresh_token"])).status_code == 200


async def test_without_rotation_a_refresh_token_stays() -> None:
    """Without rotation, as for Google's web clients, the same refresh token works repeatedly."""
    async with in_memory(sandbox(rotate_refresh_tokens=False)) as client:
        tokens = await client.sign_in(ADA, READ)
        first, second = [await client.refresh(tokens["refresh_token"]) for _ in range(2)]

    assert (first.status_code, second.status_code) == (200, 200)
    assert "refresh_token" not in first.json()


async def test_a_refresh_may_ask_for_less_and_not_for_more(client: SandboxClient) -> None:
    """A refresh may ask for fewer scopes, and asking for more is refused without using up the refresh token."""
    tokens = await client.sign_in(ADA, READ, SEND)
    wider = await client.refresh(tokens["refresh_token"], scope=f"{READ} {METADATA}")
    narrow = (await client.refresh(tokens["refresh_token"], scope=SEND)).json()

    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")
    assert narrow["scope"] == SEND
    assert "id_token" not in narrow
    listed = await client.call(narrow["access_token"], "GET", "/gmail/v1/users/me/messages")
    assert listed.status_code == 403


async def test_an_access_token_expires(clock: Clock, google: GoogleSandbox, client: SandboxClient) -> None:
    """An access token expires after its seconds, and its refresh token still works."""
    tokens = await client.sign_in(ADA, READ)
    clock.now += 3599
    before = await profile(client, tokens)
    clock.now += 1

    assert (before, await profile(client, tokens)) == (200, 401)
    assert google.bearer_owner(tokens["access_token"]) is None
    assert (await client.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_revoking_any_token_ends_all_grants_of_that_person(
    google: GoogleSandbox, client: SandboxClient, which: str
) -> None:
    """Revoking any token ends all the person's tokens for this client, as at Google, and nobody else's."""
    first, second = await client.sign_in(ADA, READ), await client.sign_in(ADA, SEND, prompt="consent")
    grace = await client.sign_in(GRACE, READ)
    revoked = await client.http.post("/revoke", data={"token": first[which]})
    again = await client.http.post("/revoke", data={"token": first[which]})

    assert (revoked.status_code, again.status_code) == (200, 400)
    assert again.json()["error"] == "invalid_token"
    assert google.bearer_owner(first["access_token"]) is None
    assert (await client.refresh(second["refresh_token"])).status_code == 400
    assert google.bearer_owner(grace["access_token"]) == GRACE
    assert [call.email for call in google.calls if call.method_id == "oauth.revoke"] == [ADA, None]


async def test_google_auth_verifies_the_id_token() -> None:
    """google-auth verifies the id_token with the served keys in both of Google's formats, and its claims are Ada's."""
    google = sandbox()
    async with on_loopback(google) as (base_url, client):
        tokens = await client.sign_in(ADA, READ)
        with urllib3.PoolManager() as pool:
            verified = [
                await asyncio.to_thread(
                    id_token.verify_token,
                    tokens["id_token"],
                    Urllib3Request(pool),
                    audience=CLIENT_ID,
                    certs_url=f"{base_url}/oauth2/{version}/certs",
                    clock_skew_in_seconds=5,
                )
                for version in ("v1", "v3")
            ]

    ada = google.people[0]
    assert verified[0] == verified[1]
    assert verified[0].items() >= {"iss": base_url, "aud": CLIENT_ID, "azp": CLIENT_ID, "nonce": "nonce-1"}.items()
    assert verified[0].items() >= {"sub": ada.subject, "email": ADA, "email_verified": True}.items()
    assert verified[0]["exp"] - verified[0]["iat"] == 3600


async def test_the_configuration_names_endpoints_that_exist(client: SandboxClient) -> None:
    """The OpenID configuration names the issuer at which it was requested, and endpoints that answer."""
    configuration = (await client.http.get("/.well-known/openid-configuration")).json()
    gets = ("authorization_endpoint", "jwks_uri", "userinfo_endpoint")
    got = [(await client.http.get(configuration[name])).status_code for name in gets]
    posts = ("token_endpoint", "revocation_endpoint")
    posted = [(await client.http.post(configuration[name])).json()["error"] for name in posts]

    assert configuration["issuer"] == "http://127.0.0.1"
    assert got == [401, 200, 401]
    assert posted == ["invalid_client", "invalid_token"]


async def test_userinfo_tells_a_token_whose_it_is(client: SandboxClient) -> None:
    """The userinfo of each person's token is their own, and an unknown or missing token gets a 401."""
    ada, grace = await client.sign_in(ADA), await client.sign_in(GRACE)
    answers = [(await client.call(each["access_token"], "GET", "/v1/userinfo")).json() for each in (grace, ada)]

    assert [answer["email"] for answer in answers] == [GRACE, ADA]
    assert (await client.http.get("/v1/userinfo")).status_code == 401
    assert (await client.call("ya29.unknown", "GET", "/v1/userinfo")).status_code == 401


async def test_no_token_stands_in_the_log_or_a_repr(google: GoogleSandbox, client: SandboxClient) -> None:
    """The call log holds only the SHA-256 of a token."""
    tokens = await client.sign_in(ADA, READ)
    await client.refresh(tokens["refresh_token"])
    await profile(client, tokens)

    assert tokens["access_token"] not in repr(google.calls)
    assert tokens["refresh_token"] not in repr(google.calls)
    assert google.calls[-1].bearer_sha256 is not None
    assert [call.method_id for call in google.calls] == [
        "oauth.authorize",
        "oauth.token.authorization_code",
        "oauth.token.refresh_token",
        "gmail.users.getProfile",
    ]
