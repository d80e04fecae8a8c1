"""Pages of a list, newest first."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.sandbox.google.api import ApiError
from app.sandbox.google.gmail.message import MailboxMessage

MAX_RESULTS = 500  # https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/list


def page(
    messages: Sequence[MailboxMessage], parameters: Mapping[str, Any]
) -> tuple[Sequence[MailboxMessage], dict[str, Any]]:
    """Return one page of messages, which are newest first, and the answer's fields about the other pages.

    A page token names the last message of the previous page, so mail that arrives meanwhile shifts nothing.

    Raises:
        ApiError: The page token is unknown.
    """
    rest = messages
    if token := parameters.get("pageToken"):
        last = _read(token)
        rest = [message for message in messages if (message.at, message.id) < last]
    size = min(parameters["maxResults"] or 100, MAX_RESULTS)
    about: dict[str, Any] = {"resultSizeEstimate": len(messages)}
    if len(rest) > size:
        about["nextPageToken"] = _write(rest[size - 1])
    return rest[:size], about


def _write(message: MailboxMessage) -> str:
    return base64.urlsafe_b64encode(f"{message.at}/{message.id}".encode()).decode()


def _read(token: str) -> tuple[int, str]:
    try:
        match = re.fullmatch(rb"(\d{1,15})/([0-9a-f]{16})", base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError):
        match = None
    if match is None:
        raise ApiError(400, "Invalid pageToken")
    return int(match[1]), match[2].decode()
