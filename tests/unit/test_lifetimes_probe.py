"""The probe: two requests at once, whose objects must be in one scope only and dead when it has closed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from enum import Enum, auto
from operator import attrgetter
from typing import Any

import pytest
from dependency_injector import providers

from app.principal import Principal
from containers.proof import LifetimeError, prove
from containers.scopes import Scoped, Seed
from tests.unit.sample_container import ADA, BOB, Credentials, Database, Gmail, Holder, Sample, faults, proof

KEPT: dict[str, list[Gmail]] = {}
SHARED = Holder()


class RememberedGmail(Gmail):
    """A toolkit that puts itself into a cache of its module."""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        KEPT.setdefault(credentials.user, []).append(self)


class Color(Enum):
    RED = auto()


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    KEPT.clear()


async def test_a_cache_cannot_keep_a_scoped_object() -> None:
    """An object that a module's cache keeps is reported, with the chain that holds it and what it keeps alive."""
    container = Sample()
    container.gmail.set_provides(RememberedGmail)

    (found,) = await faults(container)

    assert "`gmail` is alive after its request (and with it credentials)" in found
    chain = [line.strip(" ▼╰─>") for line in found.splitlines()[1:5]]
    assert chain == [f"module attribute {__name__}.KEPT", "dict['ada']", "list[0]", "gmail"]


async def test_a_singleton_cannot_keep_a_scoped_object() -> None:
    """An object that registers with a singleton is reported, with the singleton's name."""

    def registered(registry: Holder, credentials: Credentials) -> Gmail:
        registry.given.append(gmail := Gmail(credentials))
        return gmail

    class Container(Sample):
        registry = providers.ThreadSafeSingleton(Holder)
        mail = Scoped(registered, registry, Sample.credentials)

    (found,) = await faults(Container())

    assert "`mail` is alive after its request" in found
    assert "▼   singleton `registry`: Holder.given" in found


async def test_a_reference_cycle_is_found() -> None:
    """Objects that only the cyclic collector would free are reported with their cycle."""

    class Selfish(Gmail):
        def __init__(self, credentials: Credentials) -> None:
            super().__init__(credentials)
            self.tools = [self.credentials, self]

    container = Sample()
    container.gmail.set_provides(Selfish)

    (found,) = await faults(container)

    assert "`gmail` is alive after its request (and with it credentials)" in found
    assert "Selfish.tools\n   ▼   list[1]\n   ╰─> gmail" in found
    assert "weak reference" in found


async def test_the_collector_does_not_run_during_the_probe_and_does_after() -> None:
    """The collector is off while objects are watched, and on again afterwards."""
    enabled: list[bool] = []
    container = Sample()
    container.check = Scoped(lambda: enabled.append(gc.isenabled()))

    await proof(container)

    assert enabled == [False] * 4
    assert gc.isenabled()


async def test_a_scoped_provider_cannot_give_two_people_one_object() -> None:
    """A scoped function that gives the same object in both scopes is refused."""
    container = Sample()
    container.agent_settings = Scoped(lambda: SHARED)

    found = await faults(container)

    assert "`agent_settings` gave the same object in the scopes of two people" in found[0]
    assert "declare it as a ThreadSafeSingleton or an Object" in found[0]
    assert f"module attribute {__name__}.SHARED" in found[1]


async def test_two_providers_cannot_give_two_people_one_object() -> None:
    """An object that one provider gives Ada and another gives Bob is refused."""
    made: list[Holder] = [Holder(), Holder()]

    container = Sample()
    container.one = Scoped(lambda user: made[user == "ada"], container.principal.provided.user)
    container.two = Scoped(lambda user: made[user != "ada"], container.principal.provided.user)

    found = await faults(container)

    assert "`one` and `two` gave the same object" in found[0]
    assert "`two` and `one` gave the same object" in found[1]


async def test_a_scoped_provider_may_hand_on_a_singleton() -> None:
    """A scoped provider may hand on a singleton or an Object of the container, and the proof lists such providers."""
    container = Sample()
    container.constant = providers.Object(SHARED)
    container.chosen = Scoped(lambda database, constant: database, container.database, container.constant)
    container.other = Scoped(lambda constant: constant, container.constant)

    proved = await proof(container)

    assert proved.shared == ("chosen", "other")
    assert "handed on from a singleton: chosen, other" in str(proved)


@pytest.mark.parametrize("constant", ["text", 7, None, Color.RED, Database, (), ("a", 1), len, ADA.__class__])
async def test_a_constant_may_be_in_both_scopes(constant: object) -> None:
    """Constants belong to nobody, so they may be in both scopes, and are listed as not watched."""
    container = Sample()
    container.constant = Scoped(lambda: constant)

    assert (await proof(container)).unwatched == ("constant",)


async def test_a_function_over_scoped_objects_is_watched() -> None:
    """A function that closes over a scoped object is watched, and reported if its provider's own function keeps it."""
    kept: list[Callable[[], str]] = []

    def build(credentials: Credentials) -> Callable[[], str]:
        kept.append(lambda: credentials.user)
        return kept[-1]

    container = Sample()
    container.tool = Scoped(build, container.credentials)

    (found,) = await faults(container)

    assert "`tool` is alive after its request (and with it credentials)" in found
    assert "▼   provider `tool`: " in found


async def test_the_elements_of_a_scoped_list_are_watched() -> None:
    """A list is listed as not watched, but its elements are watched unless both scopes have them."""
    kept: list[Gmail] = []

    def build(credentials: Credentials, *, keep: bool) -> list[object]:
        gmail = Gmail(credentials)
        kept.extend([gmail] * keep)
        return [gmail, SHARED]

    clean, leaking = Sample(), Sample()
    clean.toolkits = Scoped(build, clean.credentials, keep=False)
    leaking.toolkits = Scoped(build, leaking.credentials, keep=True)
    proved = await proof(clean)
    (found,) = await faults(leaking)

    assert (proved.unwatched, proved.watched) == (("toolkits",), 24)
    assert "`an element of toolkits` is alive after its request" in found


async def test_parts_of_a_seed_belong_to_the_caller() -> None:
    """An object that a scoped provider takes from a seed may live as long as the seed."""

    class Message:
        def __init__(self, *attachments: Holder) -> None:
            self.attachments = list(attachments)

    class Container(Sample):
        message = Seed(Message)
        attachment = Scoped(lambda message: message.attachments[0], message)

    proved = await prove(Container(), [ADA, Message(Holder())], [BOB, Message(Holder())])

    assert proved.scoped == 7


async def test_a_seed_gives_what_its_scope_was_opened_with() -> None:
    """An override that gives everybody the same person is refused."""
    container = Sample()
    container.principal.override(Scoped(lambda: Principal("http", "demo", "eve")))

    found = await faults(container)

    assert "the seed `principal` does not give what the scope was opened with" in found[0]
    assert "override" in found[0]


async def test_a_missing_seed_is_named() -> None:
    """The error names a seed that the caller of the proof forgot, and names it only once."""
    with pytest.raises(LifetimeError) as caught:
        await prove(Sample(), [ADA], [])

    (found,) = caught.value.findings
    assert "building `principal` in a request scope raised ScopeError" in str(found)
    assert "Principal" in str(found)


async def test_what_cannot_be_built_is_named_with_the_place() -> None:
    """A constructor that fails is reported with its place, and providers that use it are not tried."""

    def broken(credentials: Credentials) -> Gmail:
        raise LookupError("no such mailbox")

    container = Sample()
    container.gmail.set_provides(broken)

    (found,) = await faults(container)

    assert "building `gmail` in a request scope raised LookupError: no such mailbox" in found
    assert f"({__name__}:" in found


async def test_a_finalizer_that_fails_is_found() -> None:
    """A finalizer that fails is reported, because the probe closes its requests like real ones."""

    def transaction() -> Iterator[Holder]:
        yield Holder()
        raise LookupError("no such table")

    container = Sample()
    container.transaction = Scoped(transaction)

    (found,) = await faults(container)

    assert "closing the scope raised" in found
    assert "no such table" in found


async def test_a_task_that_is_ending_may_hold_an_object() -> None:
    """An object that a task holds for a few more turns of the event loop is not a leak."""
    running: set[asyncio.Task[None]] = set()

    async def announce(gmail: Gmail) -> None:
        await asyncio.sleep(0)

    class Announced(Gmail):
        def __init__(self, credentials: Credentials) -> None:
            super().__init__(credentials)
            task = asyncio.get_running_loop().create_task(announce(self))
            running.add(task)
            task.add_done_callback(running.discard)

    container = Sample()
    container.gmail.set_provides(Announced)

    assert await proof(container)


async def test_a_bounded_map_inside_a_singleton_is_allowed() -> None:
    """A scoped object may hold what a singleton keeps by principal, such as a lock for a refresh."""

    class Locks:
        def __init__(self) -> None:
            self.by_user: dict[str, asyncio.Lock] = {}

    class Refreshing:
        def __init__(self, locks: Locks, principal: Any) -> None:
            self.lock = locks.by_user.setdefault(principal.user, asyncio.Lock())

    class Container(Sample):
        locks = providers.ThreadSafeSingleton(Locks)
        refreshing = Scoped(Refreshing, locks, Sample.principal)

    assert attrgetter("unwatched", "shared")(await proof(Container())) == ((), ())


async def test_objects_that_are_finished_by_awaiting_are_dead_too() -> None:
    """Objects whose finalizers are awaited are dead when the scope has closed, and are finished once."""
    closed: list[str] = []

    class Closing(Gmail):
        async def aclose(self) -> None:
            await asyncio.sleep(0)
            closed.append(self.credentials.user)

    container = Sample()
    container.gmail.set_provides(Closing)
    await proof(container)

    assert closed == ["bob", "ada"] * 2
