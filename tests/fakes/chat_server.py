"""A model on loopback that speaks OpenAI's chat protocol, as Ollama, vLLM and LM Studio do.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.sandbox.server import serve_loopback
from app.sections.agents import ModelSettings

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@dataclass(frozen=True)
class Asked:
    """One request.

    Attributes:
        headers: By name, in lower case.
        body: The JSON.
    """

    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """Return the person's last message."""
        return str([message["content"] for message in self.body["messages"] if message["role"] == "user"][-1])


@dataclass
class ChatServer:
    """Repeats each message; ``use TOOL [JSON]`` calls a tool and reports its result, ``try`` announces it first.

    Attributes:
        settings: The model settings that lead to this server.
        asked: Every request, oldest first.
        faults: The statuses with which the next requests are answered.
        retry_after: The seconds that a fault asks the client to wait.
        before_answer: Awaited before any answer, with the prompt.
        before_word: Awaited before each word of a streamed answer, with the prompt.
    """

    settings: ModelSettings
    asked: list[Asked] = field(default_factory=list)
    faults: deque[int] = field(default_factory=deque)
    retry_after: int = 0
    before_answer: Callable[[str], Awaitable[object]] | None = None
    before_word: Callable[[str], Awaitable[object]] | None = None

    @property
    def app(self) -> Starlette:
        """Return the application, to be served elsewhere."""
        return Starlette(routes=[Route("/v1/chat/completions", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        """Answer POST /v1/chat/completions."""
        asked = Asked(dict(request.headers), await request.json())
        self.asked.append(asked)
        if self.before_answer is not None:
            await self.before_answer(asked.prompt)
        if self.faults:
            # The error repeats the key, as some gateways do.
            refusal = {"error": {"message": f"refused {asked.headers.get('authorization')}"}}
            return JSONResponse(refusal, self.faults.popleft(), headers={"Retry-After": str(self.retry_after)})
        cookie = {"Set-Cookie": f"session={len(self.asked)}; Path=/"}
        message = _message(asked)
        if asked.body.get("stream"):
            return StreamingResponse(self._chunks(asked, message), media_type="text/event-stream", headers=cookie)
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": _reason(message)}
        return JSONResponse({**_head("chat.completion"), "choices": [choice], "usage": USAGE}, headers=cookie)

    async def _chunks(self, asked: Asked, message: dict[str, Any]) -> AsyncIterator[str]:
        for word in (message["content"] or "").split():
            if self.before_word is not None:
                await self.before_word(asked.prompt)
            yield _chunk({"role": "assistant", "content": f"{word} "})
        if "tool_calls" in message:
            calls = [{**call, "index": index} for index, call in enumerate(message["tool_calls"])]
            yield _chunk({"role": "assistant", "tool_calls": calls})
        yield _chunk({}, _reason(message))
        yield f"data: {json.dumps({**_head('chat.completion.chunk'), 'choices': [], 'usage': USAGE})}\n\n"
        yield "data: [DONE]\n\n"


@asynccontextmanager
async def chat_server(api_key: str | None = None) -> AsyncIterator[ChatServer]:
    """Serve a model on loopback."""

    async def answer(request: Request) -> Response:
        return await server.answer(request)

    app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
    async with serve_loopback(app) as base_url:
        key = SecretStr(api_key) if api_key else None
        server = ChatServer(ModelSettings(base_url=f"{base_url}/v1", model="llama-test", api_key=key))
        yield server


def _message(asked: Asked) -> dict[str, Any]:
    last = asked.body["messages"][-1]
    if last["role"] == "tool":
        return {"content": f"it returned {last['content']}"}
    command, _, rest = asked.prompt.partition(" ")
    if command not in ("use", "try"):
        return {"content": f"you said {asked.prompt}"}
    name, _, arguments = rest.partition(" ")
    call = {"id": "call-1", "type": "function", "function": {"name": name, "arguments": arguments or "{}"}}
    return {"content": "I shall try" if command == "try" else None, "tool_calls": [call]}


def _reason(message: Mapping[str, Any]) -> str:
    return "tool_calls" if "tool_calls" in message else "stop"


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chat-1", "object": kind, "created": 1, "model": "llama-test"}


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({**_head('chat.completion.chunk'), 'choices': [choice]})}\n\n"
