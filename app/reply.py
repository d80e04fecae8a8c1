"""Replies that are more than text."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LinkReply:
    """A reply that shows a consent link.

    Only the link's id is stored. The link itself is added each time the reply is sent.

    Attributes:
        link_id: The id of the consent link.
        text: The text below the link.
    """

    link_id: str
    text: str = field(repr=False)
