"""Reading the answers of authorization servers, which differ in what they leave out and how they write the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors import ProviderError
from app.oauth.description import ProviderDescription
from app.oauth.token_endpoint import json_object, lifetime
from app.oauth.tokens import NEVER, ProviderTokens


def read_answer(
    body: bytes, description: ProviderDescription, asked_at: float, *, default: frozenset[str], first: bool
) -> tuple[ProviderTokens, Mapping[str, Any]]:
    """Return the tokens in an answer (RFC 6749 section 5.1), and the whole answer.

    An answer may leave out `scope`, which is then what was asked for, and write it as a list or with commas. It may
    leave out `expires_in` or write it as text: without it, a token that can be refreshed counts as good for an hour,
    and one that cannot as good until it is refused.

    Args:
        body: The answer.
        description: The provider.
        asked_at: The time of the request, POSIX seconds.
        default: The OAuth scopes that an answer without `scope` grants; none for a refresh, which changes nothing.
        first: Whether a code was redeemed; an answer to that must have the person's tokens where they belong.

    Raises:
        ProviderError: The answer has no access token, and no refresh token that would be lost.
    """
    whole = json_object(body)
    answer = whole.get(description.answer) if description.answer else whole
    if not isinstance(answer, dict) or not (first or answer.get("access_token")):
        answer = {} if first else whole
    access_token, refresh_token = _text(answer.get("access_token")), _text(answer.get("refresh_token"))
    if access_token is None and refresh_token is None:
        raise ProviderError(
            f"{description.title}'s token answer has no access_token", status=200, provider=description.title
        )
    if access_token is None:
        expires_at = asked_at  # the refresh token was rotated, so the old one is no longer valid
    elif refresh_token is None and first and answer.get("expires_in") in (None, "", 0, "0"):
        expires_at = NEVER
    else:
        expires_at = asked_at + lifetime(answer.get("expires_in"))
    scope = answer.get("scope")
    if description.unscoped_prefix and (access_token or "").startswith(description.unscoped_prefix):
        scope = None
    granted = granted_scopes(scope, description.scope_prefix, default)
    tokens = ProviderTokens(
        access_token=access_token or "",
        expires_at=expires_at,
        refresh_token=refresh_token,
        granted_scopes=_with_permitted(granted, description.permits),
    )
    return tokens, whole


def granted_scopes(value: object, prefix: str, default: frozenset[str]) -> frozenset[str]:
    """Return the OAuth scopes that an answer names: a text parted by spaces or commas, or a list; else the default."""
    if isinstance(value, list):
        value = " ".join(each for each in value if isinstance(each, str))
    if not isinstance(value, str):
        return default
    return frozenset(scope.removeprefix(prefix) for scope in value.replace(",", " ").split())


def _with_permitted(scopes: frozenset[str], permits: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return these OAuth scopes and all that they permit, which some providers leave out of their answers."""
    return scopes.union(*(permits.get(scope, frozenset()) for scope in scopes))


def field_at(answer: object, path: str) -> str | None:
    """Return the text or number at a dotted path of a JSON answer; None if there is none."""
    for name in path.split("."):
        answer = answer.get(name) if isinstance(answer, dict) else None
    return str(answer) if isinstance(answer, str | int) and not isinstance(answer, bool) and answer != "" else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
