"""The sender, which sends the replies in the outbox to people."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.delivery.backoff import Backoff
from app.delivery.replies.channel import Channel
from app.delivery.replies.files import ReplyFiles
from app.delivery.replies.status import Statuses, in_words
from app.delivery.store.outbox import Outbox, PlaceInQueue, Reply
from app.delivery.store.owing import ReplyState
from app.errors import UnavailableError, UnclearError, UndeliverableError
from app.log_context import log_about
from app.messages import ConversationKey, StoredMessage
from app.principal import Principal
from app.repeating import Repeating
from app.supervisor import cancel, describe_crash, guarded

log = logging.getLogger(__name__)

_AT_ONCE = 16  # people of one platform who are sent replies at a time
_TO_ARRIVE = 0.2  # the part of a lease within which a post must be visible on its channel
_LOOKS_AT_MOST = 5  # for copies of a reply, each after twice the time; the channel may be busy
_LOOK_AGAIN_SECONDS = 1.0  # how long a reply waits for an earlier one that another process is sending


@dataclass(frozen=True, slots=True)
class _Lane:
    """The replies of one person in one conversation, which go out one after the other."""

    conversation: ConversationKey
    person: Principal


@dataclass(frozen=True, slots=True)
class _Turn:
    """A reply whose turn it is, and its message as both were read; lives as long as one try.

    Attributes:
        until: When the lease on the reply ends, by the event loop's clock.
    """

    reply: Reply
    message: StoredMessage
    until: float


class Sender:
    """Sends people the replies that are owed to them; lives as long as the process and holds no text.

    Each person's replies of a conversation go out in order, one at a time; in a shared thread nobody waits for somebody
    else's. A reply that its channel refuses for now waits longer each time and lets later ones pass; a reply that is
    refused for good is given up at once. A reply that a process was sending when it ended is tried again with
    `again`. A process that was overtaken while sending has the channel keep one of the two copies.

    Args:
        files: Reads the files of answers; None to send none.
    """

    def __init__(
        self,
        outbox: Outbox,
        statuses: Statuses,
        channels: Mapping[str, Channel],
        backoff: Backoff,
        *,
        lease_seconds: float,
        files: ReplyFiles | None = None,
    ) -> None:
        self._files = files
        self._outbox = outbox
        self._statuses = statuses
        self._channels = channels
        self._backoff = backoff
        self._lease_seconds = lease_seconds
        self._room = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(_AT_ONCE))
        self._scouts = Repeating[ConversationKey]()
        self._lanes = Repeating[_Lane]()
        self._begun: set[str] = set()  # replies that may be on their channel, and whose end is not stored
        self._looking: set[asyncio.Task[None]] = set()  # tasks that look for copies
        self._open = False

    @asynccontextmanager
    async def running(self, grace_seconds: float) -> AsyncIterator[None]:
        """Send until the context ends; replies on their way then have this time to end."""
        self._open = True
        try:
            yield
        finally:
            await self.drain(grace_seconds)
            self._open = False
            await cancel([*self._scouts.tasks, *self._lanes.tasks])
            await cancel(self._looking)

    async def drain(self, grace_seconds: float) -> None:
        """Return when no reply is on its way, or the time has passed."""
        try:
            async with asyncio.timeout(grace_seconds):
                while under_way := {*self._scouts.tasks, *self._lanes.tasks, *self._looking}:
                    await asyncio.wait(under_way)
        except TimeoutError:
            pass

    def look(self, conversation: ConversationKey, person: Principal | None = None) -> None:
        """Send soon what waits in a conversation. The hint may be lost, because the rows are the truth.

        Args:
            conversation: Where.
            person: Who is owed it; None for everybody who waits there.
        """
        if not self._open:
            return
        if person is None:
            self._scouts.run(conversation, self._scout)
        else:
            self._lanes.run(_Lane(conversation, person), self._work)

    async def look_for_due(self) -> None:
        """Look at every conversation that has a due reply which no process holds."""
        for conversation in await self._outbox.due():
            self.look(conversation)

    async def send_waiting(self, conversation: ConversationKey) -> None:
        """Send what waits in a conversation and is free, each person's in order, and return."""
        people = await self._people(conversation)
        await asyncio.gather(*(self._send_to(_Lane(conversation, person)) for person in people))

    async def _people(self, conversation: ConversationKey) -> list[Principal]:
        """Return who waits for replies in a conversation."""
        return list(dict.fromkeys(place.reply.principal for place in await self._outbox.waiting(conversation)))

    async def _scout(self, conversation: ConversationKey) -> None:
        """Start a lane for everyone who waits in a conversation; the outermost edge of a task."""
        await guarded("looking for replies", self._start_lanes(conversation))

    async def _start_lanes(self, conversation: ConversationKey) -> None:
        for person in await self._people(conversation):
            self._lanes.run(_Lane(conversation, person), self._work)

    async def _work(self, lane: _Lane) -> None:
        """Send what waits in a lane; the outermost edge of a task."""
        async with self._room[lane.conversation.platform]:
            await guarded("sending replies", self._send_to(lane))

    async def _send_to(self, lane: _Lane) -> None:
        done: set[str] = set()
        more = True
        while more:
            asked_at = asyncio.get_running_loop().time()
            places = [
                place
                for place in await self._outbox.waiting(lane.conversation)
                if place.reply.principal == lane.person and place.reply.reply_id not in done
            ]
            turn = await self._next(places, asked_at)
            if turn is None:
                return
            done.add(turn.reply.reply_id)
            await self._send(turn)
            more = len(places) > 1  # what is owed later is looked for by whoever owes it

    async def _next(self, places: list[PlaceInQueue], asked_at: float) -> _Turn | None:
        """Return the reply to send now, held by this process; None if nothing waits or an earlier one goes first."""
        for number, place in enumerate(places):
            if place.mine:
                return _Turn(place.reply, place.message, asked_at + place.seconds_left)
            if place.free and place.due:
                return await self._claim(place.reply)
            if not place.reply.refused:  # another process is sending it, or died while doing so
                await self._step_back(places[number + 1 :])
                return None
        return None

    async def _claim(self, reply: Reply) -> _Turn | None:
        """Take a reply that nobody holds, with its message as it is from then on."""
        asked_at = asyncio.get_running_loop().time()
        claimed = await self._outbox.claim(reply)
        held = await self._outbox.held(claimed) if claimed is not None else None
        if claimed is None or held is None:
            return None
        return _Turn(claimed, held.message, asked_at + held.seconds_left)

    async def _step_back(self, later: list[PlaceInQueue]) -> None:
        for place in later:
            if place.mine:
                await self._outbox.try_later(place.reply, _LOOK_AGAIN_SECONDS, None)

    async def _send(self, turn: _Turn) -> None:
        reply = turn.reply
        log_about(reply.message_id, reply.principal)
        mine = False
        try:
            mine = await self._try(turn)
        finally:  # another process may have sent it too, before this one or after
            if not mine and reply.reply_id in self._begun:
                looking = asyncio.create_task(self._keep_one(reply))
                self._looking.add(looking)
                looking.add_done_callback(self._looking.discard)
        self._begun.discard(reply.reply_id)

    async def _try(self, turn: _Turn) -> bool:
        """Tell the person and store the outcome; False if another process has taken the reply over."""
        reply = turn.reply
        at_least = 0.0
        try:
            state = await self._tell(turn)
        except UndeliverableError as error:
            log.error("message %s: its answer cannot be delivered: %s", reply.message_id, error)
            return await self._outbox.end(reply, ReplyState.GIVEN_UP, error.reason)
        except UnclearError as error:
            log.warning("message %s: the answer waits: %s", reply.message_id, error)
            fault, at_least = error.reason or "unclear", max(self._lease_seconds, error.retry_after)
        except UnavailableError as error:
            log.warning("message %s: the answer waits: %s", reply.message_id, error)
            fault, at_least = error.reason or "unavailable", error.retry_after
        except TimeoutError:
            log.warning("message %s: the answer waits: the channel took too long", reply.message_id)
            fault, at_least = "timeout", self._lease_seconds
        except Exception as error:
            log.error("sending the answer to message %s failed: %s", reply.message_id, describe_crash(error))
            fault = type(error).__name__[:64]
        else:
            if state is ReplyState.SENT:
                return await self._outbox.sent(reply)
            return state is not None and await self._outbox.end(reply, state)
        wait = self._backoff.seconds(reply.tries - 1, passed=reply.owed_seconds)
        if wait is None:
            log.error("message %s: its answer is given up after %s tries: %s", reply.message_id, reply.tries, fault)
            return await self._outbox.end(reply, ReplyState.GIVEN_UP, fault)
        # Look for a post that may have arrived only once it must be visible.
        return await self._outbox.try_later(reply, max(wait, at_least), fault)

    async def _keep_one(self, reply: Reply) -> None:
        """Keep one copy of a reply, once all posted ones must be visible; the outermost edge of a task."""
        rest = 0.0
        for looks in range(_LOOKS_AT_MOST):
            await asyncio.sleep(max(self._lease_seconds * _TO_ARRIVE * 2**looks, rest))
            try:
                await self._look_for_copies(reply)
            except UndeliverableError as error:
                log.warning("message %s: no look for copies: %s", reply.message_id, error)
                return
            except UnavailableError as error:
                rest = error.retry_after
                log.warning("message %s: the look for copies waits: %s", reply.message_id, error)
            except Exception as error:
                log.error("looking for copies of message %s failed: %s", reply.message_id, describe_crash(error))
            else:
                return

    async def _look_for_copies(self, reply: Reply) -> None:
        channel = self._channels.get(reply.principal.platform)
        if channel is not None:
            await channel.keep_one(await self._outbox.message_of(reply), reply.reply_id)

    async def _tell(self, turn: _Turn) -> ReplyState | None:
        """Tell the person how their message stands, if it still does; None if another process has the reply.

        The try ends well before the lease does, so that its posts are visible to the process that comes next.
        """
        now = asyncio.get_running_loop().time
        reply, message, until = turn.reply, turn.message, turn.until
        if (message.state, message.attempt) != (reply.message_state, reply.message_attempt):
            return ReplyState.OBSOLETE
        status = await self._statuses.of(message)
        if (status.state, status.attempt) != message.version:
            return ReplyState.OBSOLETE
        content = in_words(status)
        if content is None:
            return ReplyState.OBSOLETE
        channel = self._channels.get(reply.principal.platform)
        if channel is None:
            log.error("message %s: the interface %s is not configured", reply.message_id, reply.principal.platform)
            raise UnavailableError(f"the interface {reply.principal.platform} is not configured")
        if status.files and self._files is not None:
            content = await self._files.attached(message, content, status.files)
        if until - now() < self._lease_seconds / 2:  # it has waited for its turn
            until = now() + self._lease_seconds
            if not await self._outbox.hold_on(reply):
                return None
        again = reply.tries > 1 or reply.reply_id in self._begun  # its end could not be stored, so it is this try still
        self._begun.add(reply.reply_id)
        async with asyncio.timeout_at(until - self._lease_seconds * _TO_ARRIVE):
            await channel.send(message, content, private=status.private, reply_id=reply.reply_id, again=again)
        return ReplyState.SENT
