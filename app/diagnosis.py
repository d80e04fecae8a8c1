"""What `deputy doctor` finds out about each part of an installation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Verdict(StrEnum):
    """How a part was found."""

    OK = "ok"
    NOTE = "note"  # it works, or cannot be told from here; somebody should know
    FAULT = "fault"  # it does not work


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was found. It holds no secret, because it is printed.

    Attributes:
        title: The part: ``Slack``.
        verdict: How it was found.
        found: The finding, in one sentence.
        remedy: The next step; empty if there is nothing to do.
    """

    title: str
    verdict: Verdict
    found: str
    remedy: str = ""


class Checkup(Protocol):
    """Examines one part of an installation. Lives for one command."""

    def look(self) -> AsyncIterator[Diagnosis]:
        """Yield what is found; what it asks for may change nothing, and nobody is written to."""
        ...


def ok(title: str, found: str) -> Diagnosis:
    """Return that a part works."""
    return Diagnosis(title, Verdict.OK, found)


def remark(title: str, found: str, remedy: str = "") -> Diagnosis:
    """Return something to know about a part that may well work."""
    return Diagnosis(title, Verdict.NOTE, found, remedy)


def fault(title: str, found: str, remedy: str) -> Diagnosis:
    """Return that a part does not work, and what to do."""
    return Diagnosis(title, Verdict.FAULT, found, remedy)
