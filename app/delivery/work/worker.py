"""The worker: answers the messages of each conversation that is woken, in order."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import AsyncExitStack, asynccontextmanager

from app.delivery.backoff import passing_fault
from app.delivery.engines.engine import Engine
from app.delivery.store.inbox import Inbox, Upcoming
from app.delivery.work.answering import Answering
from app.delivery.work.fairness import Fairness
from app.delivery.work.maintenance import Maintenance
from app.delivery.work.runs import RunningMessage, Runs
from app.log_context import log_about
from app.messages import ConversationKey, StoredMessage
from app.principal import Principal
from app.supervisor import Rounds, Supervisor, describe_crash, forget_cancellation, guarded

log = logging.getLogger(__name__)

CRASHED = "Something went wrong on my side, so I stopped. Please try again."
INTERRUPTED = (
    "I was interrupted several times while I worked on this message, so I gave up. Please put it differently, or "
    "send it in parts."
)
_LATE_SECONDS = 1.0  # a timer that fires this late shows that the whole process hung


class Worker:
    """Answers the messages of conversations as the engine wakes them; lives as long as the process.

    One task handles a conversation and takes its undone rows in order. The leases of running messages are renewed. If
    a lease expires by this process's own clock, because it hung or could not renew, the run is cancelled at once:
    another process may have the message by now. Everything held for a message dies with the message's task.
    """

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        answering: Answering,
        maintenance: Maintenance,
        turns: Fairness,
        supervisor: Supervisor,
        runs: Runs,
        *,
        attempts: int,
        scan_seconds: float,
        lease_seconds: float,
        grace_seconds: float,
    ) -> None:
        self._rounds = Rounds()
        self._engine = engine
        self._inbox = inbox
        self._answering = answering
        self._upkeep = maintenance
        self._turns = turns
        self._supervisor = supervisor
        self._runs = runs
        self._attempts = attempts
        self._scan_seconds = scan_seconds
        self._lease_seconds = lease_seconds
        self._grace_seconds = grace_seconds
        self._in_hands: Counter[ConversationKey] = Counter()
        self._stopping = False
        self._working = AsyncExitStack()

    @property
    def in_work(self) -> frozenset[str]:
        """Return the ids of the messages that are being answered."""
        return self._runs.message_ids

    def interrupt(self, message_id: str) -> bool:
        """Cancel the run of a message, which becomes undone again; after too many attempts it is given up."""
        return self._runs.interrupt(message_id)

    @property
    def people_in_work(self) -> frozenset[Principal]:
        """Return the people whose messages are being answered."""
        return self._runs.people

    def interrupt_all(self, principal: Principal) -> int:
        """Cancel every run of this person and return how many; as with `interrupt`, undone rows run again."""
        return self._runs.interrupt_all(principal)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the context ends, or `drain` is called."""
        self._stopping = False
        async with AsyncExitStack() as self._working:
            self._working.push_async_callback(self._answering.aclose)
            await self._working.enter_async_context(self._supervisor.keeping(leases=self._renew))
            await self._working.enter_async_context(self._engine.running(self.work_off, self._grace_seconds))
            await self._working.enter_async_context(self._supervisor.keeping(maintenance=self._keep_up))
            try:
                yield
            finally:
                await self.drain()

    async def drain(self) -> None:
        """Begin nothing more; let running messages finish within the grace period, and hand over the rest."""
        self._stopping = True
        await self._working.aclose()

    async def work_off(self, conversation: ConversationKey) -> None:
        """Answer the undone messages of a conversation until none is left that can be begun."""
        self._in_hands[conversation] += 1  # twice, when the engine took this process for dead
        try:
            while await self._work_off_one(conversation):
                pass
        finally:
            self._in_hands[conversation] -= 1
            if not self._in_hands[conversation]:
                del self._in_hands[conversation]

    async def _work_off_one(self, conversation: ConversationKey) -> bool:
        """Answer the next undone message; return False if none was left, or none gets a turn now.

        A message that is stored after the look comes with a wake-up, so it needs no further look.
        """
        aside: set[Principal] = set()  # people whose next message gets no turn; in a group others go first
        while not self._stopping:
            upcoming = await self._inbox.next_up(conversation, aside)
            if upcoming is None:
                return False
            if self._turns.enter(upcoming, conversation):
                return await self._take(conversation, upcoming, aside) or upcoming.more
            aside.add(upcoming.principal)
        return False

    async def _take(self, conversation: ConversationKey, upcoming: Upcoming, aside: Collection[Principal]) -> bool:
        """Begin the message whose turn it is, and answer it; return True if it was another one, and put back."""
        try:
            async with self._turns.room(upcoming):
                if self._stopping:
                    return False
                until = self._lease_until()
                message = await self._inbox.begin_next(conversation, aside)
                if message is None:
                    return False
                if message.interruptions > upcoming.interruptions:  # a different one by now, which needs a trial
                    await self._inbox.put_back(message, suspect=False)
                    return True
                await self._work_on(message, until)
                return False
        finally:
            for woken in self._turns.leave(upcoming):
                await guarded("waking a conversation that stepped aside", self._engine.wake(woken))

    def _lease_until(self) -> float:
        """Return when a lease that begins now expires, by the event loop's clock."""
        return asyncio.get_running_loop().time() + self._lease_seconds

    async def _work_on(self, message: StoredMessage, until: float) -> None:
        run = RunningMessage(message)
        run.task = asyncio.create_task(self._answer(run))
        run.lease_over = self._let_go_at(until, run)
        self._runs.add(run)
        try:
            await asyncio.wait([run.task])
        finally:
            run.lease_over.cancel()
            run.cancel()  # no effect if it has ended; otherwise this worker is being stopped
            self._runs.remove(run)
            await asyncio.wait([run.task])
            if run.task.cancelled():  # before it began; otherwise it has handed the message back itself
                forget_cancellation(run.task)
                await guarded(f"handing back message {message.message_id}", self._hand_back(message, suspect=False))

    def _let_go_at(self, until: float, run: RunningMessage) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()

        def let_go() -> None:
            run.suspect = loop.time() - until > _LATE_SECONDS
            why = "the process hung" if run.suspect else "its lease could not be renewed"
            log.warning("message %s of %s is cancelled: %s", run.message.message_id, run.message.principal, why)
            run.cancel()

        return loop.call_at(until, let_go)

    async def _answer(self, run: RunningMessage) -> None:
        """Run a message's task; no exception leaves it, so no traceback keeps the scope alive."""
        ending: Awaitable[object]
        message = run.message
        log_about(message.message_id, message.principal)
        try:
            if message.interruptions >= self._attempts:
                log.error(
                    "message %s of %s is given up: a process died or froze under it %d times",
                    message.message_id,
                    message.principal,
                    message.interruptions,
                )
                await self._answering.give_up(message, INTERRUPTED, "interrupted")
            else:
                await self._answering.answer(message)
            return
        except asyncio.CancelledError:
            run.ending = True
            ending = self._hand_back(message, suspect=run.suspect and not self._stopping)
        except Exception as error:
            run.ending = True
            log.error("message %s of %s crashed: %s", message.message_id, message.principal, describe_crash(error))
            ending = self._answering.stop(message, CRASHED, type(error).__name__, passing_fault(error))
        # Here, because the error and everything its frames held is gone.
        await guarded(f"ending message {message.message_id}", ending)

    async def _hand_back(self, message: StoredMessage, *, suspect: bool) -> None:
        if await self._inbox.put_back(message, suspect=suspect):
            await self._engine.wake(ConversationKey.of(message))  # for another process, when this one stops

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            await self._rounds.run("renewing leases", self._renew_once())

    async def _renew_once(self) -> None:
        until, runs = self._lease_until(), [*self._runs]
        lost = await self._inbox.renew([run.message for run in runs]) if runs else []
        for run in runs:
            if run.task.done():
                continue
            run.lease_over.cancel()
            if run.message in lost:
                log.warning("message %s was taken over by another process", run.message.message_id)
                run.cancel()
            else:
                run.lease_over = self._let_go_at(until, run)

    async def _keep_up(self) -> None:
        while True:
            await self._upkeep.do(self.in_hands)
            await asyncio.sleep(self._scan_seconds)

    @property
    def in_hands(self) -> Collection[ConversationKey]:
        """Return the conversations that this process is working on now."""
        return self._in_hands.keys()
