"""Five hundred messages of fifty people, mixed up over all channels: everybody gets their own mail.

Some are delivered twice, interrupted, too slow, or meet a tool that fails. Afterwards every message has its end, each
call of Gmail carried its own sender's token, nobody was shown anybody else's letters, and every object of every request
is gone although the cyclic collector never ran.
"""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from app.credentials.credentials import Credentials
from app.database.tables import messages
from app.delivery.work import answering
from app.delivery.work.answering import TOO_LATE
from app.errors import ToolError
from app.google.client import GoogleClient, RequestThreads
from app.principal import Principal
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.log import fingerprint
from app.sandbox.people import Person
from app.sandbox.whatsapp.people import PairRates
from app.sections.delivery import DeliverySettings
from app.sections.interfaces import InterfacesSettings
from app.toolkits.gmail import READ_MAIL, GmailToolkit
from app.toolkits.toolkit import tool
from app.toolkits.zones import PersonZone
from containers.application import Application
from containers.scopes import Scoped
from tests.fakes.databases import Databases
from tests.fakes.environment import Environment, open_environment, with_http, with_telegram
from tests.fakes.leaping import end_limit, limits_of
from tests.fakes.server import Server
from tests.isolation.members import PLATFORMS, Delivery, Member, Shown, shown, some_group
from tests.isolation.watch import Verdict, Watch, judge

HANGING_SECONDS = 900.0
READS = ("show my 2 unread mails", "show my last 3 mails", "/gmail_search query=the limit=2")
FAILS = ("/gmail_crash", "/gmail_refuse", "read mail 0123456789abcdef")
SLOW = ("/gmail_dawdle", "/gmail_block")
A_CRASH = "the tool gmail_crash failed: LookupError"  # in the log


@pytest.fixture(autouse=True)
def _ending_limits() -> Iterator[None]:
    with limits_of(answering):
        yield


class TryingGmail(GmailToolkit):
    """Gmail, with tools that fail in every way. Lives for one request."""

    def __init__(self, google: GoogleClient, zone: PersonZone, threads: RequestThreads) -> None:
        super().__init__(google, zone)
        self._threads = threads

    @tool(oauth_scopes=())
    async def refuse(self) -> str:
        """Say no."""
        raise ToolError("not today")

    @tool(oauth_scopes=())
    async def crash(self) -> str:
        """Fail in a way that nobody foresaw."""
        raise LookupError("a shelf")

    @tool(oauth_scopes=(READ_MAIL,))
    async def dawdle(self) -> str:
        """Read mail, and then take too long."""
        await self.unread(limit=1)
        end_limit()
        await asyncio.Event().wait()
        return ""

    @tool(oauth_scopes=())
    async def block(self) -> str:
        """Take too long in a thread, which nothing interrupts."""
        late = threading.Event()

        def outlive() -> None:
            late.wait(HANGING_SECONDS)
            time.sleep(0.5)

        end_limit()
        try:
            await self._threads.to_thread(outlive)
        finally:
            late.set()
        return ""


@dataclass
class Crowd:
    """A server and all who write to it.

    Attributes:
        asked: Who sent which message over HTTP.
    """

    server: Server
    members: list[Member]
    watch: Watch
    asked: set[tuple[Member, str]] = field(default_factory=set)

    async def run(self, random_: random.Random, count: int, *, interrupts: int, slow: int = 0) -> None:
        """Write so many messages, mixed up, and return once each is done or failed and its sender was told.

        Args:
            random_: Decides who writes what, and when.
            count: How many messages.
            interrupts: How many runs are interrupted.
            slow: How many of the messages take longer than they may.
        """
        # WhatsApp lets the assistant write to a person alone only if they wrote to it alone before.
        greeting = [member for member in self.members if member.platform == "whatsapp"]
        greetings = [self._delivery(member, READS[0], None, event) for event, member in enumerate(greeting)]
        texts = [*islice(cycle(SLOW), slow), *islice(cycle(FAILS), count // 12)]
        texts += random_.choices(READS, k=count - len(greetings) - len(texts))
        random_.shuffle(texts)
        deliveries = [self._any_delivery(random_, text, event) for event, text in enumerate(texts, len(greetings))]
        deliveries += random_.sample(deliveries, count // 10)  # platforms send some twice
        random_.shuffle(deliveries)
        interrupter = asyncio.create_task(self._interrupt(random_, interrupts))
        slots = asyncio.Semaphore(20)

        async def deliver(delivery: Delivery) -> None:
            async with slots:
                (await delivery()).raise_for_status()

        for batch in (greetings, deliveries):
            await asyncio.gather(*map(deliver, batch))
        async with asyncio.timeout(HANGING_SECONDS):
            while (states := await self.states())["done", True] + states["failed", True] < count:
                await asyncio.sleep(0.1)
        interrupter.cancel()

    async def states(self) -> Counter[tuple[str, bool]]:
        """How many messages are in which state, and whether their senders were told."""
        query = sa.select(messages.c.state, messages.c.replied_at.is_not(None), sa.func.count()).group_by(
            messages.c.state, messages.c.replied_at.is_not(None)
        )
        async with self.server.container.database().reading() as connection:
            return Counter({(row[0], bool(row[1])): row[2] for row in await connection.execute(query)})

    async def judge(self, fading_seconds: float = 30.0) -> Verdict:
        """The verdict on all that has happened."""
        server = self.server
        emails = {member.principal(server): member.email for member in self.members}
        return await judge(
            self.watch, server.container, server.google, emails, await self.shown(), fading_seconds=fading_seconds
        )

    async def shown(self) -> list[Shown]:
        """All that was shown, and to whom."""
        return await shown(self.server, self.members, self.asked)

    def _any_delivery(self, random_: random.Random, text: str, event: int) -> Delivery:
        # Who is slow keeps a whole thread waiting.
        group = None if text in SLOW or random_.random() < 0.5 else some_group(random_)
        return self._delivery(random_.choice(self.members), text, group, event)

    def _delivery(self, member: Member, text: str, group: int | None, event: int) -> Delivery:
        delivery = member.delivery(self.server, text, group=group, event=event)

        async def deliver() -> httpx2.Response:
            response = await delivery()
            if member.platform == "http" and response.is_success:
                self.asked.add((member, response.json()["message"]))
            return response

        return deliver

    async def _interrupt(self, random_: random.Random, count: int) -> None:
        """Cancel so many runs in mid-work, each message at most once."""
        worker, interrupted = self.server.container.worker(), set[str]()
        while len(interrupted) < count:
            await asyncio.sleep(0.02)
            if fresh := sorted(worker.in_work - interrupted):
                chosen = random_.choice(fresh)
                interrupted.add(chosen)
                worker.interrupt(chosen)


@asynccontextmanager
async def crowd(folder: Path, people: int, databases: Databases | None = None) -> AsyncIterator[Crowd]:
    """A server that so many people have connected their accounts to, each object of its requests watched."""
    accounts = [Person.named(f"Member{n:02} Crowd", f"member{n:02}@sandbox.example") for n in range(people)]
    members = [Member(number, account.email) for number, account in enumerate(accounts)]
    watch = Watch()

    def prepare(container: Application) -> None:
        container.toolkits.gmail.override(
            Scoped(TryingGmail, container.google, container.person_zone, container.threads)
        )
        watch.install(container)

    delivery = DeliverySettings(concurrency=16, deadline_seconds=HANGING_SECONDS, scan_seconds=0.5)
    async with (
        open_environment(folder, databases, people=accounts, delivery=delivery) as environment,
        environment.server(prepare, interfaces=_all_channels(environment)) as server,
    ):
        environment.whatsapp.rates = PairRates(burst=1_000_000)
        slots = asyncio.Semaphore(8)

        async def connect(member: Member) -> None:
            async with slots:
                await server.connect(member.principal(server), member.email)

        await asyncio.gather(*map(connect, members))
        yield Crowd(server, members, watch)


def _all_channels(environment: Environment) -> InterfacesSettings:
    return with_telegram(environment, with_http(environment.settings, wait_seconds=0.01))


@contextmanager
def without_the_collector() -> Iterator[None]:
    """Only what nothing refers to is freed meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def assert_nobody_meets(folder: Path, databases: Databases, *, people: int, count: int, slow: int) -> None:
    """Run a crowd and hold the outcome to what this module promises."""
    with without_the_collector():
        async with crowd(folder, people, databases) as crowd_:
            await crowd_.run(random.Random(500), count, interrupts=count // 10, slow=slow)
            states = await crowd_.states()
            verdict = await crowd_.judge()
            told = await crowd_.shown()
            late = sum(text.startswith(TOO_LATE) for _, text in told)
            answered = {person for person, text in told if person and MARKER.search(text)}
            made = crowd_.watch.made

    assert set(states) == {("done", True), ("failed", True)}
    assert sum(states.values()) == count
    assert states["done", True] > count * 0.8
    assert states["failed", True] == late > 0
    assert len(answered) > people * 0.8
    assert {person.platform for person in answered} == set(PLATFORMS)
    assert min(made.values()) >= count
    assert {"Scope", "Agent", "Credentials", "GoogleClient", "TryingGmail"} <= set(made)
    assert verdict == Verdict(Counter(), set(), 0, set(), 0)


async def test_sixty_messages_of_ten_people(
    tmp_path: Path, databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    """What the head of this module says, of fewer people."""
    await assert_nobody_meets(tmp_path, databases, people=10, count=60, slow=2)

    assert A_CRASH in caplog.text


@pytest.mark.system
async def test_five_hundred_messages_of_fifty_people(
    tmp_path: Path, databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    """What the head of this module says."""
    await assert_nobody_meets(tmp_path, databases, people=50, count=500, slow=10)

    assert A_CRASH in caplog.text


@pytest.mark.soak
async def test_five_thousand_messages_of_a_hundred_people(
    tmp_path: Path, databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    """The same, ten times as long."""
    await assert_nobody_meets(tmp_path, databases, people=100, count=5000, slow=50)

    assert A_CRASH in caplog.text


def keep(container: Application, crowd_: Crowd) -> None:
    """The mistake: a toolkit that stays in a list of its module."""
    kept = []

    class Kept(TryingGmail):
        def __init__(self, google: GoogleClient, zone: PersonZone, threads: RequestThreads) -> None:
            super().__init__(google, zone, threads)
            kept.append(self)
            crowd_.watch.note(self)

    container.toolkits.gmail.override(Scoped(Kept, container.google, container.person_zone, container.threads))


def share(container: Application, crowd_: Crowd) -> None:
    """The mistake: one Google client for everybody, made for whoever came first."""
    shared: list[GoogleClient] = []

    def first(*args: object, timeout_seconds: float) -> GoogleClient:
        if not shared:
            shared.append(GoogleClient(*args, timeout_seconds=timeout_seconds))  # type: ignore[arg-type]
            crowd_.watch.note(shared[0])
        return shared[0]

    container.google.override(Scoped(first, *container.google.args, **container.google.kwargs))


def confuse(container: Application, crowd_: Crowd) -> None:
    """The mistake: credentials that use one person's grant for everybody."""
    victim = crowd_.members[0].principal(crowd_.server)
    used = crowd_.watch.used

    class Confused(Credentials):
        def __init__(self, principal: Principal, *args: object) -> None:
            super().__init__(victim, *args)  # type: ignore[arg-type]
            self._sender = principal

        def for_google(self):  # type: ignore[no-untyped-def]
            handed = super().for_google()
            used[self._sender, fingerprint(handed.token)] += 1
            return handed

    container.credentials.override(Scoped(Confused, *container.credentials.args))


@pytest.mark.parametrize("mistake", [keep, share, confuse])
async def test_a_planted_leak_is_noticed(tmp_path: Path, mistake: Callable[[Application, Crowd], None]) -> None:
    """The same check on a server with a mistake in it, planted past the proof, says what the mistake leads to."""
    with without_the_collector():
        async with crowd(tmp_path, 3) as crowd_:
            mistake(crowd_.server.container, crowd_)
            await crowd_.run(random.Random(5), 20, interrupts=2)
            verdict = await crowd_.judge(30.0 if mistake is confuse else 0.0)

    if mistake is confuse:
        assert verdict.foreign_tokens == verdict.foreign_letters
        assert len(verdict.foreign_letters) == 2
        assert not verdict.alive
    else:
        assert verdict.alive
