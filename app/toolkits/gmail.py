"""The person's Gmail."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from app.errors import GoogleError, ToolError
from app.google.client import GoogleClient
from app.toolkits import gmail_message
from app.toolkits.mail_text import pages
from app.toolkits.toolkit import Effect, Toolkit, describe, tool
from app.toolkits.untrusted import Quotes

READ_MAIL = "https://www.googleapis.com/auth/gmail.readonly"
SEND_MAIL = "https://www.googleapis.com/auth/gmail.send"

Limit = Annotated[int, Field(ge=1, le=50, description="How many mails at most.")]
ListPage = Annotated[str | None, Field(description="`next_page` of an earlier result, to go on where it ended.")]
MessageId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The `id` of a mail in a result.")]
Recipients = Annotated[str, AfterValidator(gmail_message.addresses)]
HeaderText = Annotated[str, AfterValidator(gmail_message.header_text)]

_ASK = r"(?:please )?(?:(?:show|list|get|check|give)(?: me)? )?(?:all |any )?(?:my |the )?"
_MAIL = r"(?:e-?mails?|mails?|messages?)"
_ADDRESS = r"[^\s,]+@[^\s,]+"
_END = r"(?: please)?[ .!?]*"


class GmailToolkit(Toolkit):
    """Reads the person's mail and sends mail as them. Lives for one request.

    Args:
        google: Google's APIs as that person.
    """

    name = "gmail"

    def __init__(self, google: GoogleClient) -> None:
        self._google = google

    @tool(
        oauth_scopes=(READ_MAIL,),
        phrases=(
            rf"(?:search|find|look for) (?:in |through )?(?:all |my |the )*(?:{_MAIL}|inbox|gmail)"
            rf"(?: for| from| by| about| with)? (?P<query>.+?){_END}",
            rf"(?:search|look) for (?P<query>.+?) in (?:my |the )?(?:{_MAIL}|inbox|gmail){_END}",
            rf"{_ASK}{_MAIL} (?:from|by|about) (?P<query>.+?){_END}",
        ),
    )
    async def search(self, query: str, limit: Limit = 10, page: ListPage = None) -> dict[str, Any]:
        """Find mails, newest first: who wrote them, when, the subject and the beginning of the text.

        Args:
            query: What Gmail's search box takes: words, `from:ada subject:report after:2026/11/01 has:attachment`.
            limit: How many mails at most.
            page: `next_page` of an earlier result.
        """
        return await self._summaries(limit, page, q=query)

    @tool(
        oauth_scopes=(READ_MAIL,),
        phrases=(
            rf"{_ASK}(?:last|latest|newest|recent|new) (?:(?P<limit>\d{{1,2}}) )?{_MAIL}{_END}",
            rf"{_ASK}(?P<limit>\d{{1,2}}) (?:last|latest|newest|most recent) {_MAIL}{_END}",
            rf"(?:check|show|list)(?: me)? (?:my |the )?(?:inbox|{_MAIL}){_END}|(?:my )?(?:inbox|{_MAIL})",
            rf"what(?:'s| is|s) new(?: in my (?:mail|mailbox|inbox))?{_END}",
        ),
    )
    async def latest(self, limit: Limit = 10, page: ListPage = None) -> dict[str, Any]:
        """List the newest mails in the inbox: who wrote them, when, the subject and the beginning of the text."""
        return await self._summaries(limit, page, labelIds=["INBOX"])

    @tool(
        oauth_scopes=(READ_MAIL,),
        phrases=(
            rf"{_ASK}(?:(?:last |latest )?(?P<limit>\d{{1,2}}) )?unread(?: {_MAIL})?{_END}",
            rf"(?:do i have|have i got|is there|are there|did i get) (?:any )?(?:unread|new) {_MAIL}{_END}",
        ),
    )
    async def unread(self, limit: Limit = 10, page: ListPage = None) -> dict[str, Any]:
        """List the unread mails in the inbox: who wrote them, when, the subject and the beginning of the text."""
        return await self._summaries(limit, page, labelIds=["INBOX", "UNREAD"])

    @tool(
        oauth_scopes=(READ_MAIL,),
        phrases=(
            rf"(?:read|open|show)(?: me)?(?: the| my)? {_MAIL} (?:with id |id )?(?P<message_id>(?=\S*\d)[\w-]{{6,64}})"
            rf"(?:,? page (?P<page>\d{{1,3}}))?{_END}",
        ),
    )
    async def read(self, message_id: MessageId, page: Annotated[int, Field(ge=1)] = 1) -> dict[str, Any]:
        """Read one mail: its headers, its text and the names of its attachments.

        Args:
            message_id: The `id` of a mail in a result.
            page: Which page of a long text.
        """
        messages = self._google.resource("gmail", "v1", "users", "messages")
        message = await self._google.execute(messages.get(userId="me", id=message_id, format="full"))
        # A long mail takes a good part of a second. The thread is given no object of the scope's.
        content = await asyncio.to_thread(gmail_message.content, message)
        text_pages = pages(content.text)
        if page > len(text_pages):
            raise ToolError(f"this mail has {len(text_pages)} page(s); there is no page {page}")
        quotes = Quotes()
        body = quotes.quote(text_pages[page - 1]) or "[this mail has no text]"
        return {
            **quotes.note,
            "id": message["id"],
            **{name: quotes.quote(gmail_message.header(message, name)) for name in ("from", "to", "cc", "subject")},
            "date": gmail_message.received_at(message),
            "body": f"{body}\n{_place(page, len(text_pages))}" if len(text_pages) > 1 else body,
            "attachments": [
                {"name": quotes.quote(each.name), "type": quotes.quote(each.type), "size": each.size}
                for each in content.attachments
            ],
        }

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(SEND_MAIL,),
        phrases=(
            rf"(?:please )?(?:send|write)(?: an?)? {_MAIL} to (?P<to>{_ADDRESS})(?:,? (?:and )?cc (?P<cc>{_ADDRESS}))?"
            r",? (?:with )?(?:the )?(?:subject:?|about) (?P<subject>[^:\n]+?)\s*:\s*(?P<body>.+)",
        ),
    )
    async def send(
        self, to: Recipients, subject: HeaderText, body: str, cc: Recipients | None = None
    ) -> dict[str, Any]:
        """Send a mail from the person's own address; they are asked first and see exactly what will be sent.

        Args:
            to: The recipients' addresses, separated by commas.
            subject: The subject, in one line.
            body: The plain text.
            cc: Further recipients' addresses, separated by commas.
        """
        messages = self._google.resource("gmail", "v1", "users", "messages")
        raw = gmail_message.outgoing(to, subject, body, cc)
        sent = await self._google.execute(messages.send(userId="me", body=raw))
        return {"sent": True, "id": sent["id"]}

    async def _summaries(self, limit: int, page: str | None, **selection: Any) -> dict[str, Any]:
        """Headers and snippets of the messages that Gmail lists: two HTTP requests, however many they are."""
        messages = self._google.resource("gmail", "v1", "users", "messages")
        listed = await self._google.execute(
            messages.list(
                userId="me", maxResults=limit, pageToken=page, fields="messages/id,nextPageToken", **selection
            )
        )
        ids = [entry["id"] for entry in listed.get("messages", ())]
        answers = await self._google.execute_batch(
            [
                messages.get(
                    userId="me",
                    id=message_id,
                    format="metadata",
                    metadataHeaders=[*gmail_message.SUMMARY_HEADERS],  # a tuple would be sent as its repr
                    fields="id,internalDate,snippet,payload/headers",
                )
                for message_id in ids
            ]
        )
        quotes = Quotes()
        found = [_summary(message_id, answer, quotes) for message_id, answer in zip(ids, answers, strict=True)]
        more = {"next_page": listed["nextPageToken"]} if "nextPageToken" in listed else {}
        return {**(quotes.note if found else {}), "messages": found, **more}


def _summary(message_id: str, answer: Any, quotes: Quotes) -> dict[str, Any]:
    if isinstance(answer, GoogleError):
        return {"id": message_id, "problem": describe(answer)}
    return {
        "id": message_id,
        **{name: quotes.quote(gmail_message.header(answer, name)) for name in ("from", "to", "subject")},
        "date": gmail_message.received_at(answer),
        "snippet": quotes.quote(gmail_message.snippet(answer)),
    }


def _place(page: int, count: int) -> str:
    return f"[page {page} of {count}" + (f"; ask for page {page + 1}]" if page < count else "]")
