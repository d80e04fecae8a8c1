"""Calls to GitHub's REST API: https://docs.github.com/en/rest."""

from __future__ import annotations

from typing import Any, Literal

import httpx2

from app.connections.connection import Connection
from app.errors import ProviderError, ToolError

_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "Deputy"}


class GitHubApi:
    """GitHub's API as one person. Lives for one request.

    Args:
        connection: The person's connection.
    """

    def __init__(self, connection: Connection[Literal["github"]]) -> None:
        self._connection = connection

    async def get(self, path: str, **query: str | int) -> Any:
        """Return what a path answers; raises as `send`."""
        return await self.send("GET", path, params=query)

    async def send(
        self, method: str, path: str, body: dict[str, Any] | None = None, params: dict[str, str | int] | None = None
    ) -> Any:
        """Send one request, and return its answer as JSON values.

        Raises:
            ToolError: GitHub does not take the values.
            ProviderError: It answered with another error, or not at all.
        """
        async with self._connection.client() as client:
            try:
                response = await client.request(method, path, headers=_HEADERS, json=body, params=params)
            except httpx2.TransportError as error:
                raise _fault("GitHub gave no answer", unsent=isinstance(error, httpx2.ConnectError)) from None
        if response.status_code == 422:
            raise ToolError("GitHub does not take this: a text is too long, or the issues are switched off there")
        if response.status_code == 410:
            raise ToolError("this issue was deleted, or its repository has no issues")
        if not response.is_success:
            raise _fault(f"GitHub answered {response.status_code}", response)
        try:
            return response.json()
        except ValueError:
            raise _fault("GitHub's answer is not JSON", response) from None


def _fault(message: str, response: httpx2.Response | None = None, *, unsent: bool = False) -> ProviderError:
    if response is None:
        return ProviderError(message, unsent=unsent, provider="GitHub")
    wait = response.headers.get("retry-after", "")
    retry_after = float(wait) if wait.isascii() and wait.isdecimal() else None
    # https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api: also with the status 403
    is_limited = retry_after is not None or response.headers.get("x-ratelimit-remaining") == "0"
    return ProviderError(
        message,
        status=response.status_code,
        reason="rateLimitExceeded" if is_limited else None,
        retry_after=retry_after,
        provider="GitHub",
    )
