"""Arguments that a tool's JSON schema allows, for a dry run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# https://json-schema.org/draft/2020-12/json-schema-validation#section-7.3
_FORMATS = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "time": "03:04:05Z",
    "email": "somebody@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_DEPTH = 8  # objects in objects; a schema may refer to itself


def sample(schema: Mapping[str, Any]) -> Any:
    """Return a value that fits this schema, with its required fields."""
    return _value(schema, schema.get("$defs", {}), _DEPTH)


def _value(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> Any:
    if depth == 0:
        return None
    if "$ref" in schema:
        return _value(definitions.get(schema["$ref"].rpartition("/")[2], {}), definitions, depth - 1)
    if "const" in schema:
        return schema["const"]
    for key in ("enum", "examples"):
        if schema.get(key):
            return schema[key][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _value(schema[key][0], definitions, depth - 1)
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {name: _value(fields.get(name, {}), definitions, depth - 1) for name in schema.get("required", ())}
        case "array":
            items = schema.get("items", {})
            return [_value(items, definitions, depth - 1) for _ in range(max(1, schema.get("minItems", 1)))]
        case "integer" | "number":
            lowest = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
            return min(lowest, schema["maximum"]) if "maximum" in schema else lowest
        case "boolean":
            return False
        case "null":
            return None
    text = _FORMATS.get(schema.get("format", ""), "sample")
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", len(text) + 1000)]
