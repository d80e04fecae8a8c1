"""The identity of objects: one in a scope, and none in two."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_type

import pytest
from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer

from containers.scopes import OutsideScopeError, Scope, Scoped, Seed
from tests.unit.scope_graph import ADA, BOB, Agent, Container, Credentials, Gmail, Person


async def test_one_object_a_scope_in_a_diamond() -> None:
    """Two toolkits of one scope hold the same credentials, and another scope at the same time holds its own."""
    container = Container()
    async with Scope(ADA) as scope, Scope(BOB) as other:
        agent, others = scope.get(container.agent), other.get(container.agent)

        assert agent.toolkits[0].credentials is agent.toolkits[1].credentials is scope.get(container.credentials)
        assert agent.by_name == {"gmail": agent.toolkits[0], "calendar": agent.toolkits[1]}
        assert agent is scope.get(container.agent)
        assert others.toolkits[0].credentials is not agent.toolkits[0].credentials
        assert (agent.toolkits[0].owner(), others.toolkits[0].owner()) == ("ada", "bob")


async def test_singletons_are_shared() -> None:
    """Objects of different scopes share the same database."""
    container = Container()
    async with Scope(ADA) as scope, Scope(BOB) as other:
        databases = {scope.get(container.gmail).database, other.get(container.calendar).database}

        assert databases == {container.database()}


async def test_one_object_a_scope_in_child_tasks_and_threads() -> None:
    """Child tasks, `to_thread` and asyncio's own threads get the object of the scope that they were given."""
    container = Container()
    async with Scope(ADA) as scope:

        async def child() -> Agent:
            return scope.get(container.agent)

        children = [asyncio.create_task(child()) for _ in range(5)]
        threads = [scope.to_thread(scope.get, container.agent), asyncio.to_thread(scope.get, container.agent)]
        agents = await asyncio.gather(*children, *threads)

        assert all(agent is agents[0] for agent in agents)


async def test_one_object_a_scope_in_raw_threads() -> None:
    """Eight threads that ask at the same moment get one object, which is built once."""
    built: list[str] = []
    meet = threading.Barrier(8)

    class Slow:
        def __init__(self, person: Person) -> None:
            built.append(person.name)
            threading.Event().wait(0.02)

    slow = Scoped(Slow, Seed(Person))
    async with Scope(ADA) as scope:

        def ask(_: int) -> Slow:
            meet.wait()
            return scope.get(slow)

        with ThreadPoolExecutor(8) as pool:
            objects = list(pool.map(ask, range(8)))

        assert built == ["ada"]
        assert all(obj is objects[0] for obj in objects)


async def test_no_object_in_two_scopes() -> None:
    """Each of 200 concurrent tasks, mixed with threads, finds only its own person in every object."""
    container = Container()

    async def request(name: str) -> set[str]:
        async with Scope(Person(name)) as scope:
            await asyncio.sleep(0)
            agent = scope.get(container.agent)
            await asyncio.sleep(0.001)
            gmail = await scope.to_thread(scope.get, container.gmail)
            assert gmail is agent.toolkits[0]
            return {agent.person.name, gmail.owner(), scope.get(container.credentials).token.removeprefix("token of ")}

    names = [f"person {number}" for number in range(200)]
    found = await asyncio.gather(*map(request, names))

    assert found == [{name} for name in names]


async def test_no_scope_is_found_by_a_task_that_a_constructor_begins() -> None:
    """A task that a constructor starts while the scope builds cannot get scoped objects from the container."""
    container = Container()
    begun: list[asyncio.Task[Credentials]] = []

    async def ask() -> Credentials:
        return container.credentials()

    def begin(credentials: Credentials) -> str:
        begun.append(asyncio.create_task(ask()))
        return credentials.token

    parts: list[Any] = [kind(begin, container.credentials) for kind in (providers.Factory, providers.Callable, Scoped)]
    async with Scope(ADA) as scope:
        assert scope.get(Scoped(list, providers.List(*parts))) == ["token of ada"] * 3
        results = await asyncio.gather(*begun, return_exceptions=True)

    assert [type(result) for result in results] == [OutsideScopeError] * 3


async def test_seed_of_scope_is_the_scope_itself() -> None:
    """A scoped object can be given its own scope, as a seed that nobody has to pass."""

    class Threads:
        def __init__(self, scope: Scope) -> None:
            self.scope = scope

    threads = Scoped(Threads, Seed(Scope))
    async with Scope(ADA) as scope, Scope(BOB) as other:
        assert scope.get(threads).scope is scope
        assert other.get(threads).scope is other


async def test_what_is_not_scoped_resolves_too() -> None:
    """A factory, a list, an attribute and a singleton can be asked for in a scope too."""
    container = Container()
    label = providers.Factory("{} {}".format, container.credentials.provided.token, "!")
    async with Scope(ADA) as scope, Scope(BOB) as other:
        pair = scope.get(providers.List(container.gmail, container.credentials))

        assert scope.get(label) == "token of ada !"
        assert other.get(label) == "token of bob !"
        assert pair == [scope.get(container.gmail), scope.get(container.credentials)]
        assert scope.get(container.database) is container.database()


@pytest.mark.parametrize("first", ["label", "agent"])
async def test_a_graph_that_is_not_compiled_gives_the_same_objects(first: str) -> None:
    """An attribute of a scoped object, a nested factory and a selector see the objects that the plan built."""
    container = Container()
    token = container.credentials.provided.token
    choices: dict[str, Any] = {"token of ada": container.gmail, "token of bob": container.calendar}
    either = providers.Selector(token, **choices)
    inner: providers.Factory[Any] = providers.Factory(dict, calendar=container.calendar)
    nested: providers.Factory[Any] = providers.Factory(dict, mail=container.gmail, more=inner)
    label = Scoped(lambda *given: given, token, either, nested)
    async with Scope(ADA) as ada, Scope(BOB) as bob:
        for number, scope in enumerate((ada, bob)):
            agent = scope.get(container.agent) if first == "agent" else None
            text, chosen, made = scope.get(label)
            gmail, calendar = (agent or scope.get(container.agent)).toolkits

            assert text == f"token of {gmail.owner()}" == ("token of ada", "token of bob")[number]
            assert chosen is (gmail, calendar)[number]
            assert made["mail"] is gmail
            assert made["more"]["calendar"] is calendar


async def test_nested_containers_are_resolved() -> None:
    """A scoped provider can use those of a nested container."""

    class Outer(DeclarativeContainer):
        inner = providers.Container(Container)
        mail = Scoped(Gmail, inner.credentials, database=inner.database)

    outer = Outer()
    async with Scope(ADA) as scope:
        assert scope.get(outer.mail).credentials is scope.get(outer.inner.credentials)


async def test_attributes_and_odd_keywords_are_injected() -> None:
    """Attributes from `add_attributes`, and keywords that are not Python names, are injected."""

    class Bag:
        mail: Gmail

        def __init__(self, **items: object) -> None:
            self.items = items

    container = Container()
    bag = Scoped(Bag, **{"class": container.credentials, "a-b": 1}).add_attributes(mail=container.gmail)
    async with Scope(ADA) as scope:
        made = scope.get(bag)

        assert made.items == {"class": scope.get(container.credentials), "a-b": 1}
        assert made.mail is scope.get(container.gmail)


async def test_get_is_typed() -> None:
    """A type checker knows the type of what `get` returns."""
    container = Container()
    async with Scope(ADA) as scope:
        credentials = scope.get(container.credentials)

        transaction = scope.get(container.transaction)

        assert_type(credentials, Credentials)
        assert_type(transaction, str)
        assert credentials.person is ADA


async def test_what_a_failed_build_made_is_kept() -> None:
    """After a constructor has raised, the next `get` uses the objects that were already made."""
    failures, made = ["no"], list[object]()

    class Part:
        def __init__(self, person: Person) -> None:
            made.append(person.name)

    class Flaky:
        def __init__(self, part: Part) -> None:
            self.part = part
            if failures:
                raise ValueError(failures.pop())

    part = Scoped(Part, Seed(Person))
    flaky = Scoped(Flaky, part)
    async with Scope(ADA) as scope:
        with pytest.raises(ValueError, match="no"):
            scope.get(flaky)

        assert scope.get(flaky).part is scope.get(part)
        assert made == ["ada"]
