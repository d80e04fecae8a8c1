"""A click on a button, as the message of the person who clicked.

https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.errors import InvalidMessageError
from app.messages import InboundMessage
from app.principal import Principal
from interfaces.slack.blocks import ACTION, is_for
from interfaces.slack.event import read_id

_COMMAND_LENGTH = 2000  # characters; of a button's value


@dataclass(frozen=True, slots=True)
class Click:
    """A click on one of our buttons.

    Attributes:
        user: The id of the person who clicked.
        team: Their own workspace.
        organisation: The organisation that received the click, or None.
        receiving_team: The workspace that received the click; None if an organisation did.
        workspace: The installation that received it: a workspace, or an organisation.
        channel: The channel of the card; None in the App Home.
        message_ts: The card's timestamp; None in the App Home.
        thread_ts: The thread that the card is in, or None.
        command: The words that the button says.
        label: The words on the button.
        action_ts: When it was clicked; a repeated payload repeats it.
        own: Whether the card is for this person.
        shown: The card's message or the App Home's view, as Slack has it.
    """

    user: str
    team: str
    organisation: str | None
    receiving_team: str | None
    workspace: str
    channel: str | None
    message_ts: str | None
    thread_ts: str | None
    command: str = field(repr=False)
    label: str
    action_ts: str
    own: bool
    shown: Mapping[str, Any] = field(repr=False)

    def said(self, principal: Principal, direct_chat: str) -> InboundMessage:
        """Return the message that the click stands for.

        Args:
            principal: The person who clicked.
            direct_chat: Their direct chat, which a click in the App Home belongs to.
        """
        channel = self.channel or direct_chat
        direct = channel.startswith("D")
        thread = self.thread_ts if direct else self.thread_ts or self.message_ts
        click_id = f"click:{self.channel or 'home'}:{self.message_ts or ''}:{self.action_ts}:{self.user}"
        address = {"channel": channel, "thread_ts": thread, "direct": direct, "workspace": self.workspace}
        return InboundMessage(
            principal=principal,
            event_id=click_id,
            conversation=f"{channel}:{thread or ''}",
            text=self.command,
            address=address,
            payload=click_id,
            chat=None if direct else channel,
        )


def find_click(payload: Mapping[str, Any]) -> Click | None:
    """Return the click that a payload tells of; None if the button only opens a page, or is not ours.

    Raises:
        InvalidMessageError: The payload lacks what Slack documents.
    """
    if payload.get("type") != "block_actions":
        return None
    action = _first(payload.get("actions"))
    command = action.get("value")
    if not str(action.get("action_id")).startswith(ACTION) or not isinstance(command, str) or not command.strip():
        return None
    if len(command) > _COMMAND_LENGTH:
        raise InvalidMessageError("the value of the button is too long")
    user, container = _object(payload, "user"), _object(payload, "container")
    in_message = container.get("type") == "message"
    shown = _object(payload, "message" if in_message else "view")
    user_id, thread = read_id(user, "id"), container.get("thread_ts") or shown.get("thread_ts")
    organisation, receiving_team = _id_in(payload, "enterprise"), _id_in(payload, "team")
    workspace = organisation if payload.get("is_enterprise_install") in (True, "true") else None
    workspace = workspace or receiving_team or organisation
    if workspace is None:
        raise InvalidMessageError("the payload names no workspace")
    return Click(
        user=user_id,
        team=read_id(user, "team_id") if user.get("team_id") else receiving_team or workspace,
        organisation=organisation,
        receiving_team=receiving_team,
        workspace=workspace,
        channel=read_id(container, "channel_id") if in_message else None,
        message_ts=read_id(container, "message_ts") if in_message else None,
        thread_ts=thread if isinstance(thread, str) and thread else None,
        command=command,
        label=_label(action),
        action_ts=read_id(action, "action_ts"),
        own=is_for(action.get("block_id"), user_id),
        shown=shown,
    )


def _id_in(payload: Mapping[str, Any], key: str) -> str | None:
    place = payload.get(key)
    return read_id(place, "id") if isinstance(place, dict) else None


def _label(action: Mapping[str, Any]) -> str:
    text = action.get("text")
    label = text.get("text") if isinstance(text, dict) else None
    return "".join(filter(str.isprintable, label)) if isinstance(label, str) else ""


def _first(actions: object) -> Mapping[str, Any]:
    first = actions[0] if isinstance(actions, list) and actions else None
    if not isinstance(first, dict):
        raise InvalidMessageError("the payload has no action")
    return first


def _object(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = holder.get(key)
    if not isinstance(found, dict):
        raise InvalidMessageError(f"the payload has no usable {key}")
    return found
