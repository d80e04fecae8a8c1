"""A transcription model on loopback, as OpenAI documents it: multipart in, the text as JSON out.

https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.server import serve_loopback

KEY = "sk-canary-transcription"


@dataclass(frozen=True)
class Recording:
    """One file that was sent for transcription."""

    name: str
    kind: str
    contents: bytes


@dataclass
class TranscriptionServer:
    """Answers with the contents of the recording as its text.

    Attributes:
        base_url: Its address, including ``/v1``.
        heard: The recordings that it was sent, oldest first.
        faults: The statuses with which the next requests are answered.
        bodies: The next answers, instead of transcripts.
    """

    base_url: str = ""
    heard: list[Recording] = field(default_factory=list)
    faults: deque[int] = field(default_factory=deque)
    bodies: deque[bytes] = field(default_factory=deque)

    async def answer(self, request: Request) -> Response:
        """Answer POST /v1/audio/transcriptions."""
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "no such key"}}, 401)
        async with request.form() as form:
            file = form.get("file")
            if not isinstance(file, UploadFile) or form.get("model") != "whisper-test":
                return JSONResponse({"error": {"message": "file and model are required"}}, 400)
            contents = await file.read()
        self.heard.append(Recording(file.filename or "", file.content_type or "", contents))
        if self.faults:
            repeated = {"error": {"message": f"refused {request.headers['authorization']}"}}
            return JSONResponse(repeated, self.faults.popleft())
        if self.bodies:
            return Response(self.bodies.popleft(), media_type="application/json")
        return JSONResponse({"text": contents.decode()})


@asynccontextmanager
async def transcription_server() -> AsyncIterator[TranscriptionServer]:
    """Serve the model until the block ends."""
    server = TranscriptionServer()
    app = Starlette(routes=[Route("/v1/audio/transcriptions", server.answer, methods=["POST"])])
    async with serve_loopback(app) as base_url:
        server.base_url = f"{base_url}/v1"
        yield server
