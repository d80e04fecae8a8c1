"""A Google that fails for a while: the next calls are refused, and nothing of them is done."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_PEOPLES = ("/o/oauth2/", "/revoke", "/oauth2/")  # pages, revocations and keys work on


@dataclass(frozen=True, slots=True)
class Outage:
    """One call's refusal.

    Attributes:
        status: The HTTP status: 503, or 429 as by a rate limit.
        retry_after: After how many seconds Google asks to be called again; None where it does not say.
        reason: Google's word for it.
    """

    status: int = 503
    retry_after: int | None = None
    reason: str = "backendError"


class Outages:
    """Refuses calls before the application sees them. Lives as long as the sandbox.

    https://developers.google.com/workspace/gmail/api/guides/handle-errors

    Args:
        app: Answers all other calls.
        planned: The refusals to come; each is taken out as it is used.
    """

    def __init__(self, app: ASGIApp, planned: deque[Outage]) -> None:
        self._app = app
        self._planned = planned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http" or not self._planned or scope["path"].startswith(_PEOPLES):
            await self._app(scope, receive, send)
            return
        outage = self._planned.popleft()
        errors = [{"domain": "global", "reason": outage.reason, "message": "The service is unavailable."}]
        error = {"code": outage.status, "message": "The service is unavailable.", "errors": errors}
        headers = {} if outage.retry_after is None else {"Retry-After": str(outage.retry_after)}
        await JSONResponse({"error": error}, outage.status, headers=headers)(scope, receive, send)
