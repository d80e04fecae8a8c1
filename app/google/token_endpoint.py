"""Posts forms to Google's token and revocation endpoints, and reads their JSON answers."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping
from typing import Any

import httpx2

from app.errors import GoogleError, InvalidGrantError
from app.google.faults import FaultLog
from app.google.reasons import oauth_reason
from app.google.retrying import retried, retry_after
from app.google.tokens import GoogleTokens

HTTP_TIMEOUT_SECONDS = 10.0  # for a whole call, its repetitions included; the lease of a refresh has to outlive it
_USUAL_LIFETIME_SECONDS = 3600.0  # of Google's access tokens, if an answer does not say
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)  # there was no connection


class TokenEndpoint:
    """Posts forms to Google's sign-in; lives as long as the process and keeps nothing from forms or answers.

    It retries after temporary faults. That is safe for every form: a code that was already redeemed is refused, and a
    refresh, a revocation and an assertion can be repeated.

    Args:
        http: Shared by everybody; keeps no cookies.
        faults: Logs faults that only an administrator can fix.
    """

    def __init__(self, http: httpx2.AsyncClient, faults: FaultLog) -> None:
        self._http = http
        self._faults = faults

    async def post(self, url: str, form: Mapping[str, str], what: str, *, accepted: tuple[str, ...] = ()) -> bytes:
        """Post a form; return the body of the answer.

        Args:
            url: The endpoint.
            form: The form.
            what: Describes the request in an error: "a token request".
            accepted: Reasons from Google that count as success.

        Raises:
            InvalidGrantError: Google says ``invalid_grant``.
            GoogleError: Google answered with another error, or not in time. It contains nothing from the form.
        """
        ends = time.monotonic() + HTTP_TIMEOUT_SECONDS
        return await retried(
            lambda: self._post_once(url, form, what, accepted, ends), seconds_left=lambda: ends - time.monotonic()
        )

    async def _post_once(
        self, url: str, form: Mapping[str, str], what: str, accepted: tuple[str, ...], ends: float
    ) -> bytes:
        kind, unsent = "", False
        response: httpx2.Response | None = None
        try:
            # httpx's own time-out applies to each read, not to all of them.
            async with asyncio.timeout(max(0.0, ends - time.monotonic())):
                response = await self._http.post(url, data=dict(form), follow_redirects=False)
        except (httpx2.HTTPError, TimeoutError) as failure:
            kind, unsent = type(failure).__name__, isinstance(failure, _UNSENT)
        if response is None:  # outside the except clause: the library's error would contain the form
            raise GoogleError(f"Google's sign-in gave no answer to {what} ({kind})", unsent=unsent)
        self._faults.notice_clock(response.headers.get("date"))
        reason = oauth_reason(response.content) if response.status_code != 200 else None
        if response.status_code == 200 or reason in accepted:
            return response.content
        refused = InvalidGrantError if reason == "invalid_grant" else GoogleError
        error = refused(
            f"Google answered {response.status_code} to {what} ({reason})",
            status=response.status_code,
            reason=reason,
            retry_after=retry_after(response.headers.get("retry-after")),
        )
        self._faults.notice(error, what)
        raise error


def read_tokens(body: bytes, asked_at: float, *, default_scope: str = "") -> tuple[GoogleTokens, str]:
    """Return the tokens in an answer (RFC 6749 section 5.1), and the id_token, or "" if it is missing.

    Like that section and google-auth, it accepts an answer without `scope`, which then is what was asked for, and an
    `expires_in` that is text or missing.

    Args:
        body: The answer.
        asked_at: The time of the request, POSIX seconds.
        default_scope: The scopes that an answer without `scope` grants, separated by spaces.

    Raises:
        GoogleError: The answer has no access token, and no refresh token that would be lost.
    """
    answer = _json_object(body)
    access_token, refresh_token = answer.get("access_token"), answer.get("refresh_token")
    scope = answer.get("scope")
    refresh_token = refresh_token if isinstance(refresh_token, str) and refresh_token else None
    if not (isinstance(access_token, str) and access_token):
        if refresh_token is None:
            raise GoogleError("Google's token answer has no access_token", status=200)
        access_token, lifetime = "", 0.0  # the refresh token was rotated, so the old one is no longer valid
    else:
        lifetime = _lifetime(answer.get("expires_in"))
    tokens = GoogleTokens(
        access_token=access_token,
        expires_at=asked_at + lifetime,
        refresh_token=refresh_token,
        granted_scopes=frozenset((scope if isinstance(scope, str) else default_scope).split()),
    )
    return tokens, str(answer.get("id_token") or "")


def _lifetime(value: object) -> float:
    """Return `expires_in` in seconds, or the usual lifetime of Google's tokens if it is missing or not a number."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        seconds = math.nan
    return seconds if math.isfinite(seconds) and seconds >= 0 else _USUAL_LIFETIME_SECONDS


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:  # its error would contain the body
        answer = None
    return answer if isinstance(answer, dict) else {}
