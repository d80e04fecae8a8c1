"""Answering one message: a chat command, or a run of the sender's agent in a request scope."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol

from app.agents.agent import Agent, Answered
from app.agents.run import StoppedRun
from app.approvals.approvals import Approvals, ApprovalState
from app.conversations.history import Conversations
from app.credentials.consent import Consent
from app.deadline import Deadline
from app.delivery.channel import Channel, place_of
from app.delivery.command import ChatCommand
from app.delivery.inbox import Inbox
from app.delivery.parking import Parking
from app.delivery.status import Statuses, in_words
from app.delivery.streams import Streams
from app.errors import AgentError, UnavailableError
from app.messages import StoredMessage
from app.principal import Principal

log = logging.getLogger(__name__)

TOO_LATE = "This took too long, so I stopped. Please try again, perhaps with a smaller request."
MAY_BE_DONE = "What you approved may have been done all the same: {}. Look before you ask for it again."
_MAY_BE_DONE = frozenset({ApprovalState.RUNNING, ApprovalState.DONE})


class OpenAgent(Protocol):
    """Opens a request scope."""

    def __call__(self, principal: Principal, deadline: Deadline) -> AbstractAsyncContextManager[Agent]:
        """A fresh agent of this principal, that lives until the context ends."""
        ...


class Answering:
    """Answers messages, each in a request scope of its own; lives as long as the process and holds no message."""

    def __init__(
        self,
        inbox: Inbox,
        parking: Parking,
        approvals: Approvals,
        consent: Consent,
        conversations: Conversations,
        statuses: Statuses,
        channels: Mapping[str, Channel],
        streams: Streams,
        commands: Sequence[ChatCommand],
        open_agent: OpenAgent,
        *,
        deadline_seconds: float,
    ) -> None:
        self._inbox = inbox
        self._parking = parking
        self._approvals = approvals
        self._consent = consent
        self._conversations = conversations
        self._statuses = statuses
        self._channels = channels
        self._streams = streams
        self._commands = commands
        self._open_agent = open_agent
        self._deadline_seconds = deadline_seconds

    async def answer(self, message: StoredMessage) -> None:
        """Work off a running message: afterwards it is done, failed or parked, and its sender was told."""
        try:
            async with asyncio.timeout(self._deadline_seconds):
                mine = await self._answer(message)
        except TimeoutError:
            apology = TOO_LATE
        except AgentError as error:
            log.warning("message %s failed: %s", message.message_id, type(error.__cause__ or error).__name__)
            apology = str(error)
        else:
            if mine:
                await self.tell(message)
            return
        await self.give_up(message, apology)

    async def give_up(self, message: StoredMessage, apology: str) -> None:
        """Fail a running message and tell its sender, unless another attempt has taken it over."""
        asked = await self._approvals.of_message(message.principal, message.message_id)
        begun = [approval.call.tool for approval in asked if approval.state in _MAY_BE_DONE]
        if begun:
            apology = f"{apology} {MAY_BE_DONE.format(', '.join(begun))}"
        if await self._inbox.fail(message, apology):
            await self.tell(message)

    async def tell(self, message: StoredMessage) -> None:
        """Tell the sender how their message stands, unless it is in work again; tried again later if it fails."""
        current = await self._inbox.get(message.principal, message.message_id)
        status = await self._statuses.of(current)
        text = in_words(status)
        if text is None:
            return
        channel = self._channels.get(message.principal.platform)
        if channel is None:
            log.error("message %s: the interface %s is not configured", message.message_id, message.principal.platform)
            return
        try:
            await channel.send(current, text, private=status.private)
        except UnavailableError as error:
            log.warning("message %s: the answer waits: %s", message.message_id, error)
            return
        await self._inbox.mark_replied(current)

    async def _answer(self, message: StoredMessage) -> bool:
        """Work it off up to its new state; False when another attempt has taken it over, and nothing was changed."""
        for command in self._commands:
            reply = await command.reply(message)
            if reply is not None:
                return await self._inbox.finish(message, reply, private=True)
        outcome = await self._run(message)
        if isinstance(outcome, Answered):
            turn = partial(
                self._conversations.append,
                principal=message.principal,
                conversation=message.conversation,
                sequence=message.sequence,
                turn=outcome.turn,
                private=outcome.private,
            )
            return await self._inbox.finish(message, outcome.text, private=outcome.private, alongside=turn)
        if not outcome.oauth_scopes:
            return await self._parking.park_for_approval(message, outcome.dump(), outcome.pending_calls)
        link_id = await self._consent.ask(
            message.principal,
            outcome.oauth_scopes,
            conversation=message.conversation,
            place=place_of(message, self._channels),
        )
        parked = await self._parking.park_for_consent(message, outcome.dump(), link_id)
        if parked and await self._consent.covers(
            message.principal, outcome.oauth_scopes, conversation=message.conversation
        ):
            # Granted between the run and the parking, so nobody else will wake it.
            await self._parking.consent_found(message)
        return parked

    async def _run(self, message: StoredMessage) -> Answered | StoppedRun:
        parked = await self._parking.find(message)
        listener = self._streams.listener(message)
        async with self._open_agent(message.principal, Deadline.after(self._deadline_seconds)) as agent:
            if parked is None:
                return await agent.answer(message, listener)
            approvals = await self._approvals.of_message(message.principal, message.message_id)
            stopped = StoppedRun.load(parked.run)
            return await agent.go_on(message, stopped, listener, granted=parked.granted, approvals=approvals)
