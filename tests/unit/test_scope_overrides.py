"""Overrides reach the next scope for every kind of provider, and are never mixed inside one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer

from containers.scopes import Scope, Scoped, ScopeError, Seed
from tests.unit.scope_graph import ADA, BOB, Agent, Calendar, Container, Credentials, FakeDatabase, Gmail, Person


class FakeCredentials(Credentials): ...


class FakeGmail(Gmail): ...


async def agent_of(container: Container | type[Container], person: Person = ADA) -> dict[str, Any]:
    """Return the parts of an agent of a new scope, which are dead by then."""
    async with Scope(person) as scope:
        agent = scope.get(container.agent)
        gmail, calendar = agent.toolkits
        return {"gmail": gmail, "credentials": calendar.credentials, "database": calendar.database}


@pytest.fixture
async def container() -> Container:
    """Return a container whose plans are compiled."""
    container = Container()
    await agent_of(container)
    return container


async def test_override_of_a_singleton_reaches_the_next_scope(container: Container) -> None:
    """A singleton's override by an object, a factory or a scoped provider reaches compiled plans."""
    for stand_in in (FakeDatabase(), providers.Factory(FakeDatabase), Scoped(FakeDatabase)):
        with container.database.override(stand_in):
            assert isinstance((await agent_of(container))["database"], FakeDatabase)
        assert (await agent_of(container))["database"] is container.database()


async def test_override_of_a_singleton_may_be_each_persons_own(container: Container) -> None:
    """A scoped override of a singleton gives each scope one object of its own."""

    class Own(FakeDatabase):
        def __init__(self, person: Person) -> None:
            super().__init__()
            self.person = person

    with container.database.override(Scoped(Own, container.person)):
        async with Scope(ADA) as scope, Scope(BOB) as other:
            for each, person in ((scope, ADA), (other, BOB)):
                gmail, calendar = each.get(container.agent).toolkits
                assert isinstance(gmail.database, Own)
                assert gmail.database is calendar.database is gmail.credentials.database
                assert gmail.database.person is person


async def test_override_by_another_scoped(container: Container) -> None:
    """A scoped override gives one object per scope, and all that depend on it get it."""
    with container.credentials.override(Scoped(FakeCredentials, container.person, container.database)):
        async with Scope(ADA) as scope:
            agent = scope.get(container.agent)

            assert isinstance(agent.toolkits[0].credentials, FakeCredentials)
            assert agent.toolkits[0].credentials is agent.toolkits[1].credentials is scope.get(container.credentials)
    assert type((await agent_of(container))["credentials"]) is not FakeCredentials


async def test_override_by_an_object(container: Container) -> None:
    """A fake is injected as it is and does not die with the scope, because it belongs to whoever made it."""
    fake = FakeCredentials(BOB, FakeDatabase())
    for stand_in in (fake, providers.Object(fake)):
        with container.credentials.override(stand_in):
            assert (await agent_of(container))["credentials"] is fake
    assert fake.token == "token of bob"


async def test_override_of_a_seed(container: Container) -> None:
    """An overridden seed does not have to be given to the scope."""
    with container.person.override(BOB):
        async with Scope() as scope:
            assert scope.get(container.credentials).token == "token of bob"


async def test_override_of_a_list(container: Container) -> None:
    """An override of a list is used, although plans inline lists."""
    toolkits: Any = list(container.agent.args)[1]
    with toolkits.override(providers.List(container.calendar)):
        async with Scope(ADA) as scope:
            assert [type(toolkit) for toolkit in scope.get(container.agent).toolkits] == [Calendar]


async def test_override_deep_below_a_factory(container: Container) -> None:
    """An override below a factory is used, although the plan was compiled before."""
    part = providers.Factory(str, "part")
    whole: Scoped[list[str]] = Scoped(list, providers.List(providers.Factory("<{}>".format, part)))
    name = Scoped(lambda person: person.name, container.person)
    async with Scope(ADA) as scope:
        assert scope.get(whole) == ["<part>"]
    with part.override(name):  # a plan has been compiled by now
        async with Scope(ADA) as scope, Scope(BOB) as other:
            assert (scope.get(whole), other.get(whole)) == (["<ada>"], ["<bob>"])


REFUSED = [
    providers.Factory(Gmail),
    providers.Singleton(Gmail),
    providers.ThreadSafeSingleton(Gmail),
    providers.ContextLocalSingleton(Gmail),
    providers.Resource(Gmail),
    providers.Callable(Gmail),
]


@pytest.mark.parametrize("stand_in", REFUSED)
async def test_override_by_what_is_not_one_a_scope_is_refused(container: Container, stand_in: Any) -> None:
    """An override that does not give one object per scope is refused and changes nothing."""
    with pytest.raises(ScopeError, match=rf"Scoped\(Gmail\).*{type(stand_in).__name__}.*Override it with a Scoped"):
        container.gmail.override(stand_in)
    with pytest.raises(ScopeError):
        container.override_providers(gmail=stand_in)
    with pytest.raises(ScopeError):
        Container(gmail=stand_in)

    assert not container.gmail.overridden


async def test_override_never_mixes_inside_an_open_scope(container: Container) -> None:
    """An open scope keeps one version of each provider, singletons included, until it closes."""
    fake = FakeDatabase()
    async with Scope(ADA) as scope:
        gmail = scope.get(container.gmail)
        credentials = Scoped(FakeCredentials, container.person, container.database)
        with container.credentials.override(credentials), container.database.override(fake):
            calendar = scope.get(container.calendar)
            assert scope.get(container.database) is gmail.database
        agent = scope.get(container.agent)

        assert calendar.credentials is gmail.credentials
        assert calendar.database is gmail.database
        assert agent.toolkits == [gmail, calendar]


async def test_override_reaches_what_an_open_scope_has_not_built(container: Container) -> None:
    """A provider that an open scope has not used yet is resolved with the override, and stays so after it ends."""
    async with Scope(ADA) as scope:
        scope.get(container.credentials)
        with container.gmail.override(Scoped(FakeGmail, container.credentials, database=container.database)):
            gmail = scope.get(container.agent).toolkits[0]

        assert isinstance(gmail, FakeGmail)
        assert scope.get(container.gmail) is gmail


def undo_by_reset_override(container: Container, stand_in: Any) -> None:
    """Undo an override with `reset_override`."""
    container.gmail.override(stand_in)
    container.gmail.reset_override()


def undo_by_reset_last(container: Container, stand_in: Any) -> None:
    """Undo an override with `reset_last_overriding`."""
    container.gmail.override(stand_in)
    container.gmail.reset_last_overriding()


def undo_by_context(container: Container, stand_in: Any) -> None:
    """Undo an override by leaving its block."""
    with container.gmail.override(stand_in):
        pass


def undo_override_providers(container: Container, stand_in: Any) -> None:
    """Undo an override by leaving the block of `override_providers`."""
    with container.override_providers(gmail=stand_in):
        pass


def undo_container_override(container: Container, stand_in: Any) -> None:
    """Undo an override of the whole container with `reset_override`."""

    class Fakes(DeclarativeContainer):
        gmail = stand_in

    container.override(Fakes())
    container.reset_override()


@pytest.mark.parametrize(
    "undo",
    [
        undo_by_reset_override,
        undo_by_reset_last,
        undo_by_context,
        undo_override_providers,
        undo_container_override,
    ],
)
async def test_undoing_works(container: Container, undo: Callable[[Container, Any], None]) -> None:
    """After an override is undone in any way, the next scope is as if there had been none."""
    undo(container, Scoped(FakeGmail, container.credentials, database=container.database))

    assert type((await agent_of(container))["gmail"]).__qualname__ == "Gmail"


async def test_container_level_override_reaches_the_next_scope(container: Container) -> None:
    """A container that overrides another one, or its constructor, or its class, is seen by compiled plans."""

    class Fakes(DeclarativeContainer):
        database = providers.Object(FakeDatabase())

    assert not isinstance((await agent_of(Container))["database"], FakeDatabase)
    container.override(Fakes())
    made_so = Container(database=providers.Object(FakeDatabase()))
    Container.override(Fakes)
    try:
        made_since = Container()

        for each in (container, made_so, Container, made_since):
            for person in (ADA, BOB):
                assert isinstance((await agent_of(each, person))["database"], FakeDatabase)
    finally:
        Container.reset_override()
    assert not isinstance((await agent_of(Container))["database"], FakeDatabase)


async def test_two_containers_do_not_share_overrides(container: Container) -> None:
    """An override in one container does not affect another container."""
    other = Container()
    with container.gmail.override(Scoped(FakeGmail, container.credentials, database=container.database)):
        async with Scope(ADA) as scope, Scope(BOB) as bobs:
            mine, theirs = scope.get(container.agent), bobs.get(other.agent)

            assert isinstance(mine.toolkits[0], FakeGmail)
            assert not isinstance(theirs.toolkits[0], FakeGmail)


async def test_a_changed_declaration_reaches_the_next_scope(container: Container) -> None:
    """A change by `set_args` reaches compiled plans."""
    container.agent.set_args(container.person, providers.List(container.calendar))
    async with Scope(ADA) as scope:
        assert len(scope.get(container.agent).toolkits) == 1


async def test_being_a_factory(container: Container) -> None:
    """`related`, `traverse` and copies work as they do for the library's own providers."""
    copy = Container()

    assert container.person in list(container.credentials.related)
    assert container.database in list(container.agent.traverse())
    assert copy.agent is not container.agent
    assert isinstance(copy.person, Seed)
    assert copy.agent.provides is Agent
