"""The sandbox's consent endpoint, where a person allows or denies the scopes that a client asks for.

https://developers.google.com/identity/protocols/oauth2/web-server#creatingclient
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app.sandbox.google.consent import consent_page, error_page
from app.sandbox.google.discovery import scope_descriptions
from app.sandbox.google.grants import IDENTITY_SCOPES, Authorization, SandboxGrants, scopes_of
from app.sandbox.log import Call
from app.sandbox.people import SandboxPeople

_HEADERS = {"Cache-Control": "no-store", "X-Frame-Options": "DENY"}


@dataclass(frozen=True, slots=True)
class Client:
    """The one OAuth client that the sandbox knows. The secret stays out of its repr."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uris: frozenset[str]


class _RequestError(Exception):
    """The authorization request cannot be answered at its redirect URI, so a page says what is wrong."""

    def __init__(self, error: str, detail: str, status: int = 400) -> None:
        self.page = HTMLResponse(error_page(error=error, detail=detail, status=status), status, headers=_HEADERS)
        super().__init__(error)


class ConsentScreen:
    """``/o/oauth2/v2/auth``. Lives with the sandbox.

    GET and HEAD show the page and change nothing. A program may post the same fields as the page's form, to the same
    URL with the same query:

    - ``email``: the account, one of the sandbox's people;
    - ``decision``: ``allow`` or ``deny``;
    - ``granted``: scopes separated by spaces; may be repeated. Without this field, all requested scopes are granted;
      with it, even if empty, only the ones that it lists. Identity scopes cannot be refused.
    """

    def __init__(
        self,
        client: Client,
        people: SandboxPeople,
        grants: SandboxGrants,
        record: Callable[[Call], None],
        now: Callable[[], float],
    ) -> None:
        self._client = client
        self._people = people
        self._grants = grants
        self._record = record
        self._now = now

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes of the page and its form."""
        path = "/o/oauth2/v2/auth"
        return [Route(path, self._ask, methods=["GET"]), Route(path, self._decide, methods=["POST"])]

    async def _ask(self, request: Request) -> Response:
        try:
            asked = self._asked(request)
        except _RequestError as refused:
            return refused.page
        if asked.get("prompt") == "none":
            return _redirect(asked, error="interaction_required")
        descriptions = scope_descriptions()
        page = consent_page(
            people=self._people.values(),
            chosen=self._hinted(asked.get("login_hint", "")),
            scopes={scope: descriptions[scope] for scope in scopes_of(asked["scope"]) if scope not in IDENTITY_SCOPES},
            client_id=asked["client_id"],
            redirect_uri=asked["redirect_uri"],
        )
        return HTMLResponse(page, headers=_HEADERS)

    async def _decide(self, request: Request) -> Response:
        async with request.form() as form:
            email, decision = str(form.get("email", "")).lower(), form.get("decision")
            ticked = None if "granted" not in form else scopes_of(" ".join(map(str, form.getlist("granted"))))
        try:
            asked = self._asked(request)
            if decision != "deny" and (decision != "allow" or email not in self._people):
                raise _RequestError("invalid_request", "Choose an account of the sandbox, and allow or deny.")
        except _RequestError as refused:
            return refused.page
        scopes = tuple(
            scope
            for scope in scopes_of(asked["scope"])
            if ticked is None or scope in ticked or scope in IDENTITY_SCOPES
        )
        if decision == "deny" or not scopes:
            self._log(email, 302)
            return _redirect(asked, error="access_denied")
        if asked.get("include_granted_scopes") == "true":
            scopes = tuple(dict.fromkeys((*scopes, *self._grants.granted_scopes(email))))
        code = self._grants.authorize(
            Authorization(
                email=email,
                redirect_uri=asked["redirect_uri"],
                scopes=scopes,
                code_challenge=asked["code_challenge"],
                nonce=asked.get("nonce"),
                offline=asked.get("access_type") == "offline",
                prompted="consent" in asked.get("prompt", "").split(),
            )
        )
        self._log(email, 302)
        return _redirect(asked, code=code, scope=" ".join(scopes), authuser="0", prompt="consent")

    def _hinted(self, login_hint: str) -> str | None:
        """Return the address of the account that a client hints at, by its address or its subject."""
        hinted = (each.email for each in self._people.values() if login_hint in (each.email, each.subject))
        return next(hinted, None)

    def _asked(self, request: Request) -> dict[str, str]:
        """Return the authorization request's parameters after checking them all."""
        pairs = request.query_params.multi_items()
        asked = dict(pairs)
        if len(asked) != len(pairs):
            raise _RequestError("invalid_request", "A parameter is given twice.")
        if asked.get("client_id") != self._client.client_id:
            raise _RequestError("invalid_client", "The OAuth client was not found.", 401)
        if asked.get("redirect_uri") not in self._client.redirect_uris:
            raise _RequestError("redirect_uri_mismatch", "The redirect URI is not one that the client registered.")
        if asked.get("response_type") != "code":
            raise _RequestError("unsupported_response_type", "The sandbox answers with a code: response_type=code.")
        scopes = set(scopes_of(asked.get("scope", "")))
        if unknown := scopes - IDENTITY_SCOPES - scope_descriptions().keys():
            raise _RequestError("invalid_scope", f"Some requested scopes were invalid: {' '.join(sorted(unknown))}")
        if not scopes:
            raise _RequestError("invalid_request", "Missing required parameter: scope")
        if asked.get("code_challenge_method") != "S256" or not re.fullmatch(
            r"[A-Za-z0-9_-]{43}", asked.get("code_challenge", "")
        ):
            raise _RequestError("invalid_request", "The sandbox demands PKCE: code_challenge_method=S256 (RFC 7636).")
        if asked.get("access_type", "online") not in {"online", "offline"}:
            raise _RequestError("invalid_request", "access_type is online or offline.")
        return asked

    def _log(self, email: str, status: int) -> None:
        self._record(Call("oauth.authorize", email if email in self._people else None, None, status, self._now()))


def _redirect(asked: Mapping[str, str], **answer: str) -> Response:
    target = urlsplit(asked["redirect_uri"])
    state = {"state": asked["state"]} if "state" in asked else {}
    query = "&".join(filter(None, (target.query, urlencode({**state, **answer}))))
    return RedirectResponse(urlunsplit(target._replace(query=query)), 302, headers=_HEADERS)
