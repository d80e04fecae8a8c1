"""The slash command, as a message in the direct chat of the person who typed it.

https://docs.slack.dev/interactivity/implementing-slash-commands
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.messages import MAX_TEXT_LENGTH, InboundMessage
from app.principal import Principal
from interfaces.commands import command_in_words
from interfaces.slack.event import read_id

ANSWERED_DIRECTLY = "I'll answer in our direct chat."
NOT_FOR_YOU = "I am not set up for this workspace."
NO_DIRECT_CHAT = (
    "I cannot send you a direct message, so I did nothing. Open a chat with me (click my name, then Messages) and "
    "write to me there."
)


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A slash command as Slack sends it.

    Attributes:
        principal: The person who typed it.
        workspace: The installation that received it.
        team: The workspace where it was typed.
        organisation: The organisation of that workspace, or None.
        text: The words that it stands for.
        trigger_id: Unique for each command that is typed.
    """

    principal: Principal
    workspace: str
    team: str
    organisation: str | None
    text: str = field(repr=False)
    trigger_id: str

    def said(self, direct_chat: str) -> InboundMessage:
        """Return the message that it stands for, in this direct chat."""
        return InboundMessage(
            principal=self.principal,
            event_id=f"slash:{self.trigger_id}",
            conversation=f"{direct_chat}:",
            text=self.text,
            address={"channel": direct_chat, "thread_ts": None, "direct": True, "workspace": self.workspace},
            payload=f"slash:{self.trigger_id}",
        )


def read_slash_command(form: Mapping[str, object]) -> SlashCommand:
    """Return the command of a request's form.

    Raises:
        InvalidMessageError: The form lacks what Slack documents.
    """
    team = read_id(form, "team_id")
    organisation = read_id(form, "enterprise_id") if form.get("enterprise_id") else None
    whole = str(form.get("is_enterprise_install")).lower() == "true"
    text = str(form.get("text") or "").strip() or "help"
    name, _, rest = text.partition(" ")
    return SlashCommand(
        principal=Principal("slack", organisation or team, read_id(form, "user_id")),
        workspace=organisation if whole and organisation else team,
        team=team,
        organisation=organisation,
        text=(command_in_words(name, rest) or text)[:MAX_TEXT_LENGTH],
        trigger_id=read_id(form, "trigger_id"),
    )
