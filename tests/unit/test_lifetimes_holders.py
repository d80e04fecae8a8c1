"""Holders of an object: chains of the places that keep it alive, for every kind of holder."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import ClassVar

import pytest

from containers.proof.holders import Held, Watch, explain
from tests.fakes.fading import without_the_collector


class Kept:
    """The object that should be dead."""


class Slotted:
    __slots__ = ("kept",)

    def __init__(self, kept: object) -> None:
        self.kept = kept


class Registry:
    entries: ClassVar[list[object]] = []

    def register(self) -> None:
        self.entries.append(self)


HOLDERS: dict[object, object] = {}
CURRENT: ContextVar[object] = ContextVar("CURRENT")


@functools.cache
def cached(name: str) -> Kept:
    """Return an object that the cache remembers for good."""
    return Kept()


@functools.lru_cache(maxsize=2)
def cached_for_a_while(name: str) -> Kept:
    """Return an object that the cache remembers until two others are made."""
    return Kept()


@pytest.fixture(autouse=True)
def _without_the_collector() -> Iterator[None]:
    """Disable the collector, as `prove` does, because it would free a cycle before it is explained."""
    with without_the_collector():
        yield


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    HOLDERS.clear()
    Registry.entries.clear()
    cached.cache_clear()
    cached_for_a_while.cache_clear()


def explained(kept: list[object], known: dict[int, str] | None = None) -> list[Held]:
    """Return the chains of a list's objects, after emptying the list."""
    watches = [Watch(f"kept {number}", weakref.ref(one)) for number, one in enumerate(kept)]
    kept.clear()
    return explain(watches, known or {})


def chain_of(kept: list[object]) -> tuple[str, ...]:
    """Return the chain of the one object in a list, after emptying the list."""
    (held,) = explained(kept)
    return held.chain


def test_nothing_is_said_of_the_dead() -> None:
    """An object that nothing holds is not explained."""
    assert explained([Kept()]) == []


def test_an_attribute_and_a_slot_are_named() -> None:
    """An instance on the chain is named by its class and the attribute, with or without slots."""
    kept: list[object] = [Kept()]
    outer = Kept()
    vars(outer)["inner"] = Slotted(kept[0])
    HOLDERS["outer"] = outer
    del outer

    assert chain_of(kept) == (
        f"module attribute {__name__}.HOLDERS",
        "dict['outer']",
        "Kept.inner",
        "Slotted.kept",
        "kept 0",
    )


def test_a_frozen_holder_is_named() -> None:
    """A holder that the collector ignores, like the objects from a server's start, is still found."""
    kept: list[object] = [Kept()]
    HOLDERS["frozen"] = kept[0]
    gc.freeze()

    assert chain_of(kept) == (f"module attribute {__name__}.HOLDERS", "dict['frozen']", "kept 0")


def test_a_long_key_is_not_shown() -> None:
    """A key that is long, and may be a secret, or that is not a text, is named by its type."""
    kept: list[object] = [Kept()]
    HOLDERS["ya29.a-token-that-must-not-be-shown"] = {ValueError: kept[0]}

    assert chain_of(kept)[1:3] == ("dict[str]", "dict[type]")


def test_a_class_attribute_is_named() -> None:
    """A class that keeps its instances is the end of the chain."""
    kept: list[object] = [Kept()]
    Registry.entries.append(kept[0])

    assert chain_of(kept) == (f"class attribute {__name__}.Registry.entries", "list[0]", "kept 0")


@pytest.mark.parametrize("name", ["cached", "cached_for_a_while"])  # the function itself would be held by pytest too
def test_a_function_that_remembers_is_named(name: str) -> None:
    """A cached function is on the chain under its name in the module."""
    chain = chain_of([globals()[name]("ada")])

    assert chain[0] == f"module attribute {__name__}.{name}"
    assert "lru_cache" in chain


def test_a_closure_is_named() -> None:
    """A function that closes over the object is on the chain."""
    kept: list[object] = [Kept()]

    def closing(value: object) -> object:
        return lambda: value

    HOLDERS["closure"] = closing(kept[0])
    del closing

    assert chain_of(kept)[1:] == (
        "dict['closure']",
        "function test_a_closure_is_named.<locals>.closing.<locals>.<lambda>",
        "tuple[0]",
        "closure",
        "kept 0",
    )


def test_a_bound_method_is_named() -> None:
    """A bound method that was kept holds its object."""
    kept: list[object] = [registry := Registry()]
    HOLDERS["method"] = registry.register
    del registry

    assert chain_of(kept)[1:] == ("dict['method']", "method Registry.register", "kept 0")


async def test_a_task_and_its_local_variable_are_named() -> None:
    """A running task is the end of the chain, and the local variable of its coroutine is on it."""

    async def wait_with(value: object) -> None:
        await asyncio.sleep(60)

    kept: list[object] = [Kept()]
    task = asyncio.create_task(wait_with(kept[0]), name="watcher")
    await asyncio.sleep(0)
    chain = chain_of(kept)
    task.cancel()

    assert chain[0] == "task watcher"
    assert "local variable value of" in chain[1]


def test_a_context_variable_is_named() -> None:
    """An object that was left in a context variable is found."""
    kept: list[object] = [Kept()]
    token = CURRENT.set(kept[0])
    chain = chain_of(kept)
    CURRENT.reset(token)

    assert chain[0] == "context variable CURRENT"


def test_a_running_thread_is_named() -> None:
    """A local variable of a function that runs in another thread is found, although the collector does not see it."""
    entered, leave = threading.Event(), threading.Event()

    def work(arguments: list[object]) -> None:
        value = arguments.pop()
        entered.set()
        leave.wait()
        del value

    kept: list[object] = [Kept()]
    thread = threading.Thread(target=work, args=([kept[0]],))
    thread.start()
    entered.wait()
    chain = chain_of(kept)
    leave.set()
    thread.join()

    assert chain[0].startswith(
        "local variable value of test_a_running_thread_is_named.<locals>.work, running in thread"
    )


def test_a_long_lived_object_ends_the_chain() -> None:
    """A chain starts at an object that is known by name, not at that object's own holder."""
    kept: list[object] = [Kept()]
    known = Slotted([kept[0]])
    HOLDERS["known"] = known

    (held,) = explained(kept, {id(known): "singleton `registry`"})

    assert held.chain == ("singleton `registry`: Slotted.kept", "list[0]", "kept 0")


def test_objects_on_one_holder_are_told_together() -> None:
    """Objects on the same holder are reported together with the nearest one, and a cycle is reported separately."""
    one, two, three = Slotted(None), Kept(), Kept()
    vars(three)["itself"] = three
    HOLDERS["two"] = two
    vars(two)["others"] = [one_holder := Kept()]
    vars(one_holder)["inner"] = Kept()
    kept: list[object] = [two, one_holder, three]
    del one, two, three, one_holder
    first, second = explained(kept)

    assert (first.name, first.also, first.is_cycle) == ("kept 0", ("kept 1",), False)
    assert (second.chain, second.is_cycle) == (("Kept.itself", "kept 2"), True)
