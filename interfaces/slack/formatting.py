"""Text to and from Slack (https://docs.slack.dev/messaging/formatting-message-text)."""

from __future__ import annotations

import re
from html import unescape

MAX_POST_LENGTH = 3_900  # characters; Slack advises to stay below 4,000

_LEADING_MENTION = re.compile(r"^\s*<@[UW][A-Z0-9]+(\|[^>]*)?>\s*")
_LINK = re.compile(r"<(https?://|mailto:)([^|>]+)(?:\|[^>]*)?>")


def plain(text: str) -> str:
    """What the person typed: without the mention of the assistant, links and entities undone."""
    text = _LEADING_MENTION.sub("", text)
    text = _LINK.sub(lambda link: link[2] if link[1] == "mailto:" else link[1] + link[2], text)
    return unescape(text).strip()


def posts(text: str) -> list[str]:
    """An answer cut into posts that Slack takes whole, at line ends where possible."""
    pieces: list[str] = []
    rest = text.strip() or "(no text)"
    while rest:
        cut = len(rest)
        if cut > MAX_POST_LENGTH:
            cut = rest.rfind("\n", 1, MAX_POST_LENGTH) + 1 or MAX_POST_LENGTH
        pieces.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip("\n")
    return pieces


def escaped(post: str) -> str:
    """The post as `text`: the three characters with a meaning are escaped, so that no mail can call ``<!channel>``.

    Where Slack's markup is on, it still takes ``*``, ``_``, ``~`` and backticks for marks.
    """
    return post.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
