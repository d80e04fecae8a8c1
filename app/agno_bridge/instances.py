"""Instances of agno's toolkit classes: built confined, and taken apart so that they die at once."""

from __future__ import annotations

import copy
import importlib
import inspect
import logging
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agno.tools.function import Function
from agno.tools.toolkit import Toolkit as ForeignToolkit

from app.agno_bridge.confinement import Confinement, confined
from app.agno_bridge.declaration import Argument
from app.agno_bridge.tools import ForeignTool
from app.errors import SettingsError
from app.toolkits.place import CommonPlace, part

# agno logs what its tools are called with and what they return, and people's mail must not stand in a log.
for _name in ("agno", "agno-team", "agno-workflow"):
    logging.getLogger(_name).addFilter(lambda record: False)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """How instances of one class are built. Lives as long as the process, and is nobody's.

    Attributes:
        cls: The class.
        arguments: The arguments of its constructor.
        confinement: The limits of its code.
        is_google: Its requests to Google are the sender's.
        parted: Where an instance is given a copy of what all instances would reach.
    """

    cls: type[ForeignToolkit]
    arguments: Mapping[str, Argument] = field(repr=False)
    confinement: Confinement
    is_google: bool = False
    parted: tuple[CommonPlace, ...] = ()

    def confinement_of(self, tool: ForeignTool) -> Confinement:
        """Return what a tool may reach."""
        return replace(self.confinement, machine=tool.machine)

    def build(self, tokens: Mapping[str, str], confinement: Confinement | None = None) -> ForeignToolkit:
        """Return a new instance, whose constructor may block.

        Args:
            tokens: The access token of the person, by connection.
            confinement: The limits of its constructor, if they differ from those of its tools.
        """
        given: dict[str, Any] = {
            name: tokens[argument.connection] if argument.connection is not None else _value(self.cls, name, argument)
            for name, argument in self.arguments.items()
        }
        with confined(confinement or self.confinement):
            made = self.cls(**given)
            for place in self.parted:
                part(made, place)
        if self.is_google:
            made.creds = HeldCredentials()  # type: ignore[attr-defined]  # of agno's GoogleToolkit
        return made

    def secrets(self) -> tuple[str, ...]:
        """Return the texts among the arguments, each of which may be a credential."""
        return tuple(each.value for each in self.arguments.values() if isinstance(each.value, str))


def _value(cls: type, name: str, argument: Argument) -> Any:
    """Return a copy of an argument's value; a text becomes a Path where the constructor takes only that."""
    if isinstance(argument.value, str):
        try:
            hint = typing.get_type_hints(cls.__init__).get(name)  # type: ignore[misc]  # of this very class
        except (NameError, TypeError):  # a hint that cannot be read
            return argument.value
        kinds = {hint, *typing.get_args(hint)}
        return Path(argument.value) if Path in kinds and str not in kinds else argument.value
    return copy.deepcopy(argument.value)


class HeldCredentials:
    """Stands in for credentials that agno asks whether they are valid. It holds nothing."""

    valid = True
    expired = False


def functions_of(toolkit: ForeignToolkit) -> dict[str, Function]:
    """Return an instance's functions by name; where there are two of one name, the one that runs in a thread.

    agno's asynchronous variants call blocking libraries too, and would hold up everybody's event loop.
    """
    return {**toolkit.async_functions, **toolkit.functions}


def entrypoint_of(toolkit: ForeignToolkit, tool: ForeignTool) -> Callable[..., Any]:
    """Return the method of an instance that a tool runs."""
    entrypoint = functions_of(toolkit)[tool.name].entrypoint
    assert entrypoint is not None  # the class was refused otherwise
    return entrypoint


def take_apart(toolkit: ForeignToolkit) -> None:
    """Close an instance and empty it. It would hold itself: toolkit → Function → bound method → toolkit."""
    with suppress(Exception):  # it is somebody else's code, and nobody waits for the outcome
        close = getattr(toolkit, "close", None)
        if callable(close) and not inspect.iscoroutinefunction(close):
            close()
    for function in functions_of(toolkit).values():
        function.entrypoint = None
    toolkit.__dict__.clear()


def load(import_path: str) -> type[ForeignToolkit]:
    """Return the class at ``package.module:Class``.

    Raises:
        SettingsError: It does not exist, its package is not installed, or it is no toolkit of agno's.
    """
    module, _, name = import_path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise SettingsError(f"cannot be imported: {module} has no {name}") from error
    except ImportError as error:  # agno's classes say which package to install
        raise SettingsError(f"cannot be imported: {str(error).splitlines()[0]}") from error
    except (Exception, SystemExit) as error:
        raise SettingsError(f"cannot be imported: {type(error).__name__}") from error
    if isinstance(found, ForeignToolkit):
        raise SettingsError("is an instance, which everybody would share; name the class")
    if not (inspect.isclass(found) and issubclass(found, ForeignToolkit) and found is not ForeignToolkit):
        raise SettingsError("is no toolkit of agno's; make it a class that inherits agno.tools.Toolkit")
    return found
