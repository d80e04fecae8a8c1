"""Turns answers into posts that Slack accepts (https://docs.slack.dev/messaging/formatting-message-text)."""

from __future__ import annotations

from interfaces.splitting import split

MAX_POST_LENGTH = 3_900  # characters; Slack recommends less than 4,000


def posts(text: str) -> list[str]:
    """Return an answer cut into posts, at line ends where possible."""
    return split(text, MAX_POST_LENGTH)


def escaped(post: str) -> str:
    """Return a post with three characters escaped, so that no mail can call ``<!channel>``.

    With Slack's markup on, ``*``, ``_``, ``~`` and backticks would still be markup.
    """
    return post.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
