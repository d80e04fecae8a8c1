"""The scope: one request, and the objects that are built in it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from dependency_injector import providers
from dependency_injector.providers import is_provider

from .closing import Finalizer, close, close_now
from .compiled import NotPlanned, Plan, plan_of
from .providers import Scoped
from .resolve import Resolver
from .threads import Threads
from .tombstone import ScopeError, bury
from .turns import WAIT_SECONDS, builders, wait_for_turn

if TYPE_CHECKING:
    from .resolve import Provider

P = ParamSpec("P")
T = TypeVar("T")

_NEW, _OPEN, _CLOSED = "not entered yet", "open", "closed"


class _Rest:
    """The parts that only some scopes have: objects that no plan built, and finalizers."""

    __slots__ = ("finalizers", "memo", "mortals")

    def __init__(self) -> None:
        self.memo: dict[Provider, Any] | None = None
        self.mortals: list[object] = []
        self.finalizers: list[Finalizer] = []


class Scope:
    """One request: each scoped provider gives one object in it, to every task and thread, and to no other scope.

    It is open inside ``async with``, or inside ``with`` where nothing has to be awaited. As it closes, nothing new can
    be got from it; it waits for the threads that it started, finishes its objects in reverse order, and then all of
    them are dead and forgotten.

    Finalizers run to their end under an error, a cancellation and a second one. An error of a finalizer is raised
    when the body raised nothing, and logged otherwise.

    Args:
        seeds: The subject of this request, such as its principal; a `Seed` provider takes one by its exact type.
        grace: Seconds that its threads together, and each finalizer, are given to end.

    Raises:
        ScopeError: Two seeds have the same type.
    """

    # `_turn` is there while the scope is open and nobody builds. Deleting it is one step under the GIL, without which
    # dependency-injector does not run, and succeeds for one thread only: a lock, at a quarter of its price.
    __slots__ = (
        "__weakref__",
        "_grace",
        "_is_synchronous",
        "_plan",
        "_rest",
        "_seeds",
        "_state",
        "_threads",
        "_turn",
        "_values",
    )

    _turn: None

    def __init__(self, *seeds: object, grace: float = 10.0) -> None:
        self._state = _NEW
        if len(seeds) > 1 and len(set(map(type, seeds))) != len(seeds):
            raise ScopeError("two seeds of one type: a provider could not tell them apart; give each its own class")
        self._seeds = seeds
        self._grace = grace
        self._is_synchronous = False
        self._plan: Plan | None = None
        self._values: Any = None  # a tuple, once something is built
        self._rest: _Rest | None = None
        self._threads: Threads | None = None

    @property
    def closed(self) -> bool:
        """Whether the scope gives no object any more; its threads and finalizers may still be running."""
        return self._state is _CLOSED

    @property
    def is_open(self) -> bool:
        """Whether objects can be got from it."""
        return self._state is _OPEN

    def get(self, provider: providers.Provider[T]) -> T:
        """Return the provider's object in this scope, built now if it was not asked for before.

        It waits for nothing but another thread that is building, and not for long; constructors do no I/O.

        Raises:
            ScopeError: The scope is not open, a seed is missing, something below the provider is asynchronous or would
                keep what belongs to the scope, another thread builds for too long, or a constructor calls this (it
                should be given what it needs).
        """
        if type(provider) is not Scoped and not isinstance(provider, Scoped):
            _check_provider(provider)
            return self._in_turn(provider)  # type: ignore[no-any-return]
        plan = provider.plan or plan_of(provider)
        try:
            del self._turn
        except AttributeError:
            self._wait_for_turn(provider)
        try:
            if self._values is None and plan.build is not None:
                try:
                    return plan.build(self)  # type: ignore[no-any-return]
                except NotPlanned:
                    pass
            return Resolver(self, self._built()).value(provider)  # type: ignore[no-any-return]
        finally:
            if self._state is _OPEN:
                self._turn = None
            else:
                self._bury_all()

    async def to_thread(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a blocking function returns, run in a thread that the scope waits for before it closes.

        A scope has four at most, and a further call waits until one of them has ended. A thread cannot be interrupted:
        when the caller is cancelled, a function that has begun runs on.

        Raises:
            ScopeError: The scope is not open.
        """
        if self._threads is None:
            self._check_open()
            self._threads = Threads()
        return await self._threads.run(partial(fn, *args, **kwargs), self._check_open)

    def _check_open(self) -> None:
        if self._state is not _OPEN:
            raise ScopeError(f"the scope is {self._state}: it starts no thread")
        if self._is_synchronous:
            raise ScopeError("a scope that was opened by `with` waits for no threads: open it by `async with`")

    async def __aenter__(self) -> Self:
        return self._open()

    def __enter__(self) -> Self:
        """Open the scope where nothing is asynchronous: Flask, Django, Celery."""
        self._open()
        self._is_synchronous = True
        return self

    def _open(self) -> Self:
        if self._state is not _NEW:
            raise ScopeError(f"the scope is {self._state}: a scope is entered once; make another one")
        self._state = _OPEN
        self._turn = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            close_now(self._stop, self._more().finalizers, error, self._grace)
        finally:
            self._bury_all()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            del self._turn  # it never comes back
        except AttributeError:  # another thread is building: close() waits for it
            pass
        else:
            self._state = _CLOSED
            if self._rest is None and self._threads is None:
                try:
                    if self._plan is not None:
                        self._plan.kill(self._values)
                except (TypeError, ScopeError):  # one has changed its class, or two providers gave the same object
                    self._bury_all()
                self._values = None
                self._seeds = ()
                return
        try:
            threads = self._threads.running if self._threads else ()
            await close(self._stop, threads, self._more().finalizers, error, self._grace)
        finally:
            self._bury_all()

    def __del__(self) -> None:
        if self._state is _OPEN:
            warnings.warn(
                "a Scope was never closed: use `async with` or `with`", ResourceWarning, source=self, stacklevel=2
            )

    def _stop(self) -> bool:
        """Tell whether nothing is being built, and see to it that nothing will be."""
        if self._state is not _CLOSED:
            try:
                del self._turn
            except AttributeError:
                return False
            self._state = _CLOSED
        return True

    def _bury_all(self) -> None:
        """Let every object die, one by one, and forget them all."""
        self._state = _CLOSED
        if self._plan is not None and self._values:
            for position in self._plan.mortal:
                bury(self._values[position])
        if self._rest is not None:
            for obj in self._rest.mortals:
                bury(obj)
        self._values = self._rest = self._threads = None
        self._seeds = ()

    # -- taking turns --

    def _in_turn(self, provider: Provider) -> Any:
        """Return what a provider gives, when it is this thread's turn."""
        try:
            del self._turn
        except AttributeError:
            self._wait_for_turn(provider)
        try:
            return Resolver(self, self._built()).value(provider)
        finally:
            if self._state is _OPEN:
                self._turn = None
            else:  # it was closed meanwhile, and did not wait any longer
                self._bury_all()

    def _wait_for_turn(self, provider: Provider) -> None:
        wait_for_turn(self, provider, min(self._grace, WAIT_SECONDS))

    # -- for the code that builds --

    def _built(self) -> dict[Provider, Any]:
        """Return all that was built in this scope, to be added to."""
        rest = self._more()
        if rest.memo is None:
            rest.memo = self._objects()
            self._values = self._values or ()
        return rest.memo

    def _objects(self) -> dict[Provider, Any]:
        """Return what was built in this scope so far, by provider."""
        if self._rest is not None and self._rest.memo is not None:
            return dict(self._rest.memo)
        return dict(zip(self._plan.keys, self._values, strict=True)) if self._plan and self._values else {}

    def _more(self) -> _Rest:
        if self._rest is None:
            self._rest = _Rest()
        return self._rest

    def _keep(self, plan: Plan, variables: dict[str, Any]) -> None:
        """Take over what a plan had built when it failed."""
        built = {i: variables[f"v{i}"] for i in range(len(plan.keys)) if f"v{i}" in variables}
        self._built().update((plan.keys[i], value) for i, value in built.items())
        self._more().mortals.extend(built[i] for i in plan.mortal if i in built)

    def _seed(self, cls: Any) -> Any:
        if cls is Scope:
            return self
        for seed in self._seeds:
            if type(seed) is cls:
                return seed
        raise ScopeError(f"the scope was opened without a {cls.__qualname__}: pass one to Scope(...)")

    def _dies(self, obj: Any) -> None:
        self._more().mortals.append(obj)

    def _finish(self, finalizer: Finalizer) -> None:
        if finalizer.is_async and self._is_synchronous:
            raise ScopeError(
                f"{finalizer.name} has to be awaited at the end (`aclose`), and its scope was opened by `with`: "
                "open it by `async with`"
            )
        self._more().finalizers.append(finalizer)


def _check_provider(asked: object) -> None:
    if not is_provider(asked):
        name = getattr(asked, "__name__", type(asked).__name__)
        raise ScopeError(f"scope.get takes a provider of the container, such as `container.{name.lower()}`, not {name}")


builders.update({Scope.get.__code__, Scope._in_turn.__code__})
