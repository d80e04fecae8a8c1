"""A token endpoint whose answers a test changes, with id_tokens that google-auth verifies."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx2
import jwt
import urllib3
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.google.auth import GoogleAuth
from app.google.endpoints import GoogleEndpoints
from app.oauth.token_endpoint import TokenEndpoint
from app.oauth.tokens import ProviderTokens
from tests.fakes.google_api import google_faults
from tests.fakes.loopback import Loopback, Received, Reply, serve

CLIENT_ID = "client.apps.example"
CLIENT_SECRET = "GOCSPX-of-the-test"
ISSUER = "https://accounts.google.com"
NONCE = "nonce-1"


@cache
def key(name: str) -> RSAPrivateKey:
    """Return a signing key; only the one named ``google`` is published."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a valid id_token, with changes."""
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "sub": "1001",
        "email": "ada@example.com",
        "email_verified": True,
        "nonce": NONCE,
        "iat": now,
        "exp": now + 3600,
    }
    return good | changes


def id_token(signed_with: str = "google", **changes: Any) -> str:
    """Return a signed id_token."""
    return jwt.encode(claims(**changes), key(signed_with), "RS256", headers={"kid": "google"})


def token_answer(**changes: Any) -> dict[str, Any]:
    """Return the token endpoint's valid answer to an exchange, with changes; None leaves a field out."""
    good = {
        "access_token": "ya29.access",
        "refresh_token": "1//refresh",
        "expires_in": 3600,
        "scope": "openid https://www.googleapis.com/auth/userinfo.email",
        "token_type": "Bearer",
        "id_token": id_token(),
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


@dataclass
class GoogleSignIn:
    """Google's token, revocation and certificate endpoints, and a `GoogleAuth` that uses them.

    Attributes:
        answers: The bodies to answer with, by path, or by the code that is exchanged.
        status: The HTTP status of tokens and revocations.
        certs_status: The HTTP status of the certificates.
        received: The requests.
    """

    answers: dict[str, dict[str, Any]] = field(default_factory=lambda: {"/token": token_answer()})
    status: int = 200
    certs_status: int = 200
    loopback: Loopback = field(init=False)
    auth: GoogleAuth = field(init=False)

    @property
    def received(self) -> list[Received]:
        return self.loopback.received

    def answer(self, request: Received) -> Reply:
        if request.path == "/certs":
            pem = key("google").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            return Reply(json.dumps({"google": pem.decode()}).encode(), self.certs_status)
        body = self.answers.get(request.form.get("code", "")) or self.answers.get(request.path, {})
        return Reply(json.dumps(body).encode(), self.status)


async def exchange(auth: GoogleAuth, *, code: str, code_verifier: str, nonce: str) -> ProviderTokens:
    """Redeem a code and verify the account, as a callback does."""
    redeemed = await auth.redeem(code=code, code_verifier=code_verifier, oauth_scopes=frozenset())
    return await auth.verify(redeemed, nonce=nonce)


@contextmanager
def google_sign_in() -> Iterator[GoogleSignIn]:
    """Serve the endpoints on loopback until the block ends."""
    fake = GoogleSignIn()
    with serve(fake.answer) as fake.loopback, urllib3.PoolManager() as pool:
        url = fake.loopback.url
        endpoints = GoogleEndpoints(f"{url}/authorize", f"{url}/token", f"{url}/revoke", f"{url}/certs", ISSUER)
        fake.auth = GoogleAuth(
            endpoints,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            redirect_uri="https://deputy.example/oauth/google/callback",
            token_endpoint=TokenEndpoint(httpx2.AsyncClient(), google_faults()),
            pool=pool,
            now=lambda: 1_000.0,
        )
        yield fake
