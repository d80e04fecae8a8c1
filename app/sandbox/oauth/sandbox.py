"""The sandbox's provider over HTTP: consent page, token endpoint, revocation, metadata, and an account API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from app.sandbox.oauth.accounts import AccountApi
from app.sandbox.oauth.answers import Answers
from app.sandbox.oauth.client import RegisteredClient
from app.sandbox.oauth.consent import consent_page, refusal_page
from app.sandbox.oauth.differences import GITHUB, Differences
from app.sandbox.oauth.issues import Issues
from app.sandbox.oauth.state import AppGrant, ProviderState, RefusedError

_NO_STORE = {"Cache-Control": "no-store"}


class OAuthSandbox:
    """One provider with one client; it refuses whatever the client does wrongly. Lives as long as it is served.

    GET on the consent page shows a form; a program posts the form's fields: ``account``, ``decision`` (``allow`` or
    ``deny``) and ``granted``, the scopes that the person leaves ticked, all by default.

    Args:
        client_id: The OAuth client's id.
        client_secret: Its secret.
        redirect_uris: Those that the client has registered.
        accounts: The names of the accounts.
        differences: Which provider it is like.
        title: Its name on the consent page.
        marked: Whether each issue has a marker in its title, by which a proof finds out who has seen it.
        now: The clock, POSIX seconds.

    Attributes:
        redirect_uris: Those that the client has registered.
        state: The grants.
        token_calls: The grant types that the token endpoint was asked for.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        redirect_uris: Iterable[str],
        accounts: tuple[str, ...] = ("ada", "grace"),
        differences: Differences = GITHUB,
        title: str = "Hub",
        marked: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = RegisteredClient(client_id, client_secret, differences)
        self.redirect_uris = set(redirect_uris)
        self._accounts = accounts
        self._differs = differences
        self._title = title
        self._now = now
        self.state = ProviderState(differences)
        self._api = AccountApi(self.state, differences, accounts, now, marked=marked)
        self._answers = Answers(differences, client_id)
        self.token_calls: list[str] = []
        paths = differences.paths
        revoke = {"rfc7009": self._revoke, "slack": self._revoke_bearer}.get(differences.revocation)
        self.app = Starlette(
            routes=[
                Route(paths.authorize, self._show, methods=["GET"]),
                Route(paths.authorize, self._decide, methods=["POST"]),
                Route(paths.token, self._token, methods=["POST"]),
                *([Route(paths.revoke, revoke, methods=["POST"])] if revoke else []),
                Route("/applications/{client_id}/grant", self._delete_grant, methods=["DELETE"]),
                Route("/.well-known/oauth-authorization-server", self._metadata),
                Route(paths.certs, self._certs),
                *self._api.routes(),
            ]
        )

    @property
    def calls(self) -> list[tuple[str, str, str]]:
        """Return every call of the account API: the account, the method and the path."""
        return self._api.calls

    @property
    def bearers(self) -> list[str | None]:
        """Return the SHA-256 of the bearer of each of these calls, None where there was none."""
        return self._api.bearers

    @property
    def issues(self) -> Issues:
        """Return the accounts' issues."""
        return self._api.issues

    @property
    def failure(self) -> int | None:
        """Return the status with which all endpoints but the consent page answer, if it was set."""
        return self._api.failure

    @failure.setter
    def failure(self, status: int | None) -> None:
        """Answer with this status from now on; None: as usual."""
        self._api.failure = status

    async def _show(self, request: Request) -> Response:
        asked = request.query_params
        if refusal := self._wrong_with(asked):
            return HTMLResponse(refusal_page(self._title, refusal), 400, headers=_NO_STORE)
        shown = consent_page(
            title=self._title,
            client_id=asked["client_id"],
            accounts=self._accounts,
            scopes=self._scopes(asked),
            redirect_uri=asked["redirect_uri"],
        )
        return HTMLResponse(shown, headers=_NO_STORE)

    async def _decide(self, request: Request) -> Response:
        asked = request.query_params
        refusal = self._wrong_with(asked)
        async with request.form() as form:
            fields = {key: str(value) for key, value in form.items()}
        if refusal or fields.get("account") not in self._accounts:
            return HTMLResponse(f"<p>{refusal or 'no such account'}</p>", 400)
        answer = {"state": asked["state"]} | ({"iss": _root(request)} if self._differs.issuer else {})
        if fields.get("decision") == "allow":
            wanted = self._scopes(asked)
            granted = wanted & frozenset(fields["granted"].split()) if "granted" in fields else wanted
            answer["code"] = self.state.consent(
                fields["account"],
                granted,
                redirect_uri=asked["redirect_uri"],
                challenge=asked.get("code_challenge", ""),
                nonce=asked.get("nonce", ""),
                personal=all(asked.get(name) == value for name, value in self._differs.parameters.items()),
                now=self._now(),
            )
        else:
            answer["error"] = "access_denied"
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 303, headers=_NO_STORE)

    def _scopes(self, asked: Mapping[str, str]) -> frozenset[str]:
        text = asked.get(self._differs.scope_parameter, "")
        if self._differs.separator is None:
            text = text.replace(",", " ")
        return frozenset(filter(None, text.split(self._differs.separator)))

    def _wrong_with(self, asked: Mapping[str, str]) -> str:
        """Return why the consent page cannot be shown, or ""."""
        if asked.get("client_id") != self._client.client_id:
            return "unknown client"
        if asked.get("redirect_uri") not in self.redirect_uris:  # exactly, RFC 9700 section 4.1.3
            return "redirect_uri_mismatch"
        if asked.get("response_type") != "code" or not asked.get("state"):
            return "invalid_request"
        challenged = asked.get("code_challenge_method") == "S256" and bool(asked.get("code_challenge"))
        if self._differs.pkce and not challenged:
            return "a code challenge is needed"
        if any({" ", ","} & set(scope) for scope in self._scopes(asked)):
            return "invalid_scope"
        return ""

    async def _token(self, request: Request) -> Response:
        try:
            fields = await self._fields(request)
            grant_type = fields.get("grant_type", "")
            self.token_calls.append(grant_type)
            if grant_type == "authorization_code":
                code, verifier = fields.get("code", ""), fields.get("code_verifier", "")
                grant = self.state.exchange(code, fields.get("redirect_uri", ""), verifier, self._now())
            elif grant_type == "refresh_token" and self._differs.refreshes:
                grant = self.state.refresh(fields.get("refresh_token", ""), self._now())
            else:
                raise RefusedError("unsupported_grant_type")
        except RefusedError as refused:
            status = 200 if self._differs.errors_with_200 and refused.status == 400 else refused.status
            answer: dict[str, Any] = {"ok": False} if self._differs.nested else {}
            return self._written(request, {**answer, "error": refused.code}, status)
        first = grant_type == "authorization_code"
        return self._written(request, self._answers.tokens(grant, _root(request), self._now(), first=first), 200)

    def _written(self, request: Request, answer: dict[str, Any], status: int) -> Response:
        """Return an answer as JSON, or as a form where only that is asked for, as GitHub does."""
        if self._differs.as_form and "application/json" not in request.headers.get("accept", ""):
            return Response(urlencode(answer), status, _NO_STORE, "application/x-www-form-urlencoded")
        return JSONResponse(answer, status, headers=_NO_STORE)

    async def _revoke(self, request: Request) -> Response:
        try:
            fields = await self._fields(request)
        except RefusedError as refused:
            return JSONResponse({"error": refused.code}, refused.status)
        self._end(self.state.owner(fields.get("token", ""), refresh=self._differs.revokes_refresh_tokens))
        return Response(status_code=200)  # RFC 7009 section 2.2: also where there is no such token

    async def _revoke_bearer(self, request: Request) -> Response:
        """Revoke a token as https://docs.slack.dev/reference/methods/auth.revoke does."""
        if self.failure is not None:
            return Response(status_code=self.failure)
        grant = self.state.find(request.headers.get("authorization", "").removeprefix("Bearer "), self._now())
        self._end(grant)
        return JSONResponse({"ok": True, "revoked": True} if grant else {"ok": False, "error": "invalid_auth"})

    async def _delete_grant(self, request: Request) -> Response:
        """Delete a grant by an access token that is still valid, and by no other.

        https://docs.github.com/en/rest/apps/oauth-applications#delete-an-app-authorization
        """
        if self.failure is not None:
            return Response(status_code=self.failure)
        known = request.path_params["client_id"] == self._client.client_id and self._client.is_basic(request)
        if self._differs.revocation != "github" or not known:
            return JSONResponse({"message": "Not Found"}, 404)
        grant = self.state.find(str(json.loads(await request.body()).get("access_token", "")), self._now())
        if grant is None:
            return JSONResponse({"message": "Validation Failed"}, 422)
        for each in self.state.grants:
            if each.account == grant.account:
                self.state.end(each)
        return Response(status_code=204)

    def _end(self, grant: AppGrant | None) -> None:
        if grant is not None:
            self.state.end(grant)

    async def _metadata(self, request: Request) -> Response:
        root, paths = _root(request), self._differs.paths
        return JSONResponse(
            {
                "issuer": root,
                "authorization_endpoint": f"{root}{paths.authorize}",
                "token_endpoint": f"{root}{paths.token}",
                "jwks_uri": f"{root}{paths.certs}",
                "authorization_response_iss_parameter_supported": self._differs.issuer,
                **({"revocation_endpoint": f"{root}{paths.revoke}"} if self._differs.revocation == "rfc7009" else {}),
            }
        )

    async def _certs(self, request: Request) -> Response:
        return JSONResponse(self._answers.certs())

    async def _fields(self, request: Request) -> dict[str, str]:
        if self.failure is not None:
            raise RefusedError("temporarily_unavailable", self.failure)
        return await self._client.fields(request)


def _root(request: Request) -> str:
    return str(request.base_url).rstrip("/")
