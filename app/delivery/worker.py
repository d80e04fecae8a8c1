"""The embedded worker: answers the messages of each conversation in order, in this process."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from app.delivery.answering import Answering
from app.delivery.inbox import Inbox
from app.delivery.parking import Parking
from app.delivery.wakeups import Wakeups
from app.messages import ConversationKey, StoredMessage
from app.principal import Principal

log = logging.getLogger(__name__)

CRASHED = "Something went wrong on my side, so I stopped. Please try again."
INTERRUPTED = "I was interrupted several times while I worked on this, so I stopped. Please try again."
_REPLY_AGAIN_SECONDS = 10.0  # a reply that is under way is given so long before another one is tried
_REPLY_NO_MORE_SECONDS = 86_400.0  # by then the place that it should go to is gone


class Worker:
    """Takes conversations from the wake-ups and works them off; lives as long as the process.

    A conversation is in the hands of one task, which takes its undone rows in order; over all conversations at most
    `concurrency` messages are in work at once. What it holds of a message dies with the message's task.

    Args:
        chores: Done with each scan, for what has to end or go on though nobody writes.
    """

    def __init__(
        self,
        wakeups: Wakeups,
        inbox: Inbox,
        parking: Parking,
        answering: Answering,
        *,
        concurrency: int,
        attempts: int,
        scan_seconds: float,
        chores: Sequence[Callable[[], Awaitable[None]]] = (),
        grace_seconds: float = 10.0,
    ) -> None:
        self._wakeups = wakeups
        self._inbox = inbox
        self._parking = parking
        self._answering = answering
        self._free = asyncio.Semaphore(concurrency)
        self._attempts = attempts
        self._scan_seconds = scan_seconds
        self._chores = chores
        self._grace_seconds = grace_seconds
        self._conversations: dict[ConversationKey, asyncio.Task[None]] = {}
        self._again: set[ConversationKey] = set()
        self._stopping = False
        self._in_work: dict[str, asyncio.Task[None]] = {}
        self._whose: dict[str, Principal] = {}  # of each message in work

    @property
    def in_work(self) -> frozenset[str]:
        """The ids of the messages that are being answered."""
        return frozenset(self._in_work)

    def interrupt(self, message_id: str) -> bool:
        """Cancel the run of a message; it is undone again, and given up after too many attempts."""
        task = self._in_work.get(message_id)
        return task.cancel() if task is not None else False

    @property
    def people_in_work(self) -> frozenset[Principal]:
        """Whose messages are being answered."""
        return frozenset(self._whose.values())

    def interrupt_all(self, principal: Principal) -> int:
        """Cancel every run of this person; returns how many. As with `interrupt`, undone rows are run again."""
        mine = [message_id for message_id, whose in self._whose.items() if whose == principal]
        return sum(self.interrupt(message_id) for message_id in mine)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the context ends; then finish what is begun within the grace, and hand back what is not."""
        await self._inbox.recover()
        self._stopping = False
        loops = [asyncio.create_task(self._take()), asyncio.create_task(self._scan())]
        try:
            yield
        finally:
            self._stopping = True
            await _cancel(loops)
            if self._conversations:
                await asyncio.wait(self._conversations.values(), timeout=self._grace_seconds)
            await _cancel([*self._conversations.values()])

    async def _take(self) -> None:
        while True:
            conversation = await self._wakeups.next()
            if conversation in self._conversations:
                self._again.add(conversation)
                continue
            self._conversations[conversation] = asyncio.create_task(self._work_off(conversation))

    async def _scan(self) -> None:
        while True:
            await _guarded("giving expired messages up", self._parking.give_up_expired())
            await _guarded("waking answered messages", self._parking.wake_answered())
            await _guarded("putting lost messages back", self._put_back_lost())
            await _guarded("waking undone messages", self._wake_undone())
            await _guarded("telling again", self._tell_again())
            for chore in self._chores:
                await _guarded(f"the chore {chore.__qualname__}", chore())
            await asyncio.sleep(self._scan_seconds)

    async def _put_back_lost(self) -> None:
        """Make undone again what is running by its row and in nobody's hands: its end could not be stored."""
        for message in await self._inbox.running():
            if ConversationKey.of(message) not in self._conversations:
                await self._inbox.put_back(message)

    async def _wake_undone(self) -> None:
        for conversation in await self._inbox.conversations_with_work():
            await self._wakeups.wake(conversation)

    async def _tell_again(self) -> None:
        telling = self.in_work  # before the rows are read: what ends in between has told for itself
        unreplied = await self._inbox.unreplied(
            older_than_seconds=_REPLY_AGAIN_SECONDS, newer_than_seconds=_REPLY_NO_MORE_SECONDS
        )
        for message in unreplied:
            if message.message_id not in telling:
                await _guarded(f"telling again about message {message.message_id}", self._answering.tell(message))

    async def _work_off(self, conversation: ConversationKey) -> None:
        """The outermost edge of a conversation's task; whatever ends it early, the scan comes back."""
        try:
            await _guarded("working a conversation off", self._work_off_all(conversation))
        finally:
            self._again.discard(conversation)
            del self._conversations[conversation]

    async def _work_off_all(self, conversation: ConversationKey) -> None:
        while await self._work_off_one(conversation):
            self._again.discard(conversation)

    async def _work_off_one(self, conversation: ConversationKey) -> bool:
        """Answer the next undone message; False when there is none, and nobody woke the conversation meanwhile."""
        async with self._free:
            if self._stopping:
                return False
            message = await self._inbox.begin_next(conversation)
            if message is None:
                return conversation in self._again
            await self._work_on(message)
        return True

    async def _work_on(self, message: StoredMessage) -> None:
        task = asyncio.create_task(self._answer(message))
        self._in_work[message.message_id] = task
        self._whose[message.message_id] = message.principal
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()  # without effect on one that has ended; else this worker is being stopped
            del self._in_work[message.message_id], self._whose[message.message_id]
            await asyncio.wait([task])

    async def _answer(self, message: StoredMessage) -> None:
        """The outermost edge of a message's task: nothing leaves it, so no traceback keeps the scope alive."""
        ending: Awaitable[object]
        try:
            if message.interruptions >= self._attempts:
                await self._answering.give_up(message, INTERRUPTED)
            else:
                await self._answering.answer(message)
            return
        except asyncio.CancelledError:
            ending = self._inbox.put_back(message)
        except Exception as error:
            log.error("message %s crashed: %s", message.message_id, describe_crash(error))
            ending = self._answering.give_up(message, CRASHED)
        # Here, where the error and all that its frames hold is gone.
        await _guarded(f"ending message {message.message_id}", ending)


async def _guarded(what: str, work: Awaitable[object]) -> None:
    """Do it; what it meets is logged and goes no further, so that everybody else's work goes on."""
    try:
        await work
    except Exception as error:
        log.error("%s failed: %s", what, describe_crash(error))


def describe_crash(error: BaseException) -> str:
    """Where an unforeseen error arose and of which kind it is; not its text, which may quote a mail or a token."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + where


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
