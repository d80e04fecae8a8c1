"""`deputy tools`: list the agents' tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import typer

from app.commands.common import CONFIG, ConfigOption, JsonOption, configured, run
from app.commands.tables import print_table
from app.sections.toolkits import AgnoToolkitSettings
from app.settings import Settings

if TYPE_CHECKING:
    from app.toolkits.toolkit import ToolSpec
    from containers.application import Application

tools = typer.Typer(no_args_is_help=True, help="List the agents' tools.")


@tools.command(name="list")
def list_tools(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """List every tool with the agents that have it, its effect, its origin and the access that it needs."""
    found = run(_tools(configured(config)))
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = [
        (
            *(tool["name"], tool["effect"], tool["origin"], ", ".join(tool["agents"]) or "none"),
            tool["connection"] or "none",
            "\n".join(scope.rpartition("/")[2] for scope in tool["oauth_scopes"]) or "none",
            tool["description"],
        )
        for tool in found
    ]
    columns = ("tool", "effect", "origin", "agents", "connection", "OAuth scopes", "description")
    print_table(columns, rows, wrapped=("agents", "OAuth scopes", "description"))


async def _tools(settings: Settings) -> list[dict[str, Any]]:
    from app.sandbox.attachment import configured_for_sandbox
    from containers.build import build
    from containers.toolkits import toolkit_class

    container = build(configured_for_sandbox(settings))
    try:
        seen = {server: await _seen_at(container, server) for server in settings.mcp}
    finally:
        await container.database().close()
    return [
        {
            "name": name,
            "toolkit": toolkit,
            "effect": spec.effect.value,
            "agents": [agent for agent, section in settings.led_agents().items() if toolkit in section.toolkits],
            "connection": spec.connection,
            "oauth_scopes": list(spec.oauth_scopes),
            "origin": _origin(toolkit, settings),
            "description": (spec.definition.description or "").partition("\n")[0],
        }
        for toolkit, provider in container.toolkits.providers.items()
        for name, spec in (seen.get(toolkit) or toolkit_class(provider).tools()).items()
    ]


def _origin(toolkit: str, settings: Settings) -> str:
    """Return where a toolkit comes from: google, mcp, agno or, if it is a class of the deployer's, own."""
    if toolkit in settings.mcp:
        return "mcp"
    if toolkit not in settings.toolkits:
        return "google"
    return "agno" if isinstance(settings.toolkits[toolkit], AgnoToolkitSettings) else "own"


async def _seen_at(container: Application, server: str) -> Mapping[str, ToolSpec]:
    """Return the tools of an MCP server as they are pinned; those that it was never asked for are unknown."""
    catalogue = container.mcp.providers[f"{server}.catalogue"]()
    if container.database().exists():
        with suppress(sa.exc.SQLAlchemyError):  # a database that is yet to be migrated
            await catalogue.load()
    tools: Mapping[str, ToolSpec] = {**catalogue.listing, **catalogue.tools}
    return tools
