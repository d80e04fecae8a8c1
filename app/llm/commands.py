"""Reading `key=value` arguments by a tool's JSON schema, and writing the schema as one line for a person.

A schema may come from an external MCP server, so an odd one yields plain text arguments instead of an exception.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import pydantic_core

from app.errors import InvalidMessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic_ai.tools import ToolDefinition

_ARGUMENT = re.compile(
    r"""
    (?:(?P<key>[^\W\d]\w*)=)?
    (?:"(?P<straight>(?:[^"\\]|\\.)*)" | “(?P<curly>[^”]*)” | (?P<bare>[\[{]\S* | [^\s"“]*))  # bare: JSON, or a word
    (?:\s+|$)
    """,
    re.DOTALL | re.VERBOSE,
)
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "yes or no",
    "array": "a list, separated by commas",
    "object": "a JSON object",
    "string": "text",
}
_PLACEHOLDERS = {"integer": "NUMBER", "number": "NUMBER", "boolean": "yes|no", "array": "LIST", "object": "JSON"}


def read_arguments(text: str, tool: ToolDefinition) -> dict[str, Any]:
    """Return the text after a tool's name as arguments, each of the type that the tool's schema asks for.

    A word is `key=value` or, without a key, the next parameter in schema order that has no value yet. Double quotes,
    straight or curly, keep words together; an apostrophe is a letter like any other.

    Raises:
        InvalidMessageError: The quoting cannot be read, a parameter is unknown, missing, given twice or of another
            type, or there are more values than parameters; the message is meant for the person.
    """
    properties = _properties(tool)
    arguments: dict[str, Any] = {}
    for key, value in _split(text):
        name = key or next((name for name in properties if name not in arguments), None)
        if name is None:
            raise InvalidMessageError(f"{tool.name} takes no more values; put double quotes around several words")
        if name not in properties:
            raise InvalidMessageError(f"{tool.name} has no parameter {name}")
        if name in arguments:
            raise InvalidMessageError(f"{name} is given twice")
        arguments[name] = coerce(name, value, tool)
    if missing := [name for name in tool.parameters_json_schema.get("required", ()) if name not in arguments]:
        raise InvalidMessageError(f"{tool.name} also needs {', '.join(missing)}")
    return arguments


def coerce(name: str, text: str, tool: ToolDefinition) -> Any:
    """Return the text as the type that the tool's schema gives the parameter; unchanged if it gives no type.

    Raises:
        InvalidMessageError: The text is not of that type.
    """
    kinds = dict(_kinds(_properties(tool).get(name), tool))
    for kind in sorted(kinds, key=lambda kind: kind == "string"):  # text takes anything, so it comes last
        try:
            return _read_list(text, kinds[kind], tool) if kind == "array" else _READERS[kind](text)
        except ValueError:
            continue
    if kinds:
        raise InvalidMessageError(f"{name} takes {' or '.join(_NAMES[kind] for kind in kinds)}, not {text[:40]!r}")
    return text


def usage(tool: ToolDefinition) -> str:
    """Return the command with its parameters, optional ones in brackets: `gmail_search query=TEXT [limit=NUMBER]`."""
    required = tool.parameters_json_schema.get("required", ())
    words = [tool.name]
    for name, schema in _properties(tool).items():
        word = f"{name}={_placeholder(schema, tool)}"
        words.append(word if name in required else f"[{word}]")
    return " ".join(words)


def _split(text: str) -> Iterator[tuple[str | None, str]]:
    """Yield each word as its key, or None, and its value without quotes."""
    text, position = text.strip(), 0
    while position < len(text):
        word = _ARGUMENT.match(text, position)
        if word is None:
            raise InvalidMessageError(
                f'I cannot read the quotes after this point: {text[position:][:40]}. Write key="…"'
            )
        straight, curly, bare = word.group("straight", "curly", "bare")
        yield word["key"], re.sub(r'\\(["\\])', r"\1", straight) if straight is not None else curly or bare or ""
        position = word.end()


def _properties(tool: ToolDefinition) -> dict[str, Any]:
    return tool.parameters_json_schema.get("properties") or {}


def _kinds(schema: Any, tool: ToolDefinition) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every JSON type that the schema allows with the part that says so, references and unions followed."""
    definitions = tool.parameters_json_schema.get("$defs", {})
    pending, followed = [schema], set()
    while pending:
        part = pending.pop(0)
        if not isinstance(part, dict):
            continue
        reference = part.get("$ref")
        if reference and reference not in followed:
            followed.add(reference)
            pending.append(definitions.get(reference.rpartition("/")[2]))
        for union in ("anyOf", "oneOf", "allOf"):
            pending += part.get(union, ())
        types = part.get("type", ())
        for kind in (types,) if isinstance(types, str) else types:
            if kind in _NAMES:
                yield kind, part


def _placeholder(schema: Any, tool: ToolDefinition) -> str:
    words = []
    for kind, part in _kinds(schema, tool):
        choices = part.get("enum") or ([part["const"]] if "const" in part else [])
        words += [str(choice) for choice in choices] or [_PLACEHOLDERS.get(kind, "TEXT")]
    return "|".join(dict.fromkeys(words)) or "TEXT"


def _read_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("JSON has no such number")
    return number


def _read_boolean(text: str) -> bool:
    if text.casefold() not in _TRUE | _FALSE:
        raise ValueError("neither yes nor no")
    return text.casefold() in _TRUE


def _read_json(text: str, kind: type[Any]) -> Any:
    value = pydantic_core.from_json(text, allow_inf_nan=False)  # its depth is limited, unlike the json module's
    if not isinstance(value, kind):
        raise ValueError("valid JSON of another type")
    return value


def _read_list(text: str, schema: dict[str, Any], tool: ToolDefinition) -> list[Any]:
    """Return a JSON array as it is, and other text split at commas, each item of the schema's scalar type."""
    if text.startswith("["):
        return list(_read_json(text, list))
    kinds = [kind for kind, _ in _kinds(schema.get("items"), tool) if kind in _READERS]
    read = _READERS[kinds[0]] if kinds else str
    return [read(item.strip()) for item in text.split(",") if item.strip()]


_READERS: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "number": _read_number,
    "boolean": _read_boolean,
    "object": lambda text: _read_json(text, dict),
    "string": str,
}
