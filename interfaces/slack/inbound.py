"""Handles what Slack sends, however it arrives: over HTTP or over a WebSocket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from app.allow_list import AllowList
from app.delivery.work.intake import Intake
from app.delivery.work.stopping import Stopping
from app.errors import OffboardedError, UnavailableError, UndeliverableError
from app.log_once import LogOnce
from app.messages import InboundMessage
from app.offboarding import Offboarding
from app.principal import Principal
from app.supervisor import guarded
from interfaces.slack.blocks import decided
from interfaces.slack.click import Click, find_click
from interfaces.slack.direct import open_direct_chat
from interfaces.slack.event import (
    ends_installation,
    find_leaver,
    find_message,
    find_stop,
    home,
    opens_home,
    own_id_of,
    persons_message,
    receiving_places,
    receiving_workspace,
    sender,
    time_of,
)
from interfaces.slack.home import SlackHome
from interfaces.slack.installations import BotTokens
from interfaces.slack.markup import mentioned
from interfaces.slack.people import SlackPeople
from interfaces.slack.refusals import in_our_words
from interfaces.slack.slash import ANSWERED_DIRECTLY, NO_DIRECT_CHAT, NOT_FOR_YOU, read_slash_command
from interfaces.slack.web_api import new_client

log = logging.getLogger(__name__)

_NOT_ALLOWED = "an event of %s is refused: it is not in interfaces.slack.workspaces"
_TIMEOUT_SECONDS = 2  # Slack waits three seconds for an acknowledgement


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
        home_tab: SlackHome,
        stopping: Stopping,
        *,
        api_base_url: str,
    ) -> None:
        self._intake = intake
        self._bot_tokens = bot_tokens
        self._offboarding = offboarding
        self._allow_list = allow_list
        self._people = people
        self._home_tab = home_tab
        self._stopping = stopping
        self._api_base_url = api_base_url
        self._behind: set[asyncio.Task[bool]] = set()  # what Slack need not wait for
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
        if opens_home(payload) and self._allow_list.admits(*home(payload)):
            self._do_behind("publishing an App Home", self._publish_home(sender(payload), receiving_workspace(payload)))
        if (stop := find_stop(payload)) is not None:
            await self._stopping.stop_all(*stop)
        message = find_message(payload, await self._names(payload))
        if message is not None and self._allow_list.admits(*home(payload)):
            await self._take(message)
        elif message is not None:
            log.warning(_NOT_ALLOWED, message.principal.tenant)

    async def take_command(self, form: Mapping[str, object]) -> str:
        """Store a slash command as a message in its person's direct chat; return the line that only they see at once.

        Raises:
            InvalidMessageError: The form lacks what Slack documents.
            OverLimitError: Too many messages of this person wait.
            UnavailableError: Too many messages wait in total.
        """
        command = read_slash_command(form)
        token = await self._bot_tokens.bot_token(command.workspace)
        if token is None or not self._allow_list.admits(command.team, command.organisation):
            self._log.warning(command.workspace, _NOT_ALLOWED, command.workspace)
            return NOT_FOR_YOU
        try:
            channel = await self._direct_chat(token, command.principal.user)
        except (UnavailableError, UndeliverableError) as error:
            log.warning("a slash command of %s was not taken: %s", command.principal, error)
            return NO_DIRECT_CHAT
        await self._take(command.said(channel))
        return ANSWERED_DIRECTLY

    async def take_click(self, payload: Mapping[str, Any]) -> None:
        """Store a click on a button as a message of the person who clicked, and take the buttons off their card.

        Raises:
            InvalidMessageError: The payload lacks what Slack documents.
            OverLimitError: Too many messages of this person wait.
            UnavailableError: Too many messages wait in total, or Slack does not say who clicked.
        """
        click = find_click(payload)
        if click is None:
            return
        token = await self._bot_tokens.bot_token(click.workspace)
        if token is None or not self._allow_list.admits(click.team, click.organisation):
            self._log.warning(click.workspace, _NOT_ALLOWED, click.workspace)
            return
        direct_chat = click.channel or await self._direct_chat(token, click.user)
        await self._take(click.said(await self._clicker(click), direct_chat))
        if click.own:
            self._do_behind("updating a card", self._take_buttons_off(token, click))

    async def _clicker(self, click: Click) -> Principal:
        """Return the person who clicked, in their own tenant."""
        tenant = click.team
        if click.organisation is not None:
            colleague = click.team in (click.receiving_team, click.organisation)
            if colleague or click.organisation in await self._people.tenants(click.workspace, click.user):
                tenant = click.organisation
        return Principal("slack", tenant, click.user)

    async def _direct_chat(self, token: str, user: str) -> str:
        client = new_client(token, self._api_base_url, timeout_seconds=_TIMEOUT_SECONDS)
        return await open_direct_chat(client, user)

    async def _take_buttons_off(self, token: str, click: Click) -> None:
        """Show what was chosen in place of the buttons; https://docs.slack.dev/reference/methods/chat.update."""
        client = new_client(token, self._api_base_url)
        blocks = decided(click.shown.get("blocks"), f"You chose: {click.label}")
        with in_our_words():
            if click.channel is None:
                await client.views_publish(user_id=click.user, view={"type": "home", "blocks": blocks})
            else:
                text = str(click.shown.get("text") or click.label)
                await client.chat_update(channel=click.channel, ts=str(click.message_ts), text=text, blocks=blocks)

    async def _publish_home(self, principal: Principal, workspace: str) -> None:
        if await self._bot_tokens.bot_token(workspace) is not None:
            await self._home_tab.publish(principal, workspace)

    def _do_behind(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Do something that Slack need not wait for and that does no harm if it fails."""
        task = asyncio.create_task(guarded(what, work))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

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
