"""Verifies Google's signed id_token, which names the account."""

from __future__ import annotations

import functools
import hmac
import time
from collections.abc import Mapping
from typing import Any

import google.auth.exceptions
import google.auth.transport.urllib3
import google.oauth2.id_token
import jwt
import urllib3

from app.errors import CallbackRefusedError, DeputyError, GoogleError
from app.google.endpoints import GoogleEndpoints
from app.oauth.faults import CLOCK_SKEW_SECONDS
from app.oauth.tokens import ProviderAccount

CERTS_TIMEOUT_SECONDS = 5.0  # for one attempt
_UNVERIFIED = ProviderAccount("", "")


def verified_account(
    id_token: str, *, nonce: str, client_id: str, endpoints: GoogleEndpoints, pool: urllib3.PoolManager
) -> ProviderAccount:
    """Return the account that an id_token names, https://developers.google.com/identity/openid-connect/openid-connect.

    google-auth checks the signature, the audience, `iat` and `exp`. This function checks the issuer, `azp`, `nbf`, the
    nonce, and that the address is verified. A clock may be 30 s off. It blocks while it fetches the certificates, so
    run it in a thread.

    Raises:
        CallbackRefusedError: A check failed.
        GoogleError: The certificates could not be fetched.
    """
    claims = _signed_claims(id_token, client_id, endpoints.certs, pool)
    # Google writes its issuer with or without the scheme.
    if claims.get("iss") not in (endpoints.issuer, endpoints.issuer.removeprefix("https://")):
        raise CallbackRefusedError("the id_token is from another issuer")
    _check_party(claims, client_id)
    not_before = claims.get("nbf")  # RFC 7519 section 4.1.5
    if not_before is not None and not _has_begun(not_before):
        raise CallbackRefusedError("the id_token is not valid yet; is this server's clock right?")
    if not nonce or not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise CallbackRefusedError(
            "the id_token is from another sign-in. Write `connect google` in the chat for a new link"
        )
    subject, email = claims.get("sub"), claims.get("email")
    if claims.get("email_verified") is not True or not email or not subject:
        raise CallbackRefusedError("Google has not verified the address of this account")
    return ProviderAccount(subject=str(subject), email=str(email))


def claimed_account(id_token: str) -> ProviderAccount:
    """Return the account that an id_token names, without verifying anything; empty if it names none."""
    try:
        claims = jwt.decode(id_token, options={"verify_signature": False})
    except jwt.exceptions.PyJWTError:
        return _UNVERIFIED
    subject, email = claims.get("sub"), claims.get("email")
    return ProviderAccount(str(subject or "")[:255], str(email or "")[:320])


def _check_party(claims: Mapping[str, Any], client_id: str) -> None:
    """Check which client the token was issued to: OpenID Connect Core, section 3.1.3.7, points 4 and 5.

    Raises:
        CallbackRefusedError: The token is for another client, or does not say which of several.
    """
    party, audience = claims.get("azp"), claims.get("aud")
    if party != client_id if party is not None else isinstance(audience, list) and len(audience) > 1:
        raise CallbackRefusedError("the id_token was issued to another client")


def _has_begun(not_before: object) -> bool:
    return isinstance(not_before, int | float) and not_before <= time.time() + CLOCK_SKEW_SECONDS


def _signed_claims(id_token: str, client_id: str, certs: str, pool: urllib3.PoolManager) -> Mapping[str, Any]:
    request = google.auth.transport.urllib3.Request(pool)
    fetch: Any = functools.partial(request, timeout=CERTS_TIMEOUT_SECONDS, retries=False)
    failure: DeputyError
    try:
        claims: Mapping[str, Any] = google.oauth2.id_token.verify_token(
            id_token, fetch, audience=client_id, certs_url=certs, clock_skew_in_seconds=int(CLOCK_SKEW_SECONDS)
        )
        return claims
    except google.auth.exceptions.TransportError:
        failure = GoogleError("Google's certificates could not be fetched")
    except (ValueError, jwt.exceptions.PyJWTError):  # google-auth's errors are ValueErrors
        failure = CallbackRefusedError("the id_token is not signed by Google for this client, or is not valid now")
    try:
        raise failure  # outside the except clause: as its context, the library's error would carry the token along
    finally:
        del failure  # its traceback holds this frame
