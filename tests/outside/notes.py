"""Toolkits by an author who does not think of isolation."""

from __future__ import annotations

from app.deadline import Deadline
from app.principal import Principal
from app.toolkits.toolkit import Effect, Toolkit, tool

_KEPT: list[object] = []


class NotesToolkit(Toolkit):
    """Keeps its notes in its instance, as is usual."""

    name = "notes"

    def __init__(self, principal: Principal, deadline: Deadline, prefix: str = "note") -> None:
        self._owner = principal.user
        self._deadline = deadline
        self._notes: dict[str, str] = {}
        self._prefix = prefix

    @tool(oauth_scopes=(), phrases=("note (?P<text>.+)",))
    async def add(self, text: str) -> list[str]:
        """Add a note, and list all there are."""
        self._notes[f"{self._prefix} {len(self._notes) + 1}"] = f"{self._owner}: {text}"
        return list(self._notes.values())

    @tool(oauth_scopes=(), effect=Effect.ACT)
    async def publish(self, text: str) -> str:
        """Publish a note for all to see."""
        return f"published for {self._owner}: {text}"


class GreedyToolkit(Toolkit):
    """Asks for a parameter that no provider fits."""

    name = "greedy"

    def __init__(self, everything: dict[str, str]) -> None:
        self._everything = everything

    @tool(oauth_scopes=())
    async def look(self) -> str:
        """Look around."""
        return ""


class UntypedToolkit(Toolkit):
    """Has a parameter without a type."""

    name = "untyped"

    def __init__(self, thing) -> None:  # type: ignore[no-untyped-def]
        self._thing = thing

    @tool(oauth_scopes=())
    async def look(self) -> str:
        """Look around."""
        return ""


class OnlyOneToolkit(Toolkit):
    """Gives everybody the same instance."""

    name = "onlyone"
    _instance: OnlyOneToolkit | None = None

    def __new__(cls) -> OnlyOneToolkit:
        """Return the one instance."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    @tool(oauth_scopes=())
    async def look(self) -> str:
        """Look around."""
        return ""


class KeepingToolkit(Toolkit):
    """Is kept alive by its module."""

    name = "keeping"

    def __init__(self) -> None:
        _KEPT.append(self)

    @tool(oauth_scopes=())
    async def look(self) -> str:
        """Look around."""
        return ""


class EmptyToolkit(Toolkit):
    """Has no tools."""

    name = "empty"


class NoToolkit:
    """Is no toolkit."""
