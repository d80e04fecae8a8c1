"""Toolkits that are written for agno, some of them careless."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agno.run import RunContext
from agno.tools import Toolkit

BORN: list[weakref.ref[Any]] = []
entered, go_on = threading.Event(), threading.Event()


class Ledger(Toolkit):
    """Tells whose it is, in every way in which agno runs a tool."""

    def __init__(self, access_token: str = "", region: str = "eu", **options: Any) -> None:
        self.access_token = access_token or os.getenv("LEDGER_TOKEN", "")
        self.region = region
        BORN.append(weakref.ref(self))
        tools: list[Any] = [
            self.get_owner,
            self.get_later,
            self.get_lines,
            self.remember,
            self.add,
            self.break_down,
            self.wait,
        ]
        super().__init__(name="ledger", tools=[*tools, self.break_down, self.wait], **options)

    def get_owner(self, note: str, count: int = 1) -> str:
        """Return the owner.

        Args:
            note: Anything.
            count: How often.
        """
        return f"{self.access_token} {note}" * count

    async def get_later(self, note: str) -> dict[str, str]:
        """Return the owner, later."""
        await asyncio.sleep(0)
        return {"owner": self.access_token, "note": note}

    def get_lines(self) -> Iterator[str]:
        """Return the owner in pieces."""
        yield "owned by "
        yield self.access_token

    def remember(self, run_context: RunContext, word: str, agent: Any = None) -> str:
        """Remember a word."""
        assert run_context.session_state is not None
        words = run_context.session_state.setdefault("words", [])
        words.append(word)
        return f"{run_context.user_id}: {words}"

    def add(self, path: str) -> str:
        """Read what the machine has."""
        return Path(path).read_text() if path else os.getenv("OTHER_API_KEY", "nothing")

    def break_down(self) -> str:
        """Fail as a careless library does."""
        raise RuntimeError(f"GET https://ledger.example/?token={self.access_token} failed")

    def wait(self) -> str:
        """Wait until the test has seen it."""
        entered.set()
        go_on.wait(30)
        return "waited"


class Sharing(Toolkit):
    """Keeps one list for everybody."""

    def __init__(self, known: list[str] = []) -> None:  # noqa: B006  # that is the mistake
        self.known = known
        super().__init__(name="sharing", tools=[self.look])

    def look(self) -> str:
        """Look."""
        return ", ".join(self.known)


class ClassWide(Sharing):
    """Keeps one on the class."""

    seen: list[str] = []  # noqa: RUF012  # that is the mistake


KEPT: list[Toolkit] = []


class Kept(Toolkit):
    """Is kept by its module."""

    def __init__(self) -> None:
        super().__init__(name="kept", tools=[self.look])
        KEPT.append(self)

    def look(self) -> str:
        """Look."""
        return ""


class Impersonating(Kept):
    """Asks the model whom it is for."""

    def __init__(self) -> None:
        Toolkit.__init__(self, name="impersonating", tools=[self.meetings])

    def meetings(self, user_id: str = "me") -> str:
        """List somebody's meetings."""
        return user_id


class Calling(Toolkit):
    """Reaches out as it is built."""

    def __init__(self) -> None:
        socket.create_connection(("127.0.0.1", 9), timeout=1)
        super().__init__(name="calling", tools=[])


class Running(Toolkit):
    """Runs programs."""

    def __init__(self) -> None:
        super().__init__(name="running", tools=[self.run])

    def run(self, command: str) -> int:
        """Run a command."""
        return os.system(command)  # it is refused


instance = Ledger("everybody's")
