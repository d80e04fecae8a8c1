"""The tools of one of agno's toolkit classes, in the form in which the model reads them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from agno.tools.function import Function
from agno.utils.schema import AGNO_INJECTED_PARAMS, FRAMEWORK_INJECTED_PARAMS, is_framework_typed
from pydantic import PydanticUserError
from pydantic_ai import Tool, UserError

from app.agno_bridge.declaration import ForeignDeclaration
from app.errors import SettingsError
from app.toolkits.given import given_tool
from app.toolkits.toolkit import Effect, ToolSpec

_HIDDEN_NAMES = frozenset({"self", *FRAMEWORK_INJECTED_PARAMS, *AGNO_INJECTED_PARAMS})
_LOOSE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NO_PARAMETERS: Mapping[str, Any] = MappingProxyType({"type": "object", "properties": {}, "required": []})


@dataclass(frozen=True, slots=True)
class ForeignTool:
    """One tool of a class of agno's. Made once for a class, and shared by all requests.

    Attributes:
        name: Its name at agno.
        spec: Its description for the model.
        hidden: The parameters that agno's framework would fill in, and whether a call has to have each one.
        is_async: It runs on the event loop and not in a thread.
        machine: It may reach files and processes.
    """

    name: str
    spec: ToolSpec
    hidden: Mapping[str, bool]
    is_async: bool = False
    machine: bool = False


def foreign_tools(
    toolkit: str,
    found: Mapping[str, Function],
    declared: ForeignDeclaration,
    oauth_scopes: tuple[str, ...],
    *,
    of_the_machine: bool = False,
) -> tuple[ForeignTool, ...]:
    """Return the tools of a class.

    Args:
        toolkit: The toolkit's name in the settings.
        found: The functions of an instance, by name.
        declared: The class, as the settings declare it.
        oauth_scopes: The scopes that a tool needs if the settings name none for it.
        of_the_machine: The class works on files or processes, so only the tools in `allow_machine` are offered.

    Raises:
        SettingsError: A pattern fits no tool, or a tool cannot be offered.
    """
    if not found:
        raise SettingsError("it has no tools with these arguments")
    if unknown := sorted({*declared.allow_machine} - found.keys()):
        raise SettingsError(f"allow_machine: it has no tool {unknown[0]}; there are {', '.join(sorted(found))}")
    if of_the_machine:  # a C library's own calls are not seen, so an unnamed tool could not be confined
        found = {name: function for name, function in found.items() if name in declared.allow_machine}
    groups: dict[str, Iterable[str]] = {
        "reads": declared.reads,
        "acts": declared.acts,
        "oauth_scopes": declared.oauth_scopes,
    }
    for key, patterns in groups.items():
        for pattern in patterns:
            if not fits(found, pattern):
                raise SettingsError(f"{key}: no tool fits {pattern!r}; there are {', '.join(sorted(found))}")
    connections = sorted({each.connection for each in declared.arguments.values() if each.connection is not None})
    if len(connections) > 1:
        raise SettingsError(f"arguments: it takes one connection only; here are {', '.join(connections)}")
    connection = connections[0] if connections else None
    return tuple(_tool(toolkit, name, each, declared, connection, oauth_scopes) for name, each in found.items())


def fits(names: Iterable[str], *patterns: str) -> bool:
    """Return whether one of these names fits one of the patterns."""
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _tool(
    toolkit: str,
    name: str,
    function: Function,
    declared: ForeignDeclaration,
    connection: str | None,
    oauth_scopes: tuple[str, ...],
) -> ForeignTool:
    entry = function.entrypoint
    if entry is None or function.external_execution or function.requires_user_input:
        raise SettingsError(_beyond(name, "is run by agno's own loop only"))
    if function.pre_hook or function.post_hook or function.tool_hooks:
        raise SettingsError(_beyond(name, "has hooks, which agno's own loop alone runs"))
    reads = fits([name], *declared.reads) and not fits([name], *declared.acts)
    scopes = next((found for pattern, found in declared.oauth_scopes.items() if fits([name], pattern)), oauth_scopes)
    parameters, hidden = _parameters(entry)
    made = _described(f"{toolkit}_{name}".lower(), entry, function, parameters)
    description = (function.description or inspect.getdoc(entry) or "").strip() or made.description
    schema = made.function_schema.json_schema
    validator = made.function_schema.validator
    loose = any(parameter.kind in _LOOSE for parameter in parameters)
    own_schema = function.parameters if function.parameters.get("properties") else None
    options: dict[str, Any] = {} if loose and own_schema else {"validator": validator}
    try:
        spec = given_tool(
            toolkit,
            name.lower(),
            description=description or name.replace("_", " "),
            schema=_without(own_schema, hidden) if loose and own_schema else schema,
            effect=Effect.READ if reads and not function.requires_confirmation else Effect.ACT,
            connection=connection,
            oauth_scopes=scopes,
            doing=f"using {toolkit}: {name.replace('_', ' ')}",
            **options,
        )
    except SettingsError as error:
        raise SettingsError(f"{error}. Leave it out with arguments: {{exclude_tools: [{name}]}}") from error
    is_async = inspect.iscoroutinefunction(entry) or inspect.isasyncgenfunction(entry)
    return ForeignTool(name, spec, MappingProxyType(hidden), is_async, name in declared.allow_machine)


def _parameters(entry: Callable[..., Any]) -> tuple[list[inspect.Parameter], dict[str, bool]]:
    """Return the parameters that the model fills in, with their types, and those that agno's framework would."""
    try:
        hints = typing.get_type_hints(inspect.unwrap(entry), include_extras=True)
    except (NameError, TypeError):
        hints = dict(getattr(entry, "__annotations__", {}))
    shown, hidden = [], {}
    for parameter in inspect.signature(entry).parameters.values():
        hint = hints.get(parameter.name, parameter.annotation)
        if parameter.name in _HIDDEN_NAMES or _is_of_the_framework(hint):
            hidden[parameter.name] = parameter.default is parameter.empty
        else:
            shown.append(parameter.replace(annotation=hint))
    return shown, hidden


def _is_of_the_framework(hint: Any) -> bool:
    try:
        return bool(is_framework_typed(hint))
    except Exception:  # what cannot be read is not handed to the model
        return True


def _described(
    name: str, entry: Callable[..., Any], function: Function, parameters: list[inspect.Parameter]
) -> Tool[Any]:
    """Return the tool that pydantic-ai makes of a signature."""
    named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters if each.kind not in _LOOSE]

    async def stand_in(**_: Any) -> None:
        """Say what the tool is called with; it is never run."""

    stand_in.__doc__ = inspect.getdoc(entry) or function.description
    stand_in.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]  # inspect looks for it
    stand_in.__annotations__ = {each.name: each.annotation for each in named if each.annotation is not each.empty}
    try:
        return Tool[Any](stand_in, name=name, takes_ctx=False)
    except (PydanticUserError, UserError, TypeError, ValueError) as error:
        raise SettingsError(
            _beyond(function.name, f"has parameters without a schema ({type(error).__name__})")
        ) from error


def _without(schema: Mapping[str, Any], hidden: Mapping[str, bool]) -> dict[str, Any]:
    """Return a schema of agno's without the parameters that are not the model's."""
    properties = {name: value for name, value in schema.get("properties", {}).items() if name not in hidden}
    required = [name for name in schema.get("required", ()) if name not in hidden]
    return {**_NO_PARAMETERS, **schema, "properties": properties, "required": required}


def _beyond(name: str, what: str) -> str:
    return f"its tool {name} {what}; leave it out with arguments: {{exclude_tools: [{name}]}}"
