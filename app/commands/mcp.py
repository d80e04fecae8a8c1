"""`deputy mcp`: what MCP servers say of their tools, and whether that is accepted."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from app.commands.common import CONFIG, FAILED, ConfigOption, JsonOption, configured, fail, run
from app.commands.container import moment, opened_container
from app.commands.doctor import in_words
from app.commands.mcp_checkup import discovered_provider, look_at_mcp
from app.commands.tables import print_table
from app.diagnosis import Verdict
from app.errors import ProviderError
from app.settings import Settings

mcp = typer.Typer(no_args_is_help=True, help="List and check the MCP servers, and accept changed tools.")

Server = Annotated[str, typer.Argument(help="The server's name in the settings.")]


@mcp.command(name="list")
def list_mcp(
    config: ConfigOption = CONFIG,
    server: Annotated[str | None, typer.Argument(help="Only this server.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the tools that were seen, with their effect, state and hash, and what a changed one says now."""
    settings = configured(config)
    found = [each for each in run(_pins(settings)) if server in (None, each["server"])]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    columns = ("server", "tool", "effect", "state", "hash", "first seen", "description")
    rows = [
        (
            *(each["server"], each["tool"], each["effect"], each["state"], each["hash"][:12], each["first_seen"]),
            each["description"] + (f" → {each['says_now']['description']}" if each["says_now"] else ""),
        )
        for each in found
    ]
    print_table(columns, rows, wrapped=("description",))


@mcp.command()
def check(config: ConfigOption = CONFIG) -> None:
    """Ask each server whether it answers, and compare its tools with those first seen; exit 1 if one does not."""
    settings = configured(config)
    if run(_check(settings)):
        raise typer.Exit(FAILED)


@mcp.command()
def accept(
    server: Server,
    tools: Annotated[list[str] | None, typer.Argument(help="Only these tools; by default all that changed.")] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Accept what a server now says of its changed tools, or where it now has people sign in.

    Running servers use it within a minute or so.
    """
    settings = configured(config)
    if server not in settings.mcp:
        fail(f"mcp: there is no server {server!r}", FAILED)
    accepted = run(_accept(settings, server, tools or []))
    moved = run(_accept_issuer(settings, server)) if settings.mcp[server].oauth is not None and not tools else None
    if moved is not None:
        print(
            f"accepted: people of {server} sign in at {moved[0]}; accounts that have to be connected again: {moved[1]}"
        )
    if accepted or moved is None:
        print(f"accepted: {', '.join(accepted)}" if accepted else f"nothing of {server} is waiting to be accepted")


async def _pins(settings: Settings) -> list[dict[str, Any]]:
    if not settings.mcp:
        return []
    async with opened_container(settings) as container:
        found = await container.mcp.providers["pins"]().all()
    return [
        {
            "server": pin.server,
            "tool": pin.tool,
            "effect": "read" if pin.server in settings.mcp and _reads(settings, pin.server, pin.tool) else "act",
            "state": "changed" if pin.changed_to else "accepted" if pin.server in settings.mcp else "not configured",
            "hash": pin.accepted.digest,
            "description": pin.accepted.description,
            "schema": pin.accepted.schema,
            "claims": pin.accepted.annotations,
            "first_seen": moment(pin.seen_at),
            "says_now": {
                "hash": pin.changed_to.digest,
                "description": pin.changed_to.description,
                "schema": pin.changed_to.schema,
            }
            if pin.changed_to
            else None,
        }
        for pin in found
    ]


def _reads(settings: Settings, server: str, tool: str) -> bool:
    from app.mcp.server import McpServer

    return McpServer(server, reads=settings.mcp[server].reads).is_read(tool)


async def _check(settings: Settings) -> bool:
    """Print what is found, and return whether there is a fault."""
    failed = False
    async with opened_container(settings) as container:
        async for each in look_at_mcp(container, settings):
            print(in_words(each), flush=True)
            failed = failed or each.verdict is Verdict.FAULT
    return failed


async def _accept(settings: Settings, server: str, tools: list[str]) -> list[str]:
    async with opened_container(settings) as container:
        accepted: list[str] = await container.mcp.providers["pins"]().accept(server, tools)
        return accepted


async def _accept_issuer(settings: Settings, server: str) -> tuple[str, int] | None:
    """Let the authorization server count that the server names now; return it, or None if it counts already."""
    async with opened_container(settings) as container:
        try:
            return await discovered_provider(container, server).accept()
        except ProviderError as error:
            fail(str(error), FAILED)
