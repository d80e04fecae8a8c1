"""A scope that can be watched. An ordinary `Scope` knows nothing of it, so watching costs nothing where nobody does."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from .scope import Scope

if TYPE_CHECKING:
    from dependency_injector import providers

    from .resolve import Provider

T = TypeVar("T")


class ScopeObserver(Protocol):
    """Watches one scope. Its methods raise nothing, because that would surface where the scope is used.

    It must keep none of the objects that it is shown, or they would outlive their scope.
    """

    def opened(self) -> None:
        """Notice that the scope has opened."""

    def built(self, objects: Mapping[Provider, Any]) -> None:
        """Look at everything that the scope holds by now, shared objects included, after a `get`."""

    def closed(self) -> None:
        """Notice that the scope has closed: its finalizers have run, and its objects are dead."""


class ObservedScope(Scope):
    """A scope that tells an observer what happens in it; otherwise it is as every `Scope`.

    Args:
        seeds: As for `Scope`.
        observer: Notified of each step, in order.
        grace: As for `Scope`.
    """

    __slots__ = ("_observer",)

    def __init__(self, *seeds: object, observer: ScopeObserver, grace: float = 10.0) -> None:
        super().__init__(*seeds, grace=grace)
        self._observer = observer

    def get(self, provider: providers.Provider[T]) -> T:
        """Return the provider's object as `Scope.get` does, and show the observer what the scope holds then."""
        value = super().get(provider)
        self._observer.built(self._objects())
        return value

    def _open(self) -> Self:
        super()._open()
        self._observer.opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, traceback)
        finally:
            self._observer.closed()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, traceback)
        finally:
            self._observer.closed()
