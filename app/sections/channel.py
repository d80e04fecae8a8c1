"""The settings that every channel has."""

from __future__ import annotations

from pydantic import Field

from app.agents.rules import PlaceRules
from app.allow_list import AllowList
from app.delivery.work.admission import AllowedHere
from app.sections.section import Name, Section, Text


class ChannelSettings(Section):
    """The settings that every channel has."""

    agent: Name | None = Field(default=None, description="The agent that answers here; by default `default_agent`")
    people: tuple[Text, ...] = Field(
        default=(), description="The people who may write, by their ids here; if empty, everybody may"
    )

    def allowed(self) -> AllowedHere:
        """Return who may write, and where."""
        return AllowedHere(AllowList(self.people), AllowList(()))


class ChatSettings(ChannelSettings):
    """The settings of a channel with groups."""

    chats: tuple[Text, ...] = Field(
        default=(),
        description="The groups and channels in which people may write, by their ids here; if empty, they may in all",
    )
    act_in_groups: bool = Field(
        default=False,
        description="Whether tools that act may run for messages in groups, after the person's approval; if false,"
        " people are asked to write directly",
    )
    shared_history: bool = Field(
        default=False,
        description="Whether the model gets what others said to it in the same group, apart from answers out of"
        " somebody's account",
    )

    def allowed(self) -> AllowedHere:
        """Return who may write, and where."""
        return AllowedHere(AllowList(self.people), AllowList(self.chats))

    def group_rules(self) -> PlaceRules:
        """Return the rules of groups."""
        return PlaceRules(acts=self.act_in_groups, shared_history=self.shared_history)
