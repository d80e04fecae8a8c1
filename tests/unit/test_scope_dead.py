"""Closed scopes: their objects no longer work, and nothing of them stays in memory."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import operator
import os
import sys
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, NoReturn, TypeVar

import pytest
from dependency_injector import providers
from pydantic import BaseModel
from pydantic_ai import RunContext
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool

from containers.scopes import Scope, Scoped, ScopeError, Seed
from containers.scopes.tombstone import tombstone
from tests.fakes.fading import fading, without_the_collector
from tests.unit.scope_graph import ADA, BOB, Container, Credentials, Person

T = TypeVar("T")


class Plain:
    x = 1


@dataclass(slots=True)
class Slots:
    x: int = 1


@dataclass(frozen=True)
class Frozen:
    x: int = 1


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    x: int = 1


class Contract(ABC):
    x = 1

    @abstractmethod
    def work(self) -> int: ...


class Worker(Contract):
    def work(self) -> int:
        return self.x


class Box(Generic[T]):
    x = 1


class Model(BaseModel):
    x: int = 1


class Labels(dict[str, int]):
    x = 1


class Pair(NamedTuple):
    x: int = 1


class Made:
    x = 1

    def __new__(cls) -> Made:
        return super().__new__(cls)


class Tools(AbstractToolset[Any]):
    x = 1

    @property
    def id(self) -> str:
        return "tools"

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        return {}

    async def call_tool(self, name: str, tool_args: Any, ctx: Any, tool: Any) -> Any: ...


CLASSES = [Plain, Slots, Frozen, FrozenSlots, Worker, Box, Model, Labels, Pair, Made, Tools]


@pytest.mark.parametrize("cls", CLASSES)
async def test_use_after_close_of_any_class(cls: type[Any]) -> None:
    """An object of any Python class can no longer be read, set or deleted, but keeps its class and a repr."""
    provider = Scoped(cls)
    async with Scope() as scope:
        obj = scope.get(provider)
        assert obj.x == 1

    uses: list[Callable[[], object]] = [
        lambda: obj.x,
        lambda: obj.never_there,
        lambda: setattr(obj, "x", 2),
        lambda: delattr(obj, "x"),
    ]
    for use in uses:
        with pytest.raises(ScopeError, match=cls.__name__):
            use()
    assert isinstance(obj, cls)
    assert not isinstance(obj, int)
    assert repr(obj) == str(obj) == f"{obj}" == f"<{cls.__qualname__} of a closed scope>"


async def test_use_after_close_of_one_scope_leaves_another_alone() -> None:
    """When Ada's scope has closed, her objects are dead and Bob's still work."""
    container = Container()
    async with Scope(BOB) as other:
        bobs = other.get(container.agent)
        async with Scope(ADA) as scope:
            adas = scope.get(container.agent)
            gmail, credentials = adas.toolkits[0], adas.toolkits[0].credentials

        for use in (lambda: adas.person, lambda: gmail.credentials, lambda: credentials.token):
            with pytest.raises(ScopeError):
                use()
        assert bobs.toolkits[0].credentials.token == "token of bob"
        assert ADA.name == "ada"


async def test_use_after_close_through_a_bound_method() -> None:
    """A bound method that was kept, or is running in a task, fails at its first use of the dead object."""
    container = Container()
    async with Scope(ADA) as scope:
        gmail = scope.get(container.gmail)
        owner = gmail.owner

        async def later() -> str:
            await asyncio.sleep(0.01)
            return gmail.credentials.token

        task = asyncio.create_task(later())

    with pytest.raises(ScopeError, match="Gmail"):
        owner()
    with pytest.raises(ScopeError, match="Gmail"):
        await task


async def test_use_after_close_through_operators() -> None:
    """Operations that the interpreter looks up on the class are refused too: calls, items, lengths, loops."""

    class Index(dict[str, int]):
        def __call__(self) -> int:
            return 1

    index = Scoped(Index, a=1)
    async with Scope() as scope:
        obj = scope.get(index)
        assert (obj(), obj["a"], len(obj)) == (1, 1, 1)

    for use in (lambda: obj(), lambda: obj["a"], lambda: len(obj), lambda: list(obj), lambda: "a" in obj):
        with pytest.raises(ScopeError, match="Index"):
            use()


class CallableObject:
    """A special method that is not a function."""

    def __call__(self, *args: object) -> int:
        return 1


class Descriptor:
    """A descriptor that returns a function."""

    def __get__(self, instance: object, owner: object = None) -> Any:
        return lambda *args: 1


WAYS: dict[str, Callable[[], Any]] = {
    "function": lambda: lambda self, *args: 1,
    "cached": lambda: functools.lru_cache(lambda self, *args: 1),
    "callable object": CallableObject,
    "partialmethod": lambda: functools.partialmethod(lambda self, *args: 1),
    "staticmethod": lambda: staticmethod(lambda *args: 1),
    "classmethod": lambda: classmethod(lambda cls, *args: 1),
    "descriptor": Descriptor,
    "property": lambda: property(lambda self: lambda *args: 1),
}
# https://docs.python.org/3/reference/datamodel.html#special-method-names
OPERATIONS: dict[str, Callable[[Any], object]] = {
    "__call__": lambda obj: obj(),
    "__len__": len,
    "__bool__": bool,
    "__getitem__": lambda obj: obj[0],
    "__setitem__": lambda obj: operator.setitem(obj, 0, 1),
    "__delitem__": lambda obj: operator.delitem(obj, 0),
    "__contains__": lambda obj: 0 in obj,
    "__iter__": iter,
    "__reversed__": reversed,
    "__next__": next,
    "__add__": lambda obj: obj + 1,
    "__radd__": lambda obj: 1 + obj,
    "__iadd__": lambda obj: exec("obj += 1", {"obj": obj}),
    "__matmul__": lambda obj: obj @ 1,
    "__neg__": operator.neg,
    "__lt__": lambda obj: obj < 1,
    "__int__": int,
    "__index__": operator.index,
    "__enter__": lambda obj: type(obj).__enter__(obj),
    "__await__": lambda obj: type(obj).__await__(obj),
    "__aiter__": aiter,
    "__anext__": anext,
    "__bytes__": bytes,
    "__fspath__": os.fspath,
    "__format__": lambda obj: "closed scope" in f"{obj:}" and refuse(obj),
    "__copy__": copy.copy,
    "__deepcopy__": copy.deepcopy,
    "__reduce_ex__": lambda obj: obj.__reduce_ex__(2),
    "__getattr__": lambda obj: obj.never_there,
    "__dir__": dir,
    "__sizeof__": sys.getsizeof,
}


def refuse(obj: object) -> NoReturn:
    """Raise the expected error for an operation that revealed nothing."""
    raise ScopeError(type(obj).__name__)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("way", WAYS)
async def test_use_after_close_through_special_methods_of_any_make(name: str, way: str) -> None:
    """A dead object answers through no special method, however its class defines it."""
    index = type("Index", (), {name: WAYS[way]()})
    async with Scope() as scope:
        obj = scope.get(Scoped(index))

    with pytest.raises(ScopeError, match="Index"):
        OPERATIONS[name](obj)


async def test_dead_objects_are_compared_by_identity() -> None:
    """Dead objects compare by identity, because their class's equality would reveal their contents."""

    class Labels(dict[str, int]): ...

    @dataclass
    class Value:
        x: int = 1

    async with Scope() as scope:
        labels, value = scope.get(Scoped(Labels, a=1)), scope.get(Scoped(Value))
    kept = [labels, value]

    assert labels != {"a": 1}
    assert value != Value()
    assert kept.index(value) == 1
    kept.remove(labels)
    assert {value: 1}[value] == 1


async def test_an_object_of_another_class_dies_too() -> None:
    """An object of another class, given by `__new__` or a metaclass, dies like the others."""

    class Other:
        x = 1

    class Fixed(int):
        def __new__(cls) -> Any:
            return Other()

    class Meta(type):
        def __call__(cls) -> Any:
            return Other()

    class Metaclassed(metaclass=Meta): ...

    class CSet(BaseException):
        def __new__(cls) -> Any:
            return Other()

    for cls in (Fixed, Metaclassed, CSet):
        for compiled in (True, False):
            async with Scope() as scope:
                if not compiled:
                    scope.get(Scoped(Plain))
                obj: Any = scope.get(Scoped(cls))
                assert obj.x == 1
            with pytest.raises(ScopeError, match="Other"):
                _ = obj.x


async def test_an_asynchronous_call_lives_and_dies() -> None:
    """An object with `async def __call__` works in its scope and is dead afterwards."""

    class Handler:
        async def __call__(self) -> int:
            return 1

    async with Scope() as scope:
        provider = Scoped(Handler)
        handler = scope.get(provider)
        handlers: Scoped[list[Any]] = Scoped(list, providers.List(provider))
        (injected,) = scope.get(handlers)
        assert injected is handler
        assert await handler() == 1
    with pytest.raises(ScopeError, match="Handler"):
        handler()


async def test_a_class_that_is_made_for_one_request_is_forgotten() -> None:
    """Neither the class, its tombstone nor its own metaclass is kept after the request."""

    async def request() -> list[weakref.ref[Any]]:
        class Meta(type): ...

        class Mine(metaclass=Meta):
            x = 1

        async with Scope() as scope:
            obj = scope.get(Scoped(Mine))
            scope.get(Scoped(list, (Scoped(Mine),)))
        with pytest.raises(ScopeError):
            _ = obj.x
        return [weakref.ref(Mine), weakref.ref(Meta), weakref.ref(type(obj))]

    alive = await request()
    gc.collect()

    assert [ref() for ref in alive] == [None] * 3


async def test_objects_that_no_plan_built_die_too() -> None:
    """Objects built by a later `get`, or by one that failed, die like the others."""

    def refuse(credentials: Credentials) -> None:
        raise ValueError(credentials.token)

    container = Container()
    async with Scope(ADA) as scope:
        with pytest.raises(ValueError, match="ada"):
            scope.get(Scoped(refuse, container.credentials))
        credentials, gmail = scope.get(container.credentials), scope.get(container.gmail)

    for use in (lambda: credentials.token, lambda: gmail.database):
        with pytest.raises(ScopeError):
            use()


async def test_results_of_functions_and_seeds_do_not_die() -> None:
    """Results of functions, which may be shared, and seeds, which belong to the caller, do not die."""
    shared = Plain()
    provider = Scoped(lambda person: shared, Seed(Person))
    async with Scope(ADA) as scope:
        assert scope.get(provider) is shared

    assert (shared.x, ADA.name) == (1, "ada")
    assert not provider.dies_with_its_scope
    assert Scoped(Plain).dies_with_its_scope
    assert not Scoped(object).dies_with_its_scope


async def test_a_shared_object_that_two_providers_give_dies_once() -> None:
    """A class that gives two providers the same object closes without an error, and the object is dead."""

    class One:
        only: ClassVar[One | None] = None
        x = 1

        def __new__(cls) -> One:
            cls.only = cls.only or super().__new__(cls)
            return cls.only

    both: Scoped[list[Any]] = Scoped(list, (Scoped(One), Scoped(One)))
    pair = Scoped(lambda *ones: ones, Scoped(One), Scoped(One))
    async with Scope() as scope:
        first, second = scope.get(pair)
        assert first is second
        assert len(scope.get(both)) == 2

    with pytest.raises(ScopeError):
        _ = first.x


def test_a_tombstone_runs_no_code_of_the_class() -> None:
    """Making a tombstone calls neither `__init_subclass__` nor the metaclass, where a toolkit builds its schemas."""
    born: list[str] = []

    class Meta(type):
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            born.append("metaclass")
            return super().__new__(cls, *args, **kwargs)

    class Kit(metaclass=Meta):
        def __init_subclass__(cls, **kwargs: Any) -> None:
            born.append("subclass")

    born.clear()
    dead = tombstone(Kit)

    assert dead is not None
    assert issubclass(dead, Kit)
    assert born == []


async def test_a_dead_object_still_releases_what_it_holds() -> None:
    """`__del__` of the real class still runs on the dead object, with its attributes."""
    released: list[str] = []

    class File:
        def __init__(self, name: str) -> None:
            self.name = name

        def __del__(self) -> None:
            released.append(self.name)

    async with Scope() as scope:
        file = scope.get(Scoped(File, "ada.txt"))
    del file

    assert released == ["ada.txt"]


async def open_and_close(container: Container, person: Person, fails: bool) -> list[weakref.ref[Any]]:
    """Return references to what could stay alive, by way of the log if the body fails."""
    async with Scope(person) as scope:
        agent = scope.get(container.agent)
        scope.get(container.transaction)
        await scope.to_thread(agent.toolkits[0].owner)
        alive = [weakref.ref(obj) for obj in (scope, agent, *agent.toolkits, agent.toolkits[0].credentials)]
        container.database().log.append(alive)  # type: ignore[arg-type]  # so that the caller has it after an error
        if fails:
            raise ValueError("broken")
    return alive


async def test_nothing_retained() -> None:
    """A closed scope and its objects are freed without the cyclic collector."""
    container = Container()
    with without_the_collector():
        for person in (ADA, BOB):
            alive = await open_and_close(container, person, False)
            await fading(alive)

            assert [ref() for ref in alive] == [None] * 5


async def test_nothing_retained_when_the_body_raised() -> None:
    """If the body raised, the scope and its objects are freed as soon as the error has been handled."""
    container = Container()
    with without_the_collector():
        for person in (ADA, BOB):
            with pytest.raises(ValueError, match="broken"):
                await open_and_close(container, person, True)
            alive: Any = next(entry for entry in container.database().log if isinstance(entry, list))
            container.database().log.clear()
            await fading(alive)

            assert [ref() for ref in alive] == [None] * 5


async def test_nothing_retained_when_a_thread_or_a_finalizer_raised() -> None:
    """An error of a thread or a finalizer keeps no object alive once it has been handled."""

    class Fails:
        def __init__(self, credentials: Credentials) -> None:
            self.credentials = credentials

        def work(self) -> None:
            raise LookupError(self.credentials.person.name)

        async def aclose(self) -> None:
            self.work()

    fails = Scoped(Fails, Container().credentials)
    alive: list[weakref.ref[Any]] = []

    async def body(person: Person) -> None:
        async with Scope(person) as scope:
            obj = scope.get(fails)
            alive.append(weakref.ref(obj.credentials))
            with pytest.raises(LookupError, match=person.name):
                await scope.to_thread(obj.work)

    with without_the_collector():
        for person in (ADA, BOB):
            with pytest.raises(LookupError, match=person.name):
                await body(person)
        await fading(alive)

        assert [ref() for ref in alive] == [None, None]


async def test_nothing_retained_by_a_scope_that_is_kept() -> None:
    """A closed scope that is kept refers to no seed and no object."""

    class Note(str):
        __slots__ = ("__weakref__",)

    container = Container()
    note = Note("ada's message")
    with without_the_collector():
        async with Scope(ADA, note) as scope:
            alive = weakref.ref(scope.get(container.agent)), weakref.ref(note)
        del note

        assert scope.closed
        assert [ref() for ref in alive] == [None, None]
