"""A toolkit from outside that answers with the badge of whoever it was made for, and keeps a record of every run.

The record is a file that every process appends to, apart from Deputy's rows: what was written before a kill is there.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import time
from hashlib import sha256
from pathlib import Path

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelRequest, UserPromptPart

from app.principal import Principal
from app.toolkits.toolkit import Toolkit, tool

RECORD = "CHAOS_RECORD"  # the environment variable that names the file
WORK_SECONDS = (0.005, 0.02)
_SAY = r"say (?P<name>m\d+)"


def badge_of(principal: Principal) -> str:
    """What marks everything that is this person's; it follows from all three parts of the principal."""
    return sha256(f"badge of {principal}".encode()).hexdigest()[:12]


def gate(record: Path, name: str) -> Path:
    """The file that holds the run of a message back for as long as it is there."""
    return record.with_name(f"{name}.held")


class BadgeToolkit(Toolkit):
    """Takes its time over a message, and shows the badge of the person that it was made for. Lives for one request."""

    name = "badge"

    def __init__(self, principal: Principal) -> None:
        self._principal = principal
        self._record = Path(os.environ[RECORD])

    @tool(oauth_scopes=(), phrases=(_SAY,))
    async def show(self, ctx: RunContext[None], name: str) -> str:
        """Answer a message.

        Args:
            ctx: The run.
            name: Of the message.
        """
        run = secrets.token_hex(4)
        *earlier, _ = [prompt.removeprefix("say ") for prompt in _prompts(ctx)]
        self._note("begun", run, name=name, earlier=earlier, pid=os.getpid())
        while gate(self._record, name).exists():
            await asyncio.sleep(0.005)
        await asyncio.sleep(random.uniform(*WORK_SECONDS))
        self._note("ended", run)
        return f"answer to {name} by {run} with badge {badge_of(self._principal)}"

    def _note(self, what: str, run: str, **more: object) -> None:
        # The clock is one for all processes of a machine: https://man7.org/linux/man-pages/man3/clock_gettime.3.html
        line = json.dumps({what: run, "at": time.monotonic(), **more})
        with self._record.open("a") as record:  # one short write at the end of the file, which nothing interleaves
            record.write(f"{line}\n")


def _prompts(ctx: RunContext[None]) -> list[str]:
    parts = (part for message in ctx.messages if isinstance(message, ModelRequest) for part in message.parts)
    return [str(part.content) for part in parts if isinstance(part, UserPromptPart)]
