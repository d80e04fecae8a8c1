"""The text of a message: its person's own words, forwarded messages, and notes about anything else they sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from interfaces.slack.files import is_attached
from interfaces.slack.markup import typed

MENTIONED = "[This message mentions you and says nothing else.]"
NO_WORDS = "[This message has no words.]"
_CANNOT_OPEN = "You cannot open them."
_NAMED_AT_MOST = 20  # files and forwarded messages


def words_of(event: Mapping[str, Any], *, own_id: str | None, names: Mapping[str, str]) -> str:
    """Return the text of a message; an empty one only if it has attachments.

    Forwarded messages are quoted with their authors' names. A note in brackets replaces anything that the assistant
    cannot read, such as files whose contents Slack does not have.

    Args:
        event: The inner event: https://docs.slack.dev/reference/events/message.
        own_id: The assistant's user id.
        names: The names of other people, by user id.
    """
    text = str(event.get("text") or "")
    said = typed(text, own_id=own_id, names=names)
    parts = [part for part in (said, *_forwarded(event, names), _files(event, is_attached)) if part]
    if parts or any(map(is_attached, _items(event, "files"))):
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


def _files(holder: Mapping[str, Any], besides: Callable[[Mapping[str, Any]], bool] = lambda _: False) -> str:
    """Return a note that names a message's files, except those `besides`, or an empty text."""
    files = [file for file in _items(holder, "files") if not besides(file)]
    named = [_one_line(str(file.get("title") or file.get("name") or "a file")) for file in files]
    return f"[Attached: {', '.join(named)}. {_CANNOT_OPEN}]" if named else ""


def _items(holder: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    items = holder.get(key)
    return [item for item in items[:_NAMED_AT_MOST] if isinstance(item, dict)] if isinstance(items, list) else []


def _one_line(text: str) -> str:
    """Return a name on one line, without characters that could disguise it."""
    return " ".join("".join(filter(str.isprintable, text)).split())[:100]
