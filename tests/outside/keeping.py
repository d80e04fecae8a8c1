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
    """An object without a text."""


class ClassWide:
    """In an attribute of its class."""

    notes: ClassVar[list[str]] = []

    def keep(self, principal: Principal) -> None:
        """Keep it."""
        self.notes.append(f"mail of {principal.user}")


class Based(ClassWide):
    """In an attribute of its base."""


class _Text:
    """Keeps a text for each instance, by its address."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}

    def __set__(self, instance: object, value: str) -> None:
        self._texts[id(instance)] = value


class Described:
    """In a descriptor."""

    text = _Text()

    def keep(self, principal: Principal) -> None:
        """Keep it."""
        self.text = principal.user


class ByProperty:
    """In a variable that a property uses."""

    @property
    def text(self) -> list[str]:
        """Return it."""
        return _notes

    def keep(self, principal: Principal) -> None:
        """Keep it."""
        self.text.append(principal.user)


def _note(text: str) -> None:
    _notes.append(text)


class ByFunction:
    """In a variable that a function uses which it calls."""

    def keep(self, principal: Principal) -> None:
        """Keep it."""
        _note(principal.user)


class ByModule:
    """In an attribute of a module."""

    def keep(self, principal: Principal) -> None:
        """Keep it."""
        _here._notes.append(principal.user)


class Helper:
    """Keeps notes on its class."""

    notes: ClassVar[list[str]] = []


class ByHelper:
    """In another class."""

    def keep(self, principal: Principal) -> None:
        """Keep it."""
        Helper.notes.append(principal.user)


class ByStatic:
    """By a static method."""

    @staticmethod
    def keep(principal: Principal) -> None:
        """Keep it."""
        _notes.append(principal.user)


class ByKey:
    """In the key of a table."""

    def keep(self, principal: Principal) -> None:
        """Keep it."""
        _by_person[principal.user] = 1


class ByPrincipal:
    """In a table of principals."""

    def keep(self, principal: Principal) -> None:
        """Keep it."""
        _by_principal[principal] = 1


@lru_cache
def _found(user: str) -> str:
    return f"mail of {user}"


class Cached:
    """In the cache of a function."""

    def keep(self, principal: Principal) -> None:
        """Keep it."""
        _found(principal.user)


class Globally:
    """In a variable that is bound again."""

    def keep(self, principal: Principal) -> None:
        """Keep it."""
        global _last
        _last = principal.user


class Weakly:
    """In a weak table, which has the instance itself."""

    def keep(self, principal: Principal) -> None:
        """Keep it."""
        _kits["last"] = self


_kits: WeakValueDictionary[str, Weakly] = WeakValueDictionary()


class Object:
    """In a list, without a word about the person."""

    def keep(self, principal: Principal) -> Thing:
        """Keep it."""
        _objects.append(thing := Thing())
        return thing


class Own:
    """In its instance."""

    def __init__(self) -> None:
        self.notes: list[Any] = []

    def keep(self, principal: Principal) -> int:
        """Keep it."""
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
