"""Objects that are opened for a scope, and the ways to open a scope itself."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import pytest
from dependency_injector import providers
from dependency_injector.wiring import Provide, inject

from containers.scopes import Scope, Scoped, ScopeError, Seed
from tests.unit.scope_graph import ADA, BOB, Container, Credentials, Person

LOG: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    LOG.clear()
    yield
    LOG.clear()


@contextmanager
def session(person: Person) -> Iterator[str]:
    """Open something, then commit it or roll it back."""
    LOG.append(f"open {person.name}")
    try:
        yield f"session of {person.name}"
    except BaseException as error:
        LOG.append(f"roll back {person.name}: {type(error).__name__}")
        raise
    LOG.append(f"commit {person.name}")


class Sessions:
    """Opens sessions with a method."""

    @contextmanager
    def open(self, person: Person) -> Iterator[str]:
        """Open a session."""
        with session(person) as opened:
            yield opened


OPENING: list[Any] = [session, partial(session), Sessions().open]


@pytest.mark.parametrize("opening", OPENING)
@pytest.mark.parametrize("compiled", [True, False])
async def test_a_context_manager_is_entered_and_finished(opening: Any, compiled: bool) -> None:
    """A context manager gives what it yields, and is finished with the scope's error."""
    provider = Scoped(opening, Seed(Person))
    held: Scoped[list[Any]] = Scoped(list, providers.List(provider, provider))
    async with Scope(ADA) as ada, Scope(BOB) as bob:
        if not compiled:
            ada.get(Seed(Person))
        assert ada.get(held) == ["session of ada"] * 2
        assert bob.get(provider) == "session of bob"
    with pytest.raises(LookupError):
        await _fail(provider)

    assert LOG == ["open ada", "open bob", "commit bob", "commit ada", "open ada", "roll back ada: LookupError"]


def _fail_at_once(provider: Scoped[Any]) -> None:
    with Scope(ADA) as scope:
        scope.get(provider)
        raise LookupError


async def _fail(provider: Scoped[Any]) -> None:
    async with Scope(ADA) as scope:
        scope.get(provider)
        raise LookupError


@asynccontextmanager
async def connection() -> AsyncIterator[str]:
    """Open something asynchronously."""
    yield "connection"


class Opens:
    """Opens a session when it is called."""

    def __call__(self) -> Iterator[str]:
        yield "session"


def test_an_asynchronous_context_manager_is_refused() -> None:
    """An asynchronous context manager is refused when the container is written, with what to do instead."""
    for provides in (connection, partial(connection)):
        with pytest.raises(ScopeError, match="await it before the scope opens"):
            Scoped(provides)


@pytest.mark.parametrize("make", [lambda: session(ADA), lambda: connection(), lambda: iter(Opens()()), Opens()])
async def test_what_nobody_has_entered_is_refused(make: Any) -> None:
    """A function that returns an unopened context manager or generator is refused when it does so."""
    async with Scope() as scope:
        alone: Scoped[Any] = Scoped(make)
        injected: Scoped[list[Any]] = Scoped(list, providers.List(alone))
        for asked in (alone, injected):
            with pytest.raises(ScopeError, match="nobody would enter and finish"):
                scope.get(asked)


async def test_what_has_to_be_awaited_is_opened_around_the_scope() -> None:
    """An asynchronous session is opened around the scope and given to it as a seed, as docs/scopes.md describes."""

    class AsyncSession:
        async def __aenter__(self) -> AsyncSession:
            LOG.append("open")
            return self

        async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
            LOG.append("close")

    class Repository:
        def __init__(self, session: AsyncSession, person: Person) -> None:
            self.session = session
            LOG.append(f"repository of {person.name}")

        async def aclose(self) -> None:
            LOG.append("repository closed")

    repository = Scoped(Repository, Seed(AsyncSession), Seed(Person))
    async with AsyncSession() as opened, Scope(ADA, opened) as scope:
        assert scope.get(repository).session is opened

    assert LOG == ["open", "repository of ada", "repository closed", "close"]


def test_a_scope_opens_without_an_event_loop() -> None:
    """`with Scope(...)` gives objects, finishes them in reverse order with its error, and then refuses their use."""
    container = Container()
    provider = Scoped(session, container.person)
    with Scope(ADA) as ada, Scope(BOB) as bob:
        credentials = ada.get(container.credentials)
        assert ada.get(provider) == "session of ada"
        assert bob.get(provider) == "session of bob"
        assert bob.get(container.credentials) is not credentials
    with pytest.raises(LookupError):
        _fail_at_once(provider)

    assert LOG == ["open ada", "open bob", "commit bob", "commit ada", "open ada", "roll back ada: LookupError"]
    with pytest.raises(ScopeError, match="Credentials"):
        _ = credentials.token
    with pytest.raises(ScopeError, match="closed"):
        ada.get(container.credentials)


def test_a_scope_without_an_event_loop_refuses_what_has_to_be_awaited() -> None:
    """A synchronous scope refuses an object with `aclose()` and still finishes the others."""
    container = Container()
    with Scope(ADA) as scope:
        scope.get(Scoped(session, container.person))
        with pytest.raises(ScopeError, match=r"Scoped\(Client\) has to be awaited.*async with"):
            scope.get(container.client)

    assert LOG == ["open ada", "commit ada"]


def test_a_scope_without_an_event_loop_finishes_everything() -> None:
    """Every finalizer runs even if another one failed; a single error is raised as it is, and `SystemExit` first."""

    def failing(error: BaseException) -> Iterator[None]:
        yield
        LOG.append(type(error).__name__)
        raise error

    def errors(*raised: BaseException) -> None:
        with Scope() as scope:
            for error in raised:
                scope.get(Scoped(failing, providers.Object(error)))

    with pytest.raises(ValueError, match="one"):
        errors(ValueError("one"))
    with pytest.raises(ExceptionGroup):
        errors(ValueError("one"), LookupError("two"))
    with pytest.raises(SystemExit):
        errors(ValueError("one"), SystemExit(3), LookupError("two"))

    assert LOG == ["ValueError", "LookupError", "ValueError", "LookupError", "SystemExit", "ValueError"]


def test_a_scope_without_an_event_loop_closes_after_the_thread_that_is_building() -> None:
    """An object that another thread is making while the scope closes is dead when it is made."""
    begun, release = threading.Event(), threading.Event()
    made: list[Any] = []

    class Slow:
        x = 1

        def __init__(self) -> None:
            begun.set()
            release.wait(60)

    with Scope() as scope:
        thread = threading.Thread(target=lambda: made.append(scope.get(Scoped(Slow))))
        thread.start()
        begun.wait(60)
        threading.Timer(0.01, release.set).start()
    thread.join(60)

    with pytest.raises(ScopeError):
        _ = made[0].x


async def test_a_type_is_no_key() -> None:
    """`scope.get(SomeType)` raises an error that says what `get` takes."""
    async with Scope(ADA) as scope:
        for asked in (Credentials, "credentials", ADA):
            with pytest.raises(ScopeError, match=r"takes a provider of the container, such as `container\.\w+`"):
                scope.get(asked)  # type: ignore[arg-type]


async def test_injection_by_markers_says_what_to_write() -> None:
    """`@inject` cannot call a scoped provider, even inside an open scope, and the error says what to write instead."""
    container = Container()
    container.wire(modules=[__name__])
    try:
        async with Scope(ADA):
            with pytest.raises(ScopeError, match=r"@inject with Provide\[...\].*cannot call it, even while a scope is"):
                asks()
    finally:
        container.unwire()


@inject
def asks(credentials: Any = Provide[Container.credentials]) -> Any:
    """Return what a marker injects."""
    return credentials
