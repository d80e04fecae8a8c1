"""What others notice, or what is thrown away: sent mail, answers, and the trash. The person approves each call.

An approval shows a call's arguments and nothing else. So whatever decides who gets what is an argument here, though
Gmail would know it by itself, and is checked against the mail or draft when the call runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from app.errors import ToolError
from app.toolkits.gmail import letter
from app.toolkits.gmail import message as gmail_message
from app.toolkits.gmail.arguments import DraftId, HeaderText, MessageId, MessageIds, Recipients
from app.toolkits.gmail.oauth_scopes import COMPOSE_MAIL, MODIFY_MAIL, READ_MAIL, SEND_MAIL
from app.toolkits.gmail.organising import GmailOrganising
from app.toolkits.gmail.phrases import ADDRESS, END, LETTER, MAIL_ID, MAIL_IDS, PLEASE
from app.toolkits.toolkit import Effect, tool

_CC = rf"(?:,? (?:and )?cc (?P<cc>{ADDRESS}))?"


class GmailToolkit(GmailOrganising):
    """Reads, puts in order and sends the person's mail. Lives for one request.

    Args:
        google: Google's APIs as that person.
    """

    @tool(effect=Effect.ACT, oauth_scopes=(SEND_MAIL,), phrases=(rf"{PLEASE}(?:send|write){LETTER}",))
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
        return await self._send(letter.outgoing(to, subject, body, cc))

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(READ_MAIL, SEND_MAIL),
        phrases=(
            rf"{PLEASE}(?:reply|answer)(?: to)? {MAIL_ID} to (?P<to>{ADDRESS}?){_CC}\s*:\s*(?P<body>.+)",
            rf"{PLEASE}(?:reply to|answer) (?P<to>{ADDRESS}) (?:in|on|about) {MAIL_ID}{_CC}\s*:\s*(?P<body>.+)",
        ),
    )
    async def reply(
        self, message_id: MessageId, to: Recipients, body: str, cc: Recipients | None = None
    ) -> dict[str, Any]:
        """Answer a mail in its thread; the person is asked first and sees to whom and what.

        The recipients are said here, as the person approves what they see; nobody is added. They can only be people
        of that mail: of its from, reply_to, to and cc. To answer one person, put the address of reply_to, or else of
        from, into `to`; to answer all, put the others into `cc`, without the person's own address. The subject is
        that of the mail.

        Args:
            message_id: The mail that is answered.
            to: The recipients' addresses, separated by commas.
            body: The plain text of the answer.
            cc: Further recipients' addresses, separated by commas.
        """
        messages = self._google.resource("gmail", "v1", "users", "messages")
        answered = await self._google.execute(
            messages.get(
                userId="me",
                id=message_id,
                format="metadata",
                metadataHeaders=[*letter.ANSWERED_HEADERS],
                fields="threadId,payload/headers",
            )
        )
        if strangers := _each_address(to, cc) - letter.participants(answered):
            raise ToolError(
                f"{', '.join(sorted(strangers))} took no part in this mail, so nothing was sent; "
                "an answer goes to its own people, gmail_send to others"
            )
        return await self._send(letter.answer(answered, to, body, cc))

    @tool(effect=Effect.ACT, oauth_scopes=(COMPOSE_MAIL,))
    async def send_draft(self, draft_id: DraftId, to: Recipients, subject: HeaderText, body: str) -> dict[str, Any]:
        """Send one of the person's drafts as it is; they are asked first and see what will be sent.

        Say all of the draft here, as the person approves what they see: if the draft is another when it is to be
        sent, it is not sent. A draft with attachments has to be sent in Gmail.

        Args:
            draft_id: The `id` of the draft.
            to: All its recipients' addresses, those of cc and bcc included, separated by commas.
            subject: Its subject.
            body: Its whole text.
        """
        drafts = self._google.resource("gmail", "v1", "users", "drafts")
        draft = await self._google.execute(drafts.get(userId="me", id=draft_id, format="full"))
        if difference := await asyncio.to_thread(_difference, draft["message"], to, subject, body):
            raise ToolError(f"the draft {difference}, so it was not sent")
        sent = await self._google.execute(drafts.send(userId="me", body={"id": draft_id}))
        return {"sent": True, "id": sent["id"]}

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(MODIFY_MAIL,),
        phrases=(rf"{PLEASE}(?:trash|delete|throw away|bin) {MAIL_IDS}{END}",),
    )
    async def trash(self, message_ids: MessageIds) -> dict[str, Any]:
        """Throw mails away: Gmail keeps them in the trash for 30 days. The person is asked first."""
        messages = self._google.resource("gmail", "v1", "users", "messages")
        return await self._each("trashed", message_ids, lambda each: messages.trash(userId="me", id=each, fields="id"))

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(MODIFY_MAIL,),
        phrases=(rf"{PLEASE}(?:untrash|undelete|restore) {MAIL_IDS}{END}",),
    )
    async def untrash(self, message_ids: MessageIds) -> dict[str, Any]:
        """Take mails back out of the trash. The person is asked first."""
        messages = self._google.resource("gmail", "v1", "users", "messages")
        return await self._each(
            "untrashed", message_ids, lambda each: messages.untrash(userId="me", id=each, fields="id")
        )

    async def _send(self, message: Mapping[str, str]) -> dict[str, Any]:
        messages = self._google.resource("gmail", "v1", "users", "messages")
        sent = await self._google.execute(messages.send(userId="me", body=message))
        return {"sent": True, "id": sent["id"]}


def _difference(draft: Mapping[str, Any], to: str, subject: str, body: str) -> str:
    """In what a draft is not what was approved; empty when it is."""
    content = gmail_message.content(draft)
    if content.attachments:
        return "has attachments"
    try:
        recipients = [
            letter.addresses(each) for name in ("To", "Cc", "Bcc") for each in gmail_message.headers(draft, name)
        ]
    except ValueError:
        return "has recipients that cannot be read here"
    if _each_address(*recipients) != _each_address(to):
        return "has other recipients"
    if gmail_message.header(draft, "Subject").split() != subject.split():
        return "has another subject"
    return "" if content.text.split() == body.split() else "has another text"


def _each_address(*lists: str | None) -> frozenset[str]:
    """The addresses in lists that `letter.addresses` made, in lower case."""
    return frozenset(address.lower() for each in lists if each for address in each.split(", "))
