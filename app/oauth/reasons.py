"""Extracts Google's machine-readable reasons from error bodies; nothing else in a body leaves this module."""

from __future__ import annotations

import json
import re
from typing import Any

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")  # anything else is free text, and may quote personal data


def oauth_reason(body: bytes) -> str | None:
    """Return the ``error`` of an OAuth answer, such as ``invalid_grant``: RFC 6749 section 5.2."""
    answer = _parse(body)
    return identifier(answer.get("error")) if isinstance(answer, dict) else None


def api_reason(body: bytes) -> str | None:
    """Return the reason in an API's error answer, such as ``notFound`` or ``PERMISSION_DENIED``.

    Older APIs write ``errors[].reason``, newer ones ``details[].reason`` and ``status``:
    https://google.aip.dev/193.
    """
    answer = _parse(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return None
    listed = [entry.get("reason") for entry in [*_list(error, "errors"), *_list(error, "details")]]
    return next(filter(None, map(identifier, [*listed, error.get("status")])), None)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:  # not JSON, or not UTF-8
        return None


def _list(error: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = error.get(key)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def identifier(text: object) -> str | None:
    """Return a text that is a machine-readable name; None for any other text, because it may quote personal data."""
    return text if isinstance(text, str) and _IDENTIFIER.fullmatch(text) else None
