"""Classes whose code keeps something of a person for everybody, each in another place, and one that does not."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from app.principal import Principal

TABLE = {"red": 1}
_notes: list[str] = []
_by_person: dict[str, int] = {}
_by_principal: dict[Principal, int] = {}
_last = ""
_objects: list[Thing] = []
_here = sys.modules[__name__]


class Thing:
    """An object that holds no text."""


class ClassWide:
    """Keeps it in an attribute of its class."""

    notes: ClassVar[list[str]] = []

    def keep(self, principal: Principal) -> None:
        """Keep the person's mail."""
        self.notes.append(f"mail of {principal.user}")


class Based(ClassWide):
    """Keeps it in an attribute of its base class."""


class _Text:
    """A descriptor that keeps a text for each instance, by its address."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}

    def __set__(self, instance: object, value: str) -> None:
        self._texts[id(instance)] = value


class Described:
    """Keeps it in a descriptor."""

    text = _Text()

    def keep(self, principal: Principal) -> None:
        """Keep the person's name."""
        self.text = principal.user


class ByProperty:
    """Keeps it in a variable that a property uses."""

    @property
    def text(self) -> list[str]:
        """Return the variable."""
        return _notes

    def keep(self, principal: Principal) -> None:
        """Keep the person's name."""
        self.text.append(principal.user)


def _note(text: str) -> None:
    _notes.append(text)


class ByFunction:
    """Keeps it in a variable, through a function that it calls."""

    def keep(self, principal: Principal) -> None:
        """Keep the person's name."""
        _note(principal.user)


class ByModule:
    """Keeps it in an attribute of a module."""

    def keep(self, principal: Principal) -> None:
        """Keep the person's name."""
        _here._notes.append(principal.user)


class Helper:
    """Keeps notes on its class."""

    notes: ClassVar[list[str]] = []


class ByHelper:
    """Keeps it in another class."""

    def keep(self, principal: Principal) -> None:
        """Keep the person's name."""
        Helper.notes.append(principal.user)


class ByStatic:
    """Keeps it through a static method."""

    @staticmethod
    def keep(principal: Principal) -> None:
        """Keep the person's name."""
        _notes.append(principal.user)


class ByKey:
    """Keeps it in the key of a dictionary."""

    def keep(self, principal: Principal) -> None:
        """Keep the person's name."""
        _by_person[principal.user] = 1


class ByPrincipal:
    """Keeps it in a dictionary of principals."""

    def keep(self, principal: Principal) -> None:
        """Keep the principal."""
        _by_principal[principal] = 1


@lru_cache
def _found(user: str) -> str:
    return f"mail of {user}"


class Cached:
    """Keeps it in the cache of a function."""

    def keep(self, principal: Principal) -> None:
        """Keep the person's mail."""
        _found(principal.user)


class Globally:
    """Keeps it in a global variable that is rebound."""

    def keep(self, principal: Principal) -> None:
        """Keep the person's name."""
        global _last
        _last = principal.user


class Weakly:
    """Keeps the instance itself in a weak dictionary."""

    def keep(self, principal: Principal) -> None:
        """Keep the instance."""
        _kits["last"] = self


_kits: WeakValueDictionary[str, Weakly] = WeakValueDictionary()


class Object:
    """Keeps an object in a list, without any text about the person."""

    def keep(self, principal: Principal) -> Thing:
        """Keep a new object, and return it."""
        _objects.append(thing := Thing())
        return thing


class Own:
    """Keeps it in its instance."""

    def __init__(self) -> None:
        self.notes: list[Any] = []

    def keep(self, principal: Principal) -> int:
        """Keep the principal."""
        self.notes.append(principal)
        return TABLE["red"]


def forget() -> None:
    """Forget everything that was kept."""
    global _last
    _last = ""
    for kept in (_notes, _by_person, _by_principal, _objects, _kits, ClassWide.notes, Helper.notes):
        kept.clear()
    Described.__dict__["text"]._texts.clear()
    _found.cache_clear()
