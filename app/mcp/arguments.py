"""The arguments of a call, checked as far as it takes no time that the server's schema decides on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from app.toolkits.checked_arguments import CheckedArguments, Fault

_TYPES: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {
        "string": lambda value: isinstance(value, str),
        "integer": lambda value: (
            (isinstance(value, int) and not isinstance(value, bool))
            or (isinstance(value, float) and value.is_integer())
        ),
        "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": lambda value: isinstance(value, bool),
        "array": lambda value: isinstance(value, list),
        "object": lambda value: isinstance(value, dict),
        "null": lambda value: value is None,
    }
)


class McpArguments(CheckedArguments):
    """Checks names and types of a tool's arguments; the server checks the rest.

    A whole JSON schema is a program: a pattern or nested references of a hostile server could occupy the process for
    hours. So nothing but the arguments' names, their types and their presence is checked here, which is enough that a
    person is not asked to approve a call that the server is certain to refuse.

    Args:
        schema: The schema of the arguments.
    """

    def __init__(self, tool: str, schema: Mapping[str, Any]) -> None:
        super().__init__(tool)
        properties, required = schema.get("properties"), schema.get("required")
        self._properties = properties if isinstance(properties, Mapping) else {}
        self._required = [each for each in required if isinstance(each, str)] if isinstance(required, list) else []
        self._is_closed = schema.get("additionalProperties") is False and "patternProperties" not in schema

    def faults(self, arguments: object) -> Iterator[Fault]:
        """Yield the arguments that are missing, unknown or of another type."""
        if not isinstance(arguments, dict):
            yield (), "arguments are an object"
            return
        yield from (((name,), "Field required") for name in self._required if name not in arguments)
        for name, value in arguments.items():
            schema = self._properties.get(name)
            if schema is None and self._is_closed:
                yield (name,), "there is no such argument"
            allowed = schema.get("type") if isinstance(schema, Mapping) else None
            types = [allowed] if isinstance(allowed, str) else allowed if isinstance(allowed, list) else []
            known = [each for each in types if isinstance(each, str) and each in _TYPES]
            if known and not any(_TYPES[each](value) for each in known):
                yield (name,), f"Input should be of the type {' or '.join(known)}"
