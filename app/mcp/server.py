"""One MCP server as the settings describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class McpServer:
    """How a server is reached, and what it may do. Lives as long as the process and is nobody's.

    Attributes:
        name: Its name in the settings, with which the names of its tools begin.
        command: The program of a server that speaks over stdin and stdout; None for one that is reached over HTTP.
        args: The program's arguments.
        env: Environment variables that the program gets beside PATH and the like.
        url: The address of a server that is reached over HTTP.
        headers: Sent with each HTTP request; they are the installation's and never a person's.
        connection: The connection whose token each person's calls carry; None for a server that knows no person.
        discovers: The server says itself where people sign in, and so what else its tools need.
        oauth_scopes: The scopes that the token needs; there may be none.
        reads: Patterns of the names of tools that change nothing, such as ``get_*``; all other tools act.
        connect_seconds: Maximum time for connecting and listing the tools.
        call_seconds: Maximum time for one call.
        refresh_seconds: How often the tools of a shared server are listed again.
        max_characters: The longest result that a model is given.
    """

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    connection: str | None = None
    discovers: bool = False
    oauth_scopes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    connect_seconds: float = 10.0
    call_seconds: float = 30.0
    refresh_seconds: float = 60.0
    max_characters: int = 20_000

    def is_read(self, tool: str) -> bool:
        """Return whether the settings say that a tool changes nothing; a server's own word does not count."""
        return any(fnmatchcase(tool, pattern) for pattern in self.reads)
