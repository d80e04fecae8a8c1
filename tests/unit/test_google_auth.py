"""Google's sign-in: consent URL, code exchange, refresh and revocation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import urllib3

from app.errors import CallbackRefusedError, GoogleError, InvalidGrantError, ProviderError
from app.google.auth import GoogleAuth
from app.google.endpoints import GoogleEndpoints
from app.oauth.authorization import AuthorizationRequest
from app.oauth.pkce import code_challenge
from app.oauth.token_endpoint import TokenEndpoint
from app.oauth.tokens import ProviderAccount, ProviderTokens
from tests.fakes.google_api import google_faults
from tests.fakes.google_sign_in import (
    CLIENT_ID,
    CLIENT_SECRET,
    NONCE,
    GoogleSignIn,
    exchange,
    google_sign_in,
    id_token,
    token_answer,
)
from tests.fakes.leaks import everything_in

SECRET = "1//never-in-an-error"
GMAIL = "https://www.googleapis.com/auth/gmail.readonly"


@pytest.fixture
def google() -> Iterator[GoogleSignIn]:
    """Yield Google's endpoints, which answer as a test says."""
    with google_sign_in() as fake:
        yield fake


async def sign_in(google: GoogleSignIn, code: str = "code-1", nonce: str = NONCE) -> ProviderTokens:
    """Exchange a code as the callback does."""
    return await exchange(google.auth, code=code, code_verifier="verifier", nonce=nonce)


def test_code_challenge_is_that_of_rfc_7636() -> None:
    """The challenge of the RFC's example verifier is the RFC's example challenge (appendix B)."""
    challenge = code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")

    assert challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_authorization_url_asks_for_a_lasting_grant_with_pkce(google: GoogleSignIn) -> None:
    """The consent URL adds openid and email, asks for offline access and consent, and binds code and id_token."""
    url = google.auth.authorization_url(AuthorizationRequest(frozenset({GMAIL}), "s", "n", "c"))
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}

    assert query.pop("client_id") == "client.apps.example"
    assert query == {
        "redirect_uri": "https://deputy.example/oauth/google/callback",
        "response_type": "code",
        "scope": f"openid email {GMAIL}",
        "state": "s",
        "nonce": "n",
        "code_challenge": "c",
        "code_challenge_method": "S256",
        "access_type": "offline",
        "prompt": "consent select_account",
    }


def test_authorization_url_takes_earlier_grants_in_only_when_told(google: GoogleSignIn) -> None:
    """A request to widen an account names it and includes the scopes that were granted before."""
    url = google.auth.authorization_url(
        AuthorizationRequest(
            frozenset({GMAIL}), "s", "n", "c", login_hint="ada@example.com", include_granted_scopes=True
        )
    )
    query = parse_qs(urlsplit(url).query)

    assert query["login_hint"] == ["ada@example.com"]
    assert query["include_granted_scopes"] == ["true"]


async def test_exchange_gives_what_was_granted_and_by_whom(google: GoogleSignIn) -> None:
    """The granted scopes come from Google's answer and the account from the id_token, and the verifier is sent."""
    tokens = await sign_in(google)
    sent = google.received[0].form

    assert tokens.account == ProviderAccount(subject="1001", email="ada@example.com")
    assert tokens.granted_scopes == {"openid", "https://www.googleapis.com/auth/userinfo.email"}
    assert (tokens.access_token, tokens.refresh_token, tokens.expires_at) == ("ya29.access", "1//refresh", 4_600.0)
    assert (sent["code"], sent["code_verifier"], sent["grant_type"]) == ("code-1", "verifier", "authorization_code")


async def test_two_people_who_connect_at_once_get_each_their_own(google: GoogleSignIn) -> None:
    """Concurrent exchanges never mix up accounts or tokens."""
    people = {f"code-{number}": f"{number}" for number in range(12)}
    for code, subject in people.items():
        signed = id_token(sub=subject, nonce=f"nonce-{code}")
        google.answers[code] = token_answer(id_token=signed, access_token=f"access-{code}")

    tokens = await asyncio.gather(*(sign_in(google, code, f"nonce-{code}") for code in people))

    assert [each.account and each.account.subject for each in tokens] == list(people.values())
    assert [each.access_token for each in tokens] == [f"access-{code}" for code in people]


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"nonce": "another-nonce"},
        {"nonce": None},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": ""},
        {"exp": int(time.time()) - 60},
        {"iat": int(time.time()) + 86_400},
        {"nbf": int(time.time()) + 86_400},
        {"nbf": "soon"},
        {"azp": "another-client"},
        {"aud": [CLIENT_ID, "another-client"]},
        {"signed_with": "another key"},
    ],
    ids=lambda changes: " ".join(changes),
)
async def test_exchange_refuses_an_id_token_that_does_not_fit(google: GoogleSignIn, changes: dict[str, Any]) -> None:
    """An id_token of another issuer, client, consent, time or key, or with an unverified address, is refused."""
    signed = id_token(**changes)
    google.answers["/token"] = token_answer(id_token=signed)

    with pytest.raises(CallbackRefusedError) as refused:
        await sign_in(google)

    assert signed not in everything_in(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "accounts.google.com"},
        {"iat": int(time.time()) + 5},
        {"nbf": int(time.time()) + 5},
        {"azp": CLIENT_ID},
    ],
    ids=lambda changes: " ".join(changes),
)
async def test_exchange_takes_both_issuers_and_a_clock_a_little_off(
    google: GoogleSignIn, changes: dict[str, Any]
) -> None:
    """An id_token may name its issuer without a scheme, its party, and a time a few seconds ahead."""
    google.answers["/token"] = token_answer(id_token=id_token(**changes))

    tokens = await sign_in(google)

    assert tokens.account == ProviderAccount(subject="1001", email="ada@example.com")


@pytest.mark.parametrize("missing", ["id_token", "refresh_token"])
async def test_exchange_refuses_an_answer_without_account_or_refresh_token(google: GoogleSignIn, missing: str) -> None:
    """An answer without an id_token names nobody, one without a refresh token soon ends, and both are refused."""
    google.answers["/token"] = token_answer(**{missing: None})

    with pytest.raises(CallbackRefusedError):
        await sign_in(google)


async def test_exchange_refuses_an_empty_nonce(google: GoogleSignIn) -> None:
    """A consent without its own nonce accepts no id_token, not even one without a nonce."""
    google.answers["/token"] = token_answer(id_token=id_token(nonce=""))

    with pytest.raises(CallbackRefusedError):
        await sign_in(google, nonce="")


async def test_exchange_refuses_a_code_that_google_does_not_take(google: GoogleSignIn) -> None:
    """A code that Google refuses is an error of the callback."""
    google.status, google.answers["/token"] = 400, {"error": "invalid_grant", "error_description": "Bad Request"}

    with pytest.raises(CallbackRefusedError):
        await sign_in(google)


async def test_refresh_gives_the_new_tokens(google: GoogleSignIn) -> None:
    """A refresh returns the next access token, the rotated refresh token if there is one, and no account."""
    google.answers["/token"] = token_answer(access_token="ya29.next", refresh_token=None, id_token=None)
    kept = await google.auth.refresh("1//old")
    google.answers["/token"] = token_answer(refresh_token="1//new")
    rotated = await google.auth.refresh("1//old")

    assert google.received[0].form["refresh_token"] == "1//old"
    assert (kept.access_token, kept.refresh_token, kept.account) == ("ya29.next", None, None)
    assert rotated.refresh_token == "1//new"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "invalid_grant"}, InvalidGrantError),
        (401, {"error": "invalid_client"}, GoogleError),
        (503, {}, GoogleError),
        (200, {"expires_in": 3600, "scope": "openid"}, GoogleError),
        (200, {"access_token": 7}, GoogleError),
    ],
)
async def test_only_invalid_grant_says_that_a_grant_is_over(
    google: GoogleSignIn, status: int, body: dict[str, Any], kind: type[ProviderError]
) -> None:
    """Only invalid_grant means that the grant has ended, and no error contains a token."""
    google.status, google.answers["/token"] = status, body

    with pytest.raises(ProviderError) as failed:
        await google.auth.refresh(SECRET)

    assert type(failed.value) is kind
    assert (failed.value.status, failed.value.reason) == (status, body.get("error"))
    assert SECRET not in everything_in(failed.value)


async def test_free_text_in_place_of_an_error_code_is_dropped(google: GoogleSignIn) -> None:
    """A reason that is not an identifier is dropped, because it may quote a person's data."""
    google.status, google.answers["/token"] = 400, {"error": "no grant for ada@example.com"}

    with pytest.raises(GoogleError) as failed:
        await google.auth.refresh(SECRET)

    assert failed.value.reason is None
    assert "ada@" not in everything_in(failed.value)


async def test_no_answer_is_a_google_error_without_the_form() -> None:
    """If Google cannot be reached, the error contains neither the token nor the client's secret."""
    nowhere = GoogleEndpoints(*["http://127.0.0.1:1"] * 5)
    with urllib3.PoolManager() as pool:
        async with httpx2.AsyncClient() as http:
            auth = GoogleAuth(
                nowhere,
                client_id="c",
                client_secret=SECRET,
                redirect_uri="r",
                token_endpoint=TokenEndpoint(http, google_faults()),
                pool=pool,
            )
            with pytest.raises(GoogleError) as failed:
                await auth.refresh(SECRET)

    assert failed.value.status is None
    assert SECRET not in everything_in(failed.value)


async def test_revoke_counts_a_token_that_has_ended_as_done(google: GoogleSignIn) -> None:
    """Revoking a token that has already ended is not an error, but any other refusal is."""
    await google.auth.revoke("1//one")
    google.status, google.answers["/revoke"] = 400, {"error": "invalid_token"}
    await google.auth.revoke("1//one")
    google.status, google.answers["/revoke"] = 400, {"error": "invalid_request"}

    with pytest.raises(GoogleError):
        await google.auth.revoke("1//one")
    assert [request.form for request in google.received] == [{"token": "1//one"}] * 3


async def test_no_secret_is_in_a_repr(google: GoogleSignIn) -> None:
    """The reprs of the tokens and of the client that fetched them show no secret."""
    tokens = await sign_in(google)

    shown = repr(tokens) + repr(google.auth)
    assert not [secret for secret in ("ya29.access", "1//refresh", CLIENT_SECRET) if secret in shown]
