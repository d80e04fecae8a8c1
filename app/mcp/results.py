"""The result of a call as a model is given it: quoted, because others wrote it, and cut where it is long."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import mcp_types

from app.toolkits.untrusted import Quotes


def in_quotes(result: mcp_types.CallToolResult, most: int) -> dict[str, Any]:
    """Return what a server has answered, for a model.

    Args:
        result: The server's result.
        most: Maximum characters that the model is given.
    """
    text, left_out = _cut(result, most)
    quotes = Quotes()
    answer: dict[str, Any] = {**quotes.note, "result": quotes.quote(text)}
    if left_out:
        answer["cut"] = (
            f"This is the beginning; {left_out} characters more were left out. Ask the tool for less at once."
        )
    return answer


def as_reason(result: mcp_types.CallToolResult) -> str:
    """Return what a server says of a call that it refused, in one short line for the model and the person."""
    text, _ = _cut(result, _REASON)
    return Quotes().quote(" ".join(text.split()))


_REASON = 500  # characters


def _cut(result: mcp_types.CallToolResult, most: int) -> tuple[str, int]:
    text = "\n".join(_texts(result))
    return text[:most], max(0, len(text) - most)


def _texts(result: mcp_types.CallToolResult) -> Iterator[str]:
    for block in result.content:
        match block:
            case mcp_types.TextContent(text=text):
                yield text
            case mcp_types.EmbeddedResource(resource=mcp_types.TextResourceContents(text=text)):
                yield text
            case mcp_types.ResourceLink(name=name, uri=uri):
                yield f"[a link to {name}: {uri}]"
            case mcp_types.ImageContent(mime_type=kind) | mcp_types.AudioContent(mime_type=kind):
                yield f"[a file of the type {kind}, which I do not read]"
            case _:
                yield "[something that I do not read]"
    if not result.content and result.structured_content is not None:
        yield json.dumps(result.structured_content, ensure_ascii=False)
