"""An observed scope behaves like every scope, reports to its observer, and is not kept alive by that."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping
from typing import Any

import pytest

from containers.scopes import ObservedScope, Scope, ScopeError, is_dead
from tests.unit.scope_graph import ADA, BOB, Container


class Notes:
    """Records the reports of a scope, by the names of classes."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def opened(self) -> None:
        self.told.append("opened")

    def built(self, objects: Mapping[Any, Any]) -> None:
        self.told.append(" ".join(sorted({type(each).__name__ for each in objects.values()})))

    def closed(self) -> None:
        self.told.append("closed")


async def test_an_observer_is_told_in_order_and_sees_what_is_shared_and_what_is_fresh() -> None:
    """An observer sees all objects of its own scope after each `get`, with two scopes at once."""
    container, notes = Container(), (Notes(), Notes())
    async with (
        ObservedScope(ADA, observer=notes[0]) as ada,
        ObservedScope(BOB, observer=notes[1]) as bob,
    ):
        mine, theirs = ada.get(container.credentials), bob.get(container.credentials)
        again = ada.get(container.credentials)

    assert mine is again
    assert mine is not theirs
    assert notes[0].told[0] == "opened"
    assert "Credentials" in notes[0].told[1].split()
    assert notes[0].told[1] == notes[0].told[2] == notes[1].told[1]
    assert notes[0].told[3:] == ["closed"]


async def test_the_objects_of_an_observed_scope_die_with_it() -> None:
    """The objects of an observed scope die with it, and are freed without the collector."""
    container = Container()
    async with ObservedScope(ADA, observer=Notes()) as scope:
        credentials = scope.get(container.credentials)
        assert not is_dead(credentials)

    assert is_dead(credentials)
    with pytest.raises(ScopeError):
        credentials.person  # noqa: B018
    reference = weakref.ref(credentials)
    del credentials
    assert reference() is None


async def test_an_observer_is_told_of_the_end_after_an_error() -> None:
    """An error of the body, or a cancellation, is raised, and the observer is notified of the end."""
    notes = Notes()
    with pytest.raises(LookupError):
        async with ObservedScope(ADA, observer=notes):
            raise LookupError
    with pytest.raises(asyncio.CancelledError):
        async with ObservedScope(ADA, observer=notes):
            raise asyncio.CancelledError
    with ObservedScope(ADA, observer=notes):
        pass

    assert notes.told == ["opened", "closed"] * 3


def test_an_ordinary_scope_has_no_place_for_an_observer() -> None:
    """An ordinary scope has no attribute for an observer, so that observing costs it nothing."""
    assert not any("observ" in name for name in Scope.__slots__)
