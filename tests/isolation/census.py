"""A census of the objects that a server's requests make, held by weak references."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dependency_injector import providers

from containers.application import Application
from containers.scopes import ObservedScope, Scope, Scoped, Seed
from tests.fakes.fading import fading


class Census:
    """Notes the scopes of a container and all objects they make. Install it before the container serves.

    Args:
        kinds: Classes of objects that no provider makes and that must be gone as well; they are counted in memory.
    """

    def __init__(self, *kinds: type) -> None:
        self._kinds = kinds
        self._before = {id(each) for each in self._in_memory()}
        self._made: list[tuple[str, weakref.ref[Any]]] = []

    def install(self, container: Application) -> None:
        """Watch every scope that this container's requests open."""
        container.request_scopes.add_kwargs(new_scope=self._open)

    @property
    def made(self) -> Counter[str]:
        """Return the number of objects made, by class."""
        return Counter(name for name, _ in self._made)

    async def alive(self, seconds: float) -> Counter[str]:
        """Return the number of objects still alive, by class; allow ending tasks and threads this many seconds."""
        await fading((reference for _, reference in self._made), seconds)
        left = Counter(name for name, reference in self._made if reference() is not None)
        return left + Counter(type(each).__qualname__ for each in self._in_memory() if id(each) not in self._before)

    def note(self, each: object) -> None:
        """Note an object of a scope."""
        self._made.append((type(each).__qualname__, weakref.ref(each)))

    def _open(self, *seeds: object) -> Scope:
        scope = ObservedScope(*seeds, observer=_Noted(self))
        self.note(scope)
        return scope

    def _in_memory(self) -> list[object]:
        if not self._kinds:
            return []
        gc.unfreeze()  # frozen objects are not listed
        return [each for each in gc.get_objects() if issubclass(type(each), self._kinds)]


class _Noted:
    """Notes the objects of one scope."""

    def __init__(self, census: Census) -> None:
        self._census = census
        self._seen: set[providers.Provider[Any]] = set()

    def opened(self) -> None:
        """Do nothing, because a new scope is empty."""

    def built(self, objects: Mapping[providers.Provider[Any], Any]) -> None:
        """Note the new objects that belong to the scope."""
        for provider, each in objects.items():
            if isinstance(provider, Scoped) and not isinstance(provider, Seed) and provider not in self._seen:
                self._seen.add(provider)
                self._census.note(each)

    def closed(self) -> None:
        """Do nothing, because the objects are counted at the end."""
