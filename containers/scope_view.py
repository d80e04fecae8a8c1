"""The playground's view of request scopes: the observer that turns objects into names, and the audit trail's rows.

A scope is observed only if a page is open when it begins. No object is kept: of those that belong to a scope there are
weak references, which also tell when the object is gone from memory.
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any
from weakref import ref

from dependency_injector import providers

from app.audit.audit import AuditEntry, AuditEvent
from app.log_context import log_context
from app.principal import Principal
from containers.proof.graph import AnyContainer, AnyProvider, Graph, Lifetime, effective, lifetime, product
from containers.scopes import ObservedScope, Scope, Scoped, Seed, is_dead
from interfaces.playground.feed import Feed
from interfaces.playground.people import Player, player_of

_SHOWN_OF_ID = 8  # characters; enough to tell ids apart


class ScopeView:
    """Opens the scopes of requests, and shows those of the two players to open pages. Lives as long as the process.

    Args:
        feed: The pages.
        graph: Returns the declared graph, which names the providers; called once, when it is first needed.
        now: A clock in seconds, for how long scopes live.
    """

    def __init__(self, feed: Feed, graph: Callable[[], Graph], now: Callable[[], float] = time.perf_counter) -> None:
        self._feed = feed
        self._find_graph = graph
        self._now = now
        self._scope_ids = itertools.count(1)
        self._numbers = itertools.count(1)
        self._shared: dict[AnyProvider, tuple[object, int]] = {}  # singletons, so keeping them keeps nothing longer

    def open(self, principal: Principal, *seeds: object) -> Scope:
        """Return a new scope for a request of this person; an ordinary one unless a page shows it."""
        if self._feed.is_watched and (player := player_of(principal)) is not None:
            observer = _ShownScope(self, next(self._scope_ids), player, self._feed, self._now)
            return ObservedScope(principal, *seeds, observer=observer)
        return Scope(principal, *seeds)

    def tell_audited(self, entries: Sequence[AuditEntry]) -> None:
        """Show calls to providers, as the audit trail has recorded them."""
        if not self._feed.is_watched:
            return
        for entry in entries:
            player = player_of(entry.principal)
            if player is not None and entry.event is AuditEvent.CALL:
                self._feed.tell(
                    "called",
                    who=player.key,
                    message=_shorten(entry.message_id),
                    tool=entry.tool,
                    method=entry.method,
                    status=entry.status,
                    credential=_shorten(entry.credential),
                    refused=entry.outcome == "refused",
                )

    def overview(self) -> dict[str, Any]:
        """Return what the declared graph says: how many providers of each lifetime there are, and what is shared.

        ``shared`` lists the process-lived providers that request-scoped ones are given, each with name, class and task.
        """
        graph = self._graph
        lifetimes = {provider: lifetime(provider) for provider in graph.names}
        used = {
            path[-1].target
            for provider, lives in lifetimes.items()
            if lives is Lifetime.REQUEST
            for path in graph.paths(
                provider, to=lambda each: lifetimes.get(each) is Lifetime.PROCESS, around=graph.names.__contains__
            )
        }
        shared = [_described(graph.names[each], product(effective(each))) for each in used if not _is_setting(each)]
        return {
            "process": list(lifetimes.values()).count(Lifetime.PROCESS),
            "request": list(lifetimes.values()).count(Lifetime.REQUEST),
            "shared": sorted(shared, key=lambda each: str(each["name"])),
        }

    def describe(self, provider: AnyProvider, obj: object, *, fresh: bool) -> dict[str, Any] | None:
        """Return an object's name, class, number and task; None if its provider has no name.

        Everything fresh has a new number, and a shared object has the same one each time.
        """
        name = self._graph.names.get(provider)
        if name is None or _is_setting(provider):
            return None
        return {
            **_described(name, type(obj)),
            "number": next(self._numbers) if fresh else self._number_of(provider, obj),
        }

    def _number_of(self, provider: AnyProvider, obj: object) -> int:
        known = self._shared.get(provider)
        if known is None or known[0] is not obj:
            known = self._shared[provider] = (obj, next(self._numbers))
        return known[1]

    @cached_property
    def _graph(self) -> Graph:
        return self._find_graph()


class _ShownScope:
    """The observer of one scope. Lives as long as the scope, and until its objects are gone from memory."""

    def __init__(self, view: ScopeView, scope_id: int, player: Player, feed: Feed, now: Callable[[], float]) -> None:
        self._view = view
        self._player = player
        self._tell = partial(feed.tell, scope=scope_id, who=player.key)
        self._now = now
        self._began = now()
        self._seen: set[AnyProvider] = set()
        self._alive: dict[int, ref[object]] = {}
        self._total = 0
        self._is_closed = False

    def opened(self) -> None:
        about = log_context()
        self._began = self._now()
        self._tell(
            "opened", message=_shorten(about.message_id) if about else None, principal=str(self._player.principal)
        )

    def built(self, objects: Mapping[AnyProvider, Any]) -> None:
        new = {provider: obj for provider, obj in objects.items() if provider not in self._seen}
        self._seen.update(new)
        fresh: list[dict[str, Any]] = []
        shared: list[dict[str, Any]] = []
        for provider, obj in new.items():
            if isinstance(provider, Seed):
                continue
            is_fresh = isinstance(provider, Scoped)
            if (described := self._view.describe(provider, obj, fresh=is_fresh)) is None:
                continue
            (fresh if is_fresh else shared).append(described)
            if is_fresh and hasattr(type(obj), "__weakref__"):
                self._watch(obj)
        self._tell("built", fresh=fresh, shared=shared)

    def closed(self) -> None:
        self._is_closed = True
        self._tell("closed", seconds=round(self._now() - self._began, 4), dead=self._dead(), total=self._total)
        self._tell_freed()

    def _dead(self) -> int:
        """Return how many objects refuse every use, or are gone already."""
        left = [obj for reference in [*self._alive.values()] if (obj := reference()) is not None]
        return self._total - len(left) + sum(map(is_dead, left))

    def _watch(self, obj: object) -> None:
        place = self._total
        self._alive[place] = ref(obj, lambda _: self._freed(place))
        self._total += 1

    def _freed(self, place: int) -> None:
        del self._alive[place]
        self._tell_freed()

    def _tell_freed(self) -> None:
        if self._is_closed and not self._alive:
            self._tell("freed", total=self._total)


def _described(name: str, kind: object) -> dict[str, Any]:
    about = (inspect.getdoc(kind) or "").partition("\n")[0]
    return {"name": name, "type": getattr(kind, "__name__", ""), "about": about}


def _is_setting(provider: AnyProvider) -> bool:
    return isinstance(provider, providers.Object | providers.Dependency)


def _shorten(text: str | None) -> str | None:
    return text[:_SHOWN_OF_ID] if text is not None else None


def view_of(container: AnyContainer, feed: Feed) -> ScopeView:
    """Return the view of this container's scopes."""
    return ScopeView(feed, partial(Graph, container))
