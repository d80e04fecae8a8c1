"""What the person's mails say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from app.errors import ToolError
from app.toolkits.gmail import message as gmail_message
from app.toolkits.gmail.arguments import MessageId, Reference, TextPage, ThreadId
from app.toolkits.gmail.listing import GmailListing, quoted_headers
from app.toolkits.gmail.message import Attachment, MailContent
from app.toolkits.gmail.oauth_scopes import READ_MAIL
from app.toolkits.gmail.phrases import END, ID, MAIL_ID, TEXT_PAGE
from app.toolkits.mail_text import PAGE_LENGTH, pages
from app.toolkits.toolkit import tool
from app.toolkits.untrusted import Quotes

THREAD_PAGE = 10  # mails of a thread at once
MAX_ATTACHMENTS = 50  # named of one mail
MAX_NAME = 200  # characters of an attachment's name
MAX_FILE_BYTES = 300_000  # of an attachment whose text is read
_OPEN = r"(?:read|open|show)(?: me)?(?: the| my)?"


class GmailReading(GmailListing):
    """Reads mails, threads and attached texts, a page at a time. Lives for one request."""

    @tool(oauth_scopes=(READ_MAIL,), phrases=(rf"{_OPEN} {MAIL_ID}{TEXT_PAGE}{END}",))
    async def read(self, message_id: MessageId, page: TextPage = 1) -> dict[str, Any]:
        """Read one mail: its headers, its text, and what is attached, each attachment with a reference to it.

        Args:
            message_id: The `id` of a mail in a result, or the `message_id` of a draft.
            page: Which page of a long text.
        """
        messages = self._google.resource("gmail", "v1", "users", "messages")
        message = await self._google.execute(messages.get(userId="me", id=message_id, format="full"))
        # A long mail takes a good part of a second. The thread is given no object of the scope's.
        content = await asyncio.to_thread(gmail_message.content, message)
        quotes = Quotes()
        return {
            **quotes.note,
            "id": message["id"],
            "thread_id": message["threadId"],
            **quoted_headers(message, quotes, "From", "Reply-To", "To", "Cc", "Bcc", "Subject"),
            "date": gmail_message.received_at(message),
            "body": _page(content.text, page, quotes) or "[this mail has no text]",
            **_attachments(message["id"], content, quotes),
        }

    @tool(
        oauth_scopes=(READ_MAIL,),
        phrases=(rf"{_OPEN} (?:thread|conversation) (?:with id |id )?(?P<thread_id>{ID}){TEXT_PAGE}{END}",),
    )
    async def read_thread(self, thread_id: ThreadId, page: TextPage = 1) -> dict[str, Any]:
        """Read the mails of a thread, the oldest first, ten a page; a long mail is cut, and can be read by its id.

        Args:
            thread_id: The `thread_id` of a mail, or the `id` of a thread.
            page: Which ten mails.
        """
        threads = self._google.resource("gmail", "v1", "users", "threads")
        thread = await self._google.execute(threads.get(userId="me", id=thread_id, format="full"))
        messages = thread["messages"]
        page_count = -(-len(messages) // THREAD_PAGE)
        if page > page_count:
            raise ToolError(f"this thread has {page_count} page(s); there is no page {page}")
        shown = messages[(page - 1) * THREAD_PAGE : page * THREAD_PAGE]
        contents = await asyncio.to_thread(lambda: [gmail_message.content(each) for each in shown])
        quotes = Quotes()
        room = PAGE_LENGTH // len(shown)
        mails = [_thread_mail(*each, room, quotes) for each in zip(shown, contents, strict=True)]
        return {**quotes.note, "id": thread["id"], "page": f"{page} of {page_count}", "mails": mails}

    @tool(oauth_scopes=(READ_MAIL,), phrases=(rf"{_OPEN} attachment (?P<reference>{ID}/[0-9.]*[0-9]){TEXT_PAGE}{END}",))
    async def read_attachment(self, reference: Reference, page: TextPage = 1) -> dict[str, Any]:
        """Read an attached text, such as a text file, a table in CSV or an invitation; other files cannot be read.

        Args:
            reference: The `reference` of an attachment in a result.
            page: Which page of a long text.
        """
        message_id, _, part_id = reference.partition("/")
        messages = self._google.resource("gmail", "v1", "users", "messages")
        message = await self._google.execute(messages.get(userId="me", id=message_id, format="full"))
        part = gmail_message.attached_part(message, part_id)
        if part is None:
            raise ToolError("this mail has no such attachment; read the mail again for its references")
        body = part["body"]
        if not part["mimeType"].lower().startswith("text/"):
            raise ToolError("this attachment is no text, so it cannot be read here")
        if body["size"] > MAX_FILE_BYTES:
            raise ToolError(f"this attachment has {body['size']} bytes; up to {MAX_FILE_BYTES} can be read here")
        if "attachmentId" in body:  # Google's own id for it is another one each time that the mail is fetched
            files = self._google.resource("gmail", "v1", "users", "messages", "attachments")
            body = await self._google.execute(files.get(userId="me", messageId=message_id, id=body["attachmentId"]))
        text = await asyncio.to_thread(gmail_message.attached_text, part, body.get("data", ""))
        quotes = Quotes()
        name = quotes.quote(part.get("filename", "")[:MAX_NAME])
        return {**quotes.note, "reference": reference, "name": name, "text": _page(text, page, quotes)}


def _page(text: str, page: int, quotes: Quotes) -> str:
    """A page of a text, quoted, and which it is where there are several; empty when the text is.

    Raises:
        ToolError: There is no such page.
    """
    text_pages = pages(text)
    if page > len(text_pages):
        raise ToolError(f"this text has {len(text_pages)} page(s); there is no page {page}")
    quoted = quotes.quote(text_pages[page - 1])
    if len(text_pages) == 1:
        return quoted
    further = f"; ask for page {page + 1}" if page < len(text_pages) else ""
    return f"{quoted}\n[page {page} of {len(text_pages)}{further}]"


def _thread_mail(message: Mapping[str, Any], content: MailContent, room: int, quotes: Quotes) -> dict[str, Any]:
    body = quotes.quote(content.text[:room]) or "[this mail has no text]"
    return {
        "id": message["id"],
        **quoted_headers(message, quotes, "From", "To", "Cc", "Subject"),
        "date": gmail_message.received_at(message),
        "body": body if len(content.text) <= room else f"{body}\n[cut here; read the mail by its id for all of it]",
        **_attachments(message["id"], content, quotes),
    }


def _attachments(message_id: str, content: MailContent, quotes: Quotes) -> dict[str, Any]:
    """What is attached, by reference: the files themselves are never shown to a model."""

    def shown(attachment: Attachment) -> dict[str, Any]:
        return {
            "reference": f"{message_id}/{attachment.part_id}",
            "name": quotes.quote(attachment.name[:MAX_NAME]),
            "type": quotes.quote(attachment.type[:MAX_NAME]),
            "size": attachment.size,
        }

    return {"attachments": [shown(each) for each in content.attachments[:MAX_ATTACHMENTS]]}
