"""Posts forms to token and revocation endpoints, and reads their JSON answers."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import httpx2

from app.errors import GoogleError, InvalidGrantError, ProviderError
from app.oauth.reasons import oauth_reason, parsed
from app.oauth.retrying import retried, retry_after
from app.oauth.tokens import ProviderTokens

HTTP_TIMEOUT_SECONDS = 10.0  # for a whole call, its repetitions included; the lease of a refresh has to outlive it
_USUAL_LIFETIME_SECONDS = 3600.0  # of Google's access tokens, if an answer does not say
_INVALID_GRANT = frozenset(
    {
        "invalid_grant",  # RFC 6749 section 5.2, for which GitHub and Slack have words of their own
        *("bad_verification_code", "bad_refresh_token"),
        *("invalid_code", "code_already_used", "invalid_refresh_token"),
        *("interaction_required", "login_required", "consent_required"),  # Microsoft's, until the person signs in again
    }
)
# Faults of the provider's own, which Slack answers with 200.
_PASSING = frozenset(
    {
        *("server_error", "temporarily_unavailable"),
        *("internal_error", "fatal_error", "service_unavailable", "request_timeout", "ratelimited"),
    }
)
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)  # there was no connection


class Faults(Protocol):
    """Tells administrators what only they can fix."""

    def notice(self, error: ProviderError, what: str) -> None:
        """Log an error that an administrator has to fix, and no other one."""

    def notice_clock(self, date: str | None) -> None:
        """Log that this machine's clock is off, by the Date of an answer."""


class TokenEndpoint:
    """Posts forms to a provider's sign-in; lives as long as the process and keeps nothing from forms or answers.

    It retries after temporary faults. That is safe for every form: a code that was already redeemed is refused, and a
    refresh, a revocation and an assertion can be repeated.

    Args:
        http: Shared by everybody; keeps no cookies.
        faults: Logs faults that only an administrator can fix.
        title: The provider's name for people.
        error: The errors that are raised.
    """

    def __init__(
        self,
        http: httpx2.AsyncClient,
        faults: Faults,
        title: str = "Google",
        error: type[ProviderError] = GoogleError,
    ) -> None:
        self._http = http
        self._faults = faults
        self._title = title
        self._error = error

    async def post(
        self,
        url: str,
        form: Mapping[str, str],
        what: str,
        *,
        accepted: tuple[str, ...] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
        as_json: bool = False,
    ) -> bytes:
        """Post a form; return the body of the answer.

        Args:
            url: The endpoint.
            form: The form.
            what: Describes the request in an error: "a token request".
            accepted: The provider's reasons that count as success.
            headers: Further headers, such as those that authenticate the client.
            as_json: Whether the provider takes JSON in the place of a form.

        Raises:
            InvalidGrantError: The provider says ``invalid_grant``, or that the code is wrong.
            ProviderError: It answered with another error, or not in time. It contains nothing from the form.
        """
        ends = time.monotonic() + HTTP_TIMEOUT_SECONDS
        return await retried(
            lambda: self._post_once(url, _body(form, as_json=as_json), headers, what, accepted, ends),
            seconds_left=lambda: ends - time.monotonic(),
        )

    async def _post_once(
        self,
        url: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        what: str,
        accepted: tuple[str, ...],
        ends: float,
    ) -> bytes:
        kind, unsent = "", False
        response: httpx2.Response | None = None
        try:
            # httpx's own time-out applies to each read, not to all of them.
            async with asyncio.timeout(max(0.0, ends - time.monotonic())):
                response = await self._http.post(
                    url, **body, headers={"Accept": "application/json", **headers}, follow_redirects=False
                )
        except (httpx2.HTTPError, TimeoutError) as failure:
            kind, unsent = type(failure).__name__, isinstance(failure, _UNSENT)
        if response is None:  # outside the except clause: the library's error would contain the form
            raise self._error(
                f"{self._title}'s sign-in gave no answer to {what} ({kind})", unsent=unsent, provider=self._title
            )
        self._faults.notice_clock(response.headers.get("date"))
        reason = oauth_reason(response.content)  # some providers answer errors with 200
        if reason in accepted or (200 <= response.status_code < 300 and reason is None):
            return response.content
        refused = InvalidGrantError if reason in _INVALID_GRANT else self._error
        error = refused(
            f"{self._title} answered {response.status_code} to {what} ({reason})",
            provider=self._title,
            status=max(503 if reason in _PASSING else 400, response.status_code),
            reason=reason,
            retry_after=retry_after(response.headers.get("retry-after")),
        )
        self._faults.notice(error, what)
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: avoid the cycle


def read_tokens(body: bytes, asked_at: float, *, default_scope: str = "") -> tuple[ProviderTokens, str]:
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
    answer = json_object(body)
    access_token, refresh_token = answer.get("access_token"), answer.get("refresh_token")
    scope = answer.get("scope")
    refresh_token = refresh_token if isinstance(refresh_token, str) and refresh_token else None
    if not (isinstance(access_token, str) and access_token):
        if refresh_token is None:
            raise GoogleError("Google's token answer has no access_token", status=200)
        access_token, lifetime_seconds = "", 0.0  # the refresh token was rotated, so the old one is no longer valid
    else:
        lifetime_seconds = lifetime(answer.get("expires_in"))
    tokens = ProviderTokens(
        access_token=access_token,
        expires_at=asked_at + lifetime_seconds,
        refresh_token=refresh_token,
        granted_scopes=frozenset((scope if isinstance(scope, str) else default_scope).split()),
    )
    return tokens, str(answer.get("id_token") or "")


def _body(form: Mapping[str, str], *, as_json: bool) -> dict[str, Any]:
    return {"json": dict(form)} if as_json else {"data": dict(form)}


def lifetime(value: object, usual: float = _USUAL_LIFETIME_SECONDS) -> float:
    """Return `expires_in` in seconds, or the usual lifetime of such tokens if it is missing or not a number."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    return seconds if math.isfinite(seconds) and seconds >= 0 else usual


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in an answer; {} if it holds none."""
    answer = parsed(body)
    return answer if isinstance(answer, dict) else {}
