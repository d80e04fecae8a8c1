"""Tools that are not methods: their specs, and the toolkit that runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_ai import RunContext, RunUsage, ToolFailed
from pydantic_ai.models.test import TestModel

from app.errors import SettingsError, ToolError
from app.toolkits.given import given_tool
from app.toolkits.schema_arguments import SchemaArguments
from app.toolkits.toolkit import Effect, Toolkit, ToolSpec, tool

SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "labels": {"type": "array", "items": {"$ref": "#/$defs/label"}}},
    "required": ["title"],
    "additionalProperties": False,
    "$defs": {"label": {"enum": ["bug", "idea"]}},
}
CREATE = given_tool("issues", "create", description="Create an issue.", schema=SCHEMA)


class Issues(Toolkit, given=[CREATE]):
    """The issues of one person, in a system that describes its own tools."""

    name = "issues"

    def __init__(self, owner: str) -> None:
        self.owner = owner

    @tool(oauth_scopes=())
    async def count(self) -> int:
        """Count the issues."""
        return 3

    async def run_tool(self, spec: ToolSpec, tool_args: dict[str, Any], ctx: RunContext[Any]) -> Any:
        """Run the given tool, or a marked one."""
        if spec is not CREATE:
            return await super().run_tool(spec, tool_args, ctx)
        await asyncio.sleep(0)
        if tool_args["title"] == "refused":
            raise ToolError("This title is taken.")
        return f"{self.owner}: {tool_args['title']}"


async def call(toolkit: Toolkit, name: str, arguments: Mapping[str, Any]) -> Any:
    """Call a tool as the loop does."""
    checked = toolkit.tools()[name].validator.validate_python(arguments)
    return await toolkit.call_tool(name, checked, RunContext(deps=None, model=TestModel(), usage=RunUsage()))


async def test_given_tools_run_on_the_persons_own_toolkit() -> None:
    """Two people's calls each run on their own toolkit, for given tools and marked methods alike."""
    kits = [Issues(owner) for owner in ("ada", "grace") * 5]

    answers = await asyncio.gather(*(call(kit, "issues_create", {"title": "t"}) for kit in kits))

    assert answers == ["ada: t", "grace: t"] * 5
    assert await call(kits[0], "issues_count", {}) == 3


async def test_a_given_tools_error_is_told_to_the_model() -> None:
    """A given tool's error reaches the model, as a marked method's does."""
    with pytest.raises(ToolFailed, match="This title is taken"):
        await call(Issues("ada"), "issues_create", {"title": "refused"})


def test_a_given_tool_acts_unless_it_is_said_to_do_less() -> None:
    """A given tool counts as acting unless it is declared to do less."""
    assert CREATE.effect is Effect.ACT
    assert CREATE.definition.metadata == {"effect": "act", "oauth_scopes": (), "phrases": ()}


def test_a_subclass_takes_over_given_tools() -> None:
    """A subclass has the given tools of its base, as does the class that a closed scope gives its objects."""

    class Same(Issues):
        pass

    assert dict(Same.tools()) == dict(Issues.tools())


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({}, "'title' is a required property"),
        ({"title": 3}, "3 is not of type 'string'"),
        ({"title": "t", "labels": ["odd"]}, "'odd' is not one of"),
        ({"title": "t", "user": "grace"}, "Additional properties are not allowed"),
        ([], "is not of type 'object'"),
    ],
)
def test_arguments_that_do_not_fit_the_schema_are_refused(arguments: object, fault: str) -> None:
    """Arguments that do not fit the schema are refused with what is wrong."""
    with pytest.raises(ValidationError, match=fault):
        CREATE.validator.validate_python(arguments)


def test_arguments_come_as_json_too() -> None:
    """Arguments may come as JSON text, and invalid JSON is refused in the same way."""
    assert CREATE.validator.validate_json('{"title": "t"}') == {"title": "t"}
    with pytest.raises(ValidationError, match="Invalid JSON"):
        CREATE.validator.validate_json('{"title"')


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "string"}, "are no object"),
        ({"type": "object", "properties": {"a": {"type": "strong"}}}, "is no JSON schema"),
        ({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/s"}}}, "refers to http://127.0.0.1:1/s"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}}, "refers to #/"),
    ],
)
def test_a_schema_that_cannot_be_checked_is_refused(schema: dict[str, Any], fault: str) -> None:
    """A schema that cannot be checked is refused before a model sees the tool, and nothing is fetched for it."""
    with pytest.raises(SettingsError, match=fault):
        SchemaArguments("issues_create", schema)


@pytest.mark.parametrize(
    ("method", "description", "schema", "fault"),
    [
        ("Create Issue", "Create.", SCHEMA, "cannot have this name"),
        ("create", " ", SCHEMA, "has no description"),
        ("create", "Create.", {"type": "object", "properties": {"user_id": {"type": "string"}}}, "takes user_id"),
    ],
)
def test_a_tool_that_breaks_a_rule_is_refused(
    method: str, description: str, schema: dict[str, Any], fault: str
) -> None:
    """Given tools obey the rules of marked methods."""
    with pytest.raises(SettingsError, match=fault):
        given_tool("issues", method, description=description, schema=schema)


def test_given_tools_have_to_fit_their_class() -> None:
    """A given tool needs its toolkit's name, a unique name, and a toolkit that can run it."""
    with pytest.raises(SettingsError, match="is another toolkit's"):
        type("Odd", (Toolkit,), {"name": "odd"}, given=[CREATE])
    with pytest.raises(SettingsError, match="has two tools of the name issues_create"):
        type("Twice", (Issues,), {}, given=[CREATE])
    with pytest.raises(SettingsError, match="has no `run_tool`"):
        type("Idle", (Toolkit,), {"name": "issues"}, given=[CREATE])
