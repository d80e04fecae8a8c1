"""Sends, edits and deletes single messages of the bot (https://core.telegram.org/bots/api#sendmessage)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.messages import StoredMessage
from app.reply import ReplyFile
from interfaces.telegram.bot_api import BotApi, in_our_words
from interfaces.telegram.formatting import Part
from interfaces.telegram.upgrades import Upgrades

if TYPE_CHECKING:
    from aiogram.types import InlineKeyboardMarkup, LinkPreviewOptions, MessageEntity

Keyboard = Sequence[Sequence[dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a message goes: a chat, and a topic in it; and what it replies to."""

    chat_id: int
    thread_id: int | None = None
    reply_to: int | None = None


class BotMessages:
    """Does it as one bot. Lives as long as the process and holds nothing.

    Its methods raise what `in_our_words` raises.
    """

    def __init__(self, api: BotApi, upgrades: Upgrades) -> None:
        self._api = api
        self._upgrades = upgrades

    async def spot_of(self, message: StoredMessage) -> Spot:
        """Return where a message came from; in a group the answer quotes it, so that everybody sees whose it is."""
        address = message.address
        chat = await self._upgrades.current_id(address["chat"])
        if chat != address["chat"]:  # in the supergroup, the ids of messages begin anew
            return Spot(chat)
        return Spot(chat, address["thread"], None if address["direct"] else address["message"])

    async def send(self, spot: Spot, part: Part, keyboard: Keyboard) -> int:
        """Send a message and return its id."""
        bot = await self._api.bot()
        from aiogram.types import ReplyParameters

        reply = ReplyParameters(message_id=spot.reply_to, allow_sending_without_reply=True) if spot.reply_to else None
        with in_our_words():
            sent = await bot.send_message(
                spot.chat_id,
                part.text,
                message_thread_id=spot.thread_id,
                entities=_entities(part),
                reply_markup=_markup(keyboard),
                reply_parameters=reply,
                link_preview_options=_no_preview(),
            )
        return sent.message_id

    async def edit(self, chat_id: int, message_id: int, part: Part, keyboard: Keyboard) -> None:
        """Replace the text and the buttons of a message."""
        bot = await self._api.bot()
        with in_our_words():
            await bot.edit_message_text(
                part.text,
                chat_id=chat_id,
                message_id=message_id,
                entities=_entities(part),
                reply_markup=_markup(keyboard),
                link_preview_options=_no_preview(),
            )

    async def delete(self, chat_id: int, message_id: int) -> None:
        """Delete a message."""
        bot = await self._api.bot()
        with in_our_words():
            await bot.delete_message(chat_id, message_id)

    async def send_file(self, spot: Spot, file: ReplyFile, contents: bytes) -> None:
        """Send a document."""
        bot = await self._api.bot()
        from aiogram.types import BufferedInputFile

        with in_our_words():
            await bot.send_document(
                spot.chat_id, BufferedInputFile(contents, file.name), message_thread_id=spot.thread_id
            )


def _entities(part: Part) -> list[MessageEntity]:
    from aiogram.types import MessageEntity

    return [MessageEntity.model_validate(entity) for entity in part.entities]


def _markup(keyboard: Keyboard) -> InlineKeyboardMarkup | None:
    from aiogram.types import InlineKeyboardMarkup

    rows: Any = keyboard
    return InlineKeyboardMarkup(inline_keyboard=rows) if keyboard else None


def _no_preview() -> LinkPreviewOptions:
    from aiogram.types import LinkPreviewOptions

    return LinkPreviewOptions(is_disabled=True)
