"""The text of a message: its person's own words, without the bot's name, and commands as they are typed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from interfaces.commands import command_in_words

MENTIONED = "[This message mentions you and says nothing else.]"
NO_WORDS = "[This message has no words.]"

# What a message can consist of that has neither words nor a file that can be fetched.
_THINGS = ("contact", "dice", "game", "location", "poll", "sticker", "story", "venue", "checklist")
_QUOTED_AT_MOST = 2000  # characters


def words_of(message: Mapping[str, Any], *, direct: bool, bot_id: int, username: str) -> str | None:
    """Return what a message says to the assistant; None if it is not for it, or tells of something that happened.

    In a group, a message is for the assistant if it mentions it, replies to it, or begins with one of its commands.

    Args:
        message: The message.
        direct: It was written in a private chat, where everything is for the assistant.
        bot_id: The bot's id.
        username: The bot's name in lower case; not needed in a private chat.
    """
    text = next((each for key in ("text", "caption") if isinstance(each := message.get(key), str)), "")
    entities = [entity for key in ("entities", "caption_entities") for entity in _items(message, key)]
    named = [part for part in _parts(text, entities) if _names(part, bot_id, username)]
    forwarded = message.get("forward_origin") is not None
    command = None if forwarded else _command(text, entities, username)
    replies = _is_of(message.get("reply_to_message"), bot_id)
    if command is _FOR_ANOTHER or not (direct or named or replies or command):
        return None
    said = command if isinstance(command, str) else _without(text, named)
    if forwarded:
        return _quotation(f"Forwarded message{_by(message.get('forward_origin'))}", said or NO_WORDS)
    quoted = "" if direct or replies else _replied(message.get("reply_to_message"))
    if said:
        return f"{said}\n\n{quoted}" if quoted else said
    thing = next((thing for thing in _THINGS if message.get(thing) is not None), None)
    if thing is not None:
        return f"[This message is a {thing}, which you cannot see.]"
    if any(message.get(kind) is not None for kind in ("photo", "voice", "audio", "video", "video_note", "document")):
        return quoted
    if not text.strip():
        return None  # somebody joined, a title changed, …
    return f"{MENTIONED}\n\n{quoted}" if quoted else MENTIONED


class _ForAnother:
    """A command for another bot."""


_FOR_ANOTHER = _ForAnother()


def _command(text: str, entities: list[Mapping[str, Any]], username: str) -> str | _ForAnother | None:
    """Return the words of a command with which a text begins; None if it is none of ours."""
    if not any(entity.get("type") == "bot_command" and entity.get("offset") == 0 for entity in entities):
        return None
    typed, _, rest = text.partition(" ")
    name, _, whose = typed[1:].partition("@")
    if whose and username and whose.lower() != username:
        return _FOR_ANOTHER
    words = command_in_words(name, rest)
    if words is None and whose:
        return f"/{name} {rest}".strip()
    return words


def _parts(text: str, entities: list[Mapping[str, Any]]) -> Iterator[tuple[int, int, str, Mapping[str, Any]]]:
    """Yield the parts of a text that entities mark: where each begins and ends in UTF-16 units, and what it says."""
    units = text.encode("utf-16-le", errors="surrogatepass")
    for entity in entities:
        offset, length = entity.get("offset"), entity.get("length")
        if isinstance(offset, int) and isinstance(length, int) and offset >= 0 and length > 0:
            part = units[2 * offset : 2 * (offset + length)].decode("utf-16-le", errors="replace")
            yield offset, offset + length, part, entity


def _names(part: tuple[int, int, str, Mapping[str, Any]], bot_id: int, username: str) -> bool:
    _, _, words, entity = part
    if entity.get("type") == "text_mention":
        return _is_bot(entity.get("user"), bot_id)
    return entity.get("type") == "mention" and bool(username) and words.lower() == f"@{username}"


def _without(text: str, parts: list[tuple[int, int, str, Mapping[str, Any]]]) -> str:
    """Return a text without these parts."""
    units = text.encode("utf-16-le", errors="surrogatepass")
    for start, end, _, _ in sorted(parts, key=lambda part: part[0], reverse=True):
        units = units[: 2 * start] + units[2 * end :]
    return units.decode("utf-16-le", errors="replace").strip()


def _is_of(message: Any, bot_id: int) -> bool:
    return isinstance(message, dict) and _is_bot(message.get("from"), bot_id)


def _is_bot(user: Any, bot_id: int) -> bool:
    return isinstance(user, dict) and user.get("id") == bot_id


def _replied(message: Any) -> str:
    """Return the message of somebody else that a message in a group replies to, as a quotation; or nothing."""
    if not isinstance(message, dict) or message.get("forum_topic_created") is not None:
        return ""
    text = next((each for key in ("text", "caption") if isinstance(each := message.get(key), str)), "")
    sender = message.get("from")
    name = sender.get("first_name") if isinstance(sender, dict) else None
    return _quotation(f"In reply to{_named(name, ' ')}", text) if text.strip() else ""


def _by(origin: Any) -> str:
    """Return the author of a forwarded message, as far as Telegram says."""
    if not isinstance(origin, dict):
        return ""
    user, chat = origin.get("sender_user"), origin.get("sender_chat") or origin.get("chat")
    name = user.get("first_name") if isinstance(user, dict) else origin.get("sender_user_name")
    return _named(name or (chat.get("title") if isinstance(chat, dict) else None), " by ")


def _named(name: Any, before: str) -> str:
    """Return a name on one line, without characters that could disguise it."""
    return before + " ".join("".join(filter(str.isprintable, name)).split())[:100] if isinstance(name, str) else ""


def _quotation(title: str, text: str) -> str:
    lines = "\n".join(f"> {line}" for line in text[:_QUOTED_AT_MOST].split("\n"))
    return f"[{title}:]\n{lines}"


def _items(message: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    items = message.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
