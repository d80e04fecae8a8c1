"""The words of a message: what its person typed, what they forwarded, and what else they sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from interfaces.slack.markup import typed

MENTIONED = "[This message mentions you and says nothing else.]"
NO_WORDS = "[This message has no words.]"
_CANNOT_OPEN = "You cannot open files from Slack."
_NAMED_AT_MOST = 20  # files and forwarded messages


def words_of(event: Mapping[str, Any], *, own_id: str | None, names: Mapping[str, str]) -> str:
    """Return the words of a message; never an empty text, so that everyone who writes is answered.

    Forwarded messages are quoted with their authors' names, and files are named. A note in brackets stands for what
    the assistant cannot read.

    Args:
        event: The inner event: https://docs.slack.dev/reference/events/message.
        own_id: The assistant's user id.
        names: By user id, the names of other people.
    """
    text = str(event.get("text") or "")
    said = typed(text, own_id=own_id, names=names)
    parts = [part for part in (said, *_forwarded(event, names), _files(event)) if part]
    if parts:
        return "\n\n".join(parts)
    return MENTIONED if text.strip() else NO_WORDS


def _forwarded(event: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """Yield the messages that were forwarded, or else attached, each as a quotation."""
    for attachment in _items(event, "attachments"):
        text = attachment.get("text") or attachment.get("fallback") or attachment.get("title")
        if not isinstance(text, str) or not (quoted := typed(text, names=names)):
            continue
        author = attachment.get("author_name") or attachment.get("author_subname")
        by = f" by {_one_line(author)}" if isinstance(author, str) and author.strip() else ""
        lines = "\n".join(f"> {line}" for line in quoted.split("\n"))
        yield f"[Forwarded message{by}:]\n{lines}"
        if files := _files(attachment):
            yield files


def _files(holder: Mapping[str, Any]) -> str:
    """Return a note that names the files of a message, or nothing."""
    named = [_one_line(str(file.get("title") or file.get("name") or "a file")) for file in _items(holder, "files")]
    return f"[Attached: {', '.join(named)}. {_CANNOT_OPEN}]" if named else ""


def _items(holder: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    items = holder.get(key)
    return [item for item in items[:_NAMED_AT_MOST] if isinstance(item, dict)] if isinstance(items, list) else []


def _one_line(text: str) -> str:
    """Return a name without what would let it look like something else."""
    return " ".join("".join(filter(str.isprintable, text)).split())[:100]
