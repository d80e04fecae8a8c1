"""The things that were last listed in a conversation, so that a person can name them by their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_ai.messages import ModelMessage, ToolReturnPart

from app.llm.rendering import listed_ids

LISTED = "listed"  # in the metadata of a member's answer: the ids of the things that it listed last


def last_listed(messages: Sequence[ModelMessage]) -> list[str]:
    """Return the ids of the things in the last list, in its order; a member of a team may have listed them."""
    parts = [part for message in reversed(messages) for part in reversed(message.parts)]
    results = (part for part in parts if isinstance(part, ToolReturnPart) and part.outcome == "success")
    return next(filter(None, map(_listed, results)), [])


def _listed(result: ToolReturnPart) -> list[str]:
    metadata: Any = result.metadata
    if isinstance(metadata, Mapping) and isinstance(metadata.get(LISTED), list):
        return [str(each) for each in metadata[LISTED]]
    return listed_ids(result.content)
