"""The class of a scoped object after its scope has closed: a subclass of the same type that refuses every use."""

from __future__ import annotations

from types import FunctionType, WrapperDescriptorType
from typing import Any, NoReturn
from weakref import WeakKeyDictionary, ref

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement
_IMMUTABLE_TYPE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: refuses a change of __class__

# These run on the class rather than on the instance, or describe how an instance's memory is laid out.
_KEPT = frozenset(
    {
        "__new__",
        "__init__",
        "__del__",
        "__dict__",
        "__weakref__",
        "__class__",
        "__init_subclass__",
        "__subclasshook__",
        "__class_getitem__",
    }
)


class ScopeError(RuntimeError):
    """A request scope was used in a way that could mix two requests; the message says what to do."""


class OutsideScopeError(ScopeError):
    """A scoped provider was called directly, and not by a scope.

    Attributes:
        provider: Its name in messages.
    """

    def __init__(self, provider: str) -> None:
        self.provider = provider
        super().__init__(
            f"{provider} was called directly, outside a scope's `get`: `async with Scope(...) as scope`, then "
            "`scope.get(provider)`. A constructor, @inject with Provide[...] and a singleton cannot call it, even "
            "while a scope is open; let the container declare it as an argument, and get the outermost object"
        )


class _Dead:
    """Comes first among the bases of a tombstone, so that nothing of the real class answers."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep the real class's hook from taking the tombstone for a new subclass of its own."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":  # isinstance() asks for it
            return object.__getattribute__(self, name)
        return _refuse(self, f".{name}")

    def __setattr__(self, name: str, value: object) -> None:
        _refuse(self, f".{name} = ...")

    def __delattr__(self, name: str) -> None:
        _refuse(self, f"del .{name}")

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} of a closed scope>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:  # by identity, so that a collection can drop a dead object
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)


def _refuse(dead: object, use: str) -> NoReturn:
    raise ScopeError(
        f"{type(dead).__qualname__} was used after its scope closed ({use}); keep what you need of it, not the object"
    )


def bury(obj: object) -> None:
    """Give the object its tombstone, if its class has one; a dead object stays as it is."""
    if (dead := tombstone(type(obj))) is not None:
        object.__setattr__(obj, "__class__", dead)


def is_dead(obj: object) -> bool:
    """Return whether the object has been given its tombstone, so that every use of it raises."""
    return issubclass(type(obj), _Dead)


def tombstone(cls: type) -> type | None:
    """Return the class that an instance of `cls` is given when its scope closes, or None where it cannot change.

    An instance stays an instance of `cls`. Its memory is not erased: somebody who reaches around Python's attribute
    access (`object.__getattribute__`, C code) still reads it.

    A type that is not made by a Python class statement cannot change its class, nor can one that inherits its own
    way of setting attributes from such a type. The class lives as long as a dead object of it does, or a provider that
    has asked for it; it keeps a class that is made for one request only no longer than that.
    """
    known = _tombstones.get(cls)
    dead = known() if known is not None else None
    if dead is None and (dead := _made(cls)) is not None:
        _tombstones[cls] = ref(dead)
    return dead


_tombstones: WeakKeyDictionary[type, ref[type]] = WeakKeyDictionary()
_metaclasses: WeakKeyDictionary[type, ref[type[type]]] = WeakKeyDictionary()


def _made(cls: type) -> type | None:
    flags = cls.__flags__
    if not flags & _HEAP_TYPE or flags & _IMMUTABLE_TYPE or _sets_attributes_in_c(cls) or issubclass(cls, _Dead):
        return None
    namespace = {
        "__slots__": (),
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        **{name: _refusal(name) for name in _operators(cls)},
    }
    if hasattr(cls, "__del__"):
        namespace["__del__"] = _deletion(cls)
    # Not type(cls)(...): neither the metaclass nor __init_subclass__ may run, a toolkit builds its schemas there.
    metaclass = _silent(type(cls))
    return type.__new__(metaclass, cls.__name__, (cls, _Dead), namespace)


def _silent(metaclass: type[type]) -> type[type]:
    """Return a metaclass whose classes look in their second base first.

    `cls` has to be the first base, or its instances could not change to the new class (their layout follows the
    first base); `_Dead` has to answer first.
    """

    def mro(self: type) -> list[type]:
        living, dead = self.__bases__
        return [self, dead, *living.__mro__]

    known = _metaclasses.get(metaclass)
    silent: type[type] | None = known() if known is not None else None
    if silent is None:
        silent = type.__new__(type(metaclass), metaclass.__name__, (metaclass,), {"mro": mro})
        _metaclasses[metaclass] = ref(silent)
    return silent


def _sets_attributes_in_c(cls: type) -> bool:
    return any(
        isinstance(vars(base).get("__setattr__"), WrapperDescriptorType) for base in cls.__mro__ if base is not object
    )


def _operators(cls: type) -> set[str]:
    """Return the special methods of `cls`: the interpreter finds them on the class, past `__getattribute__`.

    They may be anything that can be called or that a descriptor gives: functions, cached ones, `partialmethod`s.
    """
    return {
        name
        for base in cls.__mro__
        if base is not object
        for name, value in vars(base).items()
        if name.startswith("__")
        and name.endswith("__")
        and (callable(value) or hasattr(type(value), "__get__"))
        and name not in _KEPT
        and name not in vars(_Dead)
    }


def _refusal(name: str) -> FunctionType:
    def refuse(self: object, *args: object, **kwargs: object) -> NoReturn:
        _refuse(self, f"{name}()")

    return refuse  # type: ignore[return-value]  # a def is a FunctionType


def _deletion(cls: Any) -> FunctionType:
    def delete(self: object) -> None:
        object.__setattr__(self, "__class__", cls)  # what it holds is still its own to release
        cls.__del__(self)

    return delete  # type: ignore[return-value]  # a def is a FunctionType
