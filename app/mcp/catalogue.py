"""The usable tools of one MCP server."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from app.approvals.question import Question
from app.errors import SettingsError
from app.mcp.arguments import McpArguments
from app.mcp.definition import MAX_DEFINITION, MAX_NAME, Definition
from app.mcp.pins import Pin, Pins
from app.mcp.server import McpServer
from app.toolkits.given import given_tool
from app.toolkits.toolkit import TOOL_NAME, Effect, ToolSpec

log = logging.getLogger(__name__)

MAX_TOOLS = 100  # of one server; a model finds nothing among more
LISTING = "tools"  # Deputy's own tool of a server that knows people
TOO_MANY = "there are too many"
CHANGED = "its definition has changed since it was first seen"
NOT_LISTED = "the server no longer lists it"
_OTHER = re.compile(r"[^a-z0-9]+")


class McpCatalogue:
    """The tools of one server, the same for all people. Lives as long as the process.

    A tool is pinned when it is first seen. One that the server describes differently later is off until an
    administrator accepts it, so that a server cannot turn a tool that people trust into another one.

    Attributes:
        tools: The usable tools by the name that models call them by; a new mapping whenever they change.
        listing: Deputy's own tool that lists the others, of a server that knows people.
        off: Why a tool is left out, by its name at the server.
        protocol: The version of the protocol that the server spoke last, or None.
    """

    def __init__(self, server: McpServer, pins: Pins) -> None:
        self.server = server
        self.tools: Mapping[str, ToolSpec] = MappingProxyType({})
        self.off: Mapping[str, str] = MappingProxyType({})
        self.protocol: str | None = None
        self.listing: Mapping[str, ToolSpec] = (
            _listing(server) if server.connection is not None else MappingProxyType({})
        )
        self._pins = pins
        self._specs: dict[str, tuple[str, ToolSpec]] = {}  # by the tool's name at the server, with its digest
        self._one_at_a_time = asyncio.Lock()

    async def load(self) -> None:
        """Take the tools that are pinned, as they are known before the server is asked."""
        async with self._one_at_a_time:
            pins = await self._pins.of(self.server.name)
            self._show(pins, pins)

    async def take(self, listed: Iterable[Definition], *, complete: bool = True) -> None:
        """Take a list of tools from the server.

        Args:
            listed: The definitions of its tools.
            complete: Nobody is offered any other tool. It is False for a list that one person was given.
        """
        async with self._one_at_a_time:
            fitting: dict[str, Definition] = {}
            misfits: dict[str, str] = {}
            for each in listed:
                if fault := _fault(each) or (TOO_MANY if len(fitting) >= MAX_TOOLS else None):
                    misfits[each.tool[:MAX_NAME]] = fault
                else:
                    fitting[each.tool] = each
            pins = await self._pins.take(self.server.name, fitting.values())
            misfits |= dict.fromkeys(fitting.keys() - pins.keys(), TOO_MANY)
            self._show(pins, fitting if complete else pins, misfits)

    def _show(self, pins: Mapping[str, Pin], listed: Iterable[str], misfits: Mapping[str, str] | None = None) -> None:
        """Show the tools whose pins hold."""
        off = dict(misfits or {})
        tools: dict[str, ToolSpec] = {}
        listed = frozenset(listed)
        for tool, pin in pins.items():
            if tool not in listed:
                off.setdefault(tool, NOT_LISTED)
                continue
            if pin.changed_to is not None:
                off[tool] = CHANGED
                continue
            if len(tools) >= MAX_TOOLS:  # each person may be given others
                off[tool] = TOO_MANY
                continue
            try:
                spec = self._spec(pin.accepted, tools)
            except SettingsError as error:
                off[tool] = str(error)
            else:
                tools[spec.name] = spec
        if off != self.off:
            for tool in sorted(off.keys() - self.off.keys()):
                log.warning("MCP server %s: the tool %.128r is left out: %s", self.server.name, tool, off[tool])
            self.off = MappingProxyType(off)
        if tools != self.tools:
            self.tools = MappingProxyType(tools)

    def _spec(self, definition: Definition, taken: Mapping[str, ToolSpec]) -> ToolSpec:
        digest = definition.digest
        known = self._specs.get(definition.tool)
        if known is not None and known[0] == digest and known[1].name not in taken:
            return known[1]
        name = self.server.name
        called = f"{name}_{definition.tool}"
        spec = given_tool(
            name,
            _method(name, definition.tool, taken),
            description=definition.described(name),
            schema=definition.parameters(),
            connection=self.server.connection,
            oauth_scopes=self.server.oauth_scopes,
            effect=Effect.READ if self.server.is_read(definition.tool) else Effect.ACT,
            asks=Question(f"Shall I run {definition.tool} on the server {name}?", yes="run it"),
            doing=f"using {name}",
            validator=McpArguments(called, definition.schema),
        )
        self._specs[definition.tool] = (digest, spec)
        return spec

    def tool_of(self, spec: ToolSpec) -> str | None:
        """Return a tool's name at the server, or None if it was changed or left out since the model was given it."""
        if self.tools.get(spec.name) is not spec:
            return None
        return next(tool for tool, (_, known) in self._specs.items() if known is spec)


def _listing(server: McpServer) -> Mapping[str, ToolSpec]:
    """Return the tool by which the tools of a server are learnt that only a person can list."""
    spec = given_tool(
        server.name,
        LISTING,
        description=f"List the tools of the server {server.name}. Call it before anything that may need them; you have "
        "them afterwards.",
        schema={"type": "object", "properties": {}},
        connection=server.connection,
        oauth_scopes=server.oauth_scopes,
        effect=Effect.READ,
        doing=f"using {server.name}",
    )
    return MappingProxyType({spec.name: spec})


def _fault(definition: Definition) -> str | None:
    """Return why a tool cannot be used, or None."""
    if not definition.tool or len(definition.tool) > MAX_NAME:
        return "its name is empty or too long"
    if len(definition.dump()) > MAX_DEFINITION:
        return f"its definition has more than {MAX_DEFINITION} characters"
    if definition.schema.get("type") != "object":
        return "its arguments are no object"
    return None


def _method(server: str, tool: str, taken: Mapping[str, ToolSpec]) -> str:
    """Return a tool's name as models take it: as it is if possible, else with a part of its hash."""
    plain = _OTHER.sub("_", tool.lower()).strip("_")
    name = f"{server}_{plain}"
    if plain not in ("", LISTING) and TOOL_NAME.fullmatch(name) and name not in taken:
        return plain
    return f"{plain[: 63 - len(server) - 9]}_{hashlib.sha256(tool.encode()).hexdigest()[:8]}"
