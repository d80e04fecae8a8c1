"""The account API of the sandbox's provider: whose a token is, and what it may read and change."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.log import bearer_of, fingerprint
from app.sandbox.oauth.answers import IMPLIED, TEAM
from app.sandbox.oauth.differences import Differences
from app.sandbox.oauth.issues import Issues
from app.sandbox.oauth.issues_api import IssuesApi
from app.sandbox.oauth.state import AppGrant, ProviderState

_WRONG_TOKEN = {"ok": False, "error": "invalid_auth"}  # in Slack's words, with the status 200


class AccountApi:
    """Answers as the account of the bearer, and takes down every call. Lives with the sandbox.

    Attributes:
        calls: Every call: the account, or ``nobody``, the method, and the path with its query.
        bearers: The SHA-256 of each call's bearer, in the same order.
        issues: The accounts' issues.
        failure: The status with which it answers, while it is set.
    """

    def __init__(
        self,
        state: ProviderState,
        differences: Differences,
        accounts: Sequence[str],
        now: Callable[[], float],
        *,
        marked: bool = False,
    ) -> None:
        self._state = state
        self._differs = differences
        self._accounts = accounts
        self._now = now
        self.calls: list[tuple[str, str, str]] = []
        self.bearers: list[str | None] = []
        self.issues = Issues(accounts, now, marked=marked)
        self.failure: int | None = None

    def routes(self) -> list[Route]:
        """Return the routes."""
        whoami = {"endpoint": self._user, "auth.test": self._test, "graphql": self._graphql}.get(self._differs.names)
        methods = ["POST"] if self._differs.names == "graphql" else ["GET"]
        return [
            *([Route(self._differs.paths.whoami, whoami, methods=methods)] if whoami else []),
            Route("/user/repos", self._repositories),
            Route("/user/starred/{owner}/{name}", self._star, methods=["PUT"]),
            *(IssuesApi(self.issues, self._called).routes() if self._differs.has_repositories else ()),
        ]

    async def _user(self, request: Request) -> Response:
        return self._called(request, "", lambda account: {"id": 1000 + self._accounts.index(account), "login": account})

    async def _test(self, request: Request) -> Response:
        """Answer as https://docs.slack.dev/reference/methods/auth.test does."""
        if (grant := self._grant(request)) is None:
            return JSONResponse(_WRONG_TOKEN)
        user = {"user": grant.account, "user_id": f"U{grant.account}", "team": TEAM["name"], "team_id": TEAM["id"]}
        return JSONResponse({"ok": True, "url": "https://hub.slack.com/", **user})

    async def _graphql(self, request: Request) -> Response:
        if "viewer" not in str(json.loads(await request.body()).get("query")):
            return JSONResponse({"errors": [{"message": "Cannot query"}]}, 400)

        def viewer(account: str) -> dict[str, Any]:
            who = {"id": f"id-{account}", "name": account, "email": f"{account}@hub.example"}
            return {"data": {"viewer": who}}

        return self._called(request, "", viewer)

    async def _repositories(self, request: Request) -> Response:
        return self._called(request, "repo", lambda account: [{"full_name": f"{account}/notes", "private": True}])

    async def _star(self, request: Request) -> Response:
        return self._called(request, "public_repo", lambda account: {"starred_by": account})

    def _called(self, request: Request, scope: str, answer: Callable[[str], Any]) -> Response:
        """Return an answer as the account of the bearer; only a provider of repositories looks at its OAuth scopes."""
        if self.failure is not None:
            return Response(status_code=self.failure)
        if (grant := self._grant(request)) is None:
            return JSONResponse({"message": "Bad credentials"}, 401)
        permitted = grant.scopes.union(*(IMPLIED.get(each, ()) for each in grant.scopes))
        if scope and self._differs.has_repositories and scope not in permitted:
            return JSONResponse({"message": "Resource not accessible"}, 403)
        return JSONResponse(answer(grant.account))

    def _grant(self, request: Request) -> AppGrant | None:
        bearer = bearer_of(request.headers.get("authorization"))
        grant = self._state.find(bearer or "", self._now())
        target = f"{request.url.path}?{request.url.query}".removesuffix("?")
        self.calls.append((grant.account if grant else "nobody", request.method, target))
        self.bearers.append(fingerprint(bearer))
        return grant
