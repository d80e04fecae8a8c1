"""`deputy tools`: list the agents' tools."""

from __future__ import annotations

import json
from typing import Any

import typer

from app.commands.common import CONFIG, ConfigOption, JsonOption, configured, run
from app.commands.tables import print_table
from app.settings import Settings

tools = typer.Typer(no_args_is_help=True, help="List the agents' tools.")


@tools.command(name="list")
def list_tools(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """List every tool with the agents that have it, its effect and the OAuth scopes that it needs."""
    found = run(_tools(configured(config)))
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = [
        (
            *(tool["name"], tool["effect"], ", ".join(tool["agents"]) or "none"),
            "\n".join(scope.rpartition("/")[2] for scope in tool["oauth_scopes"]) or "none",
            tool["description"],
        )
        for tool in found
    ]
    columns = ("tool", "effect", "agents", "OAuth scopes", "description")
    print_table(columns, rows, wrapped=("agents", "OAuth scopes", "description"))


async def _tools(settings: Settings) -> list[dict[str, Any]]:
    from app.sandbox.attachment import configured_for_sandbox
    from containers.build import build
    from containers.toolkits import toolkit_class

    container = build(configured_for_sandbox(settings))
    return [
        {
            "name": name,
            "toolkit": toolkit,
            "effect": spec.effect.value,
            "agents": [agent for agent, section in settings.led_agents().items() if toolkit in section.toolkits],
            "oauth_scopes": list(spec.oauth_scopes),
            "description": (spec.definition.description or "").partition("\n")[0],
        }
        for toolkit, provider in container.toolkits.providers.items()
        for name, spec in toolkit_class(provider).tools().items()
    ]
