"""Drafts written and rewritten: they can be thrown away, and nobody else sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.approvals.question import Question
from app.errors import ToolError
from app.toolkits.gmail import content as gmail_content
from app.toolkits.gmail import letter
from app.toolkits.gmail.arguments import Body, DraftId, Recipients, Subject
from app.toolkits.gmail.message import header
from app.toolkits.gmail.oauth_scopes import COMPOSE_MAIL
from app.toolkits.gmail.organising import LABELS, GmailOrganising
from app.toolkits.gmail.phrases import LETTER
from app.toolkits.phrases import ID, PLEASE
from app.toolkits.shapes import mapping, text
from app.toolkits.toolkit import Effect, tool


class GmailDrafting(GmailOrganising):
    """Writes the person's drafts. Lives for one request."""

    @tool(
        effect=Effect.ORGANISE,
        oauth_scopes=(COMPOSE_MAIL,),
        doing="writing a draft",
        asks=Question("Write this draft?", LABELS, "write it", ("subject",)),
        phrases=(rf"{PLEASE}(?:draft|write a draft of){LETTER}",),
    )
    async def create_draft(
        self, to: Recipients, subject: Subject, body: Body, cc: Recipients | None = None
    ) -> dict[str, Any]:
        """Write a mail into the person's drafts; nothing is sent.

        Args:
            to: The recipients' addresses, separated by commas.
            subject: The subject, in one line.
            body: The plain text.
            cc: Further recipients' addresses, separated by commas.
        """
        drafts = self._google.resource("gmail", "v1", "users", "drafts")
        message = letter.outgoing(to, subject, body, cc)
        made = await self._google.execute(drafts.create(userId="me", body={"message": message}))
        return {"draft": True, "id": text(made, "id"), "message_id": text(mapping(made, "message"), "id")}

    @tool(
        effect=Effect.ORGANISE,
        repeatable=True,
        oauth_scopes=(COMPOSE_MAIL,),
        doing="rewriting a draft",
        asks=Question("Rewrite this draft?", LABELS, "rewrite it", ("subject",)),
        phrases=(rf"{PLEASE}(?:rewrite|update|change) draft (?P<draft_id>{ID}) as{LETTER}",),
    )
    async def update_draft(
        self,
        draft_id: DraftId,
        to: Recipients,
        subject: Subject,
        body: Body,
        cc: Recipients | None = None,
        bcc: Recipients | None = None,
    ) -> dict[str, Any]:
        """Rewrite one of the person's drafts; nothing is sent. A draft that answers a mail keeps doing so.

        Say all of the draft here: what is left out is not in it afterwards. A draft with attachments or formatting has
        to be changed in Gmail, because they would be lost.

        Args:
            draft_id: The `id` of the draft.
            to: The recipients' addresses, separated by commas.
            subject: The subject, in one line.
            body: The plain text.
            cc: Further recipients' addresses, separated by commas.
            bcc: The addresses of those whom the others do not see.
        """
        drafts = self._google.resource("gmail", "v1", "users", "drafts")
        draft = mapping(await self._google.execute(drafts.get(userId="me", id=draft_id, format="full")), "message")
        found = await self._parsed(gmail_content.content, draft)
        if found.attachments or found.enclosed or text(mapping(draft, "payload"), "mimeType").lower() != "text/plain":
            raise ToolError("this draft has attachments or formatting, so it was not changed; change it in Gmail")
        message = letter.outgoing(to, subject, body, cc, bcc, answers=threaded(draft))
        request = drafts.update(userId="me", id=draft_id, body={"message": message})
        made = await self._google.execute(request, repeatable=True)
        return {"draft": True, "id": text(made, "id"), "message_id": text(mapping(made, "message"), "id")}


def threaded(draft: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message that a draft answers, as far as an answer to it needs it."""
    referred = header(draft, "References").split()
    replied = header(draft, "In-Reply-To")
    named = {"Message-ID": replied, "References": " ".join(referred[:-1])} if replied else {}
    fields = [{"name": name, "value": value} for name, value in named.items()]
    return {"threadId": text(draft, "threadId") if named else "", "payload": {"headers": fields}}
