"""Translates discovery's dialect of JSON Schema into JSON Schema 2020-12.

The dialect: https://developers.google.com/discovery/v1/type-format
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

_RFC3339 = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$"
_FORMATS: Mapping[str, Mapping[str, Any]] = {
    "int32": {"minimum": -(2**31), "maximum": 2**31 - 1},
    "uint32": {"minimum": 0, "maximum": 2**32 - 1},
    "int64": {"pattern": r"^-?\d{1,19}$"},  # 64 bits travel as a string, because JavaScript's numbers hold 53
    "uint64": {"pattern": r"^\d{1,20}$"},
    "byte": {"pattern": r"^[A-Za-z0-9_-]*={0,2}$"},  # base64url, padded or not
    "date": {"pattern": r"^\d{4}-\d{2}-\d{2}$"},
    "date-time": {"pattern": _RFC3339},
    "google-datetime": {"pattern": _RFC3339},
    "google-duration": {"pattern": r"^-?\d+(\.\d{1,9})?s$"},
}


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of one discovery schema or parameter; objects allow only the properties they name."""
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    kind = schema.get("type", "any")
    if kind == "any":
        return {}
    converted: dict[str, Any] = {"type": kind, **_FORMATS.get(schema.get("format", ""), {})}
    for bound in ("minimum", "maximum"):
        if bound in schema:
            converted[bound] = float(schema[bound])
    if "pattern" in schema:
        converted["pattern"] = schema["pattern"]
    if "enum" in schema:
        converted["enum"] = list(schema["enum"])
    if kind == "array":
        converted["items"] = json_schema(schema.get("items", {}))
    if kind == "object":
        converted["properties"] = {name: json_schema(each) for name, each in schema.get("properties", {}).items()}
        more = schema.get("additionalProperties")
        converted["required"] = schema.get("required", [])
        converted["additionalProperties"] = json_schema(more) if isinstance(more, Mapping) else False
    return converted


def without_nulls(value: Any) -> Any:
    """Return a JSON value without the fields whose value is null."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


class Schemas:
    """The schemas of one API. Lives as long as its API; each schema's validator is built when first needed."""

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._schemas = schemas
        self._definitions = {name: json_schema(schema) for name, schema in schemas.items()}
        self._validators: dict[str, Draft202012Validator] = {}

    def error(self, name: str, value: object) -> str | None:
        """Return how and where a value violates the schema of this name, or None; it quotes keys but no values."""
        if name not in self._validators:
            self._validators[name] = Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": self._definitions})
        error = next(iter(self._validators[name].iter_errors(value)), None)
        if error is None:
            return None
        expected = f"{error.validator} is {error.validator_value!r}"
        about_keys = error.validator in {"additionalProperties", "required"}
        return f"{name}{error.json_path.removeprefix('$')}: {error.message if about_keys else expected}"

    def unknown(self, name: str, selection: Mapping[str, Any]) -> str | None:
        """Return the first field that a field mask names and the schema of this name has not, or None."""
        return self._unknown({"$ref": name}, selection)

    def _unknown(self, schema: Mapping[str, Any], selection: Mapping[str, Any]) -> str | None:
        schema = self._schemas[schema["$ref"]] if "$ref" in schema else schema
        if schema.get("type") == "array":
            return self._unknown(schema.get("items", {}), selection)
        if schema.get("type") == "any" or "*" in selection:
            return None
        for field, below in selection.items():
            described = schema.get("properties", {}).get(field, schema.get("additionalProperties"))
            if not isinstance(described, Mapping):
                return field
            if (found := self._unknown(described, below)) is not None:
                return found
        return None

    def missing(self, name: str, value: Mapping[str, Any], method_id: str) -> list[str]:
        """Return the properties that `value` lacks and the schema's annotations require in this method's request."""
        properties = self._schemas[name].get("properties", {})
        return [
            key
            for key, schema in properties.items()
            if key not in value and method_id in schema.get("annotations", {}).get("required", ())
        ]
