"""Tools that are no methods of a toolkit: they come from another framework, with a schema of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets.abstract import SchemaValidatorProt
from pydantic_core import SchemaValidator

from app.approvals.question import Question
from app.errors import SettingsError
from app.oauth.provider import GOOGLE
from app.toolkits.rules import check_phrases, identities
from app.toolkits.toolkit import TOOL_NAME, Effect, ToolSpec


def given_tool(
    toolkit: str,
    method: str,
    *,
    description: str,
    schema: Mapping[str, Any],
    effect: Effect = Effect.ACT,
    connection: str | None = None,
    oauth_scopes: tuple[str, ...] = (),
    phrases: tuple[str, ...] = (),
    repeatable: bool = False,
    asks: Question | None = None,
    doing: str = "",
    validator: SchemaValidator | SchemaValidatorProt | None = None,
) -> ToolSpec:
    """Return the spec of a tool that its toolkit's `run_tool` runs.

    Args:
        toolkit: The toolkit's name, such as ``github``.
        method: The tool's name at its origin, such as ``create_issue``; the model calls ``github_create_issue``.
        description: The text by which the model chooses the tool.
        schema: The JSON schema of the arguments, an object's.
        effect: How far its changes reach; unless its origin is known to change nothing, it acts.
        connection: As for `tool`.
        oauth_scopes: As for `tool`.
        phrases: As for `tool`.
        repeatable: As for `tool`.
        asks: As for `tool`.
        doing: As for `tool`.
        validator: Checks the arguments; by default against the schema.

    Raises:
        SettingsError: The model cannot know the tool by its name, description or schema, or would say whom it acts for.
    """
    name = f"{toolkit}_{method}"
    if not TOOL_NAME.fullmatch(name):
        raise SettingsError(
            f"the tool {name!r} cannot have this name: lower case, digits and _, at most 64 characters, are possible"
        )
    if not description.strip():
        raise SettingsError(f"the tool {name} has no description; the model chooses a tool by it")
    if taken := identities(schema):
        raise SettingsError(
            f"the tool {name} takes {', '.join(sorted(taken))} from the model; "
            "whom a tool acts for is fixed by the scope"
        )
    check_phrases(f"the tool {name}", phrases, schema)
    if validator is None:
        from app.toolkits.schema_arguments import SchemaArguments  # no other start takes the time to import jsonschema

        validator = SchemaArguments(name, schema)
    return ToolSpec(
        name=name,
        method=method,
        effect=effect,
        connection=connection or (GOOGLE if oauth_scopes else None),
        oauth_scopes=oauth_scopes,
        phrases=phrases,
        repeatable=repeatable,
        asks=asks,
        doing=doing or f"using {name}",
        definition=ToolDefinition(
            name=name,
            description=description,
            parameters_json_schema=dict(schema),
            metadata={"effect": effect.value, "oauth_scopes": oauth_scopes, "phrases": phrases},
        ),
        validator=validator,
    )
