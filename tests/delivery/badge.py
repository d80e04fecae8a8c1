"""An external toolkit that answers with the badge of the person it was made for, and records every run.

The record is a file, separate from Deputy's rows, that every process appends to, so that it keeps what was written
before a kill.
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
    """Return the mark of everything that belongs to this person, derived from all three parts of the principal."""
    return sha256(f"badge of {principal}".encode()).hexdigest()[:12]


def gate(record: Path, name: str) -> Path:
    """Return the path of the file that, while it exists, keeps the run of a message from ending."""
    return record.with_name(f"{name}.held")


class BadgeToolkit(Toolkit):
    """Takes a moment to answer each message with the badge of its person. Lives for one request."""

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
        # All processes of a machine share this clock: https://man7.org/linux/man-pages/man3/clock_gettime.3.html
        line = json.dumps({what: run, "at": time.monotonic(), **more})
        with self._record.open("a") as record:  # one short write at the end, which no other write interrupts
            record.write(f"{line}\n")


def _prompts(ctx: RunContext[None]) -> list[str]:
    parts = (part for message in ctx.messages if isinstance(message, ModelRequest) for part in message.parts)
    return [str(part.content) for part in parts if isinstance(part, UserPromptPart)]
