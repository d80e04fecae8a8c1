"""P1: the cost of a request scope, compared with plain Python, dependency-injector, dishka and wireup.

Run it with ``python -m benchmarks.scope``. Every variant opens a scope (or its equivalent) for one principal, makes
principal, credentials, four toolkits and an agent out of three singletons, and closes it. The graphs are checked before
anything is timed. All variants run in one process, in a random order each round; the figure is the median CPU time of a
scope (`time.thread_time_ns`), and the ratio is to plain Python in the same run.

Ours has all guarantees of docs/scopes.md on: turns between threads, pinned singletons, tombstones on six objects, and a
`ResourceWarning` when it is not closed. Asynchronous finalizers have a line of their own, because they need a task.

Time spent beyond plain Python (CPython 3.11; measured by leaving parts out, when plain Python took 1.07 µs and the
whole scope 3.0 µs): tombstones 0.42 µs (a change of ``__class__`` turns the values of an instance into a dictionary),
the coroutines of ``async with`` 0.33 (plain Python inside an empty one takes 1.3 x), calling three singletons live
0.25, the `Scope` object 0.24, finding the plan and taking the turn 0.17, the rest of the generated function 0.25.

Earlier designs, in units of plain Python:

* one provider after the other through dependency-injector's `Factory`, with a memo in a dictionary, an `RLock` and a
  ContextVar for each `get` (the prototype): 15.3, and 17.4 with tombstones;
* the generated function, with an `RLock` for each scope that is taken to build and to close: 3.6;
* the same, not taken to close: 3.15;
* the lock replaced by the deletion of an attribute, and the state kept in fewer of them: 2.8 to 3.0 from run to run,
  which is the present design. Requesting the singletons by one call of a List, or calling `__init__` without the class,
  gained nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Protocol

import dishka
import wireup
from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer

from benchmarks.figures import Batch, Figure, against, in_turn, show, show_figures
from containers.scopes import Scope, Scoped, Seed

ROUNDS = 200
SCOPES = 100  # in a round
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


TOOLKITS = (Gmail, Calendar, Drive, Tasks)
CLOSING_TOOLKITS = (ClosingGmail, ClosingCalendar, ClosingDrive, ClosingTasks)


def _container(kind: Callable[..., Any], principal: Any, toolkits: tuple[type[Toolkit], ...] = TOOLKITS) -> Any:
    """Return the graph on dependency-injector, with providers of this kind for everything that belongs to a person."""
    first, second, third, fourth = toolkits

    class Container(DeclarativeContainer):
        database = providers.ThreadSafeSingleton(Database)
        google_auth = providers.ThreadSafeSingleton(GoogleAuth)
        mcp = providers.ThreadSafeSingleton(Mcp)
        credentials = kind(Credentials, principal, google_auth)
        gmail = kind(first, credentials, database)
        calendar = kind(second, credentials, database)
        drive = kind(third, credentials, database)
        tasks = kind(fourth, credentials, database)
        agent = kind(Agent, principal, providers.List(gmail, calendar, drive, tasks), mcp)

    return Container()


class Root(DeclarativeContainer):
    database = providers.ThreadSafeSingleton(Database)
    google_auth = providers.ThreadSafeSingleton(GoogleAuth)
    mcp = providers.ThreadSafeSingleton(Mcp)


class Request(DeclarativeContainer):
    """One container for each request, on top of `Root`."""

    root: Any = providers.DependenciesContainer()
    principal: Any = providers.Dependency()
    credentials = providers.Singleton(Credentials, principal, root.google_auth)
    gmail = providers.Singleton(Gmail, credentials, root.database)
    calendar = providers.Singleton(Calendar, credentials, root.database)
    drive = providers.Singleton(Drive, credentials, root.database)
    tasks = providers.Singleton(Tasks, credentials, root.database)
    agent = providers.Singleton(Agent, principal, providers.List(gmail, calendar, drive, tasks), root.mcp)


def make_agent(principal: Principal, gmail: Gmail, calendar: Calendar, drive: Drive, tasks: Tasks, mcp: Mcp) -> Agent:
    return Agent(principal, [gmail, calendar, drive, tasks], mcp)


def no_principal() -> Principal:
    raise LookupError("wireup wants a factory even for what each scope is given")


def _dishka_provider() -> dishka.Provider:
    provider = dishka.Provider(scope=dishka.Scope.REQUEST)
    provider.from_context(Principal)
    provider.provide_all(Database, GoogleAuth, Mcp, scope=dishka.Scope.APP)
    provider.provide_all(Credentials, *TOOLKITS)
    provider.provide(make_agent)
    return provider


def _wireup_injectables() -> list[Any]:
    scoped = (no_principal, Credentials, *TOOLKITS, make_agent)
    shared = (Database, GoogleAuth, Mcp)
    return [*map(wireup.injectable, shared), *map(wireup.injectable(lifetime="scoped"), scoped)]


Look = Callable[[Agent], object]


class Variant(Protocol):
    """Opens scopes one after the other."""

    def __call__(self, scopes: int, look: Look | None) -> Awaitable[None]:
        """Open this many scopes, and show each agent to `look`, if there is one, while its scope is open."""
        ...


def _plain() -> Variant:
    database, google_auth, mcp = Database(), GoogleAuth(), Mcp()

    async def run(scopes: int, look: Look | None) -> None:
        for _ in range(scopes):
            principal = Principal("ada")
            credentials = Credentials(principal, google_auth)
            gmail = Gmail(credentials, database)
            calendar = Calendar(credentials, database)
            drive = Drive(credentials, database)
            tasks = Tasks(credentials, database)
            agent = Agent(principal, [gmail, calendar, drive, tasks], mcp)
            if look:
                look(agent)

    return run


def _plain_with_finalizers() -> Variant:
    database, google_auth, mcp = Database(), GoogleAuth(), Mcp()

    async def run(scopes: int, look: Look | None) -> None:
        for _ in range(scopes):
            async with AsyncExitStack() as stack:
                principal = Principal("ada")
                credentials = Credentials(principal, google_auth)
                gmail = ClosingGmail(credentials, database)
                stack.push_async_callback(gmail.aclose)
                calendar = ClosingCalendar(credentials, database)
                stack.push_async_callback(calendar.aclose)
                drive = ClosingDrive(credentials, database)
                stack.push_async_callback(drive.aclose)
                tasks = ClosingTasks(credentials, database)
                stack.push_async_callback(tasks.aclose)
                agent = Agent(principal, [gmail, calendar, drive, tasks], mcp)
                if look:
                    look(agent)

    return run


def _ours(toolkits: tuple[type[Toolkit], ...] = TOOLKITS) -> Variant:
    provider = _container(Scoped, Seed(Principal), toolkits).agent

    async def run(scopes: int, look: Look | None) -> None:
        for _ in range(scopes):
            async with Scope(Principal("ada")) as scope:
                agent = scope.get(provider)
                if look:
                    look(agent)

    return run


def _context_local() -> Variant:
    kind = providers.ContextLocalSingleton
    provider = _container(kind, kind(Principal, "ada")).agent

    async def run(scopes: int, look: Look | None) -> None:
        for _ in range(scopes):
            agent = contextvars.copy_context().run(provider)
            if look:
                look(agent)

    return run


def _factories() -> Variant:
    provider = _container(providers.Factory, providers.Factory(Principal, "ada")).agent

    async def run(scopes: int, look: Look | None) -> None:
        for _ in range(scopes):
            agent = provider()
            if look:
                look(agent)

    return run


def _container_a_request() -> Variant:
    root = Root()

    async def run(scopes: int, look: Look | None) -> None:
        for _ in range(scopes):
            request = Request(root=root, principal=Principal("ada"))
            agent = request.agent()
            if look:
                look(agent)
            request.reset_override()  # otherwise the root keeps all of them

    return run


def _dishka() -> Variant:
    container = dishka.make_container(_dishka_provider())

    async def run(scopes: int, look: Look | None) -> None:
        for _ in range(scopes):
            with container(context={Principal: Principal("ada")}) as request:
                agent = request.get(Agent)
                if look:
                    look(agent)

    return run


def _dishka_async() -> Variant:
    container = dishka.make_async_container(_dishka_provider())

    async def run(scopes: int, look: Look | None) -> None:
        for _ in range(scopes):
            async with container(context={Principal: Principal("ada")}) as request:
                agent = await request.get(Agent)
                if look:
                    look(agent)

    return run


def _wireup() -> Variant:
    container = wireup.create_sync_container(injectables=_wireup_injectables())

    async def run(scopes: int, look: Look | None) -> None:
        for _ in range(scopes):
            with container.enter_scope({Principal: Principal("ada")}) as request:
                agent = request.get(Agent)
                if look:
                    look(agent)

    return run


def _wireup_async() -> Variant:
    container = wireup.create_async_container(injectables=_wireup_injectables())

    async def run(scopes: int, look: Look | None) -> None:
        for _ in range(scopes):
            async with container.enter_scope({Principal: Principal("ada")}) as request:
                agent = await request.get(Agent)
                if look:
                    look(agent)

    return run


PLAIN, OURS = "plain Python, by hand", "Scope"
WITHOUT_MEMO = "dependency-injector: Factory (credentials built four times and once more)"

VARIANTS: dict[str, Callable[[], Variant]] = {
    PLAIN: _plain,
    OURS: _ours,
    "wireup, synchronous": _wireup,
    "wireup, asynchronous": _wireup_async,
    "dishka, synchronous": _dishka,
    "dishka, asynchronous": _dishka_async,
    WITHOUT_MEMO: _factories,
    "dependency-injector: ContextLocalSingleton in a fresh context (leaks)": _context_local,
    "dependency-injector: a container for each request, and reset_override()": _container_a_request,
    "plain Python + 4 asynchronous finalizers": _plain_with_finalizers,
    "Scope + 4 asynchronous finalizers": lambda: _ours(CLOSING_TOOLKITS),
}


async def check(name: str, run: Variant) -> None:
    """Assert that a variant makes the right graph, a new one in each scope, with the same singletons."""
    seen: list[tuple[Agent, ...]] = []

    def look(agent: Agent) -> None:
        owners = {id(toolkit.credentials) for toolkit in agent.toolkits}
        assert len(owners) == (1 if name != WITHOUT_MEMO else 4), name
        assert all(toolkit.credentials.principal.user == "ada" for toolkit in agent.toolkits), name
        assert len({type(toolkit) for toolkit in agent.toolkits}) == 4, name
        assert len({id(toolkit.database) for toolkit in agent.toolkits}) == 1, name
        assert name == WITHOUT_MEMO or agent.toolkits[0].credentials.principal is agent.principal, name
        seen.append((agent, agent.toolkits[0].credentials, agent.toolkits[0].database, agent.mcp))  # type: ignore[arg-type]

    await run(2, look)
    first, second = seen
    assert first[0] is not second[0], name
    assert first[1] is not second[1], name
    assert first[2:] == second[2:], name


async def measure() -> dict[str, float]:
    """Return the median microseconds of a scope, by variant; takes about ten seconds."""
    variants = {name: make() for name, make in VARIANTS.items()}
    for name, run in variants.items():
        await check(name, run)
    batches: dict[str, tuple[Batch, int]] = {name: (partial(run, look=None), SCOPES) for name, run in variants.items()}
    return await in_turn(batches, rounds=ROUNDS)


def figures(medians: dict[str, float]) -> dict[str, Figure]:
    """Return the figures for benchmarks/results.json."""
    fastest = min(median for name, median in medians.items() if name.startswith(("wireup", "dishka")))
    return {
        "P1 scope, against plain Python": against(medians[OURS], medians[PLAIN], "us", at_most=TARGET),
        "P1 scope, against the fastest library": against(medians[OURS], fastest, "us", at_most=1.0),
    }


def main() -> dict[str, Figure]:
    """Measure, print the table, and return the figures."""
    medians = asyncio.run(measure())
    ratios = {name: median / medians[PLAIN] for name, median in medians.items()}
    show("a scope: principal, credentials, 4 toolkits, agent", {"us": medians, "x plain": ratios})
    found = figures(medians)
    show_figures(found)
    return found


if __name__ == "__main__":
    main()
