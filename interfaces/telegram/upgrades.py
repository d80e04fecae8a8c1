"""Groups that became supergroups, which gives them another id (https://core.telegram.org/bots/api#responseparameters)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.database.database import Database
from app.database.tables import moved_chats


class Upgrades:
    """Remembers which supergroup was which group. Lives as long as the process; the database keeps the ids.

    The conversations of a group stay under its first id, so history, questions and lists of allowed groups still apply.

    Args:
        database: Keeps the ids.
        bot_id: The bot, which is the tenant.
    """

    def __init__(self, database: Database, *, bot_id: int) -> None:
        self._database = database
        self._tenant = str(bot_id)

    async def note(self, chat: int, upgraded: int) -> None:
        """Remember that a group has become a supergroup. Telegram says so several times, and once is enough."""
        row = {"platform": "telegram", "tenant": self._tenant, "chat": str(upgraded), "first_chat": str(chat)}
        try:
            async with self._database.writing() as connection:
                await connection.execute(moved_chats.insert().values(**row))
        except IntegrityError:
            pass  # it is known

    async def first_id(self, chat: int) -> int:
        """Return the id under which the conversations of a chat are kept."""
        return await self._other_id(chat, known=moved_chats.c.chat, wanted=moved_chats.c.first_chat)

    async def current_id(self, chat: int) -> int:
        """Return the id that a chat has now."""
        return await self._other_id(chat, known=moved_chats.c.first_chat, wanted=moved_chats.c.chat)

    async def _other_id(self, chat: int, *, known: sa.Column[str], wanted: sa.Column[str]) -> int:
        if chat > 0:  # a person's
            return chat
        query = sa.select(wanted).where(
            moved_chats.c.platform == "telegram", moved_chats.c.tenant == self._tenant, known == str(chat)
        )
        async with self._database.reading() as connection:
            other = (await connection.execute(query)).scalar()
        return chat if other is None else int(other)


def read_upgrade(update: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the ids of a group and of the supergroup that it became, if an update says so."""
    message = update.get("message")
    chat = message.get("chat") if isinstance(message, dict) else None
    here = chat.get("id") if isinstance(chat, dict) else None
    if not isinstance(message, dict) or not _is_group(here):
        return None
    before, after = message.get("migrate_from_chat_id"), message.get("migrate_to_chat_id")
    if _is_group(after):
        return int(str(here)), int(str(after))
    return (int(str(before)), int(str(here))) if _is_group(before) else None


def _is_group(chat: object) -> bool:
    return isinstance(chat, int) and not isinstance(chat, bool) and -(2**52) < chat < 0
