"""The person's mail put in order: labels, stars, what was read, and what is in the inbox.

All of it can be undone, and nobody else sees it. That is why no label that throws a mail away can be set here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from app.approvals.question import Question
from app.characters import seen
from app.errors import GoogleError, ToolError
from app.google.client import GoogleClient
from app.toolkits.gmail import message as gmail_message
from app.toolkits.gmail.arguments import Label, MessageIds
from app.toolkits.gmail.oauth_scopes import EDIT_LABELS, MODIFY_MAIL
from app.toolkits.gmail.phrases import MAIL, MAIL_IDS
from app.toolkits.gmail.reading import GmailReading
from app.toolkits.google_faults import describe
from app.toolkits.phrases import ASK, END, PLEASE
from app.toolkits.shapes import objects, text
from app.toolkits.toolkit import Effect, tool
from app.toolkits.untrusted import Quotes
from app.toolkits.zones import PersonZone

# Of Gmail's own labels those that a person may set as they like. Not TRASH and SPAM: a mail with these is deleted after
# 30 days, so throwing away is an act of its own. https://developers.google.com/workspace/gmail/api/guides/labels
SETTABLE = (
    *("INBOX", "UNREAD", "STARRED", "IMPORTANT"),
    *(f"CATEGORY_{name}" for name in ("PERSONAL", "SOCIAL", "PROMOTIONS", "UPDATES", "FORUMS")),
)
# The parameters in the order in which a person is shown them, by the words that mail programs use.
LABELS = MappingProxyType(
    {
        "to": "To",
        "cc": "Cc",
        "bcc": "Bcc",
        "subject": "Subject",
        "body": "Text",
        "attachments": "Attached",
        "label": "Label",
        "message_id": "Answers mail",
        "message_ids": "Mails",
        "draft_id": "Draft",
    }
)
_NAME = r"[\"']?(?P<{}>[^\"']+?)[\"']?"


class GmailOrganising(GmailReading):
    """Labels, stars and archives. Lives for one request, and so does what it knows of the person's labels."""

    def __init__(self, google: GoogleClient, zone: PersonZone) -> None:
        super().__init__(google, zone)
        self._labels: dict[str, Mapping[str, str]] | None = None

    @tool(oauth_scopes=(EDIT_LABELS,), doing="looking at your labels", phrases=(rf"{ASK}(?:{MAIL} )?labels{END}",))
    async def labels(self) -> dict[str, Any]:
        """List the names of the person's own labels, and of Gmail's labels that can be set."""
        quotes = Quotes()
        known = (await self._known_labels()).values()
        own = [quotes.quote(text(each, "name")) for each in known if text(each, "type") == "user"]
        return {**(quotes.note if own else {}), "labels": own, "gmail_labels": [*SETTABLE]}

    @tool(
        effect=Effect.ORGANISE,
        repeatable=True,
        oauth_scopes=(EDIT_LABELS,),
        doing="making a label",
        asks=Question("Make this label?", LABELS, "make it", ("label",)),
        phrases=(
            rf"{PLEASE}(?:create|make|add)(?: a)?(?: new)? label (?:called |named )?{_NAME.format('label')}{END}",
        ),
    )
    async def create_label(self, label: Label) -> dict[str, Any]:
        """Make a new label of the person's own; one that is there already is left as it is.

        Args:
            label: The name; a slash puts it below another label: `Work/Invoices`.
        """
        known = await self._known_labels()
        if _key(label) in known:
            return {"label": label, "created": False, "why": "there is a label of this name already"}
        labels = self._google.resource("gmail", "v1", "users", "labels")
        shown = {"labelListVisibility": "labelShow", "messageListVisibility": "show"}
        made = await self._google.execute(
            labels.create(userId="me", body={"name": label, **shown}, fields="id,name,type")
        )
        known[_key(label)] = {"type": "user", **made}
        return {"label": label, "created": True}

    @tool(
        effect=Effect.ORGANISE,
        repeatable=True,
        oauth_scopes=(MODIFY_MAIL,),
        doing="labelling mails",
        asks=Question("Put this label on these mails?", LABELS, "do it", ("label",)),
        phrases=(rf"{PLEASE}label {MAIL_IDS} (?:as|with) {_NAME.format('label')}{END}",),
    )
    async def add_label(self, message_ids: MessageIds, label: Label) -> dict[str, Any]:
        """Put a label on mails; the label has to be there already.

        Args:
            message_ids: The mails.
            label: The name of one of the person's own labels, or of a Gmail label that can be set.
        """
        return await self._relabel("labelled", message_ids, add=await self._label_id(label))

    @tool(
        effect=Effect.ORGANISE,
        repeatable=True,
        oauth_scopes=(MODIFY_MAIL,),
        doing="taking a label off mails",
        asks=Question("Take this label off these mails?", LABELS, "do it", ("label",)),
        phrases=(
            rf"{PLEASE}remove (?:the )?label {_NAME.format('label')} from {MAIL_IDS}{END}",
            rf"{PLEASE}unlabel {MAIL_IDS} (?:as|with|from) {_NAME.format('label')}{END}",
        ),
    )
    async def remove_label(self, message_ids: MessageIds, label: Label) -> dict[str, Any]:
        """Take a label off mails; the mails and the label stay.

        Args:
            message_ids: The mails.
            label: The name of one of the person's own labels, or of a Gmail label that can be set.
        """
        return await self._relabel("unlabelled", message_ids, remove=await self._label_id(label))

    @tool(
        effect=Effect.ORGANISE,
        repeatable=True,
        oauth_scopes=(MODIFY_MAIL,),
        doing="archiving mails",
        asks=Question("Archive these mails?", LABELS, "archive them"),
        phrases=(rf"{PLEASE}archive {MAIL_IDS}{END}",),
    )
    async def archive(self, message_ids: MessageIds) -> dict[str, Any]:
        """Take mails out of the inbox; they stay in Gmail. The label INBOX brings them back."""
        return await self._relabel("archived", message_ids, remove="INBOX")

    @tool(
        effect=Effect.ORGANISE,
        repeatable=True,
        oauth_scopes=(MODIFY_MAIL,),
        doing="marking mails as read",
        asks=Question("Mark these mails as read?", LABELS, "do it"),
        phrases=(rf"{PLEASE}mark {MAIL_IDS} (?:as )?read{END}",),
    )
    async def mark_read(self, message_ids: MessageIds) -> dict[str, Any]:
        """Mark mails as read."""
        return await self._relabel("marked_read", message_ids, remove="UNREAD")

    @tool(
        effect=Effect.ORGANISE,
        repeatable=True,
        oauth_scopes=(MODIFY_MAIL,),
        doing="marking mails as unread",
        asks=Question("Mark these mails as unread?", LABELS, "do it"),
        phrases=(rf"{PLEASE}mark {MAIL_IDS} (?:as )?unread{END}",),
    )
    async def mark_unread(self, message_ids: MessageIds) -> dict[str, Any]:
        """Mark mails as unread."""
        return await self._relabel("marked_unread", message_ids, add="UNREAD")

    @tool(
        effect=Effect.ORGANISE,
        repeatable=True,
        oauth_scopes=(MODIFY_MAIL,),
        doing="starring mails",
        asks=Question("Star these mails?", LABELS, "star them"),
        phrases=(rf"{PLEASE}star {MAIL_IDS}{END}",),
    )
    async def star(self, message_ids: MessageIds) -> dict[str, Any]:
        """Put a star on mails."""
        return await self._relabel("starred", message_ids, add="STARRED")

    @tool(
        effect=Effect.ORGANISE,
        repeatable=True,
        oauth_scopes=(MODIFY_MAIL,),
        doing="taking stars off mails",
        asks=Question("Remove the star from these mails?", LABELS, "do it"),
        phrases=(rf"{PLEASE}unstar {MAIL_IDS}{END}",),
    )
    async def unstar(self, message_ids: MessageIds) -> dict[str, Any]:
        """Take the star off mails."""
        return await self._relabel("unstarred", message_ids, remove="STARRED")

    async def approval_details(self, tool: str, arguments: Mapping[str, Any]) -> Sequence[str]:
        """Return who wrote each of the mails that a call is about, and its subject."""
        named = arguments.get("message_ids", [arguments["message_id"]] if "message_id" in arguments else [])
        messages = self._google.resource("gmail", "v1", "users", "messages")
        shape = {"format": "metadata", "metadataHeaders": ["From", "Subject"], "fields": "payload/headers"}
        answers = await self._google.execute_batch([messages.get(userId="me", id=each, **shape) for each in named])
        return [f"{each}: {_described(answer)}" for each, answer in zip(named, answers, strict=True)]

    async def _known_labels(self) -> dict[str, Mapping[str, str]]:
        """Return the person's labels as Gmail gives them, by `_key` of their names; asked for once a request."""
        if self._labels is None:
            labels = self._google.resource("gmail", "v1", "users", "labels")
            listed = await self._google.execute(labels.list(userId="me", fields="labels(id,name,type)"))
            self._labels = {_key(text(label, "name")): label for label in objects(listed, "labels")}
        return self._labels

    async def _own_label_id(self, name: str) -> str:
        """Return the id of a label that the person made.

        Raises:
            ToolError: No label has this name, or it is one of Gmail's own.
        """
        label = (await self._known_labels()).get(_key(name))
        if label is None:
            raise ToolError("there is no label of this name; gmail_labels lists them")
        if text(label, "type") != "user":
            raise ToolError("this is one of Gmail's own labels, which cannot be deleted")
        return text(label, "id")

    async def _label_id(self, name: str) -> str:
        """Return the id of a label that can be set.

        Raises:
            ToolError: No label has this name, or it is one that Gmail sets itself or that throws mail away.
        """
        label = (await self._known_labels()).get(_key(name))
        if label is None:
            raise ToolError("there is no label of this name; gmail_labels lists them, gmail_create_label makes one")
        label_id = text(label, "id")
        if text(label, "type") != "user" and label_id not in SETTABLE:
            raise ToolError(f"the label {label_id} cannot be set or removed; to throw mail away, use gmail_trash")
        return label_id

    def _forget_label(self, name: str) -> None:
        """Forget a label that was deleted."""
        if self._labels is not None:
            self._labels.pop(_key(name), None)

    async def _relabel(
        self, done: str, message_ids: Sequence[str], *, add: str | None = None, remove: str | None = None
    ) -> dict[str, Any]:
        messages = self._google.resource("gmail", "v1", "users", "messages")
        changes = {"addLabelIds": [add] if add else [], "removeLabelIds": [remove] if remove else []}
        return await self._each(
            done, message_ids, lambda each: messages.modify(userId="me", id=each, body=changes, fields="id")
        )

    async def _each(self, done: str, message_ids: Sequence[str], request: Callable[[str], Any]) -> dict[str, Any]:
        """Return the ids of the mails for which a request succeeded, and what became of the others; one batch for all.

        A batch of single changes, not `batchModify`, because that does not say which of the mails it did not find. Each
        leaves the same when it is made twice, so one that Google could not answer is sent again.
        """
        requests = [request(each) for each in message_ids]
        answers = await self._google.execute_batch(requests, repeatable=True)
        failed = {
            each: describe(answer)
            for each, answer in zip(message_ids, answers, strict=True)
            if isinstance(answer, GoogleError)
        }
        problems = [{"id": each, "problem": problem} for each, problem in failed.items()]
        return {
            done: [each for each in message_ids if each not in failed],
            **({"problems": problems} if failed else {}),
        }


def _described(answer: Any) -> str:
    """Return a mail's sender and subject on one line, for the question that the person is asked."""
    if isinstance(answer, GoogleError):
        return "this mail could not be looked up"
    sender, subject = (gmail_message.shown_header(answer, name) for name in ("From", "Subject"))
    return f"from {sender or 'an unknown sender'}, subject: {subject or 'none'}"


def _key(name: str) -> str:
    """Return the same key for labels that look alike, ignoring case, normal form, blanks and fillers."""
    plain = unicodedata.normalize("NFC", " ".join(seen(name).split()))
    return unicodedata.normalize("NFC", plain.casefold())
