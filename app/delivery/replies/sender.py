"""The sender: works the outbox off."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from app.delivery.backoff import Backoff
from app.delivery.replies.channel import Channel
from app.delivery.replies.status import Statuses, in_words
from app.delivery.store.outbox import Outbox, Place, Reply, ReplyState
from app.errors import UnavailableError, UnclearError
from app.messages import ConversationKey
from app.supervisor import cancel, describe_crash, guarded

log = logging.getLogger(__name__)

_AT_ONCE = 16  # replies that are on their way at a time, of one platform: one that hangs holds up itself alone
_TO_ARRIVE = 0.2  # the part of a lease that what was posted has to show on its channel
_LOOKS_AT_MOST = 5  # for copies of a reply, each after twice the time; the channel may be busy
_LOOK_AGAIN_SECONDS = 1.0  # how long a reply lets an earlier one go first that another process has in hand


class Sender:
    """Tells people what is owed to them; lives as long as the process and holds no text.

    The replies of a conversation go out in order, one at a time. One that its channel refuses waits longer each time
    and lets the later ones pass. What a process left behind that ended as it sent is tried again with `again`. One that
    was overtaken as it sent has its channel keep one copy of the two.
    """

    def __init__(
        self,
        outbox: Outbox,
        statuses: Statuses,
        channels: Mapping[str, Channel],
        backoff: Backoff,
        *,
        lease_seconds: float,
    ) -> None:
        self._outbox = outbox
        self._statuses = statuses
        self._channels = channels
        self._backoff = backoff
        self._lease_seconds = lease_seconds
        self._room = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(_AT_ONCE))
        self._at_work: dict[ConversationKey, asyncio.Task[None]] = {}
        self._again: set[ConversationKey] = set()
        self._begun: set[str] = set()  # replies that may be on their channel, and whose end is not stored
        self._looking: set[asyncio.Task[None]] = set()  # for copies
        self._open = False

    @asynccontextmanager
    async def running(self, grace_seconds: float) -> AsyncIterator[None]:
        """Send what is hinted at until the context ends; then what is on its way has so long to end."""
        self._open = True
        try:
            yield
        finally:
            await self.drain(grace_seconds)
            self._open = False
            await cancel(self._at_work.values())
            self._at_work.clear()
            await cancel(self._looking)

    async def drain(self, grace_seconds: float) -> None:
        """Return when nothing is on its way, or the time is over."""
        if under_way := {*self._at_work.values(), *self._looking}:
            await asyncio.wait(under_way, timeout=grace_seconds)

    def look(self, conversation: ConversationKey) -> None:
        """Send what waits in a conversation, soon; a hint that may be lost, as the rows are the truth."""
        if not self._open:
            return
        if conversation in self._at_work:
            self._again.add(conversation)
            return
        self._at_work[conversation] = asyncio.create_task(self._work(conversation))

    async def look_for_due(self) -> None:
        """Look at every conversation in which something is due that nobody holds."""
        for conversation in await self._outbox.due():
            self.look(conversation)

    async def send_waiting(self, conversation: ConversationKey) -> None:
        """Send what waits in a conversation and can be had, in order, and return."""
        done: set[str] = set()
        while (reply := await self._next(conversation, done)) is not None:
            done.add(reply.reply_id)
            await self._send(reply)

    async def _work(self, conversation: ConversationKey) -> None:
        """The outermost edge of a conversation's task."""
        try:
            while True:
                self._again.discard(conversation)
                async with self._room[conversation.platform]:
                    await guarded("sending replies", self.send_waiting(conversation))
                if conversation not in self._again:
                    return
        finally:
            self._again.discard(conversation)
            self._at_work.pop(conversation, None)

    async def _next(self, conversation: ConversationKey, done: set[str]) -> Reply | None:
        """The reply to send now, held by this process; None when there is none or an earlier one goes first."""
        places = [place for place in await self._outbox.waiting(conversation) if place.reply.reply_id not in done]
        for number, place in enumerate(places):
            if place.mine:
                return place.reply
            if place.free and place.due:
                return await self._outbox.claim(place.reply)
            if not place.reply.refused:  # on its way from another process, or left behind by it
                await self._step_back(places[number + 1 :])
                return None
        return None

    async def _step_back(self, later: list[Place]) -> None:
        for place in later:
            if place.mine:
                await self._outbox.try_later(place.reply, _LOOK_AGAIN_SECONDS, None)

    async def _send(self, reply: Reply) -> None:
        mine = False
        try:
            mine = await self._try(reply)
        finally:  # another process may have sent it too, before this one or after
            if not mine and reply.reply_id in self._begun:
                looking = asyncio.create_task(self._keep_one(reply))
                self._looking.add(looking)
                looking.add_done_callback(self._looking.discard)
        self._begun.discard(reply.reply_id)

    async def _try(self, reply: Reply) -> bool:
        """Tell the person and store what came of it; False when another process has taken the reply over."""
        at_least = 0.0
        try:
            state = await self._tell(reply)
        except UnclearError as error:
            log.warning("message %s: the answer waits: %s", reply.message_id, error)
            fault, at_least = "unclear", self._lease_seconds
        except UnavailableError as error:
            log.warning("message %s: the answer waits: %s", reply.message_id, error)
            fault = "unavailable"
        except TimeoutError:
            log.warning("message %s: the answer waits: the channel took too long", reply.message_id)
            fault, at_least = "timeout", self._lease_seconds
        except Exception as error:
            log.error("telling about message %s failed: %s", reply.message_id, describe_crash(error))
            fault = type(error).__name__[:64]
        else:
            if state is ReplyState.SENT:
                return await self._outbox.sent(reply)
            return state is not None and await self._outbox.end(reply, state)
        wait = self._backoff.seconds(reply.tries - 1, passed=reply.owed_seconds)
        if wait is None:
            log.error("message %s: its person could not be told, given up", reply.message_id)
            return await self._outbox.end(reply, ReplyState.GIVEN_UP, fault)
        # What may have arrived is looked for when it must be there, if it ever will.
        return await self._outbox.try_later(reply, max(wait, at_least), fault)

    async def _keep_one(self, reply: Reply) -> None:
        """Let one copy stay, when all that were posted must show; the outermost edge of a task."""
        for looks in range(_LOOKS_AT_MOST):
            await asyncio.sleep(self._lease_seconds * _TO_ARRIVE * 2**looks)
            if await guarded(f"looking for copies of the answer to {reply.message_id}", self._look_for_copies(reply)):
                return

    async def _look_for_copies(self, reply: Reply) -> None:
        channel = self._channels.get(reply.principal.platform)
        if channel is not None:
            await channel.keep_one(await self._outbox.message_of(reply), reply.reply_id)

    async def _tell(self, reply: Reply) -> ReplyState | None:
        """Tell the person how their message stands, if it still stands so; None when another process has the reply.

        The try is over well before the lease is, so that what it has posted can be seen by whoever comes next.
        """
        now = asyncio.get_running_loop().time
        asked_at = now()
        held = await self._outbox.held(reply)
        if held is None:
            return None
        message, until = held.message, asked_at + held.seconds_left
        if (message.state, message.attempt) != (reply.message_state, reply.message_attempt):
            return ReplyState.OBSOLETE
        status = await self._statuses.of(message)
        text = in_words(status)
        if text is None:
            return ReplyState.OBSOLETE
        channel = self._channels.get(reply.principal.platform)
        if channel is None:
            log.error("message %s: the interface %s is not configured", reply.message_id, reply.principal.platform)
            raise UnavailableError(f"the interface {reply.principal.platform} is not configured")
        if until - now() < self._lease_seconds / 2:  # it has waited for its turn
            until = now() + self._lease_seconds
            if not await self._outbox.hold_on(reply):
                return None
        again = reply.tries > 1 or reply.reply_id in self._begun  # its end could not be stored, so it is this try still
        self._begun.add(reply.reply_id)
        async with asyncio.timeout_at(until - self._lease_seconds * _TO_ARRIVE):
            await channel.send(message, text, private=status.private, reply_id=reply.reply_id, again=again)
        return ReplyState.SENT
