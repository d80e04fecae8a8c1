"""Whose account it is: Google's signed id_token, verified."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Mapping
from typing import Any

import google.auth.exceptions
import google.auth.transport.urllib3
import google.oauth2.id_token
import jwt
import urllib3

from app.errors import CallbackRefusedError, DeputyError, GoogleError
from app.google.endpoints import GoogleEndpoints
from app.google.tokens import GoogleAccount

CLOCK_SKEW_SECONDS = 10
CERTS_TIMEOUT_SECONDS = 10.0


def verified_account(
    id_token: str, *, nonce: str, client_id: str, endpoints: GoogleEndpoints, pool: urllib3.PoolManager
) -> GoogleAccount:
    """The account that an id_token names, https://developers.google.com/identity/openid-connect/openid-connect.

    google-auth checks the signature, the audience and the times; the issuer, the nonce and that the address is
    verified are checked here. Blocks while the certificates are fetched: run it in a thread.

    Raises:
        CallbackRefusedError: A check failed.
        GoogleError: The certificates could not be fetched.
    """
    claims = _signed_claims(id_token, client_id, endpoints.certs, pool)
    # Google writes its issuer with or without the scheme.
    if claims.get("iss") not in (endpoints.issuer, endpoints.issuer.removeprefix("https://")):
        raise CallbackRefusedError("the id_token is of another issuer")
    if not nonce or not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise CallbackRefusedError("the id_token is of another consent; ask for a new link")
    subject, email = claims.get("sub"), claims.get("email")
    if claims.get("email_verified") is not True or not email or not subject:
        raise CallbackRefusedError("Google has not verified the address of this account")
    return GoogleAccount(subject=str(subject), email=str(email))


def _signed_claims(id_token: str, client_id: str, certs: str, pool: urllib3.PoolManager) -> Mapping[str, Any]:
    request = google.auth.transport.urllib3.Request(pool)
    fetch: Any = functools.partial(request, timeout=CERTS_TIMEOUT_SECONDS, retries=False)
    failure: DeputyError
    try:
        claims: Mapping[str, Any] = google.oauth2.id_token.verify_token(
            id_token, fetch, audience=client_id, certs_url=certs, clock_skew_in_seconds=CLOCK_SKEW_SECONDS
        )
        return claims
    except google.auth.exceptions.TransportError:
        failure = GoogleError("Google's certificates could not be fetched; try again")
    except (ValueError, jwt.exceptions.PyJWTError):  # google-auth's errors are ValueErrors
        failure = CallbackRefusedError("the id_token is not signed by Google for this client, or not at this time")
    try:
        raise failure  # outside the except clause: as its context, the library's error would carry the token along
    finally:
        del failure  # its traceback holds this frame
