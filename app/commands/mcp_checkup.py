"""What `deputy mcp check` and `deputy doctor` ask of the MCP servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx2
import sqlalchemy as sa

from app.diagnosis import Diagnosis, fault, ok, remark
from app.errors import ProviderError, SettingsError
from app.settings import Settings

if TYPE_CHECKING:
    from app.connections.discovery_provider import DiscoveredProvider
    from app.mcp.definition import Definition
    from app.mcp.pins import Pin
    from app.mcp.server import McpServer
    from containers.application import Application


async def look_at_mcp(container: Application, settings: Settings) -> AsyncIterator[Diagnosis]:
    """Yield for each server whether it answers, its protocol, and whether its tools are as they were first seen."""
    for name in settings.mcp:
        server: McpServer = container.mcp.providers[f"{name}.catalogue"]().server
        title = f"MCP {name}"
        if settings.mcp[name].oauth is not None:
            yield await _look_at_discovered(title, discovered_provider(container, name))
            continue
        if server.connection is not None:
            yield await _look_at_personal(title, server)
            continue
        try:
            protocol, definitions = await _ask(server)
        except SettingsError as error:
            yield fault(title, str(error), "change this server's section in the settings")
        except Exception as error:  # the SDK's errors come in groups
            from app.mcp.transport import cause_of

            where = f"does {server.command} start?" if server.command else f"is {server.url} right, and reachable?"
            yield fault(title, f"it does not answer ({type(cause_of(error)).__name__})", where)
        else:
            yield ok(title, f"it answers, speaks MCP {protocol} and has {len(definitions)} tools")
            for each in _changes(title, name, definitions, await _pins(container, name)):
                yield each


def discovered_provider(container: Application, server: str) -> DiscoveredProvider:
    """Return the provider of a server with `oauth: discover`."""
    from app.connections.discovery_provider import DiscoveredProvider

    provider = container.account_providers()[server]
    assert isinstance(provider, DiscoveredProvider)
    return provider


async def _look_at_discovered(title: str, provider: DiscoveredProvider) -> Diagnosis:
    """Return what a server says of where its people sign in, and whether Deputy sends them there."""
    from app.oauth.metadata import is_same_issuer

    try:
        kept = await provider.kept()
    except sa.exc.SQLAlchemyError:
        kept = None  # as for the pins
    try:
        found, introduced = await provider.look(kept)
    except ProviderError as error:
        return fault(
            title,
            str(error),
            "tell whoever runs the server, or describe its sign-in under `connections` and name that in `connection:`",
        )
    if kept is not None and not is_same_issuer(found.issuer, kept):
        return fault(
            title,
            f"it names the authorization server {found.issuer}, and before that {kept}, so nobody can sign in",
            f"run `deputy mcp accept {provider.name}` if that is right; its people then connect again",
        )
    asks = f"people are asked for {', '.join(found.scopes)}" if found.scopes else "no scopes are asked for"
    return ok(title, f"people sign in at {found.issuer}, and {introduced}; {asks}")


async def _look_at_personal(title: str, server: McpServer) -> Diagnosis:
    """Return whether a server that knows people refuses a request without a token."""
    from app.mcp.transport import status_without_token

    try:
        status = await status_without_token(server)
    except httpx2.HTTPError as error:
        return fault(title, f"it does not answer ({type(error).__name__})", f"is {server.url} right, and reachable?")
    if status == 401:
        return ok(title, "it answers, and takes no call without a person's token")
    return remark(
        title,
        f"it answers {status} to a call without a token, so it may not know people",
        "write `identity: none` instead of `connection:` if it does not",
    )


async def _ask(server: McpServer) -> tuple[str, list[Definition]]:
    from app.mcp.transport import connected, listed

    async with (
        asyncio.timeout(2 * server.connect_seconds),
        connected(server, on_end=lambda: None, on_change=lambda: None) as client,
    ):
        return client.protocol_version, await listed(client)


async def _pins(container: Application, server: str) -> dict[str, Pin] | None:
    try:
        pins: dict[str, Pin] = await container.mcp.providers["pins"]().of(server)
    except sa.exc.SQLAlchemyError:
        return None  # there is no database yet, or it does not answer, which its own part says
    return pins


def _changes(title: str, server: str, definitions: list[Definition], pins: dict[str, Pin] | None) -> list[Diagnosis]:
    if pins is None:
        return []
    changed = sorted(
        each.tool
        for each in definitions
        if (pin := pins.get(each.tool)) is not None
        and (pin.changed_to is not None or pin.accepted.digest != each.digest)
    )
    if not changed:
        return []
    return [
        remark(
            title,
            f"it describes {', '.join(changed)} otherwise than before, so I do not use that",
            f"look at `deputy mcp list {server}`, then `deputy mcp accept {server}` if you trust it",
        )
    ]
