"""The files of the sandbox's Slack (https://docs.slack.dev/reference/objects/file-object)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app.sandbox.log import bearer_of
from app.sandbox.slack.places import SlackError


@dataclass(slots=True)
class SlackFile:
    """A file.

    Attributes:
        shares: The timestamps of the posts that it was shared with, by channel.
    """

    file_id: str
    name: str
    mime_type: str
    contents: bytes = field(repr=False)
    shares: dict[str, list[str]] = field(default_factory=dict)


class SlackFiles:
    """Keeps files and gives them to bots that may read files. Lives for the process; serve `route`.

    Args:
        may_read: Returns whether a bot token is valid and has the scope files:read.

    Attributes:
        by_id: The files, by id.
        downloads: The ids of the files that were downloaded.
    """

    def __init__(self, may_read: Callable[[str], bool]) -> None:
        self._may_read = may_read
        self.by_id: dict[str, SlackFile] = {}
        self._numbers = itertools.count(1)
        self.downloads: list[str] = []
        self.route = Route("/files-pri/{file_id}/{name}", self._download, methods=["GET"])

    def new_id(self) -> str:
        """Return the id of a new file."""
        return f"F0{next(self._numbers):06}"

    def upload(self, name: str, mime_type: str, contents: bytes, **changes: object) -> dict[str, Any]:
        """Upload a file as a person; return it as it stands in the event of its message."""
        file = SlackFile(self.new_id(), name, mime_type, contents)
        self.by_id[file.file_id] = file
        return {**_described(file, "https://files.slack.com"), **changes}

    def delete(self, file_id: str) -> None:
        """Delete a file."""
        del self.by_id[file_id]

    def info(self, arguments: Mapping[str, Any], root: str) -> dict[str, Any]:
        """Return what https://docs.slack.dev/reference/methods/files.info does; `root` is the address of this Slack."""
        file = self.by_id.get(str(arguments.get("file")))
        if file is None:
            raise SlackError("file_not_found")
        return {"file": _described(file, root)}

    async def _download(self, request: Request) -> Response:
        bearer = bearer_of(request.headers.get("authorization"))
        file = self.by_id.get(request.path_params["file_id"])
        if file is None:
            return Response(status_code=404)
        if bearer is None or not self._may_read(bearer):
            return RedirectResponse("/?redir=%2Ffiles-pri", 302)  # to the sign-in page
        self.downloads.append(file.file_id)
        return Response(file.contents, media_type=file.mime_type)


def _described(file: SlackFile, root: str) -> dict[str, Any]:
    shares = {channel: [{"ts": ts} for ts in stamps] for channel, stamps in file.shares.items()}
    return {
        "id": file.file_id,
        "name": file.name,
        "title": file.name,
        "mimetype": file.mime_type,
        "size": len(file.contents),
        "mode": "hosted",
        "shares": {"public": shares} if shares else {},
        "url_private": f"{root}/files-pri/{file.file_id}/{file.name}",
        "url_private_download": f"{root}/files-pri/{file.file_id}/{file.name}",
    }
