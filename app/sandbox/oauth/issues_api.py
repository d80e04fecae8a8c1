"""The routes of the sandbox provider's issues, as strict as GitHub's about what a request holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.oauth.issues import Issue, Issues, NoIssueError

_SCOPE = "repo"
_MAX_TITLE, _MAX_BODY = 256, 65_536  # characters, https://github.com/orgs/community/discussions/27190
_STATES = ("open", "closed", "all")

# Runs an answer as the account of the bearer, or refuses; records the call. The text is the OAuth scope that is needed.
Authorize = Callable[[Request, str, Callable[[str], Any]], Response]


class UnprocessableError(Exception):
    """A field is missing or has a value that GitHub does not take: 422."""


class IssuesApi:
    """Answers for issues. Lives with the sandbox.

    Args:
        issues: The issues.
        authorize: Finds the account of a request.
    """

    def __init__(self, issues: Issues, authorize: Authorize) -> None:
        self._issues = issues
        self._authorize = authorize

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/repos/{owner}/{name}/issues/{number:int}"
        return [
            Route("/issues", self._assigned, methods=["GET"]),
            Route("/repos/{owner}/{name}/issues", self._open, methods=["POST"]),
            Route(one, self._show, methods=["GET"]),
            Route(one, self._change, methods=["PATCH"]),
            Route(f"{one}/comments", self._comments, methods=["GET"]),
            Route(f"{one}/comments", self._comment, methods=["POST"]),
        ]

    async def _assigned(self, request: Request) -> Response:
        query = request.query_params

        def answer(account: str) -> Any:
            if query.get("filter", "assigned") != "assigned" or query.get("state", "open") not in _STATES:
                raise UnprocessableError
            size, page = _whole(query.get("per_page", "30"), 100), _whole(query.get("page", "1"), 1_000_000)
            found = self._issues.assigned(account, query.get("state", "open"))
            return [issue.as_json() for issue in found[(page - 1) * size : page * size]]

        return self._answered(request, answer)

    async def _show(self, request: Request) -> Response:
        return self._answered(request, lambda account: self._found(account, request).as_json())

    async def _comments(self, request: Request) -> Response:
        return self._answered(request, lambda account: self._found(account, request).comments)

    async def _open(self, request: Request) -> Response:
        fields = await _fields(request)

        def answer(account: str) -> Any:
            title, body = (
                _text(fields, "title", _MAX_TITLE),
                _text({"body": "", **fields}, "body", _MAX_BODY, empty=True),
            )
            return self._issues.open(account, _repository(request), title, body).as_json()

        return self._answered(request, answer, 201)

    async def _comment(self, request: Request) -> Response:
        fields = await _fields(request)

        def answer(account: str) -> Any:
            return self._issues.comment(account, self._found(account, request), _text(fields, "body", _MAX_BODY))

        return self._answered(request, answer, 201)

    async def _change(self, request: Request) -> Response:
        fields = await _fields(request)

        def answer(account: str) -> Any:
            issue = self._found(account, request)
            if fields != {"state": "closed"}:
                raise UnprocessableError
            self._issues.close(issue)
            return issue.as_json()

        return self._answered(request, answer)

    def _found(self, account: str, request: Request) -> Issue:
        return self._issues.find(account, _repository(request), request.path_params["number"])

    def _answered(self, request: Request, answer: Callable[[str], Any], status: int = 200) -> Response:
        # https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#user-agent-required
        if not request.headers.get("user-agent"):
            return JSONResponse({"message": "Request forbidden by administrative rules."}, 403)
        try:
            response = self._authorize(request, _SCOPE, answer)
        except NoIssueError:
            return JSONResponse({"message": "Not Found"}, 404)
        except UnprocessableError:
            return JSONResponse({"message": "Validation Failed"}, 422)
        if response.status_code == 200:
            response.status_code = status
        return response


async def _fields(request: Request) -> Mapping[str, Any]:
    try:
        fields = json.loads(await request.body())
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _repository(request: Request) -> str:
    return f"{request.path_params['owner']}/{request.path_params['name']}"


def _text(fields: Mapping[str, Any], key: str, longest: int, *, empty: bool = False) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or len(value) > longest or not (empty or value.strip()):
        raise UnprocessableError
    return value


def _whole(text: str, most: int) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= most:
        raise UnprocessableError
    return int(text)
