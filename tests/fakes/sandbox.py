"""A client of the sandbox's Google that gets tokens as a browser and an application do."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httplib2
import httpx2
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build_from_document

from app.sandbox.google.sandbox import GoogleSandbox
from app.sandbox.server import serve_loopback

CLIENT_ID = "deputy.apps.sandbox.example"
CLIENT_SECRET = "GOCSPX-sandbox"
REDIRECT_URI = "http://127.0.0.1:8080/oauth/google/callback"
ADA, GRACE = "ada@sandbox.example", "grace@sandbox.example"
GMAIL = "https://www.googleapis.com/auth/gmail"
READ, SEND, MODIFY, METADATA = (f"{GMAIL}.{name}" for name in ("readonly", "send", "modify", "metadata"))
CONSENT_PAGE = "/o/oauth2/v2/auth"


class Clock:
    """A clock that a test moves; seconds since the epoch."""

    def __init__(self, now: float = 1_795_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def sandbox(**changes: Any) -> GoogleSandbox:
    """Return a sandbox with this module's client."""
    client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uris": frozenset({REDIRECT_URI})}
    return GoogleSandbox(**{**client, **changes})


class SandboxClient:
    """One application at the sandbox, and the browsers of its users; `http` reaches the sandbox.

    Attributes:
        verifier: The PKCE verifier of every request of this client.
    """

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self.verifier = secrets.token_urlsafe(48)

    def asks(self, *scopes: str, **changes: str) -> dict[str, str]:
        """Return the parameters of an authorization request; a change to "" leaves one out."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        parameters = {
            "client_id": CLIENT_ID,
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": " ".join(("openid", "email", *scopes)),
            "access_type": "offline",
            "state": "state-1",
            "nonce": "nonce-1",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (parameters | changes).items() if value}

    async def decide(
        self, email: str, *scopes: str, decision: str = "allow", granted: Iterable[str] | None = None, **changes: str
    ) -> dict[str, str]:
        """Post the consent page's form; return the parameters with which the sandbox redirects the browser."""
        form: dict[str, Any] = {"email": email, "decision": decision}
        if granted is not None:
            form["granted"] = ["", *granted]
        response = await self.http.post(CONSENT_PAGE, params=self.asks(*scopes, **changes), data=form)
        assert response.status_code == 302, response.text
        assert response.headers["location"].startswith(f"{REDIRECT_URI}?")
        return dict(parse_qsl(urlsplit(response.headers["location"]).query))

    async def post_token(self, **fields: str) -> httpx2.Response:
        """Ask the token endpoint; a field given as "" is left out."""
        fields = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **fields}
        return await self.http.post("/token", data={name: value for name, value in fields.items() if value})

    async def exchange(self, code: str, **changes: str) -> httpx2.Response:
        """Exchange a code."""
        fields = {"code": code, "redirect_uri": REDIRECT_URI, "code_verifier": self.verifier}
        return await self.post_token(grant_type="authorization_code", **(fields | changes))

    async def refresh(self, refresh_token: str, **changes: str) -> httpx2.Response:
        """Refresh an access token."""
        return await self.post_token(grant_type="refresh_token", refresh_token=refresh_token, **changes)

    async def sign_in(self, email: str, *scopes: str, **changes: str) -> dict[str, Any]:
        """Return the tokens of this person, who allows everything."""
        answer = await self.decide(email, *scopes, **changes)
        response = await self.exchange(answer["code"])
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    async def call(self, bearer: str, verb: str, path: str, **options: Any) -> httpx2.Response:
        """Call a method of an API."""
        headers = {**options.pop("headers", {}), "Authorization": f"Bearer {bearer}"}
        return await self.http.request(verb, path, headers=headers, **options)


@asynccontextmanager
async def in_memory(google: GoogleSandbox) -> AsyncIterator[SandboxClient]:
    """Yield a client that reaches the sandbox without a socket."""
    transport = httpx2.ASGITransport(google.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        yield SandboxClient(http)


@asynccontextmanager
async def on_loopback(google: GoogleSandbox) -> AsyncIterator[tuple[str, SandboxClient]]:
    """Serve the sandbox on loopback; yield its base URL and a client."""
    async with serve_loopback(google.app) as base_url, httpx2.AsyncClient(base_url=base_url) as http:
        yield base_url, SandboxClient(http)


def encoded(mail: str | bytes) -> str:
    """Return a message in base64url, as the API expects it; bytes stay as they are."""
    raw = mail if isinstance(mail, bytes) else mail.replace("\n", "\r\n").encode()
    return base64.urlsafe_b64encode(raw).decode()


def gmail_service(base_url: str, credentials: Credentials) -> tuple[Any, AuthorizedHttp]:
    """Return Google's own Gmail client, pointed to the sandbox by its document's root, and the transport to close."""
    path = files("googleapiclient") / "discovery_cache" / "documents" / "gmail.v1.json"
    document = json.loads(path.read_text()) | {"rootUrl": f"{base_url}/"}
    http = AuthorizedHttp(credentials, httplib2.Http(timeout=60))
    return build_from_document(document, http=http), http
