"""Checks the arguments of tools that come with a JSON schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from app.errors import SettingsError
from app.toolkits.checked_arguments import CheckedArguments, Fault

_FAULT_LENGTH = 300  # characters; a fault quotes what the model sent


class SchemaArguments(CheckedArguments):
    """Checks a model's arguments against a JSON schema.

    References are resolved within the schema alone, so that no schema makes Deputy fetch anything.

    Raises:
        SettingsError: The schema is no JSON schema of an object, or refers to something outside it.
    """

    def __init__(self, tool: str, schema: Mapping[str, Any]) -> None:
        super().__init__(tool)
        if schema.get("type") != "object":
            raise SettingsError(f"the arguments of the tool {tool} are no object in its schema")
        kind = validator_for(schema, default=Draft202012Validator)
        try:
            kind.check_schema(dict(schema))
        except SchemaError as error:
            raise SettingsError(f"the schema of the tool {tool} is no JSON schema: {error.message}") from error
        _check_references(tool, schema)
        self._validator: Validator = kind(schema, registry=Registry())

    def faults(self, arguments: Any) -> Iterator[Fault]:
        """Yield what does not fit the schema."""
        for error in self._validator.iter_errors(arguments):
            yield tuple(error.absolute_path), error.message[:_FAULT_LENGTH]


def _check_references(tool: str, schema: Mapping[str, Any]) -> None:
    inside = Resource.from_contents(schema, default_specification=DRAFT202012)
    resolver = Registry[Any]().with_resource("", inside).resolver()
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable as error:
            raise SettingsError(f"the schema of the tool {tool} refers to {reference}, which is not in it") from error


def _references(schema: object) -> Iterator[str]:
    """Yield all references in a schema."""
    if isinstance(schema, Mapping):
        yield from (value for key in ("$ref", "$dynamicRef") if isinstance(value := schema.get(key), str))
    for part in schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ():
        yield from _references(part)
