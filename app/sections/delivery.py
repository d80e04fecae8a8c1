"""How accepted messages are worked off."""

from __future__ import annotations

from pydantic import Field

from app.sections.section import Positive, Section


class DeliverySettings(Section):
    """How accepted messages are worked off."""

    concurrency: int = Field(default=32, gt=0, description="Messages in work at once, over all conversations")
    deadline_seconds: Positive = Field(default=120, description="For one message, tools and model included")
    attempts: int = Field(default=3, gt=0, description="After so many interrupted runs a message has failed")
    scan_seconds: Positive = Field(default=5, description="How often undone and expired rows are looked for")
    parked_seconds: Positive = Field(default=3600, description="How long a message waits for consent or approval")
