"""The objects that constructors can ask for by type: toolkits and channels get what they need from here."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

from dependency_injector import providers

from app.errors import DeputyError

AnyProvider = providers.Provider[Any]


class NotOfferedError(DeputyError):
    """A constructor asks for something that nothing provides. The message completes "its constructor …"."""


class Offers:
    """Providers by the type that a constructor asks for; lives while a container is built."""

    def __init__(self, offers: Mapping[type, AnyProvider]) -> None:
        self._offers: dict[Any, AnyProvider] = dict(offers)

    def add(self, kind: object, provider: AnyProvider) -> None:
        """Offer one more object."""
        self._offers[kind] = provider

    def find(self, kind: object) -> AnyProvider | None:
        """Return the provider of exactly this type, or None."""
        return next((provider for offered, provider in self._offers.items() if offered == kind), None)

    def arguments(self, makes: Callable[..., Any], given: Collection[str] = ()) -> dict[str, AnyProvider]:
        """Return a provider for each required parameter of a class or function, except those already given.

        Raises:
            NotOfferedError: A parameter has no usable annotation, or a type that is not offered.
        """
        function: object = getattr(makes, "__init__") if isinstance(makes, type) else makes  # noqa: B009
        if function is object.__init__:
            return {}
        try:
            hints = typing.get_type_hints(function)
        except NameError as error:
            raise NotOfferedError(f"has an annotation that cannot be read: {error}") from error
        arguments = {}
        for parameter in inspect.signature(makes).parameters.values():
            if parameter.name in given or parameter.default is not parameter.empty:
                continue
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise NotOfferedError(f"takes {parameter}; name each parameter instead")
            wanted = hints.get(parameter.name)
            provider = self.find(wanted)
            if provider is None:
                asked = f"{parameter.name}: {_in_words(wanted)}" if wanted else f"{parameter}, untyped"
                has = ", ".join(sorted(map(_in_words, self._offers)))
                raise NotOfferedError(f"asks for {asked}; it can ask for: {has}")
            arguments[parameter.name] = provider
        return arguments


def _in_words(kind: object) -> str:
    """Return a type as its author writes it: ``Deadline``, ``Connection[Literal['github']]``."""
    if isinstance(origin := typing.get_origin(kind), type):
        return f"{origin.__name__}[{', '.join(map(_in_words, typing.get_args(kind)))}]"
    return str(getattr(kind, "__name__", kind)) if isinstance(kind, type) else str(kind).replace("typing.", "")
