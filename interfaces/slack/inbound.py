"""Handles what Slack sends, however it arrives: over HTTP or over a WebSocket."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from app.delivery.work.intake import Intake
from app.errors import OffboardedError
from app.log_once import LogOnce
from app.messages import InboundMessage
from app.offboarding import Offboarding
from interfaces.slack.allow_list import AllowList
from interfaces.slack.event import (
    ends_installation,
    find_leaver,
    find_message,
    home,
    own_id_of,
    persons_message,
    receiving_places,
    receiving_workspace,
    time_of,
)
from interfaces.slack.installations import BotTokens
from interfaces.slack.markup import mentioned
from interfaces.slack.people import SlackPeople

log = logging.getLogger(__name__)

_NOT_ALLOWED = "an event of %s is refused: it is not in interfaces.slack.workspaces"


class SlackInbound:
    """Stores people's messages and acts on events. Lives as long as the process and holds no message.

    Once a method returns, Slack may be sent the acknowledgement; if it raises, Slack should send the same again.

    Args:
        allow_list: The places whose events are accepted; other places can only report that the app was removed.
    """

    def __init__(
        self,
        intake: Intake,
        bot_tokens: BotTokens,
        offboarding: Offboarding,
        allow_list: AllowList,
        people: SlackPeople,
    ) -> None:
        self._intake = intake
        self._bot_tokens = bot_tokens
        self._offboarding = offboarding
        self._allow_list = allow_list
        self._people = people
        self._log = LogOnce(log)

    async def take_event(self, payload: Mapping[str, Any]) -> None:
        """Store a person's message, to be answered later, or act on another event.

        Raises:
            InvalidMessageError: The event lacks what Slack documents for its kind.
            OverLimitError: Too many messages of this person wait.
            UnavailableError: Too many messages wait in total.
        """
        if ends_installation(payload):
            await self._bot_tokens.uninstalled(receiving_workspace(payload), at=time_of(payload))
        if payload.get("type") == "event_callback" and not self._allow_list.admits(*receiving_places(payload)):
            # An error would make Slack send it again.
            self._log.warning(receiving_workspace(payload), _NOT_ALLOWED, receiving_workspace(payload))
            return
        for identity in find_leaver(payload):
            await self._offboarding.begin(identity)
        message = find_message(payload, await self._names(payload))
        if message is not None and self._allow_list.admits(*home(payload)):
            await self._take(message)
        elif message is not None:
            log.warning(_NOT_ALLOWED, message.principal.tenant)

    async def _names(self, payload: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the names of the people whom a message mentions, if Slack gives them quickly."""
        event = persons_message(payload)
        own_id = own_id_of(payload) if event else None
        others = [user for user in mentioned(str(event.get("text") or "")) if user != own_id] if event else []
        return await self._people.names(receiving_workspace(payload), others) if others else {}

    async def _take(self, message: InboundMessage) -> None:
        """Store a message, or ignore it if it could not be answered; refusing it would make Slack send it again."""
        workspace = message.address["workspace"]
        if await self._bot_tokens.bot_token(workspace) is None:
            log.warning("a message from %s is ignored: the app is not installed there", workspace)
            return
        try:
            await self._intake.accept(message)
        except OffboardedError as error:
            log.warning("a message was ignored: %s", error)
