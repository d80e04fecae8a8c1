"""Slack's channel without a server: what it notes is kept in memory, by all of one test's processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.delivery.store.notes import ChannelNotes
from app.messages import StoredMessage
from interfaces.slack.answers import SlackAnswers
from interfaces.slack.client import SlackChannel
from interfaces.slack.copies import CopyFinder
from interfaces.slack.http import SlackHttp
from interfaces.slack.installations import OneWorkspace


class RememberedNotes(ChannelNotes):
    """Notes in memory.

    Attributes:
        kept: The notes of each message, by its id.
        ended: The ids of messages that have ended.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, Any] | None] = {}
        self.ended: set[str] = set()

    async def keep(self, message: StoredMessage, notes: Mapping[str, Any] | None, *, while_open: bool) -> bool:
        """Keep them, unless the message has ended and may not have."""
        if while_open and message.message_id in self.ended:
            return False
        self.kept[message.message_id] = notes and {**notes}
        return True


def slack_channel(
    token: str,
    root: str,
    notes: ChannelNotes | None = None,
    *,
    copies: CopyFinder | None = None,
    first_seconds: float = 0.0,
    every_seconds: float = 0.0,
) -> SlackChannel:
    """The channel of one process, which begins to show an answer at once."""
    notes = notes or RememberedNotes()
    answers = SlackAnswers(notes, first_seconds=first_seconds, every_seconds=every_seconds)
    return SlackChannel(OneWorkspace(token), f"{root}/api/", SlackHttp(), notes, answers, copies)
