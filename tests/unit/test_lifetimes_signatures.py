"""Arguments that do not match the signature of what a provider makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from dependency_injector import providers

from containers.scopes import Scoped
from tests.unit.sample_container import Agent, Credentials, Database, Gmail, GoogleAuth, Holder, Sample, faults, proof

if TYPE_CHECKING:
    from fractions import Fraction


class Sender(Protocol):
    def send(self) -> None: ...


class Mailer:
    """Has the protocol's method."""

    def send(self) -> None: ...


class Overridden(Database):
    """A subclass of the class that is asked for."""


class Made:
    """Makes a Database, although its class does not say so."""

    def __new__(cls) -> Any:
        return Database()


@dataclass
class Options:
    database: Database | None
    names: Sequence[str]
    seconds: float = 1.0


def hidden(amount: Fraction, database: Database) -> None:
    """Take two arguments, one with an annotation that only a type checker can resolve."""


async def test_a_missing_argument_is_found() -> None:
    """A missing required argument is reported with the signature."""
    container = Sample()
    container.reader = Scoped(Gmail)

    (found,) = await faults(container)

    assert "the arguments of `reader` do not fit: missing a required argument: 'credentials'" in found
    assert "it is declared as Gmail(credentials: 'Credentials')" in found


async def test_an_unknown_argument_is_found() -> None:
    """An argument that a constructor does not accept is reported, for a plain Factory too."""
    container = Sample()
    container.reader = providers.Factory(Gmail, credential=container.credentials)

    (found,) = await faults(container)

    assert "the arguments of `reader` do not fit: got an unexpected keyword argument 'credential'" in found


async def test_a_factory_may_be_given_its_arguments_when_it_is_called() -> None:
    """An incomplete Factory or Callable is not a fault, because its caller can add the rest."""
    container = Sample()
    container.reader = providers.Factory(Gmail)
    container.parse = providers.Callable(int)

    assert await proof(container)


async def test_a_wrong_type_is_found() -> None:
    """A provider whose class does not match the annotation is reported with both classes."""
    container = Sample()
    container.cache = providers.ThreadSafeSingleton(GoogleAuth, container.database.provided)
    container.auth = providers.ThreadSafeSingleton(GoogleAuth, container.cache)

    (found,) = await faults(container)

    assert "argument database of `auth` must be Database, and is given GoogleAuth" in found
    assert "╰─> cache   ThreadSafeSingleton(GoogleAuth)   process   argument database" in found


async def test_a_class_without_a_method_of_the_protocol_is_found() -> None:
    """A class without the protocol's method is reported."""
    container = Sample()
    container.needs = providers.Factory(_needs_protocol, providers.Factory(Holder))

    (found,) = await faults(container)

    assert "argument sender of `needs` must be Sender, and is given Holder" in found


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"database": 3, "names": []}, "must be Database or NoneType, and is given int"),
        ({"database": None, "names": providers.Dict()}, "must be Sequence, and is given dict"),
        ({"database": None, "names": [], "seconds": providers.Object("1")}, "must be float, and is given str"),
    ],
)
async def test_unions_collections_and_values_are_understood(arguments: dict[str, Any], fault: str) -> None:
    """Values, lists and unions that are provably wrong are reported."""
    container = Sample()
    container.options = providers.ThreadSafeSingleton(Options, **arguments)

    (found,) = await faults(container)

    assert fault in found


def _needs_protocol(sender: Sender) -> None: ...


def _needs_class(kind: type[Database], build: Callable[..., object]) -> None: ...


def _needs_anything(one: Any, *others: Database, **named: float) -> None: ...


@pytest.mark.parametrize(
    ("makes", "arguments"),
    [
        (_needs_protocol, [providers.Factory(Mailer)]),
        (_needs_class, [Database, Database]),
        (_needs_anything, [3, providers.Factory(Overridden), providers.Factory(Made)]),
        (GoogleAuth, [providers.Factory(Made)]),
        (GoogleAuth, [providers.Callable(lambda: Database())]),
        (GoogleAuth, [providers.Factory(Overridden).provider]),
        (hidden, [3, providers.Factory(Database)]),
        (Options, [None, ("a", "b"), 3]),
        (dict, [[]]),
    ],
)
async def test_what_may_be_right_passes(makes: Callable[..., object], arguments: list[object]) -> None:
    """Protocols, subclasses, factories, results of functions, and names that cannot be resolved are not refused."""
    container = Sample()
    container.tried = providers.Factory(makes, *arguments)

    assert await proof(container)


async def test_one_hidden_annotation_does_not_hide_the_others() -> None:
    """A name that is imported only for type checkers makes its own argument unknown, but no other."""
    container = Sample()
    container.tried = providers.Factory(hidden, 3, database=container.google_auth)

    (found,) = await faults(container)

    assert "argument database of `tried` must be Database, and is given GoogleAuth" in found


async def test_each_of_many_arguments_is_judged() -> None:
    """Each argument that ``*args`` and ``**kwargs`` collect is checked against the annotation."""
    container = Sample()
    container.tried = providers.Factory(_needs_anything, 1, container.database, container.agent, seconds="no")

    first, second = await faults(container)

    assert "must be Database, and is given Agent" in first
    assert "must be float, and is given str" in second


async def test_an_override_is_what_is_given() -> None:
    """An overridden argument is judged by its override."""
    container = Sample()
    container.database.override(providers.ThreadSafeSingleton(Overridden))
    container.google_auth.override(providers.ThreadSafeSingleton(Holder))

    (found,) = await faults(container)

    assert "argument google_auth of `credentials` must be GoogleAuth, and is given Holder" in found


def test_the_sample_is_what_the_tests_say() -> None:
    """The classes that these tests use are unrelated to each other."""
    kinds = [Agent, Credentials, Database, GoogleAuth, Holder]

    assert not any(issubclass(one, other) for one in kinds for other in kinds if one is not other)
