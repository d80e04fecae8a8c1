"""People who write to a server on every channel, in random order, and the evidence of what happened."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field

import httpx2
import sqlalchemy as sa

from app.database.tables import messages
from app.sections.delivery import DeliverySettings
from app.sections.interfaces import InterfacesSettings
from tests.fakes.environment import Environment, with_http, with_telegram
from tests.fakes.server import Server
from tests.isolation.members import Delivery, Member, Shown, shown
from tests.isolation.watch import Verdict, Watch, judge

HANGING_SECONDS = 900.0
DELIVERY = DeliverySettings(concurrency=16, deadline_seconds=HANGING_SECONDS, scan_seconds=0.5)


@dataclass
class Crowd:
    """A server and everybody who writes to it.

    Attributes:
        asked: The messages sent over HTTP, each with its sender.
    """

    server: Server
    members: list[Member]
    watch: Watch
    asked: set[tuple[Member, str]] = field(default_factory=set)

    def greetings(self, text: str) -> list[Delivery]:
        """Return a first message of each person on a platform that lets the assistant only answer in private."""
        greeting = [member for member in self.members if member.platform in ("telegram", "whatsapp")]
        return [self.delivery(member, text, None, event) for event, member in enumerate(greeting)]

    def delivery(self, member: Member, text: str, group: int | None, event: int) -> Delivery:
        """Return the delivery of a member's message; when awaited, it also notes a message over HTTP."""
        delivery = member.delivery(self.server, text, group=group, event=event)

        async def deliver() -> httpx2.Response:
            response = await delivery()
            if member.platform == "http" and response.is_success:
                self.asked.add((member, response.json()["message"]))
            return response

        return deliver

    async def run(
        self, random_: random.Random, greetings: Sequence[Delivery], deliveries: Sequence[Delivery], *, interrupts: int
    ) -> None:
        """Write all messages, and return once each is done or failed and its sender has been answered.

        Args:
            random_: Decides which messages are sent twice, and in which order.
            greetings: Written before the others.
            deliveries: One for each message.
            interrupts: The number of runs to interrupt.
        """
        before, count = (await self.states()).total(), len(greetings) + len(deliveries)
        deliveries = [*deliveries, *random_.sample(deliveries, count // 10)]  # platforms send some messages twice
        random_.shuffle(deliveries)
        interrupter = asyncio.create_task(self._interrupt(random_, interrupts))
        slots = asyncio.Semaphore(20)

        async def deliver(delivery: Delivery) -> None:
            async with slots:
                (await delivery()).raise_for_status()

        for batch in (greetings, deliveries):
            await asyncio.gather(*map(deliver, batch))
        await self.ended(before + count)
        interrupter.cancel()

    async def ended(self, count: int) -> None:
        """Return once this many messages are done or failed and their senders have been answered."""
        async with asyncio.timeout(HANGING_SECONDS):
            while (states := await self.states())["done", True] + states["failed", True] < count:
                await asyncio.sleep(0.1)

    async def states(self) -> Counter[tuple[str, bool]]:
        """Return the number of messages by state and by whether their senders have been answered."""
        query = sa.select(messages.c.state, messages.c.replied_at.is_not(None), sa.func.count()).group_by(
            messages.c.state, messages.c.replied_at.is_not(None)
        )
        async with self.server.container.database().reading() as connection:
            return Counter({(row[0], bool(row[1])): row[2] for row in await connection.execute(query)})

    async def judge(self, fading_seconds: float = 30.0) -> Verdict:
        """Return the verdict on everything that has happened."""
        server = self.server
        emails = {member.principal(server): member.email for member in self.members}
        return await judge(
            self.watch, server.container, server.google, emails, await self.shown(), fading_seconds=fading_seconds
        )

    async def shown(self) -> list[Shown]:
        """Return every text that was shown, each with its reader."""
        return await shown(self.server, self.members, self.asked)

    async def _interrupt(self, random_: random.Random, count: int) -> None:
        """Cancel this many runs in progress, each message at most once."""
        worker, interrupted = self.server.container.worker(), set[str]()
        while len(interrupted) < count:
            await asyncio.sleep(0.02)
            if fresh := sorted(worker.in_work - interrupted):
                chosen = random_.choice(fresh)
                interrupted.add(chosen)
                worker.interrupt(chosen)


async def side_by_side(work: Iterable[Awaitable[object]], slots: int = 8) -> None:
    """Await all of the work, at most `slots` at a time."""
    free = asyncio.Semaphore(slots)

    async def do(one: Awaitable[object]) -> None:
        async with free:
            await one

    await asyncio.gather(*map(do, work))


def all_channels(environment: Environment) -> InterfacesSettings:
    """Return the interfaces of an environment, with Telegram, and with HTTP that acknowledges almost at once."""
    return with_telegram(environment, with_http(environment.settings, wait_seconds=0.01))
