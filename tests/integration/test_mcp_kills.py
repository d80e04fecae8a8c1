"""A shared MCP server that is killed in the middle of calls."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pydantic_ai import RunContext, ToolFailed
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage

from app.principal import Principal
from app.sections.mcp import McpSettings
from containers.application import Application
from containers.testing import open_test_container, open_test_scope
from tests.fakes import mcp_ledger
from tests.fakes.core_server import until
from tests.fakes.mcp_server import settings_with

PEOPLE, CALLS = 10, 30  # 300 calls
HANGING = {(1, 5), (3, 11), (5, 17), (8, 23)}  # the calls during which the server is killed


@dataclass
class Ledger:
    """The lines that the servers wrote, and the answers that people got."""

    file: Path
    outcomes: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[tuple[int, str, str]]:
        """Return the process, the tool and the call of each line."""
        text = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
        return [(int(pid), tool, call) for pid, tool, call in map(str.split, text.splitlines())]

    def process_of(self, call: str) -> int | None:
        """Return the process that runs a call."""
        return next((pid for pid, _, name in self.lines() if name == call), None)


async def ask(container: Application, person: Principal, tool: str, call: str) -> str:
    """Make a call in a request of this person, and return what the model gets."""
    context = RunContext(deps=None, model=TestModel(), usage=RunUsage())
    async with open_test_scope(person) as scope:
        toolkit = scope.get(container.toolkits.providers["ledger"])
        try:
            return str(await toolkit.call_tool(f"ledger_{tool}", {"call": call}, context))
        except ToolFailed as error:
            return error.message


async def test_three_hundred_calls_and_four_kills(tmp_path: Path) -> None:
    """Nobody gets an exception, no write is made twice, and the server works again after each kill."""
    ledger = Ledger(tmp_path / "ledger")
    server = McpSettings(
        command=sys.executable, args=(mcp_ledger.__file__, str(ledger.file)), identity="none", reads=("read",)
    )

    async def works(number: int) -> None:
        person = Principal("http", "demo", f"person-{number}")
        for step in range(CALLS):
            if (number, step) in HANGING:
                async with one_at_a_time:
                    await killed_in(person, f"hang-{number}-{step}")
            else:
                call = f"call-{number}-{step}"
                ledger.outcomes[call] = await ask(container, person, "write" if step % 3 else "read", call)

    async def killed_in(person: Principal, call: str) -> None:
        await until(lambda: session.is_up)
        asked = asyncio.create_task(ask(container, person, "write", call))
        await until(lambda: ledger.process_of(call))
        os.kill(ledger.process_of(call) or 0, signal.SIGKILL)
        ledger.outcomes[call] = await asked

    one_at_a_time = asyncio.Lock()
    async with open_test_container(settings_with(tmp_path, ledger=server)) as container:
        session = container.mcp.providers["ledger.session"]()
        async with session.opened():
            await until(lambda: session.is_up)
            async with asyncio.TaskGroup() as group:
                for number in range(PEOPLE):
                    group.create_task(works(number))
            await until(lambda: session.is_up)
            after = await ask(container, Principal("http", "demo", "person-1"), "write", "last")

    written = Counter(call for _, tool, call in ledger.lines() if tool == "write")
    done = [call for call, told in ledger.outcomes.items() if "entered" in told]
    told_of_hanging = [told for call, told in ledger.outcomes.items() if call.startswith("hang")]
    assert len(ledger.outcomes) == PEOPLE * CALLS
    assert set(written.values()) == {1}
    assert all(ledger.process_of(call) for call in done)
    assert all("I do not know whether it took effect, and did not repeat it." in told for told in told_of_hanging)
    assert all("entered" in told or "is down" in told or "stopped" in told for told in ledger.outcomes.values())
    assert len({pid for pid, _, _ in ledger.lines()}) == len(HANGING) + 1
    assert "entered last" in after
