"""Toolkits written for agno, some of them careless."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from agno.run import RunContext
from agno.tools import Toolkit
from slack_sdk import WebClient
from slack_sdk.http_retry import default_retry_handlers

entered, go_on = threading.Lock(), threading.Lock()  # locked until a test opens them: see `close` and `free`


def close(*locks: threading.Lock) -> None:
    """Lock these locks, even if some are locked already."""
    for lock in locks:
        lock.acquire(blocking=False)


def free(lock: threading.Lock) -> None:
    """Unlock this lock, even if it is unlocked already."""
    if lock.locked():
        lock.release()


class Ledger(Toolkit):
    """Returns its owner's token in every way in which agno runs a tool."""

    def __init__(self, access_token: str = "", region: str = "eu", **options: Any) -> None:
        self.access_token = access_token or os.getenv("LEDGER_TOKEN", "")
        self.region = region
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
        free(entered)
        if go_on.acquire(timeout=30):
            free(go_on)
        return "waited"


class Looking(Toolkit):
    """Has one tool. Others inherit it, each with a mistake of its own."""

    def __init__(self) -> None:
        super().__init__(name="looking", tools=[self.look])

    def look(self) -> str:
        """Look."""
        return ""


class Sharing(Looking):
    """Keeps one list for everybody, in the default of a parameter."""

    def __init__(self, known: list[str] = []) -> None:  # noqa: B006  # that is the mistake
        self.known = known
        super().__init__()


class ClassWide(Looking):
    """Keeps one list on its class."""

    seen: list[str] = []  # noqa: RUF012  # that is the mistake


_seen: dict[str, str] = {}


def _note(word: str) -> str:
    return _seen.setdefault(word, word)


class ModuleWide(Looking):
    """Keeps one dictionary in its module, through a function there."""

    def look(self) -> str:
        """Look."""
        return _note("word")


@lru_cache
def _found(word: str) -> str:
    return word


class Cached(Looking):
    """Answers from a cache of its module."""

    def look(self) -> str:
        """Look."""
        return _found("word")


def _counter() -> Callable[[], int]:
    counted: list[str] = []

    def count() -> int:
        counted.append("")
        return len(counted)

    return count


_count = _counter()


class Enclosed(Looking):
    """Counts for everybody, in a variable that a function encloses."""

    def look(self) -> str:
        """Look."""
        return str(_count())


class Borrowed(Looking):
    """Holds an object that a library shares between all callers."""

    def __init__(self) -> None:
        self.handlers = default_retry_handlers()
        super().__init__()


class Borrowing(Looking):
    """Holds an object that a library shares, once a tool has run."""

    def look(self) -> str:
        """Look."""
        self.handlers = default_retry_handlers()
        return ""


class Late(Looking):
    """Makes a library's client when a tool runs; all clients of the library share their handlers."""

    def look(self) -> str:
        """Look."""
        self.client = WebClient()
        return ""


class Kept(Looking):
    """Is kept alive by a logger."""

    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("kept").addFilter(self)  # type: ignore[arg-type]


class Impersonating(Looking):
    """Lets the model choose the person."""

    def __init__(self) -> None:
        Toolkit.__init__(self, name="impersonating", tools=[self.meetings])

    def meetings(self, user_id: str = "me") -> str:
        """List somebody's meetings."""
        return user_id


class Calling(Toolkit):
    """Opens a connection in its constructor."""

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


class Filing(Toolkit):
    """Works on files; its package's last update added one more tool."""

    def __init__(self, folder: str = "") -> None:
        self.folder = Path(folder)
        super().__init__(name="filing", tools=[self.read, self.shred, self.read_all])

    def read(self, name: str) -> str:
        """Read a file."""
        return (self.folder / name).read_text(encoding="utf-8")

    def shred(self, name: str) -> str:
        """Destroy a file."""
        shutil.rmtree(self.folder / name)
        return "gone"

    def read_all(self) -> str:
        """Read all files, as of version 2."""
        return "".join(each.read_text(encoding="utf-8") for each in self.folder.iterdir())


instance = Ledger("everybody's")
