"""Advice to the model inside a reason that a person may read too, because the offline model shows reasons verbatim."""

from __future__ import annotations

import re

_ASIDE = re.compile(r"\s?\[To the assistant: [^\[\]]*+\]")


def with_aside(reason: str, advice: str) -> str:
    """Return a reason followed by advice for the model; neither may contain square brackets.

    Args:
        reason: The event, in words for the person.
        advice: The model's best next step.
    """
    return f"{reason} [To the assistant: {advice}]"


def without_asides(reason: str) -> str:
    """Return a reason as a person should read it."""
    return _ASIDE.sub("", reason)
