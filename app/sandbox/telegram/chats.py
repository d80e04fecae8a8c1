"""The chats of the sandbox's Telegram, and what the bot sent there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.sandbox.telegram.refusal import TelegramRefusedError, bad_request


@dataclass
class BotMessage:
    """A message that the bot sent.

    Attributes:
        chat_id: The chat; a private chat has the person's own id.
        thread_id: The topic that it is in, or None.
        entities: Its formatting, as objects of the Bot API.
        keyboard: The rows of its inline keyboard.
        file: Its file's name and contents, or None.
        reply_to: The message that it replies to, or None.
        preview: Telegram may show what a link leads to.
    """

    message_id: int
    chat_id: int
    thread_id: int | None
    text: str
    entities: Sequence[Mapping[str, Any]] = ()
    keyboard: list[list[dict[str, Any]]] = field(default_factory=list)
    file: tuple[str, bytes] | None = None
    reply_to: int | None = None
    preview: bool = True

    def button(self, label: str) -> str:
        """Return the callback data of the button with this label, or its URL."""
        for row in self.keyboard:
            for button in row:
                if button["text"] == label:
                    return str(button.get("callback_data") or button["url"])
        raise KeyError(label)


class TelegramChats:
    """Private chats and groups. Lives for the process.

    Attributes:
        sent: The messages that the bot sent and did not delete, oldest first.
        drafts: The drafts that it showed, by chat, oldest first.
        refusals: By chat, what is refused there from now on.
        file_refusals: By chat, what is refused to files there.
        started: The people who have started the private chat, and not blocked the bot.
        groups: The ids of the groups that the bot is a member of, negative.
        forums: Those of them that have topics.
        upgraded: By the id of a group that became a supergroup, the supergroup's id.
    """

    def __init__(self) -> None:
        self.sent: list[BotMessage] = []
        self.drafts: dict[int, list[str]] = {}
        self.refusals: dict[int, TelegramRefusedError] = {}
        self.file_refusals: dict[int, TelegramRefusedError] = {}
        self.started: set[int] = set()
        self.groups: set[int] = set()
        self.forums: set[int] = set()
        self.upgraded: dict[int, int] = {}
        self._last_id = 1000

    def new_id(self) -> int:
        """Return the id of a new message."""
        self._last_id += 1
        return self._last_id

    def in_chat(self, chat_id: int) -> list[BotMessage]:
        """Return what the bot sent to a chat and did not delete, oldest first."""
        return [message for message in self.sent if message.chat_id == chat_id]

    def check(self, chat_id: object) -> int:
        """Return the id of a chat that the bot may write in.

        Raises:
            TelegramRefusedError: There is no such chat, or its person or administrators keep the bot out.
        """
        try:
            chat = int(str(chat_id))
        except ValueError:
            raise bad_request("chat not found") from None
        if upgraded := self.upgraded.get(chat):
            words = "Bad Request: group chat was upgraded to a supergroup chat"
            raise TelegramRefusedError(400, words, migrate_to_chat_id=upgraded)
        if refusal := self.refusals.get(chat):
            raise refusal
        if chat < 0 and chat not in self.groups:
            raise TelegramRefusedError(403, "Forbidden: bot is not a member of the group chat")
        if chat >= 0 and chat not in self.started:
            raise TelegramRefusedError(403, "Forbidden: bot can't initiate conversation with a user")
        return chat

    def find(self, chat_id: int, message_id: object, purpose: str = "edit") -> BotMessage:
        """Return a message that the bot sent, to edit or to delete it.

        Raises:
            TelegramRefusedError: There is none.
        """
        for message in self.in_chat(chat_id):
            if str(message.message_id) == str(message_id):
                return message
        raise bad_request(f"message to {purpose} not found")
