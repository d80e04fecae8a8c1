"""A run that was parked until its person answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class WaitsFor(StrEnum):
    """What a parked run waits for."""

    CONSENT = "consent"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True)
class ParkedRun:
    """A run that was parked, as its row says.

    Attributes:
        run: The run so far, as the agent wrote it; only the agent reads it.
        granted: For a consent: None while it waits, then whether it was granted.
    """

    waits_for: WaitsFor
    link_id: str | None
    run: str = field(repr=False)
    granted: bool | None
