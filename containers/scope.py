"""Request scopes for dependency-injector: one container for the process, one `Scope` for a request.

The library has singletons and factories, and nothing that lives as long as one request. Here is what was missing; it
depends on nothing else of Deputy::

    class Container(DeclarativeContainer):
        database = ThreadSafeSingleton(Database)
        principal = Seed(Principal)
        credentials = Scoped(Credentials, principal, database)

    async with Scope(Principal("ada")) as scope:
        credentials = scope.get(container.credentials)  # the same object until the scope closes, and then a dead one

See docs/scopes.md for what holds and what does not.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from dependency_injector import providers

from containers.closing import Finalizer, close
from containers.plan import NotPlanned, Plan, plan_of
from containers.resolve import MISSING, is_steady, provide, resolve
from containers.scoped import Scoped, Seed, name_of
from containers.tombstone import ScopeError, bury

if TYPE_CHECKING:
    from containers.resolve import Provider

__all__ = ["Scope", "ScopeError", "Scoped", "Seed"]

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

_Lock = type(threading.RLock())  # the function in front of it costs as much as the lock

_NEW, _OPEN, _BUILDING, _CLOSED = "not entered", "open", "building", "closed"


class Scope:
    """One request: each scoped provider gives one object in it, to every task and thread, and to no other scope.

    It is open inside ``async with``. As it closes, nothing new can be got from it; it waits for the threads that it
    started, finishes its objects in reverse order, and then all of them are dead and forgotten.

    Finalizers run to their end under an error, a cancellation and a second one. An error of a finalizer is raised,
    or logged when the body raised one of its own.

    Args:
        seeds: What this request is about, such as its principal; providers take them by exact type with `Seed`.
        grace: Seconds that the threads together, and each finalizer, are given to end.

    Raises:
        ScopeError: Two seeds have the same type.
    """

    __slots__ = (
        "_finalizers", "_grace", "_lock", "_memo", "_mortals", "_plan", "_seeds", "_state", "_threads", "_values",
        "__weakref__",
    )  # fmt: skip

    def __init__(self, *seeds: object, grace: float = 10.0) -> None:
        self._state = _NEW
        if len(seeds) > 1 and len(set(map(type, seeds))) != len(seeds):
            raise ScopeError("two seeds of one type: a provider could not tell them apart; give each its own class")
        self._seeds = seeds
        self._grace = grace
        self._lock = _Lock()
        self._plan: Plan | None = None
        self._values: tuple[Any, ...] = ()
        self._memo: dict[Provider, Any] | None = None
        self._mortals: list[object] | None = None
        self._finalizers: list[Finalizer] | None = None
        self._threads: set[asyncio.Future[Any]] | None = None

    @property
    def closed(self) -> bool:
        """Whether the scope has begun to close: it gives no object any more."""
        return self._state is _CLOSED

    def get(self, provider: providers.Provider[T]) -> T:
        """Return the provider's object in this scope, built now if it was not asked for before.

        It waits for nothing: constructors do no I/O. Other threads may call it too.

        Raises:
            ScopeError: The scope is not open, a seed is missing, something below the provider is asynchronous, or a
                constructor calls it (it should be given what it needs).
        """
        if not isinstance(provider, Scoped):
            return self._get_other(provider)
        plan = provider.plan
        if plan is None or plan.epoch is not Scoped.epoch:
            plan = plan_of(provider)
        lock = self._lock
        lock.acquire()
        try:
            if self._state is not _OPEN:
                raise self._refusal(provider)
            if self._plan is plan:
                return self._values[-1]
            if self._plan is None and self._memo is None and plan.build is not None:
                self._state = _BUILDING
                try:
                    self._values = values = plan.build(self)
                    self._plan = plan
                    return values[-1]
                except NotPlanned:
                    pass
                finally:
                    self._state = _OPEN
            return self._resolve(provider)
        finally:
            lock.release()

    async def to_thread(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a blocking function returns, run in a thread that the scope waits for before it closes.

        A thread cannot be interrupted: when the caller is cancelled, the function runs on.

        Raises:
            ScopeError: The scope is not open.
        """
        if self._state is _CLOSED or self._state is _NEW:
            raise ScopeError(f"the scope is {self._state}: it starts no thread")
        if self._threads is None:
            self._threads = set()
        call = partial(copy_context().run, fn, *args, **kwargs)
        thread = asyncio.get_running_loop().run_in_executor(None, call)
        self._threads.add(thread)
        thread.add_done_callback(self._threads.discard)
        try:
            return await asyncio.shield(thread)
        finally:
            del thread  # it holds the error, which holds this frame

    async def __aenter__(self) -> Self:
        if self._state is not _NEW:
            raise ScopeError(f"the scope is {self._state}: a scope is entered once; make another one")
        self._state = _OPEN
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._lock.acquire(blocking=False):
            await self._wait_for_builder()
        self._state = _CLOSED
        self._lock.release()
        try:
            if self._threads or self._finalizers:
                await close(self._threads or (), self._finalizers or [], error, self._grace)
        finally:
            self._bury_all()

    def __del__(self) -> None:
        if self._state is _OPEN:
            warnings.warn("a Scope was never closed: use `async with`", ResourceWarning, source=self, stacklevel=2)

    async def _wait_for_builder(self) -> None:
        """Take the lock once the thread that is building something has finished it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._grace
        while not self._lock.acquire(blocking=False):
            if loop.time() > deadline:
                ...
            await asyncio.sleep(0.001)

    def _bury_all(self) -> None:
        """Let every object die, and forget them all."""
        if self._plan is not None:
            try:
                self._plan.kill(self._values)
            except (TypeError, ScopeError):  # one changed its class, or two providers gave the same object
                for position in self._plan.mortal:
                    bury(self._values[position])
        for obj in self._mortals or ():
            bury(obj)
        self._plan = self._memo = self._mortals = self._finalizers = self._threads = None
        self._values = self._seeds = ()

    def _get_other(self, provider: Provider) -> Any:
        with self._lock:
            if self._state is not _OPEN:
                raise self._refusal(provider)
            self._state = _BUILDING
            try:
                return resolve(self, self._built(), provider) if is_steady(provider) else provide(self, provider)
            finally:
                self._state = _OPEN

    def _resolve(self, provider: Scoped[Any]) -> Any:
        """Return a provider's object while the graph around it is built, by this thread or another one."""
        with self._lock:
            if self._state is _NEW or self._state is _CLOSED:
                raise self._refusal(provider)
            before, self._state = self._state, _BUILDING
            try:
                return resolve(self, self._built(), provider)
            finally:
                self._state = before

    def _refusal(self, provider: Provider) -> ScopeError:
        if self._state is _BUILDING:
            return ScopeError(
                f"a constructor asks its scope for {name_of(provider)}: declare it as an argument in the container, "
                "or ask for it later, in a method"
            )
        return ScopeError(f"{name_of(provider)} is asked of a scope that is {self._state}: use it in its `async with`")

    def _built(self) -> dict[Provider, Any]:
        """Return all that was built in this scope; what is added to it stays."""
        if self._memo is None:
            self._memo = dict(zip(self._plan.keys, self._values, strict=True)) if self._plan else {}
        return self._memo

    def _keep(self, plan: Plan, values: tuple[Any, ...]) -> None:
        """Take over what a plan had built when it failed."""
        self._built().update((key, value) for key, value in zip(plan.keys, values, strict=True) if value is not MISSING)
        for position in plan.mortal:
            if values[position] is not MISSING:
                self._mortal(values[position])

    def _seed(self, cls: Any) -> Any:
        if cls is Scope:
            return self
        for seed in self._seeds:
            if type(seed) is cls:
                return seed
        raise ScopeError(f"the scope was opened without a {cls.__qualname__}: pass one to Scope(...)")

    def _mortal(self, obj: T) -> T:
        if self._mortals is None:
            self._mortals = []
        self._mortals.append(obj)
        return obj

    def _finish(self, finalizer: Finalizer) -> None:
        if self._finalizers is None:
            self._finalizers = []
        self._finalizers.append(finalizer)
