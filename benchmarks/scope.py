"""P1: what a request scope costs, against plain Python, dependency-injector's own ways, dishka and wireup.

Run it with ``python -m benchmarks.scope``. Every variant opens a scope (or what it has instead) for one principal,
makes principal, credentials, four toolkits and an agent out of three singletons, and closes it. The graphs are
checked before anything is timed. All variants run in one process, in another random order each round; the figure is
the median CPU time of a scope (`time.thread_time_ns`), and the ratio is to plain Python in the same run.

Ours has all guarantees of docs/scopes.md on: turns between threads, pinned singletons, tombstones on six objects, a
`ResourceWarning` when it is not closed. Asynchronous finalizers are a line of their own, because they need a task.

Where the time goes, over plain Python (CPython 3.11, measured by leaving parts out; plain Python is 1.07 µs):
the coroutines of ``async with`` 0.33 µs (plain Python inside an empty one is 1.3 x), calling three singletons live
0.25, tombstones 0.42 (a change of ``__class__`` turns an instance's values into a dictionary), the `Scope` object
0.24, taking turns and looking up the plan 0.17, the rest of the generated function 0.25.

Designs that were tried, in units of plain Python:

* one provider at a time through dependency-injector's own `Factory`, memo in a dictionary, a ContextVar for each get
  (the prototype): 15.3, and 17.4 with tombstones;
* a generated function, an `RLock` for each scope taken to build and to close, a ContextVar left out: 3.6; the lock
  not taken to close: 3.15; the lock replaced by the deletion of an attribute, which is one step: 2.9.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import dishka
import wireup
from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer

from containers.scope import Scope, Scoped, Seed

ROUNDS = 200
SCOPES = 40  # in a round
TARGET = 3.0  # times plain Python


class Principal:
    __slots__ = ("user",)

    def __init__(self, user: str) -> None:
        self.user = user


class Database: ...


class GoogleAuth: ...


class Mcp: ...


class Credentials:
    def __init__(self, principal: Principal, google_auth: GoogleAuth) -> None:
        self.principal = principal
        self.google_auth = google_auth


class Toolkit:
    def __init__(self, credentials: Credentials, database: Database) -> None:
        self.credentials = credentials
        self.database = database


class Gmail(Toolkit): ...


class Calendar(Toolkit): ...


class Drive(Toolkit): ...


class Tasks(Toolkit): ...


class Agent:
    def __init__(self, principal: Principal, toolkits: list[Toolkit], mcp: Mcp) -> None:
        self.principal = principal
        self.toolkits = toolkits
        self.mcp = mcp


class _Closing:
    async def aclose(self) -> None:
        pass


class ClosingGmail(_Closing, Gmail): ...


class ClosingCalendar(_Closing, Calendar): ...


class ClosingDrive(_Closing, Drive): ...


class ClosingTasks(_Closing, Tasks): ...


class Container(DeclarativeContainer):
    """What the other variants of dependency-injector copy, with another kind of provider for what is a person's."""

    database = providers.ThreadSafeSingleton(Database)
    google_auth = providers.ThreadSafeSingleton(GoogleAuth)
    mcp = providers.ThreadSafeSingleton(Mcp)
    principal = Seed(Principal)
    credentials = Scoped(Credentials, principal, google_auth)
    gmail = Scoped(Gmail, credentials, database)
    calendar = Scoped(Calendar, credentials, database)
    drive = Scoped(Drive, credentials, database)
    tasks = Scoped(Tasks, credentials, database)
    agent = Scoped(Agent, principal, providers.List(gmail, calendar, drive, tasks), mcp)


class ClosingContainer(Container):
    credentials = Scoped(Credentials, Container.principal, Container.google_auth)
    gmail = Scoped(ClosingGmail, credentials, Container.database)
    calendar = Scoped(ClosingCalendar, credentials, Container.database)
    drive = Scoped(ClosingDrive, credentials, Container.database)
    tasks = Scoped(ClosingTasks, credentials, Container.database)
    agent = Scoped(Agent, Container.principal, providers.List(gmail, calendar, drive, tasks), Container.mcp)


class Root(DeclarativeContainer):
    database = providers.ThreadSafeSingleton(Database)
    google_auth = providers.ThreadSafeSingleton(GoogleAuth)
    mcp = providers.ThreadSafeSingleton(Mcp)


def _with(kind: Callable[..., Any]) -> type[DeclarativeContainer]:
    """Return the container with `kind` where ours has `Scoped`, and a principal that each call gives."""

    class Other(Root):
        principal: Any = providers.Dependency()
        credentials = kind(Credentials, principal, Root.google_auth)
        gmail = kind(Gmail, credentials, Root.database)
        calendar = kind(Calendar, credentials, Root.database)
        drive = kind(Drive, credentials, Root.database)
        tasks = kind(Tasks, credentials, Root.database)
        agent = kind(Agent, principal, providers.List(gmail, calendar, drive, tasks), Root.mcp)

    return Other


class Request(DeclarativeContainer):
    """One a request, as the library's own examples do it."""

    root: Any = providers.DependenciesContainer()
    principal: Any = providers.Dependency()
    credentials = providers.Singleton(Credentials, principal, root.google_auth)
    gmail = providers.Singleton(Gmail, credentials, root.database)
    calendar = providers.Singleton(Calendar, credentials, root.database)
    drive = providers.Singleton(Drive, credentials, root.database)
    tasks = providers.Singleton(Tasks, credentials, root.database)
    agent = providers.Singleton(Agent, principal, providers.List(gmail, calendar, drive, tasks), root.mcp)


def _agent(principal: Principal, gmail: Gmail, calendar: Calendar, drive: Drive, tasks: Tasks, mcp: Mcp) -> Agent:
    return Agent(principal, [gmail, calendar, drive, tasks], mcp)


def _unseeded() -> Principal:
    raise LookupError("wireup wants a factory; each scope is given the principal")


def _dishka_provider() -> dishka.Provider:
    provider = dishka.Provider(scope=dishka.Scope.REQUEST)
    provider.from_context(Principal)
    provider.provide_all(Database, GoogleAuth, Mcp, scope=dishka.Scope.APP)
    provider.provide_all(Credentials, Gmail, Calendar, Drive, Tasks)
    provider.provide(_agent)
    return provider


def _wireup_injectables() -> list[Any]:
    scoped = [_unseeded, Credentials, Gmail, Calendar, Drive, Tasks, _agent]
    # An instance decorates; the classes themselves stay as they are for the other variants.
    return [
        *(wireup.injectable(each) for each in (Database, GoogleAuth, Mcp)),
        *(wireup.injectable(lifetime="scoped")(each) for each in scoped),
    ]


Use = Callable[[Agent], object]
Variant = Callable[[int, Use], Awaitable[None]]
"""Opens this many scopes, one after the other, and hands each agent over while its scope is open."""


def _plain() -> Variant:
    database, google_auth, mcp = Database(), GoogleAuth(), Mcp()

    async def run(scopes: int, use: Use) -> None:
        for _ in range(scopes):
            principal = Principal("ada")
            credentials = Credentials(principal, google_auth)
            gmail, calendar = Gmail(credentials, database), Calendar(credentials, database)
            drive, tasks = Drive(credentials, database), Tasks(credentials, database)
            use(Agent(principal, [gmail, calendar, drive, tasks], mcp))

    return run


def _plain_with_finalizers() -> Variant:
    database, google_auth, mcp = Database(), GoogleAuth(), Mcp()

    async def run(scopes: int, use: Use) -> None:
        for _ in range(scopes):
            async with AsyncExitStack() as stack:
                principal = Principal("ada")
                credentials = Credentials(principal, google_auth)
                toolkits = []
                for cls in (ClosingGmail, ClosingCalendar, ClosingDrive, ClosingTasks):
                    toolkit = cls(credentials, database)
                    stack.push_async_callback(toolkit.aclose)
                    toolkits.append(toolkit)
                use(Agent(principal, [*toolkits], mcp))

    return run


def _ours(container: Container | ClosingContainer) -> Variant:
    agent = container.agent

    async def run(scopes: int, use: Use) -> None:
        for _ in range(scopes):
            async with Scope(Principal("ada")) as scope:
                use(scope.get(agent))

    return run
