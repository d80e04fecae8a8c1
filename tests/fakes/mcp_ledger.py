"""An MCP server over stdin and stdout, run as a script, that writes each call to a file before it answers.

Usage: ``python mcp_ledger.py FILE``. A line is ``PID TOOL CALL``. A call whose name begins with ``hang`` never ends.
"""

from __future__ import annotations

import asyncio
import os
import sys

from mcp.server import MCPServer


def server(file: str) -> MCPServer:
    """Return a server whose ledger is this file."""
    made = MCPServer("ledger")

    async def enter(tool: str, call: str) -> str:
        with open(file, "a", encoding="utf-8") as ledger:  # noqa: ASYNC230  # one short line
            ledger.write(f"{os.getpid()} {tool} {call}\n")
        if call.startswith("hang"):
            await asyncio.Event().wait()
        return f"entered {call}"

    @made.tool(description="Write a line.")
    async def write(call: str) -> str:
        return await enter("write", call)

    @made.tool(description="Read a line.")
    async def read(call: str) -> str:
        return await enter("read", call)

    return made


if __name__ == "__main__":
    server(sys.argv[1]).run("stdio")
