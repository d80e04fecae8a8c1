"""Turns answers into posts that Slack accepts (https://docs.slack.dev/messaging/formatting-message-text)."""

from __future__ import annotations

from interfaces.splitting import split

MAX_POST_LENGTH = 3_900  # characters; Slack recommends less than 4,000 for a text that it does not format
# Characters; a markdown block may have 12,000, and all blocks of a post about 13,200 as JSON, quotes escaped.
MAX_MARKDOWN_LENGTH = 9_000


def posts(text: str, at_most: int = MAX_POST_LENGTH) -> list[str]:
    """Return an answer cut into posts of at most `at_most` characters, at line ends where possible."""
    return split(text, at_most)


def escaped(post: str) -> str:
    """Return a post with three characters escaped, so that no mail can call ``<!channel>``.

    With Slack's markup on, ``*``, ``_``, ``~`` and backticks would still be markup.
    """
    return post.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
