"""Results of agno's tools, as the model may be shown them: text, no longer than it reads, and marked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from pydantic_core import to_jsonable_python

from app.toolkits.untrusted import Quotes

MAX_RESULT = 20_000  # characters
_PIECES = 1_000  # of a result that comes in pieces
_SHORTEST_SECRET = 6  # characters; a shorter value would be taken out of innocent words
_REMOVED = "[removed]"


def shown(result: object, secrets: Sequence[str]) -> dict[str, Any]:
    """Return a tool's result for the model.

    Args:
        result: The tool's result: a text, a ToolResult, or anything else.
        secrets: Credentials that the toolkit was given; an error that quotes one does not reach the model.
    """
    text, pictures = _text(result)
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, _REMOVED)
    quotes = Quotes()
    found: dict[str, Any] = {**quotes.note, "result": quotes.quote(text[:MAX_RESULT])}
    if len(text) > MAX_RESULT:
        found["left_out"] = f"The result has {len(text)} characters; the first {MAX_RESULT} are here. Ask for less."
    if pictures:
        found["media"] = f"{pictures} images, sounds or files came with the result; I cannot show them."
    return found


def gathered(pieces: Iterator[Any]) -> str:
    """Return a result that a tool yields in pieces, up to a limit."""
    text: list[str] = []
    for number, piece in enumerate(pieces):
        text.append(_text(piece)[0])
        if number >= _PIECES or sum(map(len, text)) > MAX_RESULT:
            break
    return "".join(text)


async def gathered_later(pieces: AsyncIterator[Any]) -> str:
    """Return a result that an asynchronous tool yields in pieces, up to a limit."""
    text: list[str] = []
    async for piece in pieces:
        text.append(_text(piece)[0])
        if len(text) > _PIECES or sum(map(len, text)) > MAX_RESULT:
            break
    return "".join(text)


def _text(result: object) -> tuple[str, int]:
    """Return a result as text, and how many pictures, sounds and files came with it."""
    media = sum(len(getattr(result, kind, None) or ()) for kind in ("images", "videos", "audios", "files"))
    content = getattr(result, "content", result)  # of agno's ToolResult
    if isinstance(content, str):
        return content, media
    return json.dumps(to_jsonable_python(content, fallback=_unknown, bytes_mode="base64"), ensure_ascii=False), media


def _unknown(value: object) -> str:
    return f"<{type(value).__name__}>"  # a repr could show anything
