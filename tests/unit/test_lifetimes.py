"""The declared graph: captives, cycles, overrides, async and racy providers are found, and a clean container passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer

from app.principal import Principal
from containers.scopes import Scoped, Seed
from tests.unit.sample_container import Agent, Credentials, Database, Gmail, Holder, Sample, faults, proof


class Recorder(Database):
    """A database that remembers who uses it."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal


async def test_a_clean_container_passes_and_is_counted() -> None:
    """A clean container passes, and the proof counts what it has checked."""
    proved = await proof(Sample())

    assert (proved.singletons, proved.scoped, proved.edges) == (2, 5, 9)
    assert proved.watched == 20  # two scopes, opened twice, each with its four objects
    assert (proved.unwatched, proved.shared) == ((), ())
    assert "2 singletons, 5 scoped providers, 9 edges" in str(proved)


async def test_a_singleton_cannot_take_a_scoped_object() -> None:
    """A scoped provider among a singleton's arguments is refused, with the path."""

    class Container(Sample):
        cache = providers.ThreadSafeSingleton(Holder, Sample.credentials)

    (found,) = await faults(Container())

    assert "`cache` lives as long as the process and would keep `credentials`" in found
    assert "▼   cache         ThreadSafeSingleton(Holder)   process" in found
    assert "╰─> credentials   Scoped(Credentials)           request   argument 1" in found
    assert "make `cache` Scoped" in found


async def test_a_singleton_cannot_take_a_scoped_object_in_a_list() -> None:
    """A scoped provider in a list that a singleton is given is refused, with the list in the path."""

    class Container(Sample):
        cache = providers.ThreadSafeSingleton(Holder, tools=providers.List(Sample.database, Sample.gmail))

    (found,) = await faults(Container())

    assert [line.split()[1] for line in found.splitlines()[1:4]] == ["cache", "·", "gmail"]
    assert "List                          other     argument tools" in found
    assert "element 1" in found


async def test_a_singleton_cannot_be_given_a_scoped_object_as_an_attribute() -> None:
    """A scoped provider among a singleton's attributes is refused, with the attribute in the path."""
    container = Sample()
    container.registry = providers.ThreadSafeSingleton(Holder).add_attributes(last_used=container.credentials)

    (found,) = await faults(container)

    assert "`registry` lives as long as the process and would keep `credentials`" in found
    assert "attribute last_used" in found


async def test_an_override_cannot_bring_a_scoped_object_into_a_singleton() -> None:
    """A scoped provider that an override brings into a singleton is refused, with both in the path."""
    container = Sample()
    container.database.override(providers.ThreadSafeSingleton(Recorder, container.principal))

    (found,) = await faults(container)

    assert "`database, override` lives as long as the process and would keep `principal`" in found
    assert "▼   database, override   ThreadSafeSingleton(Recorder)" in found


async def test_a_constructor_cannot_ask_the_container_for_a_scoped_object() -> None:
    """A singleton whose constructor asks the container for a scoped object is refused, with the place in the code."""
    container = Sample()
    container.cache = providers.ThreadSafeSingleton(lambda: Holder(container.credentials()))

    (found,) = await faults(container)

    assert "building `cache` outside any scope" in found
    assert "ScopeError" in found
    assert "╰─> credentials" in found
    assert "tests.unit.test_lifetimes:" in found


async def test_what_overrides_a_provider_is_judged_and_not_what_it_overrides() -> None:
    """The arguments of an overridden provider are unused, so a captive among them does no harm."""

    class Container(Sample):
        cache = providers.ThreadSafeSingleton(Holder, Sample.credentials)

    container = Container()
    container.cache.override(providers.ThreadSafeSingleton(Holder))

    assert await proof(container)


async def test_a_singleton_that_a_scoped_provider_overrides_is_none() -> None:
    """A singleton may be overridden by a scoped provider, as long as no other singleton takes it."""
    container = Sample()
    container.clock = providers.ThreadSafeSingleton(Holder)
    container.clock.override(Scoped(Holder, container.credentials))
    container.reader = Scoped(Holder, container.clock)
    clean = await proof(container)
    container.cache = providers.ThreadSafeSingleton(Holder, container.clock)
    (found,) = await faults(container)

    assert clean.scoped == 7
    assert [line.split()[1] for line in found.splitlines()[1:4]] == ["cache", "clock", "·"]


async def test_a_singleton_may_take_a_factory() -> None:
    """A singleton may be given scoped providers as factories, because it holds no request's object."""

    class Container(Sample):
        opener = providers.ThreadSafeSingleton(Holder, Sample.agent.provider)
        toolkits: providers.Aggregate[Any] = providers.Aggregate(gmail=Sample.gmail, calendar=Sample.calendar)
        scopes = providers.ThreadSafeSingleton(Holder, toolkits)

    assert (await proof(Container())).singletons == 4


async def test_a_captive_is_found_behind_every_kind_of_provider() -> None:
    """Dict, Selector, Factory, Callable, an attribute of an object, a method call and a Resource hide no captive."""

    class Container(Sample):
        in_dict = providers.ThreadSafeSingleton(Holder, providers.Dict(one=Sample.gmail))
        in_selector = providers.ThreadSafeSingleton(Holder, providers.Selector(lambda: "one", one=Sample.gmail))
        in_factory = providers.ThreadSafeSingleton(Holder, providers.Factory(Holder, Sample.gmail))
        in_callable = providers.ThreadSafeSingleton(Holder, providers.Callable(id, Sample.gmail))
        in_attribute = providers.ThreadSafeSingleton(Holder, Sample.gmail.provided.credentials.user)
        in_method = providers.ThreadSafeSingleton(Holder, Sample.database.provided.use.call(Sample.gmail))
        in_aggregate = providers.ThreadSafeSingleton(
            Holder, providers.Callable(providers.Aggregate(one=Sample.gmail), "one")
        )
        resource = providers.Resource(Holder, Sample.gmail)

    found = [text.split("`")[1::2] for text in await faults(Container())]

    holders = [name for name in Container.providers if name.startswith(("in_", "resource"))]
    assert [names[:2] for names in found] == [[holder, "gmail"] for holder in holders]


async def test_a_singleton_for_each_thread_or_context_is_no_request_scope() -> None:
    """A singleton per context or thread may neither hold a scoped object nor be held by one of the process."""

    class Container(Sample):
        in_context = providers.ContextLocalSingleton(Holder, Sample.credentials)
        in_thread = providers.ThreadLocalSingleton(Holder)
        cache = providers.ThreadSafeSingleton(Holder, in_thread)

    found = [text.split("\n")[0] for text in await faults(Container())]

    assert found == [
        "`in_context` lives as long as the context and would keep `credentials`, which lives as long as the request",
        "`cache` lives as long as the process and would keep `in_thread`, which lives as long as the context",
    ]


async def test_a_captive_is_found_in_a_nested_container() -> None:
    """A nested container's singleton that keeps an outer container's scoped object is refused by its dotted name."""

    class Core(DeclarativeContainer):
        lent = providers.Dependency(instance_of=Credentials)
        cache = providers.ThreadSafeSingleton(Holder, lent)

    class Container(Sample):
        core = providers.Container(Core, lent=Sample.credentials)

    (found,) = await faults(Container())

    assert "`core.cache` lives as long as the process and would keep `credentials`" in found
    assert "core.lent     Dependency" in found


async def test_a_captive_is_found_through_a_container_of_dependencies() -> None:
    """A captive is found through a DependenciesContainer, in the container that it is given."""

    class Services(DeclarativeContainer):
        people = providers.DependenciesContainer()
        cache = providers.ThreadSafeSingleton(Holder, people.credentials)

    (found,) = await faults(Services(people=Sample()))

    assert "`cache` lives as long as the process and would keep" in found
    assert "people.credentials" in found


async def test_a_cycle_is_drawn() -> None:
    """Providers that need each other are refused before they are called, which would end in a RecursionError."""
    container = Sample()
    container.one = Scoped(Holder)
    container.two = Scoped(Holder, container.one)
    container.one.add_args(container.two)

    (found,) = await faults(container)

    assert "`one` → `two` → `one`" in found
    assert "╭─>─╮ one" in found
    assert "╰─<─╯ two" in found


async def test_a_cycle_over_a_factory_is_none() -> None:
    """A provider that is handed over without being called closes no cycle."""
    container = Sample()
    container.one = providers.ThreadSafeSingleton(Holder)
    container.two = providers.ThreadSafeSingleton(Holder, container.one)
    container.one.add_args(container.two.provider)

    assert await proof(container)


async def test_a_plain_singleton_is_refused() -> None:
    """A Singleton is refused, because concurrent threads would build several; the rest is still proved."""

    class Container(Sample):
        clock = providers.Singleton(Holder)
        cache = providers.ThreadSafeSingleton(Holder, clock, Sample.gmail)

    clock, cache = sorted(await faults(Container()), reverse=True)

    assert "`clock` is a Singleton: threads that ask for it at once build several" in clock
    assert "use ThreadSafeSingleton" in clock
    assert "`cache`" in cache


async def test_an_async_provider_is_refused() -> None:
    """Coroutines, asynchronous functions and generators are refused, because they turn all their users into Futures."""

    async def connect() -> Database:
        return Database()

    async def connected() -> AsyncIterator[Database]:
        yield Database()

    class Container(Sample):
        one = providers.Coroutine(connect)
        two = providers.ThreadSafeSingleton(connect)
        three = providers.Resource(connected)

    found = await faults(Container())

    assert [text.split("\n")[0].split(":")[0] for text in found] == [
        f"`{name}` is asynchronous" for name in ("one", "two", "three")
    ]


async def test_a_provider_that_turns_out_to_be_async_is_refused() -> None:
    """A function that looks synchronous and returns a Future is refused, but its users are not."""

    def connect() -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    class Container(Sample):
        connection = providers.ThreadSafeSingleton(connect)
        pool = providers.ThreadSafeSingleton(Holder, connection)

    (found,) = await faults(Container())

    assert "`connection` is asynchronous" in found


async def test_an_override_cannot_change_a_lifetime() -> None:
    """A scoped provider that is overridden by a plain Factory, a singleton or a value is refused."""
    container = Sample()
    # Scoped.override refuses all but the last; a container's class, or the library, can bypass it.
    providers.Factory.override(container.gmail, providers.Factory(Holder))
    providers.Factory.override(container.calendar, providers.ThreadSafeSingleton(Holder))
    container.agent.override(Holder())

    found = await faults(container)

    assert "`gmail` is overridden by a Factory: every user of it in a request would get another object" in found[0]
    assert "`calendar` is overridden by a ThreadSafeSingleton: one object would be shared by all requests" in found[1]
    assert "`agent` is overridden by a Object: one object would be shared" in found[2]


async def test_a_scoped_override_passes() -> None:
    """A scoped provider may be overridden by another one, and a seed by a seed."""
    container = Sample()
    container.gmail.override(Scoped(Gmail, container.credentials))
    container.principal.override(Seed(Principal))

    assert (await proof(container)).scoped == 7


async def test_every_finding_is_listed() -> None:
    """One error lists all independent faults."""

    class Container(Sample):
        cache = providers.ThreadSafeSingleton(Holder, Sample.credentials)
        other_cache = providers.ThreadSafeSingleton(Holder, Sample.gmail, Sample.calendar)
        agents = providers.ThreadSafeSingleton(Agent)

    found = await faults(Container())

    assert [text.split("`")[1] for text in found] == ["cache", "other_cache", "other_cache", "agents"]
