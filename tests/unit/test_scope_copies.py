"""Two copies of one provider in one graph, which would make two objects in one scope, are refused."""

from __future__ import annotations

from typing import Any

import pytest
from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer, copy

from containers.proof import LifetimeError, prove
from containers.scopes import Scope, Scoped, ScopeError


class Session:
    """A session of one request."""

    def __init__(self, settings: Any = None) -> None:
        self.settings = settings


class UseCase:
    """Works with a session."""

    def __init__(self, session: Session, other: Session | None = None) -> None:
        self.session = session
        self.other = other


class Base(DeclarativeContainer):
    session = Scoped(Session)
    use_case = Scoped(UseCase, session)


# https://github.com/ets-labs/python-dependency-injector/issues/628
@copy(Base)
class Replaced(Base):
    config = providers.Configuration()
    session = Scoped(Session, config)


class Outer(DeclarativeContainer):
    """Refers to a nested container's class instead of the nested container."""

    base = providers.Container(Base)
    right = Scoped(UseCase, base.session)
    wrong = Scoped(UseCase, Base.session, base.session)


class TwoOfAKind(DeclarativeContainer):
    """Has two containers of one class, each with its own session, on purpose."""

    source = providers.Container(Base)
    target = providers.Container(Base)
    both = Scoped(UseCase, source.session, target.session)


@pytest.mark.parametrize(
    "asked",
    [
        lambda: (container := Replaced()) and (container.use_case, container.session),
        lambda: (container := Replaced()) and (container.session, container.use_case),
        lambda: (container := Outer()) and (container.wrong,),
        lambda: (container := Outer()) and (container.right, container.wrong),
        lambda: (container := Base()) and (container.session, Base.use_case),
    ],
)
async def test_two_copies_of_one_provider_are_refused(asked: Any) -> None:
    """Two copies are refused in any order, in one plan and in two calls."""
    async with Scope() as scope:
        with pytest.raises(ScopeError, match=r"Scoped\((Session|UseCase)\) is in this graph twice"):
            [scope.get(provider) for provider in asked()]


@pytest.mark.parametrize("container", [Replaced, Outer])
async def test_the_proof_names_both_copies(container: type[DeclarativeContainer]) -> None:
    """The proof finds two copies before any request."""
    with pytest.raises(LifetimeError, match=r"is a second copy of|one request would have both"):
        await prove(container(), [], [])


async def test_containers_of_one_class_are_two() -> None:
    """Two nested containers of one class, or two such containers in one scope, each have their own session."""
    container, one, other = TwoOfAKind(), Base(), Base()
    async with Scope() as scope, Scope() as second:
        both = scope.get(container.both)
        sessions = {second.get(one.use_case).session, second.get(other.use_case).session}

        assert both.session is not both.other
        assert sessions == {second.get(one.session), second.get(other.session)}
        assert len(sessions) == 2
    assert await prove(TwoOfAKind(), [], [])


async def test_a_copy_without_a_replaced_provider_is_one_graph() -> None:
    """With `containers.copy` alone, or in a subclass, there is one object per scope."""

    @copy(Base)
    class Copied(Base):
        more = Scoped(UseCase, Base.session)

    class Inherited(Base):
        more = Scoped(UseCase, Base.session)

    for container in (Copied(), Inherited()):
        async with Scope() as scope:
            assert scope.get(container.more).session is scope.get(container.use_case).session
