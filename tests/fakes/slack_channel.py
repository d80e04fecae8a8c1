"""Slack's channel without a server."""

from __future__ import annotations

from app.delivery.store.notes import ChannelNotes
from interfaces.slack.answers import SlackAnswers
from interfaces.slack.client import SlackChannel
from interfaces.slack.copies import CopyFinder
from interfaces.slack.http import SlackHttp
from interfaces.slack.installations import OneWorkspace
from tests.fakes.notes import RememberedNotes


def slack_channel(
    token: str,
    root: str,
    notes: ChannelNotes | None = None,
    *,
    copies: CopyFinder | None = None,
    first_seconds: float = 0.0,
    every_seconds: float = 0.0,
) -> SlackChannel:
    """Return the channel of one process, which by default begins to show an answer at once."""
    notes = notes or RememberedNotes()
    answers = SlackAnswers(notes, first_seconds=first_seconds, every_seconds=every_seconds)
    return SlackChannel(OneWorkspace(token), f"{root}/api/", SlackHttp(), notes, answers, copies)
