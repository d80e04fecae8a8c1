"""Checks a call's parameters against the discovery document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.sandbox.google.discovery import Route


class ParameterError(Exception):
    """A parameter is unknown, missing, given twice, or does not fit the document."""


def read_parameters(
    route: Route, path_parameters: Mapping[str, str], query: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """Return the path's and the query's parameters, typed, with the document's defaults; repeated ones as a list.

    Raises:
        ParameterError: A parameter does not fit the method's description.
    """
    described = route.parameters
    given: dict[str, list[str]] = {name: [value] for name, value in path_parameters.items()}
    for name, value in query:
        if name not in described or described[name]["location"] != "query":
            raise ParameterError(f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.')
        given.setdefault(name, []).append(value)
    values = {name: _read(name, described[name], texts) for name, texts in given.items()}
    for name, about in described.items():
        if name not in values and "default" in about:
            values[name] = _typed(about, about["default"])
    if error := route.parameter_schema.error("Parameters", values):
        raise ParameterError(f"Invalid value. {error}")
    if values.get("alt") not in ("json", "media" if route.method.get("supportsMediaDownload") else "json"):
        raise ParameterError("The sandbox answers this method in JSON only: alt=json.")
    return values


def _read(name: str, about: Mapping[str, Any], texts: list[str]) -> Any:
    if about.get("repeated"):
        return [_typed(about, text) for text in texts]
    if len(texts) > 1:
        raise ParameterError(f"Parameter {name} takes one value; it was given {len(texts)} times.")
    return _typed(about, texts[0])


def _typed(about: Mapping[str, Any], text: str) -> Any:
    """Return a text's value; a text without a valid value stays as it is, for the schema to refuse."""
    # int() also reads "1_000" and " 1", which are not numbers on the wire.
    if about["type"] == "integer" and text.isascii() and text.removeprefix("-").isdecimal():
        return int(text)
    if about["type"] == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text
