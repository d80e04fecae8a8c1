"""The words by which a person decides on an approval."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS = re.compile(r"\s*(approve|deny)\s+([0-9a-f]{4,8})\s*[.!]?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Decision:
    """``approve 3f2a`` or ``deny 3f2a``, read."""

    code: str
    approved: bool


def find_decision(text: str) -> Decision | None:
    """The decision that a message consists of, or None when it is anything else."""
    match = _WORDS.fullmatch(text)
    return Decision(match[2].lower(), match[1].lower() == "approve") if match else None
