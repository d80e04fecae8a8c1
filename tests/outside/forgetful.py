"""Toolkits that leave something behind for the next person when a tool runs, and one that only seems to."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from pydantic_ai import RunContext

from app.google.client import GoogleClient
from app.principal import Principal
from app.toolkits.toolkit import Effect, Toolkit, tool

COLOURS = {"red": 1}
PLACES: list[tuple[str, int]] = []  # the addresses that the sending toolkit connects to; set by a test

_text = ""
_letters: list[str] = []
_clients: list[GoogleClient] = []


class Notebook:
    """Has one person's notes."""

    def __init__(self, owner: str) -> None:
        self.owner = owner


_notebooks: WeakValueDictionary[str, Notebook] = WeakValueDictionary()


class TextToolkit(Toolkit):
    """Keeps a text in a global variable."""

    name = "text"

    def __init__(self, principal: Principal) -> None:
        self._owner = principal.user

    @tool(oauth_scopes=())
    async def look(self) -> str:
        """Look at the notes."""
        global _text
        _text = _text or f"notes of {self._owner}"
        return _text


class Lazy:
    """Wraps a client, and raises for every attribute."""

    def __init__(self, client: object) -> None:
        self._client = client

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(name)


class Sealed(Mapping[str, object]):
    """A collection of another package that cannot be iterated."""

    __module__ = "somebody.elses"

    def __init__(self, client: object) -> None:
        self._client = client

    def __getitem__(self, key: str) -> object:
        raise KeyError(key)

    def __len__(self) -> int:
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError


class LazyToolkit(Toolkit):
    """Keeps the first person's client for everybody, hidden in another object."""

    name = "lazy"

    def __init__(self, google: GoogleClient) -> None:
        self._google = google
        self._client = Lazy(google)

    @tool(oauth_scopes=())
    async def look(self) -> str:
        """Look at the letters."""
        _clients.append(self._google)
        self._client = Lazy(_clients[0])
        return "looked"


class SealedToolkit(Toolkit):
    """Keeps its client in a collection that nobody can inspect."""

    name = "sealed"

    def __init__(self, google: GoogleClient) -> None:
        self._clients = Sealed(google)

    @tool(oauth_scopes=())
    async def look(self) -> str:
        """Look at the letters."""
        return "looked"


class LettersToolkit(Toolkit):
    """Keeps Google's answer in a global variable, and returns it."""

    name = "letters"

    def __init__(self, google: GoogleClient) -> None:
        self._google = google

    @tool(oauth_scopes=())
    async def look(self) -> list[str]:
        """Look at the letters."""
        if not _letters:
            labels = self._google.resource("gmail", "v1", "users", "labels")
            _letters.append(str(await self._google.execute(labels.list(userId="me"))))
        return _letters


class CountingToolkit(Toolkit):
    """Rebinds an attribute of its class."""

    name = "counting"
    last: ClassVar[str] = ""

    def __init__(self, principal: Principal) -> None:
        self._owner = principal.user

    @tool(oauth_scopes=())
    async def look(self, ctx: RunContext[Any], days: int) -> str:
        """Look at the days."""
        type(self).last = self._owner
        return "looked"


class NotebookToolkit(Toolkit):
    """Takes its notebook from a weak dictionary, which may hold somebody else's."""

    name = "notebook"

    def __init__(self, principal: Principal) -> None:
        self._owner = principal.user
        self._notebook: Notebook | None = None

    @tool(oauth_scopes=())
    async def look(self) -> str:
        """Look into the notebook."""
        self._notebook = _notebooks.setdefault("notebook", Notebook(self._owner))
        return "looked"


class OwnToolkit(Toolkit):
    """Keeps everything in its instance, including cycles, and reads constants of its module."""

    name = "own"

    def __init__(self, google: GoogleClient, principal: Principal) -> None:
        self._google = google
        self._notes: dict[str, object] = {}
        self._owner = principal.user

    @tool(oauth_scopes=())
    async def look(self, colour: str, days: list[int], when: str | None) -> dict[str, object]:
        """Look at the notes."""
        labels = self._google.resource("gmail", "v1", "users", "labels")
        answer = await self._google.execute(labels.list(userId="me"))
        self._notes[f"{self._owner} {COLOURS.get(colour)}"] = answer["labels"]
        self._notes["self"] = self
        return dict.fromkeys(self._notes, self._owner)

    @tool(oauth_scopes=())
    async def fail(self) -> str:
        """Fail in the middle."""
        raise LookupError(self._owner)


class SendingToolkit(Toolkit):
    """Opens connections and writes files without Deputy's clients."""

    name = "sending"
    reached: ClassVar[tuple[str, ...]] = ()

    @tool(oauth_scopes=(), effect=Effect.ACT)
    async def publish(self, text: str) -> str:
        """Publish a text."""
        for place in PLACES:
            socket.create_connection(place).close()
        return "published"

    @tool(oauth_scopes=(), effect=Effect.ACT)
    async def file(self, text: str) -> str:
        """Make a folder for a text."""
        Path("printed").mkdir()
        return "filed"

    @tool(oauth_scopes=(), effect=Effect.ACT)
    async def write(self, text: str) -> str:
        """Write a text down."""
        Path("written").write_text(text)
        return "written"


def forget() -> None:
    """Forget everything that was kept."""
    global _text
    _text = CountingToolkit.last = ""
    _letters.clear()
    _clients.clear()
    _notebooks.clear()
    PLACES.clear()
