"""A toolkit for tests that records its calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from app.principal import Principal
from app.toolkits.toolkit import Effect, Toolkit, tool
from tests.fakes.sandbox import READ, SEND


@dataclass
class Post:
    """The shared record of everybody's letters.

    Attributes:
        done: The calls of tools with their person: ``("ada", "send", {"to": …})``.
        before: Awaited before a tool does its work, with the person's name and the tool's.
    """

    done: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    before: Callable[[str, str], Awaitable[None]] | None = None

    async def do(self, principal: Principal, name: str, **arguments: Any) -> None:
        """Record one call."""
        if self.before is not None:
            await self.before(principal.user, name)
        self.done.append((principal.user, name, arguments))

    def names(self, user: str) -> list[str]:
        """Return the tools that were called for this person, in order."""
        return [name for who, name, _ in self.done if who == user]


class Letters(Toolkit):
    """One person's letters."""

    name = "letters"

    def __init__(self, principal: Principal, post: Post) -> None:
        self._principal = principal
        self._post = post

    @tool(oauth_scopes=(READ,))
    async def read(self) -> str:
        """Read the newest letter."""
        await self._post.do(self._principal, "read")
        return f"a letter to {self._principal.user}"

    @tool(effect=Effect.ACT, oauth_scopes=(SEND,))
    async def send(self, to: str, text: str = "") -> str:
        """Send a letter."""
        await self._post.do(self._principal, "send", to=to, text=text)
        return f"sent to {to}"

    @tool(effect=Effect.ACT, oauth_scopes=())
    async def shout(self, text: str, volume: float = 1.0, notes: dict[str, Any] | None = None) -> str:
        """Say something to everybody."""
        await self._post.do(self._principal, "shout", text=text, volume=volume, notes=notes)
        return f"shouted {text}"

    @tool(oauth_scopes=(), doing="looking at the clock")
    async def clock(self) -> str:
        """Tell the time."""
        await self._post.do(self._principal, "clock")
        return "noon"
