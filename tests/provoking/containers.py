"""Containers that could mix up two people, scopes that are used wrongly, and an address that is in use."""

from __future__ import annotations

from pathlib import Path

import pytest
from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer
from starlette.applications import Starlette

from app.main import prove_lifetimes
from app.principal import Principal
from app.toolkits.toolkit import Toolkit, tool
from containers.proof import prove
from containers.scopes import Scope, Scoped, ScopeError, Seed
from containers.testing import assert_isolated, open_test_container, settings_in
from interfaces.listening import listening
from tests.fakes.ports import free_port
from tests.provoking.showing import ADA, GRACE, Provoke, Shown, raised, shown


class Mailbox:
    """A person's mail."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    def count(self) -> int:
        """Return the number of mails."""
        return 0


class Search:
    """Looks for mail."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox


class Mail(DeclarativeContainer):
    """A mistake: a singleton that gets a person's object."""

    principal = Seed(Principal)
    mailbox = Scoped(Mailbox, principal)
    search = providers.ThreadSafeSingleton(Search, mailbox)


class NotesToolkit(Toolkit):
    """A mistake: a toolkit whose first instance is given to everybody."""

    name = "notes"
    _first: NotesToolkit | None = None

    def __new__(cls) -> NotesToolkit:
        """Return the first instance."""
        cls._first = cls._first or super().__new__(cls)
        return cls._first

    @tool(oauth_scopes=())
    async def look(self) -> str:
        """Look at the notes."""
        return ""


async def singleton_that_keeps_a_persons(folder: Path) -> Shown:
    """Prove a container whose singleton gets a person's object."""
    return await raised(prove(Mail(), (ADA,), (GRACE,)))


async def toolkit_that_its_module_keeps(folder: Path) -> Shown:
    """Prove a container with an external toolkit that keeps its instances."""
    settings = settings_in(folder, toolkits={"keeping": "tests.outside.notes:KeepingToolkit"})
    async with open_test_container(settings) as container:
        return await raised(prove_lifetimes(container, settings))


async def outside_a_scope(folder: Path) -> Shown:
    """Call a scoped provider as if it were an ordinary one."""
    with pytest.raises(ScopeError) as error:
        Mail().mailbox()
    return "ScopeError", str(error.value)


async def scope_without_its_seed(folder: Path) -> Shown:
    """Open a scope without its person."""
    async with Scope() as scope:
        with pytest.raises(ScopeError) as error:
            scope.get(Mail().mailbox)
    return shown(error.value)


async def used_after_the_end(folder: Path) -> Shown:
    """Use an object after its request."""
    async with Scope(ADA) as scope:
        mailbox = scope.get(Mail().mailbox)
    with pytest.raises(ScopeError) as error:
        mailbox.count()
    return shown(error.value)


async def overridden_with_a_plain_factory(folder: Path) -> Shown:
    """Override a scoped provider with one that builds a new object on each call."""
    with pytest.raises(ScopeError) as error:
        Mail().mailbox.override(providers.Factory(Mailbox, ADA))
    return shown(error.value)


async def one_toolkit_for_two_people(folder: Path) -> Shown:
    """Check the isolation of a toolkit that everybody shares."""
    settings = settings_in(folder, toolkits={"notes": f"{__name__}:NotesToolkit"})
    async with open_test_container(settings) as container:
        return await raised(assert_isolated(container, container.toolkits.providers["notes"]))


async def address_that_is_taken(folder: Path) -> Shown:
    """Start two servers at one address."""
    app = Starlette()
    async with listening(app, "127.0.0.1", free_port()) as url:
        return await raised(_serve(app, int(url.rpartition(":")[2])))


async def _serve(app: Starlette, port: int) -> None:
    async with listening(app, "127.0.0.1", port):
        raise AssertionError("two servers at one address")


PROVOKED: list[Provoke] = [
    singleton_that_keeps_a_persons,
    toolkit_that_its_module_keeps,
    outside_a_scope,
    scope_without_its_seed,
    used_after_the_end,
    overridden_with_a_plain_factory,
    one_toolkit_for_two_people,
    address_that_is_taken,
]
