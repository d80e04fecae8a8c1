"""The bot's uploads to the sandbox's Slack, in three steps (https://docs.slack.dev/messaging/working-with-files#upload)."""

from __future__ import annotations

import json
import mimetypes
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.sandbox.slack.files import SlackFile, SlackFiles
from app.sandbox.slack.places import SlackError
from app.sandbox.slack.posts import SlackPosts

MAX_FILE_BYTES = 1_000_000_000


@dataclass(slots=True)
class _Ticket:
    """An upload that has not been completed; `contents` is None until they were sent."""

    file_id: str
    name: str
    length: int
    contents: bytes | None = None


class SlackUploads:
    """Takes the bot's files. Lives for the process; serve `route`.

    Args:
        files: Where they are kept.
        posting: The bot's posts, to which a shared file is added.

    Attributes:
        refused: The error code of every new upload, such as ``file_uploads_disabled``; None to accept them.
        uploaded: The names of the files that were sent, also if they were never completed.
    """

    def __init__(self, files: SlackFiles, posting: SlackPosts) -> None:
        self._files = files
        self._posting = posting
        self._tickets: dict[str, _Ticket] = {}  # by the secret in their address
        self.refused: str | None = None
        self.uploaded: list[str] = []
        self.route = Route("/upload/v1/{secret}", self._take, methods=["POST"])

    def get_url(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Return where to upload a file: https://docs.slack.dev/reference/methods/files.getUploadURLExternal."""
        name, length = str(arguments.get("filename") or ""), str(arguments.get("length") or "")
        if not name or not length.isdecimal() or int(length) == 0:
            raise SlackError("missing_argument")
        if self.refused is not None:
            raise SlackError(self.refused)
        if int(length) > MAX_FILE_BYTES:
            raise SlackError("file_upload_size_restricted")
        ticket, secret = _Ticket(self._files.new_id(), name, int(length)), secrets.token_hex(16)
        self._tickets[secret] = ticket
        return {"upload_url": f"{arguments['root']}/upload/v1/{secret}", "file_id": ticket.file_id}

    def complete(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Share uploads, each once: https://docs.slack.dev/reference/methods/files.completeUploadExternal."""
        listed = arguments.get("files")
        try:
            listed = json.loads(listed) if isinstance(listed, str) else listed
        except ValueError:
            listed = None
        if not isinstance(listed, list) or not listed or not all(isinstance(each, dict) for each in listed):
            raise SlackError("invalid_arguments")
        waiting = {ticket.file_id: secret for secret, ticket in self._tickets.items() if ticket.contents is not None}
        ids = [str(each.get("id")) for each in listed]
        if not set(ids) <= set(waiting):
            raise SlackError("file_not_found")
        shared: dict[str, str] = {}
        if channel := arguments.get("channel_id"):
            text = {"channel": channel, "thread_ts": arguments.get("thread_ts")}
            text["text"] = arguments.get("initial_comment") or ""
            method = "files.completeUploadExternal"
            post = self._posting.create(method, text, workspace, files=tuple(ids), may_be_empty=True)
            shared[post.channel] = post.ts
        for file_id in ids:
            ticket = self._tickets.pop(waiting[file_id])
            kind = mimetypes.guess_type(ticket.name)[0] or "application/octet-stream"
            file = SlackFile(file_id, ticket.name, kind, ticket.contents or b"")
            file.shares = {channel: [ts] for channel, ts in shared.items()}
            self._files.by_id[file_id] = file
        return {"files": [{"id": file_id} for file_id in ids]}

    async def _take(self, request: Request) -> Response:
        """Take a file's contents, as the body or as a form."""
        ticket = self._tickets.get(request.path_params["secret"])
        if ticket is None:
            return Response(status_code=404)
        if request.headers.get("content-type", "").startswith("multipart/"):
            async with request.form() as form:
                parts = [await part.read() for part in form.values() if isinstance(part, UploadFile)]
            contents = parts[0] if parts else b""
        else:
            contents = await request.body()
        if len(contents) != ticket.length:
            return PlainTextResponse("the length differs", 400)
        ticket.contents = contents
        self.uploaded.append(ticket.name)
        return PlainTextResponse(f"OK - {len(contents)}")
