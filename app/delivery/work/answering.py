"""Answering one message: a chat command, or a run of the sender's agent in a request scope."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import MappingProxyType
from typing import Protocol

from app.agents.agent import Agent, Answered
from app.agents.listening import AtWork, Listener
from app.agents.rules import DIRECT, GROUP, PlaceRules
from app.agents.run import StoppedRun
from app.agents.writes import Writes
from app.approvals.approvals import Approvals, ApprovalState
from app.attachments.reading import AttachmentReader
from app.consent.flow import Consent
from app.consent.link import Place
from app.conversations.history import Conversations
from app.deadline import Deadline
from app.delivery.backoff import Backoff, PassingFault, passing_fault
from app.delivery.replies.channel import Channel, place_of
from app.delivery.replies.sender import Sender
from app.delivery.replies.streams import Streams
from app.delivery.store.inbox import Inbox
from app.delivery.store.parking import Parking
from app.delivery.store.stops import MAY_BE_DONE
from app.delivery.work.command import ChatCommand
from app.delivery.work.rates import PersonRates
from app.delivery.work.signs import SignsOfLife
from app.durations import in_words
from app.errors import AgentError, UnreadableMessageError
from app.llm.faults import describe_fault, model_fault
from app.messages import ConversationKey, MessageState, StoredMessage
from app.principal import Principal

log = logging.getLogger(__name__)

Run = Callable[[], Awaitable[Answered | StoppedRun]]

TOO_LATE = "This took too long, so I stopped. Please try again, perhaps with a smaller request."
STOPPED_WRITING = "I was interrupted while I worked on this, and did not start again in case something is done twice."
TOO_MANY_PARKED = (
    "{} of your messages already wait for your consent or approval, so I did not keep this one. Answer some of them, "
    "and ask again."
)
_MAY_BE_DONE = frozenset({ApprovalState.RUNNING, ApprovalState.DONE})


class OpenAgent(Protocol):
    """Opens a request scope."""

    def __call__(self, principal: Principal, deadline: Deadline) -> AbstractAsyncContextManager[Agent]:
        """Return a fresh agent of this principal, which lives until the context ends."""
        ...


class Answering:
    """Answers messages, each in a request scope of its own; lives as long as the process and holds no message."""

    def __init__(
        self,
        inbox: Inbox,
        parking: Parking,
        approvals: Approvals,
        writes: Writes,
        consent: Consent,
        conversations: Conversations,
        sender: Sender,
        channels: Mapping[str, Channel],
        streams: Streams,
        signs: SignsOfLife,
        commands: Sequence[ChatCommand],
        backoff: Backoff,
        attachments: AttachmentReader,
        rates: PersonRates,
        open_agent: OpenAgent,
        *,
        deadline_seconds: float,
        person_parked: int,
        group_rules: Mapping[str, PlaceRules] = MappingProxyType({}),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._inbox = inbox
        self._parking = parking
        self._approvals = approvals
        self._writes = writes
        self._consent = consent
        self._conversations = conversations
        self._sender = sender
        self._channels = channels
        self._streams = streams
        self._signs = signs
        self._commands = commands
        self._backoff = backoff
        self._attachments = attachments
        self._rates = rates
        self._group_rules = group_rules
        self._open_agent = open_agent
        self._deadline_seconds = deadline_seconds
        self._person_parked = person_parked
        self._now = now

    async def answer(self, message: StoredMessage) -> None:
        """Answer a running message until it is done, failed or parked, and queue the reply for its sender.

        After a temporary fault it waits for another try instead.
        """
        if message.attempt > 1 and await self._writes.of_message(message.principal, message.message_id):
            await self.give_up(message, STOPPED_WRITING, "interrupted")
            return
        with self._streams.followed(message, self._channels.get(message.principal.platform)) as listener:
            async with self._signs.shown(message, listener) as at_work:
                await self._attempt(message, partial(self._run, message, listener, at_work))

    async def _attempt(self, message: StoredMessage, run: Run) -> None:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                mine = await self._answer(message, run)
        except TimeoutError:
            apology, error_class, fault = TOO_LATE, "deadline", None
        except AgentError as error:
            apology, error_class, fault = str(error), _cause(message, error), passing_fault(error)
        else:
            if mine:
                self._sender.look(ConversationKey.of(message), message.principal)
            return
        await self.stop(message, apology, error_class, fault)

    async def stop(self, message: StoredMessage, apology: str, error_class: str, fault: PassingFault | None) -> None:
        """End an attempt that failed: try again later if the fault is temporary, otherwise apologise.

        Once something may have been written, there is no other try, because it might be written twice.
        """
        wait = self._backoff.seconds(message.failures, fault) if fault else None
        if fault and wait is not None and not await self._begun(message):
            if await self._inbox.try_later(message, wait, fault):
                self._signs.rest(message, wait, partial(self._waits, message))
        else:
            if fault:
                tried = in_words(self._now() - message.created_at)
                apology = f"{apology} I tried for {tried}; please try again later."
            await self.give_up(message, apology, fault or error_class)

    async def give_up(self, message: StoredMessage, apology: str, error_class: str) -> None:
        """Fail a running message and queue the apology, unless another attempt has taken the message over."""
        if begun := await self._begun(message):
            apology = f"{apology} {MAY_BE_DONE.format(', '.join(begun))}"
        if await self._inbox.fail(message, referenced(apology, message), error_class):
            self._sender.look(ConversationKey.of(message), message.principal)

    async def aclose(self) -> None:
        """Return once no call to a channel is under way; nothing is being answered any more."""
        await self._signs.aclose()

    async def _waits(self, message: StoredMessage) -> bool:
        """Return whether a message still waits for another try, which may have begun."""
        state = (await self._inbox.get(message.principal, message.message_id)).state
        return state in (MessageState.NEW, MessageState.RUNNING)

    async def _begun(self, message: StoredMessage) -> list[str]:
        """Return the tools that may have changed something for this message since its run last began."""
        asked = await self._approvals.of_message(message.principal, message.message_id)
        acted = [approval.call.tool for approval in asked if approval.state in _MAY_BE_DONE]
        return [*acted, *await self._writes.of_message(message.principal, message.message_id)]

    async def _answer(self, message: StoredMessage, run: Run) -> bool:
        """Bring the message into its new state; return False if another attempt has taken it over."""
        for command in self._commands:
            reply = await command.reply(message)
            if reply is not None:
                return await self._inbox.finish(message, reply, private=True)
        if message.attempt == 1 and (wait := await self._rates.take(message.principal)):
            told = self._rates.in_words(in_words(self._rates.seconds), in_words(wait))
            return await self._inbox.finish(message, told, private=True)
        try:
            outcome = await run()
        except UnreadableMessageError as error:
            return await self._inbox.finish(message, str(error), private=False)
        if isinstance(outcome, Answered):
            place = (message.principal, message.conversation, message.sequence)
            return await self._inbox.finish(
                message,
                outcome.text,
                private=outcome.private,
                turn=self._conversations.row(*place, outcome.turn, private=outcome.private),
                forget_before=outcome.forget_before,
                files=outcome.files,
            )
        if await self._parking.count(message.principal, besides=message.message_id) >= self._person_parked:
            await self.give_up(message, TOO_MANY_PARKED.format(self._person_parked), "too_many_parked")
            return False  # the apology is queued already
        if outcome.connection is None:
            return await self._parking.park_for_approval(message, outcome.dump(), outcome.pending_calls)
        link_id = await self._consent.ask(
            message.principal,
            outcome.oauth_scopes,
            conversation=message.conversation,
            place=place_of(message, self._channels),
            provider=outcome.connection,
        )
        covered = partial(
            self._consent.covers,
            principal=message.principal,
            oauth_scopes=outcome.oauth_scopes,
            conversation=message.conversation,
            provider=outcome.connection,
        )
        return await self._parking.park_for_consent(message, outcome.dump(), link_id, covered)

    async def _run(self, message: StoredMessage, listener: Listener | None, at_work: AtWork) -> Answered | StoppedRun:
        parked = await self._parking.find(message) if message.attempt > 1 else None
        rules = self._rules(message)
        async with self._open_agent(message.principal, Deadline.after(self._deadline_seconds)) as agent:
            if parked is None:
                prompt = await self._attachments.prompt(message, agent.reads)
                return await agent.answer(message, listener, prompt, at_work, rules=rules)
            approvals = await self._approvals.of_message(message.principal, message.message_id)
            stopped = StoppedRun.load(parked.run)
            files = await self._attachments.files(message, agent.reads)
            return await agent.go_on(
                message,
                stopped,
                listener,
                at_work,
                granted=parked.granted,
                approvals=approvals,
                files=files,
                rules=rules,
            )

    def _rules(self, message: StoredMessage) -> PlaceRules:
        """Return the rules of the place that a message came from."""
        if place_of(message, self._channels) is Place.DIRECT:
            return DIRECT
        return self._group_rules.get(message.principal.platform, GROUP)


def referenced(apology: str, message: StoredMessage) -> str:
    """Return an apology with its reference, by which an administrator finds the message in the log and deliveries."""
    return f"{apology} (reference {message.message_id[:8]})"


def _cause(message: StoredMessage, error: AgentError) -> str:
    """Log the error that ended a run, and return its class."""
    cause = error.__cause__ or error
    if (fault := model_fault(cause)) is None:
        log.warning("message %s of %s failed: %s", message.message_id, message.principal, type(cause).__name__)
        return type(cause).__name__
    level = logging.WARNING if fault.passes else logging.ERROR
    log.log(level, "message %s of %s failed: %s", message.message_id, message.principal, describe_fault(cause, fault))
    return fault.value
