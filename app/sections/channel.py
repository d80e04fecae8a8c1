"""The settings that every channel has."""

from __future__ import annotations

from pydantic import Field

from app.sections.section import Name, Section


class ChannelSettings(Section):
    """The settings that every channel has."""

    agent: Name | None = Field(default=None, description="The agent that answers here; by default `default_agent`")
