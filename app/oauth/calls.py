"""Calls to a provider's other endpoints than its token endpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import httpx2

from app.errors import ProviderError
from app.oauth.retrying import retried, retry_after
from app.oauth.token_endpoint import HTTP_TIMEOUT_SECONDS


async def send(
    http: httpx2.AsyncClient,
    title: str,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, str] | None,
    what: str,
) -> httpx2.Response:
    """Send a request that may be repeated, and return its answer; retry after temporary faults, for 10 seconds at most.

    Args:
        http: Keeps no cookies.
        title: The provider's name for people.
        method: HTTP's.
        url: The endpoint.
        headers: The request's.
        body: Sent as JSON, if there is one.
        what: Describes the request in an error: "a revocation".

    Raises:
        ProviderError: There was no answer, or it says that the fault is the provider's.
    """
    ends = time.monotonic() + HTTP_TIMEOUT_SECONDS

    async def once() -> httpx2.Response:
        kind = ""
        response: httpx2.Response | None = None
        try:
            async with asyncio.timeout(max(0.0, ends - time.monotonic())):
                response = await http.request(method, url, headers=dict(headers), json=body, follow_redirects=False)
        except (httpx2.HTTPError, TimeoutError) as failure:
            kind = type(failure).__name__
        if response is None:  # outside the except clause: the library's error would contain the token
            raise ProviderError(f"{title} gave no answer to {what} ({kind})", provider=title)
        if response.status_code == 429 or response.status_code >= 500:
            raise answered_with(response, title, what)
        return response

    return await retried(once, seconds_left=lambda: ends - time.monotonic())


def answered_with(response: httpx2.Response, title: str, what: str) -> ProviderError:
    """Return the error that an answer amounts to; it contains nothing from the answer's body."""
    return ProviderError(
        f"{title} answered {response.status_code} to {what}",
        status=response.status_code,
        retry_after=retry_after(response.headers.get("retry-after")),
        provider=title,
    )
