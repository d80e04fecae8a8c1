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

import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from dependency_injector import providers

from .closing import Finalizer, close
from .compiled import NotPlanned, Plan, plan_of
from .providers import Scoped, Seed, name_of
from .resolve import is_steady, provide, resolve
from .threads import Threads
from .tombstone import ScopeError, bury

if TYPE_CHECKING:
    from .resolve import Provider

__all__ = ["Scope", "ScopeError", "Scoped", "Seed"]

P = ParamSpec("P")
T = TypeVar("T")

_NEW, _OPEN, _CLOSED = "not entered yet", "open", "closed"
_POLL = 0.0005  # seconds between two looks whether another thread has built what it is building


class _Rest:
    """What only some scopes have: objects that no plan built, and finalizers."""

    __slots__ = ("finalizers", "memo", "mortals")

    def __init__(self) -> None:
        self.memo: dict[Provider, Any] | None = None
        self.mortals: list[object] = []
        self.finalizers: list[Finalizer] = []


class Scope:
    """One request: each scoped provider gives one object in it, to every task and thread, and to no other scope.

    It is open inside ``async with``. As it closes, nothing new can be got from it; it waits for the threads that it
    started, finishes its objects in reverse order, and then all of them are dead and forgotten.

    Finalizers run to their end under an error, a cancellation and a second one. What a finalizer raises is raised
    when the body raised nothing, and logged otherwise.

    Args:
        seeds: What this request is about, such as its principal; a `Seed` provider takes one by its exact type.
        grace: Seconds that its threads together, and each finalizer, are given to end.

    Raises:
        ScopeError: Two seeds have the same type.
    """

    # `_turn` is there while the scope is open and nobody builds. Deleting it is one step under the GIL, without which
    # dependency-injector does not run, and succeeds for one thread only: a lock, at a quarter of its price.
    __slots__ = ("__weakref__", "_grace", "_plan", "_rest", "_seeds", "_state", "_threads", "_turn", "_values")

    _turn: None

    def __init__(self, *seeds: object, grace: float = 10.0) -> None:
        self._state = _NEW
        if len(seeds) > 1 and len(set(map(type, seeds))) != len(seeds):
            raise ScopeError("two seeds of one type: a provider could not tell them apart; give each its own class")
        self._seeds = seeds
        self._grace = grace
        self._plan: Plan | None = None
        self._values: Any = None  # a tuple, once something is built
        self._rest: _Rest | None = None
        self._threads: Threads | None = None

    @property
    def closed(self) -> bool:
        """Whether the scope gives no object any more; its threads and finalizers may still be running."""
        return self._state is _CLOSED

    def get(self, provider: providers.Provider[T]) -> T:
        """Return the provider's object in this scope, built now if it was not asked for before.

        It waits for nothing but another thread that is building; constructors do no I/O.

        Raises:
            ScopeError: The scope is not open, a seed is missing, something below the provider is asynchronous, or a
                constructor calls this (it should be given what it needs).
        """
        if type(provider) is not Scoped and not isinstance(provider, Scoped):
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
            return resolve(self, self._built(), provider)  # type: ignore[no-any-return]
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

    async def __aenter__(self) -> Self:
        if self._state is not _NEW:
            raise ScopeError(f"the scope is {self._state}: a scope is entered once; make another one")
        self._state = _OPEN
        self._turn = None
        return self

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
            await self._close(error)
        finally:
            self._bury_all()

    def __del__(self) -> None:
        if self._state is _OPEN:
            warnings.warn("a Scope was never closed: use `async with`", ResourceWarning, source=self, stacklevel=2)

    async def _close(self, error: BaseException | None) -> None:
        finalizers = self._more().finalizers
        await close(self._stop, self._threads.running if self._threads else (), finalizers, error, self._grace)

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
            return self._resolve(provider)
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        if self._state is _OPEN:
            self._turn = None
        else:  # it was closed meanwhile, and did not wait any longer
            self._bury_all()

    def _wait_for_turn(self, provider: Provider) -> None:
        if self._builds_here():
            raise ScopeError(
                f"a constructor asks its scope for {name_of(provider)}: declare it as an argument in the container, "
                "or ask for it later, in a method"
            )
        while self._state is _OPEN:
            time.sleep(_POLL)
            try:
                del self._turn
            except AttributeError:
                continue
            return
        raise ScopeError(f"{name_of(provider)} is asked of a scope that is {self._state}: use it in its `async with`")

    def _builds_here(self) -> bool:
        """Tell whether this thread has the turn: a call that took it is on its stack."""
        frame = sys._getframe(2).f_back  # past the call that now asks for the turn
        while frame is not None:
            if frame.f_code in _BUILDERS and frame.f_locals.get("self") is self:
                return True
            frame = frame.f_back
        return False

    # -- for the code that builds --

    def _resolve_below(self, provider: Scoped[Any]) -> Any:
        """Return a scoped provider's object for a provider of another kind that depends on it."""
        return self._resolve(provider) if self._builds_here() else self._in_turn(provider)

    def _resolve(self, provider: Provider) -> Any:
        if isinstance(provider, Scoped) or is_steady(provider):
            return resolve(self, self._built(), provider)
        return provide(self, provider)

    def _built(self) -> dict[Provider, Any]:
        """Return all that was built in this scope, to be added to."""
        rest = self._more()
        if rest.memo is None:
            rest.memo = dict(zip(self._plan.keys, self._values, strict=True)) if self._plan else {}
            self._values = self._values or ()
        return rest.memo

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
        self._more().finalizers.append(finalizer)


_BUILDERS = frozenset({Scope.get.__code__, Scope._in_turn.__code__})
