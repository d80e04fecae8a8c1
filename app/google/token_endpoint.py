"""Talking to Google's token and revocation endpoints: a form goes there, JSON comes back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2

from app.errors import GoogleError
from app.google.tokens import GoogleTokens

HTTP_TIMEOUT_SECONDS = 10.0  # for a whole call; the lease of a refresh has to outlive it


async def post_form(http: httpx2.AsyncClient, url: str, form: dict[str, str]) -> tuple[int, bytes]:
    """Post a form once; the status and the body of the answer, whatever they are.

    Raises:
        GoogleError: There was no answer in time. The error carries nothing of the form.
    """
    try:
        async with asyncio.timeout(HTTP_TIMEOUT_SECONDS):  # httpx's own time-out is for each read, not for all
            response = await http.post(url, data=form, follow_redirects=False)
            return response.status_code, response.content
    except (httpx2.HTTPError, TimeoutError) as error:
        kind = type(error).__name__
    raise GoogleError(f"Google's sign-in gave no answer ({kind})")  # the library's error would carry the form along


def read_tokens(body: bytes, asked_at: float, *, default_scope: str | None = None) -> tuple[GoogleTokens, str]:
    """The tokens of an answer of RFC 6749 section 5.1, and the id_token, "" where there is none.

    Args:
        body: The answer.
        asked_at: When it was asked for, POSIX seconds.
        default_scope: What an answer without `scope` grants; None where Google always says it.

    Raises:
        GoogleError: Something is missing in it.
    """
    answer = _json_object(body)
    access_token, refresh_token = answer.get("access_token"), answer.get("refresh_token")
    lifetime, scope = answer.get("expires_in"), answer.get("scope", default_scope)
    if not (isinstance(access_token, str) and isinstance(lifetime, int | float) and isinstance(scope, str)):
        raise GoogleError("Google's token answer lacks access_token, expires_in or scope", status=200)
    tokens = GoogleTokens(
        access_token=access_token,
        expires_at=asked_at + lifetime,
        refresh_token=refresh_token if isinstance(refresh_token, str) else None,
        granted_scopes=frozenset(scope.split()),
    )
    return tokens, str(answer.get("id_token") or "")


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:  # its error would carry the body along
        answer = None
    return answer if isinstance(answer, dict) else {}
