"""agno's AgentOS with its own Slack interface, set up as its documentation says: the alternative to Deputy.

Run by ``benchmarks.assistant`` in a separate process: ``python -m benchmarks.agno_server PORT SLACK_URL SECRET DB``.
One agent, shared by everybody, with the same forty tools, and the same stub model, which makes one tool call. Sessions
are stored in SQLite after the answer; nothing is stored before the event is acknowledged.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.base import Model
from agno.models.message import Message
from agno.models.response import ModelResponse
from agno.os import AgentOS
from agno.os.interfaces.slack import Slack
from agno.tools import Toolkit
from slack_sdk.web.async_base_client import AsyncBaseClient
from slack_sdk.web.base_client import BaseClient

from benchmarks.message import SEARCH, SEARCHED
from benchmarks.peers import INSTRUCTIONS, Person, methods_of
from benchmarks.toolkits import TOOL_NAMES, toolkits_of


class OneCall(Model):  # type: ignore[misc]  # Any where agno is not installed
    """A model that searches once and answers with the result."""

    async def ainvoke(self, messages: list[Message], **options: Any) -> ModelResponse:
        """Return the tool call, or the answer once the tool's result is there."""
        assert {tool["function"]["name"] for tool in options["tools"]} == TOOL_NAMES
        if messages[-1].role == "tool":
            return ModelResponse(role="assistant", content=str(messages[-1].content))
        function = {"name": SEARCH, "arguments": SEARCHED}
        return ModelResponse(role="assistant", tool_calls=[{"id": "call_1", "type": "function", "function": function}])

    def invoke(self, *_: Any, **__: Any) -> Any:
        """Raise an error, because only the asynchronous method is used."""
        raise NotImplementedError

    invoke_stream = ainvoke_stream = _parse_provider_response = _parse_provider_response_delta = invoke


def _point(client: Any, base_url: str) -> None:
    """Make every client of this class use this Slack; agno has no setting for it."""
    made = client.__init__

    def make(self: Any, *args: Any, **options: Any) -> None:
        made(self, *args, **{"base_url": base_url, **options})

    client.__init__ = make


def main(port: int, slack_url: str, signing_secret: str, database: str) -> None:
    """Serve until the process is ended."""
    for client in (AsyncBaseClient, BaseClient):
        _point(client, f"{slack_url}/api/")
    toolkits = [Toolkit(name=kit.name, async_tools=methods_of(kit)) for kit in toolkits_of(Person("everybody"))]
    agent = Agent(
        model=OneCall(id="stub"),
        name="assistant",
        instructions=INSTRUCTIONS,
        tools=toolkits,
        db=SqliteDb(db_file=database),
        add_history_to_context=True,
        num_history_runs=10,
        telemetry=False,
    )
    slack = Slack(agent=agent, token="xoxb-bench", signing_secret=signing_secret, streaming=False)
    served = AgentOS(agents=[agent], interfaces=[slack], telemetry=False)
    uvicorn.run(served.get_app(), port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
