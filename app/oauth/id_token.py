"""Verifying the id_token of a provider that a description describes: OpenID Connect Core, section 3.1.3.7."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from typing import Any

import httpx2
import jwt

from app.errors import CallbackRefusedError, ProviderError
from app.oauth.description import TENANT, Endpoints
from app.oauth.faults import CLOCK_SKEW_SECONDS
from app.oauth.token_endpoint import HTTP_TIMEOUT_SECONDS, json_object
from app.oauth.tokens import NOBODY, ProviderAccount

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")  # none that a shared secret signs


async def account_of_id_token(
    http: httpx2.AsyncClient,
    id_token: str,
    endpoints: Endpoints,
    title: str,
    *,
    client_id: str,
    nonce: str,
    subject_claims: Sequence[str],
) -> ProviderAccount:
    """Return the account that an id_token names: signed by this provider, for this client and this consent.

    Its subject is an empty text if a claim is missing.

    Raises:
        CallbackRefusedError: A check failed.
        ProviderError: The keys could not be fetched.
    """
    if endpoints.certs is None or endpoints.issuer is None:
        raise ProviderError(f"the settings do not say how {title} names an account", status=200, provider=title)
    try:
        async with asyncio.timeout(HTTP_TIMEOUT_SECONDS):
            answer = await http.get(endpoints.certs, follow_redirects=False)
    except (httpx2.HTTPError, TimeoutError) as failure:
        raise ProviderError(f"the keys of {title} could not be fetched", provider=title) from failure
    if answer.status_code != 200:
        raise ProviderError(
            f"{title} answered {answer.status_code} to a request for its keys",
            status=answer.status_code,
            provider=title,
        )
    claims = _claims(answer.content, id_token, client_id, endpoints)
    if claims is None:  # outside the except clause: the library's error would carry the token
        raise CallbackRefusedError(f"the id_token is not signed by {title} for this client, or is not valid now")
    party, audience = claims.get("azp"), claims.get("aud")
    if party != client_id if party is not None else isinstance(audience, list) and len(audience) > 1:
        raise CallbackRefusedError("the id_token was issued to another client")
    if not nonce or not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise CallbackRefusedError("the id_token is from another sign-in")
    return _account(claims, subject_claims)


def claimed_in_id_token(id_token: str, subject_claims: Sequence[str]) -> ProviderAccount:
    """Return the account that an id_token names, without verifying anything; nobody's if it names none."""
    try:
        return _account(jwt.decode(id_token, options={"verify_signature": False}), subject_claims)
    except (jwt.exceptions.PyJWTError, RecursionError):
        return NOBODY


def _claims(keys: bytes, id_token: str, client_id: str, endpoints: Endpoints) -> dict[str, Any] | None:
    try:
        found = jwt.PyJWKSet.from_dict(json_object(keys))
        key = found[jwt.get_unverified_header(id_token).get("kid", "")] if len(found.keys) > 1 else found.keys[0]
        claims: dict[str, Any] = jwt.decode(
            id_token,
            key,
            algorithms=_ALGORITHMS,
            audience=client_id,
            leeway=CLOCK_SKEW_SECONDS,
            options={"require": ["exp", "iat", "aud", "iss", "sub"]},
        )
    except (jwt.exceptions.PyJWTError, KeyError, ValueError, OverflowError, RecursionError):
        return None
    issuer, expected = str(claims["iss"]), endpoints.issuer or ""
    # A directory speaks for its own people only, so the issuer has to be that of the directory in the token.
    # https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#validate-the-issuer
    right = endpoints.is_issuer(issuer) and issuer == expected.replace(TENANT, str(claims.get("tid", "")))
    return claims if right else None


def _account(claims: dict[str, Any], subject_claims: Sequence[str]) -> ProviderAccount:
    parts = [str(claims.get(name) or "") for name in subject_claims]
    subject = ":".join(parts)[:255] if all(parts) else ""
    verified = claims.get("email") if claims.get("email_verified") is True else None
    shown = verified or claims.get("preferred_username") or claims.get("name") or subject
    return ProviderAccount(subject, str(shown)[:320])
