"""Advice to the model within a reason that a person may read as well: the offline model shows reasons as they are."""

from __future__ import annotations

import re

_ASIDE = re.compile(r"\s?\[To the assistant: [^\[\]]*+\]")


def with_aside(reason: str, advice: str) -> str:
    """Return a reason with advice for the model behind it; neither holds square brackets.

    Args:
        reason: What happened, in words for the person.
        advice: What the model should do now.
    """
    return f"{reason} [To the assistant: {advice}]"


def without_asides(reason: str) -> str:
    """Return a reason as a person should read it."""
    return _ASIDE.sub("", reason)
