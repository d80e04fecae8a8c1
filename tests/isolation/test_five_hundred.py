"""Fifty people write five hundred messages, in random order, over all channels, and each gets their own mail.

Some messages are delivered twice, interrupted, too slow, or call a tool that fails. Afterwards every message is done or
failed, each call of Gmail carried its own sender's token, nobody was shown anybody else's letters, and every object of
every request is freed although the cyclic collector never ran.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import cycle, islice
from pathlib import Path

import pytest

from app.credentials.credentials import Credentials
from app.delivery.work import answering
from app.delivery.work.answering import TOO_LATE
from app.errors import ToolError
from app.google.client import GoogleClient, RequestThreads
from app.principal import Principal
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.log import fingerprint
from app.sandbox.people import Person
from app.sandbox.whatsapp.people import PairRates
from app.toolkits.gmail import READ_MAIL, GmailToolkit
from app.toolkits.toolkit import tool
from app.toolkits.zones import PersonZone
from containers.application import Application
from containers.scopes import Scoped
from tests.fakes.databases import Databases
from tests.fakes.environment import open_environment
from tests.fakes.fading import without_the_collector
from tests.fakes.leaping import end_limit, limits_of
from tests.isolation.crowd import DELIVERY, HANGING_SECONDS, Crowd, all_channels, side_by_side
from tests.isolation.members import PLATFORMS, Delivery, Member, some_group
from tests.isolation.watch import Verdict, Watch

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


async def write_to(crowd_: Crowd, random_: random.Random, count: int, *, interrupts: int, slow: int = 0) -> None:
    """Let the crowd write messages in random order; some fail, are sent twice, interrupted or too slow.

    Args:
        crowd_: The people who write.
        random_: Decides who writes which message, and when.
        count: The number of messages.
        interrupts: The number of runs to interrupt.
        slow: The number of messages that take longer than they may.
    """
    greetings = crowd_.greetings(READS[0])
    texts = [*islice(cycle(SLOW), slow), *islice(cycle(FAILS), count // 12)]
    texts += random_.choices(READS, k=count - len(greetings) - len(texts))
    random_.shuffle(texts)

    def delivery(text: str, event: int) -> Delivery:
        # A slow message in a group would keep a whole thread waiting.
        group = None if text in SLOW or random_.random() < 0.5 else some_group(random_)
        return crowd_.delivery(random_.choice(crowd_.members), text, group, event)

    deliveries = [delivery(text, event) for event, text in enumerate(texts, len(greetings))]
    await crowd_.run(random_, greetings, deliveries, interrupts=interrupts)


@asynccontextmanager
async def crowd(folder: Path, people: int, databases: Databases | None = None) -> AsyncIterator[Crowd]:
    """Yield a server to which this many people have connected accounts, with each object of its requests watched."""
    accounts = [Person.named(f"Member{n:02} Crowd", f"member{n:02}@sandbox.example") for n in range(people)]
    members = [Member(number, account.email) for number, account in enumerate(accounts)]
    watch = Watch()

    def prepare(container: Application) -> None:
        container.toolkits.gmail.override(
            Scoped(TryingGmail, container.google, container.person_zone, container.threads)
        )
        watch.install(container)

    async with (
        open_environment(folder, databases, people=accounts, delivery=DELIVERY) as environment,
        environment.server(prepare, interfaces=all_channels(environment)) as server,
    ):
        environment.whatsapp.rates = PairRates(burst=1_000_000)
        await side_by_side(server.connect(member.principal(server), member.email) for member in members)
        yield Crowd(server, members, watch)


async def assert_nobody_meets(folder: Path, databases: Databases, *, people: int, count: int, slow: int) -> None:
    """Run a crowd and assert what this module promises."""
    with without_the_collector():
        async with crowd(folder, people, databases) as crowd_:
            await write_to(crowd_, random.Random(500), count, interrupts=count // 10, slow=slow)
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
    """Ten people's sixty mixed messages each use and show their own sender's data only."""
    await assert_nobody_meets(tmp_path, databases, people=10, count=60, slow=2)

    assert A_CRASH in caplog.text


@pytest.mark.system
async def test_five_hundred_messages_of_fifty_people(
    tmp_path: Path, databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    """Fifty people's five hundred mixed messages each use and show their own sender's data only."""
    await assert_nobody_meets(tmp_path, databases, people=50, count=500, slow=10)

    assert A_CRASH in caplog.text


@pytest.mark.soak
async def test_five_thousand_messages_of_a_hundred_people(
    tmp_path: Path, databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    """A hundred people's five thousand mixed messages each use and show their own sender's data only."""
    await assert_nobody_meets(tmp_path, databases, people=100, count=5000, slow=50)

    assert A_CRASH in caplog.text


def keep(container: Application, crowd_: Crowd) -> None:
    """Plant a toolkit that stays in a list after its request."""
    kept = []

    class Kept(TryingGmail):
        def __init__(self, google: GoogleClient, zone: PersonZone, threads: RequestThreads) -> None:
            super().__init__(google, zone, threads)
            kept.append(self)
            crowd_.watch.note(self)

    container.toolkits.gmail.override(Scoped(Kept, container.google, container.person_zone, container.threads))


def share(container: Application, crowd_: Crowd) -> None:
    """Plant one Google client for everybody, made for the first person."""
    shared: list[GoogleClient] = []

    def first(*args: object, timeout_seconds: float) -> GoogleClient:
        if not shared:
            shared.append(GoogleClient(*args, timeout_seconds=timeout_seconds))  # type: ignore[arg-type]
            crowd_.watch.note(shared[0])
        return shared[0]

    container.google.override(Scoped(first, *container.google.args, **container.google.kwargs))


def confuse(container: Application, crowd_: Crowd) -> None:
    """Plant credentials that use one person's grant for everybody."""
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
    """The verdict notices a leak that is planted after the proof."""
    with without_the_collector():
        async with crowd(tmp_path, 3) as crowd_:
            mistake(crowd_.server.container, crowd_)
            await write_to(crowd_, random.Random(5), 20, interrupts=2)
            verdict = await crowd_.judge(30.0 if mistake is confuse else 0.0)

    if mistake is confuse:
        assert verdict.foreign_tokens == verdict.foreign_letters
        assert len(verdict.foreign_letters) == 2
        assert not verdict.alive
    else:
        assert verdict.alive
