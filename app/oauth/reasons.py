"""Reads the JSON of answers, and extracts machine-readable reasons from those that are errors."""

from __future__ import annotations

import json
import re
from typing import Any

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")  # anything else is free text, and may quote personal data


def oauth_reason(body: bytes) -> str | None:
    """Return the ``error`` of an OAuth answer, such as ``invalid_grant``: RFC 6749 section 5.2."""
    answer = parsed(body)
    return identifier(answer.get("error")) if isinstance(answer, dict) else None


def api_reason(body: bytes) -> str | None:
    """Return the reason in an API's error answer, such as ``notFound`` or ``PERMISSION_DENIED``.

    Older APIs write ``errors[].reason``, newer ones ``details[].reason`` and ``status``:
    https://google.aip.dev/193.
    """
    answer = parsed(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return None
    listed = [entry.get("reason") for entry in [*_list(error, "errors"), *_list(error, "details")]]
    return next(filter(None, map(identifier, [*listed, error.get("status")])), None)


def parsed(body: bytes) -> Any:
    """Return the JSON value in an answer; None if it holds none, or one that is nested too deeply to be read."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # not JSON, or not UTF-8; the error would contain the body
        return None


def _list(error: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = error.get(key)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def identifier(text: object) -> str | None:
    """Return a text that is a machine-readable name; None for any other text, because it may quote personal data."""
    return text if isinstance(text, str) and _IDENTIFIER.fullmatch(text) else None
