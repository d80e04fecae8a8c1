"""A run that was parked until its person answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class WaitsFor(StrEnum):
    """The answer that a parked run waits for."""

    CONSENT = "consent"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True)
class ParkedRun:
    """A run that was parked, read from its row.

    Attributes:
        run: The run so far, as the agent wrote it; only the agent reads it.
        granted: If it waits for consent: None until that is decided, then whether it was granted.
    """

    waits_for: WaitsFor
    link_id: str | None
    run: str = field(repr=False)
    granted: bool | None
