"""Drafts written and rewritten: they can be thrown away, and nobody else sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
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
from app.toolkits.input_file import InputFile, SeveralFiles, TakesFiles
from app.toolkits.phrases import ID, PLEASE
from app.toolkits.shapes import mapping, objects, text
from app.toolkits.toolkit import Effect, tool

_MADE = "id,message/id"
ATTACHED = TakesFiles(("attachments",), letter.MAX_FILE_BYTES)


class GmailDrafting(GmailOrganising):
    """Writes the person's drafts. Lives for one request."""

    @tool(
        effect=Effect.ORGANISE,
        oauth_scopes=(COMPOSE_MAIL,),
        doing="writing a draft",
        asks=Question("Write this draft?", LABELS, "write it", ("subject",)),
        phrases=(rf"{PLEASE}(?:draft|write a draft of){LETTER}",),
        files=ATTACHED,
    )
    async def create_draft(
        self,
        to: Recipients,
        subject: Subject,
        body: Body,
        cc: Recipients | None = None,
        attachments: SeveralFiles = (),
    ) -> dict[str, Any]:
        """Write a mail into the person's drafts; nothing is sent.

        Args:
            to: The recipients' addresses, separated by commas.
            subject: The subject, in one line.
            body: The plain text.
            cc: Further recipients' addresses, separated by commas.
            attachments: The files to attach: file ids of what the person attached here, `reference`s of attachments in
                mails, or `id`s of files in Drive.
        """
        drafts = self._google.resource("gmail", "v1", "users", "drafts")
        written = await self._written(to, subject, body, cc, files=attachments)
        request = drafts.create(userId="me", body={"message": written.message}, fields=_MADE, **written.media)
        return _kept(await self._google.execute(request))

    @tool(
        effect=Effect.ORGANISE,
        repeatable=True,
        oauth_scopes=(COMPOSE_MAIL,),
        doing="rewriting a draft",
        asks=Question("Rewrite this draft?", LABELS, "rewrite it", ("subject",)),
        phrases=(rf"{PLEASE}(?:rewrite|update|change) draft (?P<draft_id>{ID}) as{LETTER}",),
        files=ATTACHED,
    )
    async def update_draft(
        self,
        draft_id: DraftId,
        to: Recipients,
        subject: Subject,
        body: Body,
        cc: Recipients | None = None,
        bcc: Recipients | None = None,
        attachments: SeveralFiles | None = None,
    ) -> dict[str, Any]:
        """Rewrite one of the person's drafts; nothing is sent. A draft that answers a mail keeps doing so.

        Say all of the draft here: what is left out is not in it afterwards. A draft with formatting has to be changed
        in Gmail, because the formatting would be lost.

        Args:
            draft_id: The `id` of the draft.
            to: The recipients' addresses, separated by commas.
            subject: The subject, in one line.
            body: The plain text.
            cc: Further recipients' addresses, separated by commas.
            bcc: The addresses of those whom the others do not see.
            attachments: The files that it has afterwards, those of before by the `reference`s of gmail_read. It has to
                be said where the draft has some; an empty list takes them off.
        """
        drafts = self._google.resource("gmail", "v1", "users", "drafts")
        draft = await self._draft(draft_id)
        found = await self._parsed(gmail_content.content, draft)
        if is_formatted(draft) or found.enclosed:
            raise ToolError("this draft has formatting or a mail in it, so it was not changed; change it in Gmail")
        if found.attachments and attachments is None:
            raise ToolError("this draft has attachments, so it was not changed; say which it has afterwards")
        written = await self._written(to, subject, body, cc, bcc, answers=threaded(draft), files=attachments or ())
        request = drafts.update(
            userId="me", id=draft_id, body={"message": written.message}, fields=_MADE, **written.media
        )
        return _kept(await self._google.execute(request, repeatable=True))

    async def _draft(self, draft_id: str) -> Mapping[str, Any]:
        """Return the message of a draft."""
        drafts = self._google.resource("gmail", "v1", "users", "drafts")
        shape = {"format": "full", "fields": "message(id,threadId,payload)"}
        return mapping(await self._google.execute(drafts.get(userId="me", id=draft_id, **shape)), "message")

    async def _written(
        self,
        to: str,
        subject: str,
        body: str,
        cc: str | None,
        bcc: str | None = None,
        *,
        answers: Mapping[str, Any] | None = None,
        files: Sequence[InputFile] = (),
    ) -> letter.OutgoingMail:
        """Return a mail as `letter.outgoing` does; one with files is written in a thread, because it takes long."""
        write = partial(letter.outgoing, to, subject, body, cc, bcc, answers=answers, files=files)
        return await self._google.to_thread(write) if files else write()


def is_formatted(draft: Mapping[str, Any]) -> bool:
    """Return whether a draft's text has formatting; its attachments are none."""
    payload = mapping(draft, "payload")
    if text(payload, "mimeType").lower() == "multipart/mixed":
        payload = next(iter(objects(payload, "parts")), {})
    return text(payload, "mimeType").lower() != "text/plain"


def _kept(made: Any) -> dict[str, Any]:
    """Return what is said of a draft that was written."""
    return {"draft": True, "id": text(made, "id"), "message_id": text(mapping(made, "message"), "id")}


def threaded(draft: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message that a draft answers, as far as an answer to it needs it."""
    referred = header(draft, "References").split()
    replied = header(draft, "In-Reply-To")
    named = {"Message-ID": replied, "References": " ".join(referred[:-1])} if replied else {}
    fields = [{"name": name, "value": value} for name, value in named.items()]
    return {"threadId": text(draft, "threadId") if named else "", "payload": {"headers": fields}}
