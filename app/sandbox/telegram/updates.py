"""The actions of people in the sandbox's Telegram, as updates (https://core.telegram.org/bots/api#update)."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx2

from app.sandbox.telegram.chats import BotMessage, TelegramChats

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105  # the name of a header
ANONYMOUS_ADMINISTRATOR, CHANNEL_AS_PERSON = 1087968824, 136817688
_FIRST_SUPERGROUP = -1_000_000_000_000  # the ids of supergroups begin with -100
_DATE = 1_767_225_600  # of every message, POSIX seconds


class TelegramPeople:
    """Makes the updates that Telegram sends for what people do. Lives for the process.

    Args:
        chats: Where they do it. To write in a private chat is to start it.
        bot: The bot, as an object of the Bot API.
        secret: The secret in the webhook's requests.
    """

    def __init__(self, chats: TelegramChats, bot: dict[str, Any], secret: str) -> None:
        self.chats = chats
        self.bot = bot
        self._secret = secret
        self._update_ids = itertools.count(700_000)

    def write(
        self,
        user: int,
        text: str | None,
        *,
        chat: int | None = None,
        thread: int | None = None,
        sender: dict[str, Any] | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Return the update for a message that a person writes.

        Args:
            user: The person's id.
            text: Their words; commands and mentions get their entities.
            chat: A group, negative; None for the private chat.
            thread: The topic.
            sender: Whom Telegram names as the sender, if that is not the person.
            fields: More fields of the message, such as `reply_to_message` or `photo`.
        """
        if chat is None:
            self.chats.started.add(user)
        else:
            self.chats.groups.add(chat)
        message: dict[str, Any] = {
            "message_id": self.chats.new_id(),
            "from": sender or self.person(user),
            "chat": self.chat(user, chat),
            "date": _DATE,
        }
        if thread is not None:
            message |= {"message_thread_id": thread, "is_topic_message": True}
        if text is not None:
            message |= {"text": text, "entities": self._entities(text)}
        return self.update("message", {**message, **fields})

    def press(self, user: int, message: BotMessage, label: str) -> dict[str, Any]:
        """Return the update for a press of a button below one of the bot's messages."""
        return self.update(
            "callback_query",
            {
                "id": f"{user}{next(self._update_ids)}",
                "from": self.person(user),
                "chat_instance": "1",
                "message": {
                    "message_id": message.message_id,
                    "chat": self.chat(user, message.chat_id if message.chat_id < 0 else None),
                    "date": _DATE,
                    "from": self.bot,
                    "text": message.text,
                },
                "data": message.button(label),
            },
        )

    def upgrade(self, user: int, group: int, supergroup: int) -> list[dict[str, Any]]:
        """Let an administrator turn a group into a supergroup; return the updates of both chats."""
        self.chats.upgraded[group] = supergroup
        self.chats.groups.discard(group)
        self.chats.groups.add(supergroup)
        notices = ((group, "migrate_to_chat_id", supergroup), (supergroup, "migrate_from_chat_id", group))
        fields = {"date": _DATE, "from": self.person(user)}
        return [
            self.update(
                "message", {"message_id": self.chats.new_id(), "chat": self.chat(user, chat), **fields, key: other}
            )
            for chat, key, other in notices
        ]

    def update(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Return an update with a new id."""
        return {"update_id": next(self._update_ids), kind: content}

    def person(self, user: int) -> dict[str, Any]:
        """Return a person as an object of the Bot API."""
        return {"id": user, "is_bot": False, "first_name": f"Person {user}", "language_code": "en"}

    def chat(self, user: int, chat: int | None) -> dict[str, Any]:
        """Return a private chat or a group as an object of the Bot API."""
        if chat is None:
            return {"id": user, "type": "private", "first_name": f"Person {user}"}
        kind = "group" if chat > _FIRST_SUPERGROUP and chat not in self.chats.forums else "supergroup"
        group = {"id": chat, "type": kind, "title": f"Group {-chat}"}
        return {**group, "is_forum": True} if chat in self.chats.forums else group

    async def post(
        self, client: httpx2.AsyncClient, update: dict[str, Any], *, secret: str | None = None
    ) -> httpx2.Response:
        """Send an update to the webhook, as Telegram does."""
        headers = {SECRET_HEADER: self._secret if secret is None else secret, "Content-Type": "application/json"}
        # In ASCII, so that an update can hold half of a surrogate pair.
        return await client.post("/telegram/webhook", content=json.dumps(update).encode(), headers=headers)

    def _entities(self, text: str) -> list[dict[str, Any]]:
        """Return the entities that Telegram finds in plain words: commands and mentions."""
        entities, offset = [], 0
        for word in text.split(" "):
            length = len(word.encode("utf-16-le")) // 2
            if word.startswith(("/", "@")) and len(word) > 1:
                kind = "bot_command" if word.startswith("/") else "mention"
                entities.append({"type": kind, "offset": offset, "length": length})
            offset += length + 1
        return entities
