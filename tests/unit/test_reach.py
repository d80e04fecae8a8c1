"""Objects that two instances share are found wherever they are, and so is what shared code keeps of a request."""

from __future__ import annotations

import functools
import sys
import weakref
from collections import UserList, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from sqlalchemy import make_url

from app.principal import Principal
from app.toolkits.reach import HiddenError, kept_of_request, mentions, shared
from tests.outside import keeping

HERE = (__name__,)


class Things(list[Any]):
    """A collection that can be referenced weakly."""

    __hash__ = object.__hash__  # type: ignore[assignment]


class Slotted:
    """Has no __dict__."""

    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held


class Kit:
    """Holds something."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def use(self) -> Any:
        """Return what is held."""
        return self.held


class BelowSlots(Slotted):
    """Inherits a slot, and also has a __dict__."""


def around(thing: Any) -> Callable[[], Any]:
    """Return a function that closes over something."""
    return lambda: thing


def default(thing: Any) -> Callable[..., Any]:
    """Return a function with something as a default."""

    def use(first: Any = thing) -> Any:
        return first

    return use


def keyword(thing: Any) -> Callable[..., Any]:
    """Return a function with something as the default of a keyword."""

    def use(*, first: Any = thing) -> Any:
        return first

    return use


def marked(thing: Any) -> Callable[[], None]:
    """Return a function with an attribute."""

    def use() -> None: ...

    use.cache = thing  # type: ignore[attr-defined]
    return use


def begun(thing: Any) -> Generator[Any, None, None]:
    """Return a generator that has begun, with something among its variables."""

    def pieces() -> Generator[Any, None, None]:
        mine = thing
        yield 1
        yield mine

    made = pieces()
    next(made)
    return made


def delegating(thing: Any) -> Generator[Any, None, None]:
    """Return a generator that delegates to another one."""

    def pieces() -> Generator[Any, None, None]:
        yield from begun(thing)

    made = pieces()
    next(made)
    return made


def circle(thing: Any) -> list[Any]:
    """Return a list that holds something and itself."""
    found: list[Any] = [thing]
    found.append(found)
    return found


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda thing: thing,
    "slot": Slotted,
    "inherited slot": BelowSlots,
    "closure": around,
    "default": default,
    "keyword default": keyword,
    "function attribute": marked,
    "partial's argument": lambda thing: functools.partial(print, thing),
    "partial's keyword": lambda thing: functools.partial(print, end=thing),
    "partial's function": lambda thing: functools.partial(around(thing)),
    "bound method": lambda thing: Kit(thing).use,
    "generator": begun,
    "delegating generator": delegating,
    "weak reference": weakref.ref,
    "weak set": lambda thing: weakref.WeakSet([thing]),
    "weak key": lambda thing: weakref.WeakKeyDictionary({thing: 1}),
    "key": lambda thing: {(1, thing): 2},
    "value": lambda thing: {"a": (1, {"b": thing})},
    "deque": lambda thing: deque([thing]),
    "frozen set": lambda thing: frozenset([thing]),
    "cycle": circle,
}


@pytest.fixture
def untraced() -> Iterator[None]:
    """Remove the tracer that measures the coverage, because all frames would share it."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("packages", [None, ()])
def test_what_two_share_is_found_wherever_it_is(holder: str, packages: tuple[str, ...] | None) -> None:
    """A shared object is found behind every way to hold it, except a library's weak reference."""
    make = HOLDERS[holder]
    thing, mine, yours = Things(), Things(), Things()
    one, other = Kit(make(thing)), Kit(make(thing))
    if packages is None and holder == "weak reference":
        return

    assert any(value is thing for _, value in shared(one, other, packages=packages))
    assert [*shared(Kit(make(mine)), Kit(make(yours)), packages=packages)] == []


def test_a_generator_that_two_share_is_found() -> None:
    """A generator that two share is found, because each would take the other's pieces."""
    pieces = (each for each in "abc")
    found = [place for place, _ in shared(Kit(pieces), Kit(pieces), packages=())]

    assert [str(place) for place in found] == ["Kit.held, a generator"]


def test_what_both_are_told_is_found_in_the_results() -> None:
    """An object of one instance is found in another one's results."""
    thing = Things()
    found = [str(place) for place, _ in shared(Kit(1), Kit(thing), ([{"a": thing}], []), ())]

    assert found == ["a result[...][...], a Things"]


@pytest.mark.parametrize("packages", [None, ()])
def test_only_the_packages_are_looked_into(packages: tuple[str, ...] | None) -> None:
    """An object of another package is reported only if all packages are looked into."""
    other = type("Client", (), {"__module__": "somebody.elses"})()
    found = [*shared(Kit(other), Kit(other), packages=packages)]

    assert bool(found) == (packages is None)


class Shy(Kit):
    """Raises an error whenever it is looked into."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class Proxy(Kit):
    """Claims to be a text, and has none of its own attributes."""

    __class__ = str  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        raise LookupError(name)


class Unbound(Kit):
    """Cannot say what class it is, as a proxy outside its request cannot."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class Undressed:
    """Has its `__dict__` among its slots."""

    __slots__ = ("__dict__", "held")

    def __init__(self, held: Any) -> None:
        self.inner = held


class Denying:
    """Hides what it holds behind a `__dict__` that raises."""

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise AttributeError

    def __init__(self, held: Any) -> None:
        self.held = held


class ShySlot(Slotted):
    """Hides its slot behind a property that raises."""

    @property
    def held(self) -> Any:
        """Raise."""
        raise RuntimeError

    @held.setter
    def held(self, value: Any) -> None:
        vars(Slotted)["held"].__set__(self, value)


class Covered:
    """Has a slot whose own descriptor is replaced below."""

    __slots__ = ("held",)


_SLOT: Any = vars(Covered)["held"]
type.__setattr__(Covered, "held", property())


def covered(thing: Any) -> Covered:
    """Return an object with something in a slot that has no name."""
    made = Covered()
    _SLOT.__set__(made, thing)
    return made


class Closed(Kit, Mapping[str, Any]):
    """A mapping that refuses to be iterated, as urllib3's pools do."""

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError


class Emptied(dict[str, Any]):
    """A dictionary that shows nothing."""

    def items(self) -> Any:
        """Return nothing."""
        return ()

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError


class Label(str):
    """A text that can have attributes."""

    __slots__ = ("__dict__",)


def label(thing: Any) -> Label:
    """Return a text with something in an attribute."""
    made = Label("x")
    made.__dict__["held"] = thing
    return made


HIDING: dict[str, Callable[[Any], Any]] = {
    "raises always": Shy,
    "proxy": Proxy,
    "unbound proxy": Unbound,
    "__dict__ that raises": Denying,
    "__dict__ in a slot": Undressed,
    "property over a slot": ShySlot,
    "slot without a name": covered,
    "__iter__ that raises": Closed,
    "dictionary that shows nothing": lambda thing: Emptied(held=thing),
    "list of a library": lambda thing: UserList([thing]),
    "text": label,
    "method of a list": lambda thing: [thing].append,
    "iterator": lambda thing: iter([thing]),
    "property that raises": lambda thing: type("Raising", (Kit,), {"cred": property(lambda _: 1 / 0)})(thing),
}


@pytest.mark.parametrize("holder", HIDING)
@pytest.mark.parametrize("packages", [None, HERE])
def test_what_hides_what_it_holds_is_looked_into(holder: str, packages: tuple[str, ...] | None) -> None:
    """An object behind a class that hides what it references is still found."""
    make = HIDING[holder]
    thing, mine, yours = Things(), Things(), Things()
    if packages is HERE and holder == "iterator":  # belongs to no package
        return

    assert any(value is thing for _, value in shared(Kit(make(thing)), Kit(make(thing)), packages=packages))
    assert [*shared(Kit(make(mine)), Kit(make(yours)), packages=packages)] == []


class Sealed(Closed, Decimal):
    """Is partly made in C, where its references cannot be seen."""

    def __new__(cls, held: Any) -> Sealed:
        return Decimal.__new__(cls, 1)


SEALED: dict[str, Callable[[], Any]] = {
    "of C": lambda: Sealed(Things()),
    "of another package": lambda: type("Elsewhere", (Closed,), {"__module__": "somebody.elses"})(Things()),
}


@pytest.mark.parametrize("holder", SEALED)
def test_what_cannot_be_looked_into_is_refused(holder: str) -> None:
    """An object that cannot be looked into raises an error with its place and nothing of its contents."""
    make = SEALED[holder]
    with pytest.raises(HiddenError, match=r"^Kit\.held, a (Sealed|Elsewhere), cannot be looked into"):
        list(shared(Kit(make()), Kit(make()), packages=HERE))
    if holder == "of C":
        with pytest.raises(HiddenError):
            mentions(Kit(make()), "ada-1")


KEEPING = {
    "ClassWide": "ClassWide.notes[...], a str",
    "Based": "Based.notes[...], a str",
    "Described": "Described.text._texts[...], a str",
    "ByProperty": "ByProperty.text[...] and its variable _notes[...], a str",
    "ByFunction": "ByFunction.keep and its variable _note and its variable _notes[...], a str",
    "ByModule": "ByModule.keep and its variable _notes[...], a str",
    "ByHelper": "ByHelper.keep and its variable Helper.notes[...], a str",
    "ByStatic": "ByStatic.keep[...] and its variable _notes[...], a str",
    "ByKey": "ByKey.keep and its variable _by_person[...], a str",
    "ByPrincipal": "ByPrincipal.keep and its variable _by_principal[...].user, a str",
    "Cached": "a str",
    "Globally": "Globally.keep and its variable _last, a str",
    "Weakly": "Weakly.keep and its variable _kits[...], a Weakly",
    "Object": "Object.keep and its variable _objects[...], a Thing",
}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    keeping.forget()


@pytest.mark.parametrize("name", KEEPING)
def test_what_everybodys_code_keeps_of_a_request_is_found(name: str) -> None:
    """Data that shared code keeps is found in a class, a descriptor, a cache, and a variable that a function uses."""
    cls = getattr(keeping, name)
    kit = cls()
    assert [*kept_of_request(cls, (kit,), "ada-1", ("tests.outside",))] == []
    result = kit.keep(Principal("http", "demo", "ada-1"))
    found = [str(place) for place in kept_of_request(cls, (kit, result), "ada-1", ("tests.outside",))]

    assert found
    assert KEEPING[name] in found or any(each.endswith(KEEPING[name]) for each in found)


def test_constants_and_what_is_kept_in_the_instance_are_no_finding() -> None:
    """Neither constants of a module nor an instance's own contents are reported."""
    kit = keeping.Own()
    kit.keep(Principal("http", "demo", "ada-1"))

    assert [*kept_of_request(keeping.Own, (kit,), "ada-1", ("tests.outside",))] == []


def test_a_person_is_found_in_keys_and_in_principals() -> None:
    """A person is found in the keys of a cache and in principals."""
    principal = Principal("http", "demo", "ada-1")

    assert mentions({principal: 1}, "ada-1")
    assert mentions({("a", "mail of ada-1"): 1}, "ada-1")
    assert not mentions({"a": 1}, "ada-1")


class Frozen:
    """Has a class attribute that belongs to nobody."""

    names: ClassVar[dict[str, int]] = {"a": 1}


def test_what_all_read_is_not_shared_by_two() -> None:
    """A table on a class is not reported as shared by two instances."""
    assert [*shared(Frozen(), Frozen(), packages=HERE)] == []


def test_what_nobody_can_change_is_no_finding() -> None:
    """An immutable object, such as the empty query that SQLAlchemy's URLs share, is not reported."""
    one, other = Kit(make_url("sqlite://")), Kit(make_url("sqlite://"))
    assert one.held.query is other.held.query
    assert list(shared(one, other)) == []
