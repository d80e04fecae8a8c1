"""Sends answers to WhatsApp."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from app.errors import UnavailableError, UndeliverableError
from app.messages import Attachment, StoredMessage
from app.reply import NOT_ATTACHED, ReplyContent, ReplyFile
from interfaces.whatsapp.arrivals import Arrivals, mark
from interfaces.whatsapp.graph import GraphApi
from interfaces.whatsapp.inbound import conversation_of
from interfaces.whatsapp.numbers import Numbers
from interfaces.whatsapp.outgoing import Payload, payloads
from interfaces.whatsapp.receipts import Receipts
from interfaces.whatsapp.refusals import WindowClosedError
from interfaces.whatsapp.sendable import Sendable, UnsendableError, sendable
from interfaces.whatsapp.window import Window

log = logging.getLogger(__name__)

ANSWERED_DIRECTLY = "I've sent you a direct message."
CANNOT_WRITE_DIRECTLY = (
    "I have a private answer for you, and WhatsApp lets me send it once you have written to me directly."
)
AT_WORK = "This takes a while: I'm {}. I'll write again once I have an answer."

_NO_TEMPLATE = (
    "message %s: its answer waits until the person writes again: more than 24 hours have passed, and "
    "interfaces.whatsapp.template names no template"
)
# The part numbers of the public lines, the template and what is being done; an answer's messages are 0, 1, 2, …
_TOLD_DIRECTLY, _NOT_TOLD, _TEMPLATE, _AT_WORK = 9_001, 9_002, 9_003, 9_004


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a reply goes; lives as long as one attempt.

    Attributes:
        recipient: The fields of a message that name its recipient.
        conversation: The conversation in which the person must have written within a day.
        is_group: Whether others read along there.
    """

    recipient: Mapping[str, str] = field(repr=False)
    conversation: str
    is_group: bool


class WhatsAppChannel:
    """Sends answers from one business number; lives as long as the process and holds no personal data.

    The address of a message is ``{"bsuid": str | None, "number": str | None, "group": str | None, "message": str,
    "at": int}``: the number, if there is no BSUID, and the message's id are sealed.

    Args:
        graph: Calls Meta.
        window: Knows who can be answered.
        numbers: Opens sealed numbers.
        receipts: Marks messages as read.
        arrivals: Knows which parts of a reply have arrived.
        phone_number_id: The business number.
        template: A template that asks the person to write again, with its language; None without one.
    """

    def __init__(
        self,
        graph: GraphApi,
        window: Window,
        numbers: Numbers,
        receipts: Receipts,
        arrivals: Arrivals,
        *,
        phone_number_id: str,
        template: tuple[str, str] | None,
    ) -> None:
        self._graph = graph
        self._window = window
        self._numbers = numbers
        self._receipts = receipts
        self._arrivals = arrivals
        self._phone_number_id = phone_number_id
        self._template = template

    async def send(
        self, message: StoredMessage, content: ReplyContent, *, private: bool, reply_id: str, again: bool
    ) -> None:
        """Send the answer where the message came from; a private one goes to the sender's direct chat.

        A group then gets one line that says so. A message that was sent cannot be looked up: a later attempt leaves out
        the parts that this process knows to have arrived, and sends all others, though one may have arrived as well.

        Raises:
            UnclearError: Meta did not answer, or reported an internal error.
            UnavailableError: Meta refuses it for now, or the person wrote more than 24 hours ago. Then they are sent
                the template, if configured, and the answer waits until they write.
            UndeliverableError: Meta refuses it for good.
        """
        here = self._here(message)
        with suppress(UnavailableError, UndeliverableError):
            await self._receipts.mark_read(message)
        if not (private and here.is_group):
            await self._answer(message, here, content, reply_id)
            return
        try:
            await self._answer(message, self._direct(message), content, reply_id)
        except (WindowClosedError, UndeliverableError):
            await self._say_publicly(message, here, reply_id, _NOT_TOLD, CANNOT_WRITE_DIRECTLY)
            raise
        await self._say_publicly(message, here, reply_id, _TOLD_DIRECTLY, ANSWERED_DIRECTLY)

    async def keep_one(self, message: StoredMessage, reply_id: str) -> None:
        """Do nothing: nobody can delete what was sent."""

    def follow(self, message: StoredMessage) -> None:
        """Return None: WhatsApp shows an answer only once it is complete."""

    async def show_working(self, message: StoredMessage, doing: str | None) -> None:
        """Mark the message as read and show the dots; in a direct chat, say once what is being done.

        WhatsApp knows neither a status nor edits, so these words are a message of their own.

        Raises:
            UnavailableError: Meta refuses it for now.
            UndeliverableError: Meta refuses it for good.
        """
        await self._receipts.show_dots(message)
        marked = mark(message.message_id, _AT_WORK)
        if doing is None or self.is_group(message) or marked in self._arrivals:
            return
        here = self._direct(message)
        if await self._window.is_open(message.principal, here.conversation):
            self._arrivals.add(marked)  # first: if it is unclear whether it arrived, once is enough
            words: Payload = {"type": "text", "text": {"body": AT_WORK.format(doing)}}
            await self._graph.send({**here.recipient, **words, "biz_opaque_callback_data": marked})

    async def show_idle(self, message: StoredMessage) -> None:
        """Do nothing: the dots vanish with the answer, or after 25 seconds."""

    async def fetch(self, message: StoredMessage, attachment: Attachment, *, limit: int) -> bytes:
        """Return the contents of an attachment, which Meta keeps for a week or more.

        Raises:
            AttachmentTooLargeError: It exceeds the limit.
            AttachmentGoneError: Meta does not have it any more, or does not give it.
            UnavailableError: Meta does not give it for now.
        """
        return await self._graph.download(attachment.reference, limit=limit)

    def is_group(self, message: StoredMessage) -> bool:
        """Return whether the message was written in a group."""
        return message.address["group"] is not None

    def _here(self, message: StoredMessage) -> _Target:
        """Return the place that a message came from."""
        group = message.address["group"]
        if group is None:
            return self._direct(message)
        return _Target({"recipient_type": "group", "to": group}, message.conversation, is_group=True)

    def _direct(self, message: StoredMessage) -> _Target:
        """Return the direct chat with the sender of a message."""
        bsuid, number = message.address["bsuid"], message.address["number"]
        named = {"recipient": bsuid} if bsuid else {"to": self._numbers.opened(number, message.principal.user)}
        conversation = conversation_of(self._phone_number_id, message.principal, None)
        return _Target({"recipient_type": "individual", **named}, conversation, is_group=False)

    async def _answer(self, message: StoredMessage, to: _Target, content: ReplyContent, reply_id: str) -> None:
        if not await self._window.is_open(message.principal, to.conversation):
            await self._ask_to_write(message, to, reply_id)
            raise WindowClosedError
        try:
            shown = payloads(content, with_buttons=not to.is_group)
            for number, payload in enumerate(shown):
                await self._send(to, payload, reply_id, number)
            for number, file in enumerate(content.files, len(shown)):
                await self._send_file(to, file, reply_id, number)
        except WindowClosedError:  # by Meta's clock
            await self._ask_to_write(message, to, reply_id)
            raise

    async def _ask_to_write(self, message: StoredMessage, to: _Target, reply_id: str) -> None:
        """Send the template, once per reply and process, or log that there is none."""
        if self._template is None or to.is_group:
            log.warning(_NO_TEMPLATE, message.message_id)
            return
        name, language = self._template
        template: Payload = {"type": "template", "template": {"name": name, "language": {"code": language}}}
        try:
            await self._send(to, template, reply_id, _TEMPLATE)
        except (UnavailableError, UndeliverableError) as error:
            log.error("message %s: the template %s was not sent: %s", message.message_id, name, error)

    async def _send(self, to: _Target, payload: Payload, reply_id: str, number: int) -> None:
        """Send one part of a reply, unless it is known to have arrived."""
        marked = mark(reply_id, number)
        if marked in self._arrivals:
            return
        await self._graph.send({**to.recipient, **payload, "biz_opaque_callback_data": marked})
        self._arrivals.add(marked)

    async def _send_file(self, to: _Target, file: ReplyFile, reply_id: str, number: int) -> None:
        if mark(reply_id, number) in self._arrivals:
            return
        contents = await file.read()
        try:
            form = sendable(file, len(contents))
            payload = form.message(await self._upload(file, form, contents), file.name)
        except UnsendableError as error:
            payload = {"type": "text", "text": {"body": NOT_ATTACHED.format(file.name, error)}}
        await self._send(to, payload, reply_id, number)

    async def _upload(self, file: ReplyFile, form: Sendable, contents: bytes) -> str:
        try:
            return await self._graph.upload(file.name, form.mime_type, contents)
        except UndeliverableError as error:
            log.warning("a file of an answer was not taken: %s", error)
            raise UnsendableError("WhatsApp does not take it") from None

    async def _say_publicly(self, message: StoredMessage, here: _Target, reply_id: str, number: int, line: str) -> None:
        """Send a line that everybody in the group may read, once per message; skip it if Meta refuses it."""
        try:
            await self._send(here, {"type": "text", "text": {"body": line}}, message.message_id, number)
        except (UnavailableError, UndeliverableError) as error:
            log.warning("message %s: no public line for reply %s: %s", message.message_id, reply_id, error)
