"""The text that a person typed, recovered from Slack's markup (https://docs.slack.dev/messaging/formatting-message-text)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

# Slack escapes every "<", ">" and "&" that people type, so unescaped ones only enclose its own marks.
_MARK = re.compile(r"<([^<>]*)>")
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_ENTITY = re.compile(r"&(amp|lt|gt);")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">"}
_STOPS = (",", ".", ":", ";", "!", "?", "\n")
_SCHEME = re.compile(r"(?:https?://|mailto:|tel:)", re.IGNORECASE)
_LATEST_DATE = 253_402_300_799  # POSIX seconds; the end of the year 9999


def mentioned(text: str) -> tuple[str, ...]:
    """Return the user ids that a text mentions, each once, in order."""
    return tuple(dict.fromkeys(_MENTION.findall(text)))


def typed(text: str, *, own_id: str | None = None, names: Mapping[str, str]) -> str:
    """Return the text that a person typed, without the mentions of the assistant.

    A link becomes its label, with its target if that differs; every other mark becomes its name.

    Args:
        text: The text of an event.
        own_id: The assistant's user id, if mentions of it are to be removed.
        names: The names of other people, by user id; for a missing name the id is used.
    """
    pieces = _MARK.split(text)  # text, mark, text, …, text
    said = [_unescaped(pieces[0])]
    begun = bool(said[0].strip())  # whether there are words before the mention
    for mark, after in zip(pieces[1::2], map(_unescaped, pieces[2::2]), strict=True):
        if own_id is not None and mark.partition("|")[0] == f"@{own_id}":
            said[-1] = said[-1].rstrip(" ")
            said.append(_joined(said[-1], after) if begun else after.lstrip(" \t\n,:;"))
        else:
            said += (_plain(mark, names), after)
            begun = True
        begun = begun or bool(said[-1].strip())
    return "".join(said).strip()


def _joined(before: str, after: str) -> str:
    """Return the text after a removed mention, as if the sentence had been written without it."""
    words = after.lstrip(" ")
    is_apart = words != after and not before.endswith("\n") and not words.startswith(_STOPS)
    return f" {words}" if is_apart else words


def _plain(mark: str, names: Mapping[str, str]) -> str:
    """Return the text for a mark, which is given without its angle brackets."""
    target, _, label = mark.partition("|")
    label = _unescaped(label)
    if target.startswith("@"):
        return f"@{names.get(target[1:]) or label.removeprefix('@') or target[1:]}"
    if target.startswith("#"):
        return f"#{label.removeprefix('#') or target[1:]}"
    if target.startswith("!"):
        return _special(target[1:], label)
    return _link(_unescaped(target), label)


def _special(target: str, label: str) -> str:
    """Return the text for a mention of everyone, a group or a date."""
    kind, *details = target.split("^")
    if kind == "date":
        return label or _date(details)
    if kind == "subteam":
        return f"@{label.removeprefix('@') or ''.join(details[:1])}"
    return f"@{kind}" if kind in ("here", "channel", "everyone") else label or kind


def _date(details: list[str]) -> str:
    seconds = details[0] if details else ""
    if seconds.isascii() and seconds.isdigit() and len(seconds) <= 12 and int(seconds) <= _LATEST_DATE:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return seconds


def _link(target: str, label: str) -> str:
    bare = target if target.lower().startswith("http") else _SCHEME.sub("", target, count=1)
    if not label:
        return bare
    return label if _essence(label) == _essence(target) else f"{label} ({bare})"


def _essence(link: str) -> str:
    """Return the part of a link that people type, normalised."""
    essence = _SCHEME.sub("", link, count=1).rstrip("/").lower()
    return essence if any(map(str.isalpha, essence)) else "".join(filter(str.isdigit, essence))


def _unescaped(text: str) -> str:
    return _ENTITY.sub(lambda entity: _ENTITIES[entity[1]], text)
