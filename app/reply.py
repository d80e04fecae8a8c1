"""Replies as values: what a channel is given to show, and how each channel may show it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

NOT_ATTACHED = 'I could not attach "{}": {}.'  # a file's name, and why
MAX_COMMAND_BYTES = 64  # of a button, in UTF-8: all that Telegram sends back with a press


class ButtonStyle(StrEnum):
    """The meaning of a press to the person; a channel may colour it accordingly."""

    PLAIN = "plain"
    PRIMARY = "primary"  # what they most likely want
    DANGER = "danger"  # ends or drops something


@dataclass(frozen=True, slots=True)
class Button:
    """A button below a reply. It either says a chat command for the person who presses it, or opens a page.

    Attributes:
        label: The words on it.
        command: The words that a person could type instead, such as ``approve 3f2a``; at most 64 bytes.
        url: The page to open; it may be a secret of the person whom the reply is for.
    """

    label: str
    command: str | None = None
    url: str | None = field(default=None, repr=False)
    style: ButtonStyle = ButtonStyle.PLAIN

    def __post_init__(self) -> None:
        if (self.command is None) == (self.url is None):
            raise ValueError("a button has either a command or a url")
        if self.command is not None and not 0 < len(self.command.encode()) <= MAX_COMMAND_BYTES:
            raise ValueError(f"the command of a button has 1 to {MAX_COMMAND_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class ReplyFile:
    """A file that goes with a reply, by reference.

    Attributes:
        name: The file's name, as the person sees it.
        mime_type: Its type, such as ``application/pdf``.
        read: Returns its contents; awaited each time the reply is sent.
    """

    name: str
    mime_type: str
    read: Callable[[], Awaitable[bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReplyContent:
    """The contents of a reply, in a form that every channel can show; lives as long as one try to send it.

    The text says everything that the buttons do, so a channel without buttons shows it alone.

    Attributes:
        text: The words, Markdown.
        buttons: Shown below the text where the channel can, in this order.
        files: Sent along where the channel can, and else named.
        verbatim: Show the text character by character, without formatting: the person decides on exactly what it says.
    """

    text: str = field(repr=False)
    buttons: tuple[Button, ...] = ()
    files: tuple[ReplyFile, ...] = ()
    verbatim: bool = False


@dataclass(frozen=True, slots=True)
class LinkReply:
    """A command's reply that shows a consent link.

    Only the link's id is stored. The link itself is added each time the reply is sent.

    Attributes:
        link_id: The id of the consent link.
        text: The text below the link.
    """

    link_id: str
    text: str = field(repr=False)
