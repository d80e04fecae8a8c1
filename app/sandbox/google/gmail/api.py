"""Gmail's messages and threads, and all of the sandbox's Gmail put together.

https://developers.google.com/workspace/gmail/api/reference/rest
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from app.sandbox.google.api import ApiError, ApiRequest, Handler
from app.sandbox.google.gmail.drafts import Drafts
from app.sandbox.google.gmail.labels import Labels, check_labels
from app.sandbox.google.gmail.mailbox import HIDDEN_LABELS, Mailbox
from app.sandbox.google.gmail.message import MailboxMessage
from app.sandbox.google.gmail.post import PostOffice
from app.sandbox.google.gmail.search import SearchError, read_search
from app.sandbox.google.paging import page
from app.sandbox.people import SandboxPeople

_METADATA = frozenset({"https://www.googleapis.com/auth/gmail.metadata"})


class Gmail:
    """The handlers of Gmail's methods. Lives with the sandbox.

    Attributes:
        post: Everybody's mailbox.
        handlers: The handler of each method, by the method's id.
    """

    def __init__(self, people: SandboxPeople, now: Callable[[], float], *, marked: bool) -> None:
        self.post = PostOffice(people, now, marked=marked)
        self.handlers: Mapping[str, Handler] = {
            "gmail.users.getProfile": self._profile,
            "gmail.users.messages.list": self._list_messages,
            "gmail.users.messages.get": self._get_message,
            "gmail.users.messages.send": self._send,
            "gmail.users.messages.modify": self._modify_message,
            "gmail.users.messages.batchModify": self._modify_messages,
            "gmail.users.messages.trash": self._trash,
            "gmail.users.messages.untrash": self._untrash,
            "gmail.users.messages.attachments.get": self._get_attachment,
            "gmail.users.threads.list": self._list_threads,
            "gmail.users.threads.get": self._get_thread,
            "gmail.users.threads.modify": self._modify_thread,
            **Labels(self.post).handlers,
            **Drafts(self.post).handlers,
        }

    def _profile(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox = self.post.mailbox_of(request)
        return {
            "emailAddress": mailbox.person.email,
            "messagesTotal": len(mailbox.messages),
            "threadsTotal": len({message.thread_id for message in mailbox.messages}),
            "historyId": str(mailbox.history_id),
        }

    def _list_messages(self, request: ApiRequest) -> Mapping[str, Any]:
        shown, about = page(self._found(request), request.parameters)
        return about | _unless_empty("messages", [{"id": each.id, "threadId": each.thread_id} for each in shown])

    def _get_message(self, request: ApiRequest) -> Mapping[str, Any]:
        return _resource(request, _message(self.post.mailbox_of(request), request.parameters["id"]))

    def _send(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox = self.post.mailbox_of(request)
        raw = self.post.raw_of(request, request.body.get("raw"))
        return _brief(self.post.send(mailbox, raw, request.body.get("threadId")))

    def _modify_message(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox = self.post.mailbox_of(request)
        message = _message(mailbox, request.parameters["id"])
        return _brief(_relabel(mailbox, [message], request.body)[0])

    def _modify_messages(self, request: ApiRequest) -> None:
        mailbox = self.post.mailbox_of(request)
        ids = request.body.get("ids", [])
        if not 1 <= len(ids) <= 1000:
            raise ApiError(400, "Between 1 and 1000 ids are needed.")
        _relabel(mailbox, [_message(mailbox, message_id) for message_id in ids], request.body)

    def _trash(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox = self.post.mailbox_of(request)
        message = _message(mailbox, request.parameters["id"])
        return _brief(mailbox.relabel(message, add={"TRASH"}, remove={"INBOX"}))

    def _untrash(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox = self.post.mailbox_of(request)
        message = _message(mailbox, request.parameters["id"])
        back = set() if message.label_ids & {"SENT", "DRAFT"} else {"INBOX"}
        return _brief(mailbox.relabel(message, add=back, remove={"TRASH"}))

    def _get_attachment(self, request: ApiRequest) -> Mapping[str, Any]:
        message = _message(self.post.mailbox_of(request), request.parameters["messageId"])
        content = message.attachment(request.parameters["id"])
        if content is None:
            raise ApiError(400, "Invalid attachment token")
        return {"size": len(content), "data": base64.urlsafe_b64encode(content).decode()}

    def _list_threads(self, request: ApiRequest) -> Mapping[str, Any]:
        newest: dict[str, MailboxMessage] = {}
        for message in self._found(request):
            newest.setdefault(message.thread_id, message)
        shown, about = page(list(newest.values()), request.parameters)
        threads = [{"id": each.thread_id, "historyId": str(each.history_id)} for each in shown]
        if not _metadata_only(request):
            threads = [{**thread, "snippet": each.snippet} for thread, each in zip(threads, shown, strict=True)]
        return about | _unless_empty("threads", threads)

    def _get_thread(self, request: ApiRequest) -> Mapping[str, Any]:
        messages = _thread(self.post.mailbox_of(request), request.parameters["id"])
        return {
            "id": request.parameters["id"],
            "historyId": str(max(message.history_id for message in messages)),
            "messages": [_resource(request, message) for message in messages],
        }

    def _modify_thread(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox = self.post.mailbox_of(request)
        messages = _relabel(mailbox, _thread(mailbox, request.parameters["id"]), request.body)
        return {"id": request.parameters["id"], "messages": [_brief(message) for message in messages]}

    def _found(self, request: ApiRequest) -> list[MailboxMessage]:
        """Return the messages that a list's ``q``, ``labelIds`` and ``includeSpamTrash`` ask for, newest first."""
        mailbox = self.post.mailbox_of(request)
        query = request.parameters.get("q", "")
        if query and _metadata_only(request):
            raise ApiError(403, "Metadata scope does not support 'q' parameter", "forbidden")
        try:
            search = read_search(query, email=request.person.email, labels=mailbox.labels.values(), now=self.post.now())
        except SearchError as error:
            raise ApiError(400, f"The sandbox cannot search for this: {error}") from None
        label_ids = set(request.parameters.get("labelIds", ()))
        check_labels(mailbox, label_ids)
        shows_hidden = request.parameters["includeSpamTrash"] or search.reaches_hidden or label_ids & HIDDEN_LABELS
        return [
            message
            for message in mailbox.messages
            if label_ids <= message.label_ids
            and (shows_hidden or not message.label_ids & HIDDEN_LABELS)
            and search.matches(message)
        ]


def _message(mailbox: Mailbox, message_id: str) -> MailboxMessage:
    message = mailbox.get(message_id)
    if message is None:
        raise ApiError(404, "Requested entity was not found.", "notFound")
    return message


def _thread(mailbox: Mailbox, thread_id: str) -> list[MailboxMessage]:
    messages = mailbox.thread(thread_id)
    if not messages:
        raise ApiError(404, "Requested entity was not found.", "notFound")
    return messages


def _metadata_only(request: ApiRequest) -> bool:
    """Return whether the bearer may see headers only, because only gmail.metadata allows this call."""
    return request.scopes <= _METADATA


def _resource(request: ApiRequest, message: MailboxMessage) -> dict[str, Any]:
    """Return the message in the format that the call asks for, within the limits of its scopes."""
    form, hidden = request.parameters["format"], _metadata_only(request)
    if hidden and form in ("full", "raw"):
        raise ApiError(403, f"Metadata scope doesn't allow format {form.upper()}", "forbidden")
    return message.resource(form, request.parameters.get("metadataHeaders", ()), with_snippet=not hidden)


def _brief(message: MailboxMessage) -> dict[str, Any]:
    return {"id": message.id, "threadId": message.thread_id, "labelIds": sorted(message.label_ids)}


def _relabel(
    mailbox: Mailbox, messages: Sequence[MailboxMessage], changes: Mapping[str, Iterable[str]]
) -> list[MailboxMessage]:
    add, remove = set(changes.get("addLabelIds", ())), set(changes.get("removeLabelIds", ()))
    check_labels(mailbox, add | remove, changing=True)
    return [mailbox.relabel(message, add, remove) for message in messages]


def _unless_empty(name: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the list under its name, or nothing if it is empty, because Google leaves empty lists out."""
    return {name: items} if items else {}
