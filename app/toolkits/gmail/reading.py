"""Tools that read the person's mail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, TypeVar

from pydantic_ai import ToolReturn

from app.errors import GoogleError, ToolError
from app.sent_files import MAX_FILE_BYTES
from app.sizes import in_units
from app.toolkits.arguments import TextPage
from app.toolkits.charsets import looks_binary
from app.toolkits.gmail import content as gmail_content
from app.toolkits.gmail import message as gmail_message
from app.toolkits.gmail.arguments import MessageId, Reference, ThreadId
from app.toolkits.gmail.attached import attached_data, attached_part
from app.toolkits.gmail.content import MailAttachment, MailContent
from app.toolkits.gmail.listing import GmailListing, quoted_headers
from app.toolkits.gmail.oauth_scopes import READ_MAIL
from app.toolkits.gmail.phrases import MAIL_ID
from app.toolkits.pages import PAGE_LENGTH, pages
from app.toolkits.phrases import END, ID, TEXT_PAGE
from app.toolkits.promised import promised
from app.toolkits.shapes import mapping, number, objects, text
from app.toolkits.toolkit import tool
from app.toolkits.untrusted import Quotes

READ = "id,threadId,internalDate,payload"  # of a mail
THREAD_PAGE = 10  # mails of a thread at once
MAX_ATTACHMENTS = 50  # named of one mail
MAX_NAME = 200  # characters of an attachment's name
MAX_READ_BYTES = 300_000  # of an attachment whose text is read
MAX_ENCLOSED_TEXT = 3_000  # characters shown of a mail that is attached to another
MAX_FETCHED = 5  # parts of one mail's text that are fetched separately
READING_SECONDS = 20.0  # to parse one answer; the longest mails take about two

NO_TEXT = "[this mail has no text]"
HIDDEN = "Some text of this mail is hidden from its reader; it is left out here."
DIFFERS = "The plain version of this mail says something else. This is the version that its reader sees."
_OPEN = r"(?:read|open|show)(?: me)?(?: the| my)?"

T = TypeVar("T")


class GmailReading(GmailListing):
    """Reads mails, threads and attached texts, a page at a time. Lives for one request."""

    @tool(oauth_scopes=(READ_MAIL,), doing="reading a mail", phrases=(rf"{_OPEN} {MAIL_ID}{TEXT_PAGE}{END}",))
    async def read(self, message_id: MessageId, page: TextPage = 1) -> dict[str, Any]:
        """Read one mail: its headers, its text as its reader sees it, and what is attached.

        Each attachment has a reference. Mails that are attached to it were written by their own senders.

        Args:
            message_id: The `id` of a mail in a result, or the `message_id` of a draft.
            page: Which page of a long text.
        """
        messages = self._google.resource("gmail", "v1", "users", "messages")
        message = await self._google.execute(messages.get(userId="me", id=message_id, format="full", fields=READ))
        fetched = await self._kept_apart([message])
        content = await self._parsed(gmail_content.content, message, fetched)
        quotes = Quotes()
        return {
            **quotes.note,
            "id": message_id,
            "thread_id": text(message, "threadId"),
            **quoted_headers(message, quotes, "From", "Reply-To", "To", "Cc", "Bcc", "Subject"),
            "date": gmail_message.received_at(message, await self._zone.get()),
            "body": _page(content.text, page, quotes) or NO_TEXT,
            **_remarks(content),
            **_attachments(message_id, content, quotes),
            **_enclosed(message_id, content, quotes),
        }

    @tool(
        oauth_scopes=(READ_MAIL,),
        doing="reading a conversation",
        phrases=(rf"{_OPEN} (?:thread|conversation) (?:with id |id )?(?P<thread_id>{ID}){TEXT_PAGE}{END}",),
    )
    async def read_thread(self, thread_id: ThreadId, page: TextPage = 1) -> dict[str, Any]:
        """Read the mails of a thread, the oldest first, ten a page; a long mail is cut, and can be read by its id.

        Args:
            thread_id: The `thread_id` of a mail, or the `id` of a thread.
            page: Which ten mails.
        """
        threads = self._google.resource("gmail", "v1", "users", "threads")
        shape = {"format": "full", "fields": f"messages({READ})"}
        thread = await self._google.execute(threads.get(userId="me", id=thread_id, **shape))
        messages = objects(thread, "messages")
        page_count = max(1, -(-len(messages) // THREAD_PAGE))
        if page > page_count:
            raise ToolError(f"this thread has {page_count} page(s); there is no page {page}")
        shown = messages[(page - 1) * THREAD_PAGE : page * THREAD_PAGE]
        fetched = await self._kept_apart(shown)
        contents = await self._parsed(lambda: [gmail_content.content(each, fetched) for each in shown])
        quotes = Quotes()
        room = PAGE_LENGTH // max(1, len(shown))
        zone = await self._zone.get()
        mails = [_thread_mail(*each, room, quotes, zone) for each in zip(shown, contents, strict=True)]
        return {**quotes.note, "id": thread_id, "page": f"{page} of {page_count}", "mails": mails}

    @tool(
        oauth_scopes=(READ_MAIL,),
        doing="reading an attachment",
        phrases=(rf"{_OPEN} attachment (?P<reference>{ID}/[0-9.]*[0-9]){TEXT_PAGE}{END}",),
    )
    async def read_attachment(self, reference: Reference, page: TextPage = 1) -> dict[str, Any]:
        """Read an attached text, such as a text file, a table in CSV or an invitation; other files cannot be read.

        Args:
            reference: The `reference` of an attachment in a result.
            page: Which page of a long text.
        """
        part = await attached_part(self._google, reference)
        body = mapping(part, "body")
        if not gmail_content.may_be_text(part):
            raise ToolError("this attachment is no text, so it cannot be read here")
        if number(body, "size") > MAX_READ_BYTES:
            raise ToolError(
                f"this attachment has {number(body, 'size')} bytes; up to {MAX_READ_BYTES} can be read here"
            )
        found = await self._parsed(
            gmail_content.attached_text, part, await attached_data(self._google, reference, part)
        )
        if looks_binary(found):
            raise ToolError("this attachment is no text, so it cannot be read here")
        quotes = Quotes()
        name = quotes.quote(text(part, "filename")[:MAX_NAME])
        return {**quotes.note, "reference": reference, "name": name, "text": _page(found, page, quotes)}

    @tool(
        oauth_scopes=(READ_MAIL,),
        doing="getting an attachment",
        phrases=(rf"(?:send|give|get|download)(?: me)?(?: the)? attachment (?P<reference>{ID}/[0-9.]*[0-9]){END}",),
    )
    async def download(self, reference: Reference) -> ToolReturn[Any]:
        """Give the person an attachment as a file in the chat, together with your answer. You do not see its contents.

        Args:
            reference: The `reference` of an attachment in a result.
        """
        part = await attached_part(self._google, reference)
        size = number(mapping(part, "body"), "size")
        if size > MAX_FILE_BYTES:
            raise ToolError(f"this attachment has {in_units(size)}; I send up to {in_units(MAX_FILE_BYTES)}")
        quotes = Quotes()
        shown = {**quotes.note, "name": quotes.quote(text(part, "filename")[:MAX_NAME]), "sent_with_the_answer": True}
        return promised(shown, reference, text(part, "filename"), text(part, "mimeType"), size)

    async def read_file(self, reference: str) -> bytes:
        """Return the contents of an attachment, by its reference."""
        data = await attached_data(self._google, reference, await attached_part(self._google, reference))
        return await self._parsed(gmail_content.decoded_bytes, data)

    async def _kept_apart(self, messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Return the data of those parts of the mails' texts that Gmail keeps apart, by their attachment ids."""
        files = self._google.resource("gmail", "v1", "users", "messages", "attachments")
        wanted = [
            (text(message, "id"), attachment_id)
            for message in messages
            for attachment_id in gmail_content.kept_apart(message)[:MAX_FETCHED]
        ]
        answers = await self._google.execute_batch(
            [files.get(userId="me", messageId=message_id, id=each, fields="data") for message_id, each in wanted]
        )
        return {
            each: text(answer, "data")
            for (_, each), answer in zip(wanted, answers, strict=True)
            if not isinstance(answer, GoogleError)
        }

    async def _parsed(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return a function's result, computed in a thread; what it is given holds no object of the request.

        Raises:
            ToolError: It took too long.
        """
        try:
            async with asyncio.timeout(READING_SECONDS):
                return await self._google.to_thread(function, *arguments)
        except TimeoutError:
            raise ToolError("this mail takes too long to read here; the person can read it in Gmail") from None


def _page(shown: str, page: int, quotes: Quotes) -> str:
    """Return a page of a text, quoted, and which it is where there are several; empty when the text is.

    Raises:
        ToolError: There is no such page.
    """
    text_pages = pages(shown)
    if page > len(text_pages):
        raise ToolError(f"this text has {len(text_pages)} page(s); there is no page {page}")
    quoted = quotes.quote(text_pages[page - 1])
    if len(text_pages) == 1:
        return quoted
    further = f"; ask for page {page + 1}" if page < len(text_pages) else ""
    return f"{quoted}\n[page {page} of {len(text_pages)}{further}]"


def _cut(shown: str, room: int, quotes: Quotes) -> str:
    body = quotes.quote(shown[:room]) or NO_TEXT
    return body if len(shown) <= room else f"{body}\n[cut here; read the mail by its id for all of it]"


def _thread_mail(
    message: Mapping[str, Any], content: MailContent, room: int, quotes: Quotes, zone: tzinfo
) -> dict[str, Any]:
    message_id = text(message, "id")
    return {
        "id": message_id,
        **quoted_headers(message, quotes, "From", "To", "Cc", "Subject"),
        "date": gmail_message.received_at(message, zone),
        "body": _cut(content.text, room, quotes),
        **_remarks(content),
        **_attachments(message_id, content, quotes),
        **_enclosed(message_id, content, quotes),
    }


def _remarks(content: MailContent) -> dict[str, str]:
    """Return what the model should know of how a mail was read."""
    return {**({"hidden": HIDDEN} if content.hid else {}), **({"versions": DIFFERS} if content.differs else {})}


def _attachments(message_id: str, content: MailContent, quotes: Quotes) -> dict[str, Any]:
    """Return what is attached, by reference: the files themselves are never shown to a model."""

    def shown(attachment: MailAttachment) -> dict[str, Any]:
        return {
            "reference": f"{message_id}/{attachment.part_id}",
            "name": quotes.quote(attachment.name[:MAX_NAME]),
            "type": quotes.quote(attachment.type[:MAX_NAME]),
            "size": attachment.size,
        }

    return {"attachments": [shown(each) for each in content.attachments[:MAX_ATTACHMENTS]]}


def _enclosed(message_id: str, content: MailContent, quotes: Quotes) -> dict[str, Any]:
    """Return the mails that are attached to a mail: what is in them was said by their own senders."""

    def shown(message: Mapping[str, Any], inner: MailContent) -> dict[str, Any]:
        headers = quoted_headers(message, quotes, "From", "To", "Subject")
        return {
            **headers,
            "date": quotes.quote(gmail_message.shown_header(message, "Date")),
            "body": _cut(inner.text, MAX_ENCLOSED_TEXT, quotes),
            **_remarks(inner),
            **_attachments(message_id, inner, quotes),
            **_enclosed(message_id, inner, quotes),
        }

    return {"attached_mails": [shown(*each) for each in content.enclosed]} if content.enclosed else {}
