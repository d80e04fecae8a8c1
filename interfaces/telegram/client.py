"""Sends replies to Telegram."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import httpx2

from app.errors import AttachmentGoneError, AttachmentTooLargeError, UnavailableError, UndeliverableError
from app.messages import Attachment, StoredMessage
from app.reply import NOT_ATTACHED, ReplyContent, ReplyFile
from interfaces.telegram.bot_api import BotApi, ClosedChatError, UpgradedGroupError, in_our_words
from interfaces.telegram.drafts import AnswerDrafts
from interfaces.telegram.formatting import Part, keyboard_of, parts_of
from interfaces.telegram.growing import GroupAnswer, GroupAnswers
from interfaces.telegram.pace import Pace
from interfaces.telegram.posting import BotMessages, Keyboard, Spot
from interfaces.telegram.upgrades import Upgrades

log = logging.getLogger(__name__)

ANSWERED_DIRECTLY = "I've sent you a private message."
CANNOT_WRITE_DIRECTLY = (
    "I have a private answer for you, but Telegram lets me write to you only after you have written to me. Open "
    "https://t.me/{username}, press Start, and ask me there."
)
AT_WORK = "I'm {}…"
MAX_DOWNLOAD_BYTES, MAX_UPLOAD_BYTES = 20_000_000, 50_000_000
_REMEMBERED_AT_MOST = 10_000  # replies, and public lines


class TelegramChannel:
    """Sends replies as the bot. Lives as long as the process and holds no personal data.

    Nobody can look up what the bot has sent. If Telegram gives no answer, the message may have arrived, and is sent
    again: a reply may so be shown twice, rather than not at all. What this process knows to have arrived it does not
    send again. The address of a Telegram message is ``{"chat": int, "thread": int | None, "message": int | None,
    "direct": bool}``.
    """

    def __init__(
        self,
        api: BotApi,
        posting: BotMessages,
        drafts: AnswerDrafts,
        answers: GroupAnswers,
        pace: Pace,
        upgrades: Upgrades,
    ) -> None:
        self._api = api
        self._posting = posting
        self._drafts = drafts
        self._answers = answers
        self._pace = pace
        self._upgrades = upgrades
        self._arrived: OrderedDict[str, int] = OrderedDict()  # by reply and chat, how many of its messages arrived
        self._public_lines: OrderedDict[tuple[str, bool], None] = OrderedDict()

    async def send(
        self, message: StoredMessage, content: ReplyContent, *, private: bool, reply_id: str, again: bool
    ) -> None:
        """Send the reply where the message came from; a private one goes to the sender's private chat.

        The group then gets one line that says so, once per message. A person who has never started the private chat is
        told in the group how to, and nothing else.

        Raises:
            UnclearError: Telegram did not answer, or reported an internal error.
            UnavailableError: Telegram refuses it for now.
            UndeliverableError: Telegram refuses it permanently.
        """
        self._drafts.end(message.message_id)
        if private and self.is_group(message):
            await self._send_privately(message, content, reply_id)
        else:
            await self._send_here(message, content, reply_id)

    async def keep_one(self, message: StoredMessage, reply_id: str) -> None:
        """Do nothing: nobody can look up what the bot has sent, so it is unknown which copies there are."""

    def follow(self, message: StoredMessage) -> GroupAnswer | None:
        """Return what shows the answer in a group; `AnswerDrafts` follows messages in private chats."""
        return self._answers.follow(message) if self.is_group(message) else None

    async def show_working(self, message: StoredMessage, doing: str | None) -> None:
        """Show that the assistant is typing, and in a private chat with what: a draft that the answer replaces.

        The first sign fades after five seconds, the draft after thirty.
        """
        here = await self._posting.spot_of(message)
        bot = await self._api.bot()
        with in_our_words():
            await bot.send_chat_action(here.chat_id, "typing", message_thread_id=here.thread_id)
        if doing is not None and not self.is_group(message):
            await self._drafts.show_work(message, AT_WORK.format(doing))

    async def show_idle(self, message: StoredMessage) -> None:
        """Stop following the run; the sign fades."""
        self._drafts.end(message.message_id)

    async def fetch(self, message: StoredMessage, attachment: Attachment, *, limit: int) -> bytes:
        """Return the contents of an attachment; Telegram gives a bot files of up to 20 MB.

        Raises:
            AttachmentTooLargeError: It exceeds the limit, or Telegram's.
            AttachmentGoneError: Telegram does not have it any more.
            UnavailableError: Telegram does not give it for now.
        """
        bot = await self._api.bot()
        try:
            with in_our_words():
                file = await bot.get_file(attachment.reference)
        except UndeliverableError as error:
            if "too big" in error.reason:
                raise AttachmentTooLargeError(min(limit, MAX_DOWNLOAD_BYTES)) from None
            raise AttachmentGoneError(f"Telegram does not give it: {error.reason}") from None
        if file.file_path is None:
            raise AttachmentGoneError("Telegram does not give it")
        contents = bytearray()
        try:
            async for chunk in bot.session.stream_content(self._api.file_url(file.file_path)):
                contents += chunk
                if len(contents) > limit:
                    raise AttachmentTooLargeError(limit)
        except httpx2.HTTPStatusError as error:
            if error.response.is_client_error:
                raise AttachmentGoneError("Telegram does not have it any more") from None
            raise UnavailableError("Telegram does not give it for now") from None
        except httpx2.HTTPError as error:
            raise UnavailableError(f"Telegram gave no answer ({type(error).__name__})") from None
        return bytes(contents)

    def is_group(self, message: StoredMessage) -> bool:
        """Return whether the message was written anywhere but in a private chat."""
        return not message.address["direct"]

    async def _where_it_is(self, message: StoredMessage, send: Callable[[Spot], Awaitable[None]]) -> None:
        """Send something to where a message came from, or to the supergroup that this has become."""
        here = await self._posting.spot_of(message)
        try:
            await send(here)
        except UpgradedGroupError as error:
            await self._upgrades.note(here.chat_id, error.upgraded)
            await send(await self._posting.spot_of(message))

    async def _send_here(self, message: StoredMessage, content: ReplyContent, reply_id: str) -> None:
        """Send where the message came from, or to the private chat if the bot cannot write there."""
        try:
            await self._where_it_is(message, lambda here: self._send(message, here, content, reply_id))
        except ClosedChatError as error:
            if not self.is_group(message):
                raise
            log.warning("message %s: answered in the private chat: %s", message.message_id, error)
            await self._send(message, _private_chat(message), content, reply_id)

    async def _send_privately(self, message: StoredMessage, content: ReplyContent, reply_id: str) -> None:
        try:
            await self._send(message, _private_chat(message), content, reply_id)
        except ClosedChatError:
            username = await self._api.username()
            await self._say_publicly(message, CANNOT_WRITE_DIRECTLY.format(username=username), reply_id, told=False)
            raise
        await self._say_publicly(message, ANSWERED_DIRECTLY, reply_id, told=True)

    async def _send(self, message: StoredMessage, spot: Spot, content: ReplyContent, reply_id: str) -> None:
        """Send what of a reply is not known to have arrived."""
        await self._api.bot()  # so that the converter is loaded too
        key = reply_id if spot.chat_id < 0 else f"{reply_id}:private"
        parts = parts_of(content.text, verbatim=content.verbatim)
        for number in range(self._arrived.get(key, 0), len(parts) + len(content.files)):
            if number < len(parts):
                keyboard = keyboard_of(content.buttons) if number == len(parts) - 1 else []
                await self._send_part(message, spot, parts[number], keyboard, reply_id, first=number == 0)
            else:
                await self._send_file(spot, content.files[number - len(parts)])
            self._arrived[key] = number + 1
            self._arrived.move_to_end(key)
        if len(self._arrived) > _REMEMBERED_AT_MOST:
            self._arrived.popitem(last=False)

    async def _send_part(
        self, message: StoredMessage, spot: Spot, part: Part, keyboard: Keyboard, reply_id: str, *, first: bool
    ) -> None:
        """Send a part of a reply; the first becomes what was written of it there, if anything was."""
        if first and await self._answers.finish(message, spot, part, keyboard, reply_id):
            return
        async with self._pace.turn(spot.chat_id):
            await self._posting.send(spot, part, keyboard)

    async def _send_file(self, spot: Spot, file: ReplyFile) -> None:
        """Send a file, or say why it cannot be sent."""
        contents = await file.read()
        async with self._pace.turn(spot.chat_id):
            await self._send_or_say_why(spot, file, contents)

    async def _send_or_say_why(self, spot: Spot, file: ReplyFile, contents: bytes) -> None:
        """Send a document, or one line in its place."""
        if not contents:
            why = "it is empty"
        elif len(contents) > MAX_UPLOAD_BYTES:
            why = f"it is larger than {MAX_UPLOAD_BYTES // 1_000_000} MB, and Telegram takes no more"
        else:
            try:
                await self._posting.send_file(spot, file, contents)
            except ClosedChatError:
                raise
            except UndeliverableError as error:
                log.warning("a file of an answer was not taken: %s", error)
                why = "Telegram does not take it"
            else:
                return
        await self._posting.send(spot, Part(NOT_ATTACHED.format(file.name, why)), [])

    async def _say_publicly(self, message: StoredMessage, line: str, reply_id: str, *, told: bool) -> None:
        """Send a line that everybody may read, once per message; skip it if Telegram refuses permanently."""
        said = (message.message_id, told)
        if said in self._public_lines:
            await self._answers.drop(message)
            return
        try:
            await self._where_it_is(
                message, lambda here: self._send_part(message, here, Part(line), [], reply_id, first=True)
            )
        except UndeliverableError as error:
            log.warning("message %s: no public line, because Telegram says %s", message.message_id, error.reason)
            return
        self._public_lines[said] = None
        if len(self._public_lines) > _REMEMBERED_AT_MOST:
            self._public_lines.popitem(last=False)


def _private_chat(message: StoredMessage) -> Spot:
    """Return the sender's private chat, which has their own id."""
    return Spot(int(message.principal.user))
