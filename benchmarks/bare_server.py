"""The baseline for delivery: a route that does nothing, and a loop that answers without any table.

Run by ``benchmarks.delivery`` in a separate process. ``/bare`` parses the event and acknowledges. ``/slack/events``
acknowledges, keeps the message in an in-memory queue of its conversation, and answers it with the same model, toolkit
and Slack client as Deputy, but without rows, scopes or checks of the sender. A crash loses the waiting messages;
preventing that is what tables cost.
"""

from __future__ import annotations

import sys
from asyncio import Queue, Task, create_task
from collections import defaultdict
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from slack_sdk.web.async_client import AsyncWebClient

from app.llm.offline_model import OfflineModel
from app.principal import Principal
from interfaces.slack.markup import typed
from tests.delivery.badge import BadgeToolkit
from tests.fakes.bare_loop import run


def bare_app(slack: AsyncWebClient) -> FastAPI:
    """Return an application with both routes."""
    app = FastAPI()
    queues: defaultdict[str, Queue[dict[str, Any]]] = defaultdict(Queue)
    tasks: dict[str, Task[None]] = {}

    async def work(conversation: str) -> None:
        while True:
            event = await queues[conversation].get()
            toolkit = BadgeToolkit(Principal("slack", event.get("user_team") or event["team"], event["user"]))
            answer = await run(OfflineModel(), toolkit, typed(event["text"], own_id="U0BOT", names={}))
            await slack.chat_postMessage(channel=event["channel"], thread_ts=event.get("thread_ts"), text=answer)

    @app.post("/bare")
    async def bare(request: Request) -> dict[str, bool]:
        await request.json()
        return {"ok": True}

    @app.post("/slack/events")
    async def events(request: Request) -> dict[str, bool]:
        event = (await request.json())["event"]
        conversation = f"{event['channel']}:{event.get('thread_ts')}"
        if conversation not in tasks:
            tasks[conversation] = create_task(work(conversation))
        queues[conversation].put_nowait(event)
        return {"ok": True}

    @app.get("/readyz")
    async def readyz() -> dict[str, bool]:
        return {"ready": True}

    return app


if __name__ == "__main__":
    port, bot_token, api_base_url = sys.argv[1:]
    uvicorn.run(
        bare_app(AsyncWebClient(token=bot_token, base_url=api_base_url)),
        port=int(port),
        log_level="warning",
        access_log=False,
    )
