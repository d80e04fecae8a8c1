"""The text of a message: its person's own words, quoted ones, and notes about anything else that they sent."""

from __future__ import annotations

from interfaces.whatsapp.media import is_forwarded
from interfaces.whatsapp.payload import Part, part, parts, text

NO_WORDS = "[This message has no words that I can read.]"
_FORWARDED = "[Forwarded message:]"
_NAME_LENGTH = 100


def words_of(message: Part, *, has_files: bool, mention: str = "@") -> str:
    """Return the text of a message: an empty one only beside a file.

    The press of a button is the command that the button stands for. Forwarded words are quoted, so that they are taken
    neither for the sender's own words nor for a command.

    Args:
        message: The message.
        has_files: Whether a file comes with it.
        mention: How the assistant itself is mentioned in a group; left out of the words.
    """
    words = words_in(message).replace(mention, "").strip() if len(mention) > 1 else words_in(message).strip()
    if is_forwarded(message):
        quoted = "\n".join(f"> {line}" for line in words.split("\n")) if words else ""
        return f"{_FORWARDED}\n{quoted}".strip()
    return words or ("" if has_files else NO_WORDS)


def words_in(message: Part) -> str:
    """Return the words of a message as they stand in it."""
    kind = text(message, "type")
    content = part(message, kind)
    match kind:
        case "text":
            return text(content, "body")
        case "interactive":
            reply = part(content, text(content, "type"))
            return text(reply, "id") or text(reply, "title")
        case "button":
            return text(content, "payload") or text(content, "text")
        case "image" | "video" | "document" | "audio":
            return text(content, "caption")
        case "location":
            return _location(content)
        case "contacts":
            names = (_one_line(text(part(each, "name"), "formatted_name")) for each in parts(message, "contacts"))
            return f"[Contacts: {', '.join(name for name in names if name) or 'without names'}]"
    return ""


def _location(content: Part) -> str:
    place = [content.get("latitude"), content.get("longitude")]
    numbers = ", ".join(str(value) for value in place if isinstance(value, int | float))
    return f"[Location: {' '.join(filter(None, (numbers, _one_line(text(content, 'name')))))}]"


def _one_line(name: str) -> str:
    """Return a name on one line, without characters that could disguise it or end a note."""
    shown = "".join(character for character in name if character.isprintable() and character not in "[]")
    return " ".join(shown.split())[:_NAME_LENGTH]
