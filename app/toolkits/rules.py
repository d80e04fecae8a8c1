"""Rules for toolkit classes, checked when a class is made, so that a mistake stops the start."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence, MutableSet, Set
from types import FunctionType
from typing import Any

from pydantic_ai import Tool

from app.errors import SettingsError

# No tool takes from the model whom it acts for: that is the principal of the scope it was built in, and nobody else.
IDENTITY_PARAMETERS = frozenset({"account", "principal", "user_id", "email_account", "credentials", "token"})


def refuse_shared_state(classes: Iterable[type], read_only: Set[str] = frozenset()) -> None:
    """Pass when no class has a mutable collection or a cached function as an attribute, private ones included.

    Args:
        classes: The classes.
        read_only: Names of collections that are known to be copied, and never changed.

    Raises:
        SettingsError: One has; all people would share it.
    """
    for cls in classes:
        for name, value in vars(cls).items():
            special = (name.startswith("__") and name.endswith("__")) or name in read_only
            if isinstance(value, (MutableSequence, MutableMapping, MutableSet)) and not special:
                raise SettingsError(
                    f"{cls.__qualname__}.{name} is a {type(value).__name__} that all people would share; "
                    "make it in the constructor, or make it a tuple, a frozenset or a MappingProxyType"
                )
            if hasattr(value, "cache_clear"):  # functools.lru_cache and cache
                raise SettingsError(
                    f"{cls.__qualname__}.{name} is cached for all people, and keeps their toolkits alive; "
                    "keep what it remembers in the instance"
                )


def check_parameters(place: str, function: FunctionType, tool: Tool[Any]) -> None:
    """Pass when the model can know each parameter, and none says whom the tool acts for.

    Args:
        place: Where the tool is, for the message: ``GmailToolkit.search``.
        function: The tool's function.
        tool: The tool that pydantic-ai made from it.

    Raises:
        SettingsError: There is no docstring, a parameter without a name, or one that names a person or their keys.
    """
    if not tool.description:
        raise SettingsError(f"{place} has no docstring; the model chooses a tool by it")
    signature = inspect.signature(function).parameters
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if loose := [parameter.name for parameter in signature.values() if parameter.kind not in named]:
        raise SettingsError(f"{place} takes {', '.join(loose)}; a tool names each of its parameters")
    if taken := {*IDENTITY_PARAMETERS.intersection(signature), *identities(tool.function_schema.json_schema)}:
        raise SettingsError(
            f"{place} takes {', '.join(sorted(taken))} from the model; "
            "whom a tool acts for is fixed by the scope: take it in the constructor"
        )


def identities(schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the parameters in a JSON schema, nested ones included, that say whom a tool acts for."""
    return IDENTITY_PARAMETERS.intersection(_properties(schema))


def check_given(place: str, prefix: str, own: Iterable[str], given: Iterable[str]) -> None:
    """Pass when the tools that a class is given are named after it, each differently, and unlike its own.

    Args:
        place: The class, for the message.
        prefix: The beginning of their names.
        own: The names of the tools that the class has already.
        given: The names of the tools that it is given.

    Raises:
        SettingsError: They are not.
    """
    taken = {*own}
    for name in given:
        if not name.startswith(prefix):
            raise SettingsError(f"{place} is given the tool {name}, which is another toolkit's")
        if name in taken:
            raise SettingsError(f"{place} has two tools of the name {name}")
        taken.add(name)


def check_phrases(place: str, phrases: Iterable[str], schema: Mapping[str, Any]) -> None:
    """Pass when each phrase is a regular expression whose named groups are the tool's parameters.

    Raises:
        SettingsError: One is not, or it finds no value for a parameter that has to have one.
    """
    parameters, required = set(schema.get("properties", {})), set(schema.get("required", ()))
    for phrase in phrases:
        try:
            groups = set(re.compile(phrase, re.IGNORECASE | re.DOTALL).groupindex)
        except re.error as error:
            raise SettingsError(f"{place} has a phrase that is no regular expression, {phrase!r}: {error}") from error
        if unknown := groups - parameters:
            raise SettingsError(f"{place} has no parameter {', '.join(sorted(unknown))}, which {phrase!r} names")
        if missing := required - groups:
            raise SettingsError(f"{place} needs {', '.join(sorted(missing))}, which {phrase!r} does not find")


def check_files(place: str, parameters: Iterable[str], schema: Mapping[str, Any]) -> None:
    """Pass when a tool has the parameters that it says are files.

    Raises:
        SettingsError: It lacks one, so the files would never be fetched.
    """
    if missing := set(parameters) - set(schema.get("properties", {})):
        raise SettingsError(f"{place} has no parameter {', '.join(sorted(missing))}, which `files` names")


def _properties(schema: object) -> Iterator[str]:
    """Yield the names of all properties in a JSON schema, including those of nested objects."""
    if isinstance(schema, dict):
        properties = schema.get("properties")
        yield from properties if isinstance(properties, dict) else ()
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _properties(part)
