"""Tools that other people notice, or that throw mail away: sending, replying and the trash. Each call needs approval.

An approval shows a call's arguments and nothing else. So everything that leaves is an argument here, though Gmail would
know some of it, and is checked against the mail or draft when the call runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.approvals.question import Question
from app.errors import ToolError
from app.toolkits.gmail import content as gmail_content
from app.toolkits.gmail import letter
from app.toolkits.gmail import message as gmail_message
from app.toolkits.gmail.arguments import Body, DraftId, Label, MessageId, MessageIds, Recipients, Subject
from app.toolkits.gmail.drafting import ATTACHED, GmailDrafting, is_formatted, threaded
from app.toolkits.gmail.oauth_scopes import COMPOSE_MAIL, EDIT_LABELS, MODIFY_MAIL, READ_MAIL, SEND_MAIL
from app.toolkits.gmail.organising import LABELS
from app.toolkits.gmail.phrases import CC, LETTER, MAIL_ID, MAIL_IDS
from app.toolkits.input_file import InputFile, SeveralFiles
from app.toolkits.phrases import ADDRESS, END, PLEASE, THESE_FILES
from app.toolkits.shapes import mapping, objects, text
from app.toolkits.toolkit import Effect, tool
from app.toolkits.written import addresses

_ABOUT = r",? (?:with )?(?:the )?(?:subject:?|about) (?P<subject>(?:re: ?)?[^:\n]+?)\s*:\s*(?P<body>.+)"
# The headers of a draft that are approved, or that say how it is written. Any other header would leave unseen.
_APPROVED_HEADERS = frozenset({"to", "cc", "bcc", "subject"})
_TECHNICAL_HEADERS = frozenset(
    {"from", "date", "message-id", "mime-version", "content-type", "content-transfer-encoding"}
    | {"in-reply-to", "references", "received", "x-google-smtp-source", "x-gm-message-state"}
)


class GmailToolkit(GmailDrafting):
    """Reads, puts in order and sends the person's mail. Lives for one request.

    Args:
        google: Google's APIs as that person.
        zone: Their time zone.
    """

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(SEND_MAIL,),
        doing="sending your mail",
        asks=Question("Send this mail?", LABELS, "send it", ("subject",)),
        phrases=(
            rf"{PLEASE}(?:send|write){LETTER}",
            rf"{PLEASE}(?:mail|send|e-?mail) {THESE_FILES} to (?P<to>{ADDRESS}){CC}{_ABOUT}",
        ),
        files=ATTACHED,
    )
    async def send(
        self,
        to: Recipients,
        subject: Subject,
        body: Body,
        cc: Recipients | None = None,
        attachments: SeveralFiles = (),
    ) -> dict[str, Any]:
        """Send a mail from the person's own address; they are asked first and see exactly what will be sent.

        Args:
            to: The recipients' addresses, separated by commas.
            subject: The subject, in one line.
            body: The plain text.
            cc: Further recipients' addresses, separated by commas.
            attachments: The files to attach: file ids of what the person attached here, `reference`s of attachments in
                mails, or `id`s of files in Drive.
        """
        return await self._send(await self._written(to, subject, body, cc, files=attachments), to, cc)

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(READ_MAIL, SEND_MAIL),
        doing="sending your answer",
        asks=Question("Send this answer?", LABELS, "send it", ("subject",)),
        phrases=(
            rf"{PLEASE}(?:reply|answer)(?: to)? {MAIL_ID} to (?P<to>{ADDRESS}){CC}{_ABOUT}",
            rf"{PLEASE}(?:reply to|answer) (?P<to>{ADDRESS}) (?:in|on|about) {MAIL_ID}{CC}{_ABOUT}",
        ),
        files=ATTACHED,
    )
    async def reply(
        self,
        message_id: MessageId,
        to: Recipients,
        subject: Subject,
        body: Body,
        cc: Recipients | None = None,
        attachments: SeveralFiles = (),
    ) -> dict[str, Any]:
        """Answer a mail in its thread; the person is asked first and sees to whom and what.

        Say here all that will be sent, because the person approves what they see; nothing is added. The recipients can
        only be people of that mail: of its from, reply_to, to and cc. To answer one person, put the address of
        reply_to, or else of from, into `to`; to answer all, put the others into `cc`, without the person's own address.

        Args:
            message_id: The mail that is answered.
            to: The recipients' addresses, separated by commas.
            subject: The subject of the mail, with `Re: ` before it where it has none yet.
            body: The plain text of the answer.
            cc: Further recipients' addresses, separated by commas.
            attachments: The files to attach: file ids of what the person attached here, `reference`s of attachments in
                mails, or `id`s of files in Drive.
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
        if subject.split() not in (letter.answering_subject(answered).split(), _own_subject(answered)):
            raise ToolError("the subject of an answer is that of the mail, with Re: before it, so nothing was sent")
        written = await self._written(to, subject, body, cc, answers=answered, files=attachments)
        return await self._send(written, to, cc)

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(COMPOSE_MAIL,),
        doing="sending your draft",
        asks=Question("Send this draft?", LABELS, "send it", ("subject",)),
        files=ATTACHED,
    )
    async def send_draft(
        self,
        draft_id: DraftId,
        to: Recipients,
        subject: Subject,
        body: Body,
        cc: Recipients | None = None,
        bcc: Recipients | None = None,
        attachments: SeveralFiles = (),
    ) -> dict[str, Any]:
        """Send one of the person's drafts as it is; they are asked first and see what will be sent.

        Say all of the draft here, because the person approves what they see: if the draft has changed when it is to be
        sent, it is not sent. A draft with formatting has to be sent in Gmail.

        Args:
            draft_id: The `id` of the draft.
            to: The addresses of its `to`, separated by commas.
            subject: Its subject.
            body: Its whole text.
            cc: The addresses of its `cc`.
            bcc: The addresses of its `bcc`.
            attachments: All of its attachments, by the `reference`s that gmail_read gives for its `message_id`.
        """
        users = self._google.resource("gmail", "v1", "users")
        drafts = self._google.resource("gmail", "v1", "users", "drafts")
        draft = await self._draft(draft_id)
        profile = await self._google.execute(users.getProfile(userId="me", fields="emailAddress"))
        own = text(profile, "emailAddress")
        if difference := await self._parsed(_difference, draft, own, (to, cc, bcc), subject, body, attachments):
            raise ToolError(f"the draft {difference}, so it was not sent")
        # Send the approved text and files, because the draft may have changed in the meantime.
        written = await self._written(to, subject, body, cc, bcc, answers=threaded(draft), files=attachments)
        approved = {"id": draft_id, "message": written.message}
        request = drafts.send(userId="me", body=approved, fields="id", **written.media)
        return _sent(await self._google.execute(request), to, cc, bcc)

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(MODIFY_MAIL,),
        doing="throwing mails away",
        asks=Question("Throw these mails away?", LABELS, "throw them away"),
        phrases=(rf"{PLEASE}(?:trash|delete|throw away|bin) {MAIL_IDS}{END}",),
    )
    async def trash(self, message_ids: MessageIds) -> dict[str, Any]:
        """Throw mails away: Gmail keeps them in the trash for 30 days. The person is asked first."""
        messages = self._google.resource("gmail", "v1", "users", "messages")
        return await self._each("trashed", message_ids, lambda each: messages.trash(userId="me", id=each, fields="id"))

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(MODIFY_MAIL,),
        doing="taking mails out of the trash",
        asks=Question("Take these mails back out of the trash?", LABELS, "take them back"),
        phrases=(rf"{PLEASE}(?:untrash|undelete|restore) {MAIL_IDS}{END}",),
    )
    async def untrash(self, message_ids: MessageIds) -> dict[str, Any]:
        """Take mails back out of the trash. The person is asked first."""
        messages = self._google.resource("gmail", "v1", "users", "messages")
        return await self._each(
            "untrashed", message_ids, lambda each: messages.untrash(userId="me", id=each, fields="id")
        )

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(EDIT_LABELS,),
        doing="deleting a label",
        asks=Question("Delete this label, and take it off every mail?", LABELS, "delete it", ("label",)),
        phrases=(rf"{PLEASE}delete (?:the )?label [\"']?(?P<label>[^\"']+?)[\"']?{END}",),
    )
    async def delete_label(self, label: Label) -> dict[str, Any]:
        """Delete one of the person's own labels and take it off every mail; the mails stay. They are asked first.

        Args:
            label: Its name. Gmail's own labels, such as INBOX, cannot be deleted.
        """
        labels = self._google.resource("gmail", "v1", "users", "labels")
        await self._google.execute(labels.delete(userId="me", id=await self._own_label_id(label)))
        self._forget_label(label)
        return {"summary": f"I deleted the label {label}."}

    async def _send(self, written: letter.OutgoingMail, *recipients: str | None) -> dict[str, Any]:
        messages = self._google.resource("gmail", "v1", "users", "messages")
        request = messages.send(userId="me", body=written.message, fields="id", **written.media)
        return _sent(await self._google.execute(request), *recipients)


def _sent(sent: Mapping[str, Any], *recipients: str | None) -> dict[str, Any]:
    everybody = ", ".join(each for each in recipients if each)
    return {"summary": f"Sent to {everybody}.", "id": text(sent, "id")}


def _difference(
    draft: Mapping[str, Any],
    own: str,
    recipients: tuple[str, str | None, str | None],
    subject: str,
    body: str,
    attachments: Sequence[InputFile],
) -> str:
    """Return how a draft differs from the approved text, or an empty string if it does not."""
    content = gmail_content.content(draft)
    attached = [f"{text(draft, 'id')}/{each.part_id}" for each in content.attachments]
    if content.enclosed or sorted(attached) != sorted(each.reference for each in attachments):
        return "has other attachments"
    if is_formatted(draft):
        return "has formatting, which cannot be shown for approval"
    names = {text(each, "name").lower() for each in objects(mapping(draft, "payload"), "headers")}
    if unseen := names - _APPROVED_HEADERS - _TECHNICAL_HEADERS:
        return f"has headers that were not shown ({', '.join(sorted(unseen))[:200]})"
    try:
        for name, approved in zip(("To", "Cc", "Bcc"), recipients, strict=True):
            listed = [addresses(each) for each in gmail_message.headers(draft, name) if each.strip()]
            if _each_address(*listed) != _each_address(approved):
                return "has other recipients"
        senders = [addresses(each) for each in gmail_message.headers(draft, "From")]
    except ValueError:
        return "has recipients that cannot be read here"
    if any(each.lower() != own.lower() for each in senders):
        return "is from another of the person's addresses"
    if gmail_message.headers(draft, "Subject") != [subject]:
        return "has another subject"
    return "" if _lines(content.text) == _lines(body) else "has another text"


def _lines(body: str) -> list[str]:
    """Return a text line by line, without the empty lines that mail programs put around it."""
    return [line.rstrip() for line in body.strip("\r\n").replace("\r\n", "\n").split("\n")]


def _own_subject(answered: Mapping[str, Any]) -> list[str]:
    return letter.answering_subject(answered).removeprefix("Re: ").split()


def _each_address(*lists: str | None) -> frozenset[str]:
    """Return the addresses in lists that `addresses` made, in lower case."""
    return frozenset(address.lower() for each in lists if each for address in each.split(", "))
