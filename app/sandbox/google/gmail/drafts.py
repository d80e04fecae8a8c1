"""Gmail's drafts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from app.sandbox.google.api import ApiError, ApiRequest, Handler
from app.sandbox.google.gmail.mailbox import Mailbox
from app.sandbox.google.gmail.message import MailboxMessage
from app.sandbox.google.gmail.post import PostOffice
from app.sandbox.google.gmail.search import SearchError, read_search
from app.sandbox.google.paging import page


class Drafts:
    """The handlers of the drafts' methods. Lives with the sandbox.

    A draft keeps its id; the message in it is another one after each change.
    """

    def __init__(self, post: PostOffice) -> None:
        self._post = post
        self.handlers: Mapping[str, Handler] = {
            "gmail.users.drafts.list": self._list,
            "gmail.users.drafts.get": self._get,
            "gmail.users.drafts.create": self._create,
            "gmail.users.drafts.update": self._update,
            "gmail.users.drafts.send": self._send,
            "gmail.users.drafts.delete": self._delete,
        }

    def _list(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox = self._post.mailbox_of(request)
        ids = {message_id: draft_id for draft_id, message_id in mailbox.drafts.items()}
        try:
            search = read_search(
                request.parameters.get("q", ""),
                email=request.person.email,
                labels=mailbox.labels.values(),
                now=self._post.now(),
            )
        except SearchError as error:
            raise ApiError(400, f"The sandbox cannot search for this: {error}") from None
        found = [message for message in mailbox.messages if message.id in ids and search.matches(message)]
        shown, about = page(found, request.parameters)
        drafts = [
            {"id": ids[message.id], "message": {"id": message.id, "threadId": message.thread_id}} for message in shown
        ]
        return about | ({"drafts": drafts} if drafts else {})

    def _get(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox, draft_id = self._post.mailbox_of(request), request.parameters["id"]
        return {"id": draft_id, "message": _message(mailbox, draft_id).resource(request.parameters["format"])}

    def _create(self, request: ApiRequest) -> Mapping[str, Any]:
        return self._write(request, f"r{secrets.randbelow(10**18)}")

    def _update(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox, draft_id = self._post.mailbox_of(request), request.parameters["id"]
        before = _message(mailbox, draft_id)
        written = self._write(request, draft_id)
        mailbox.discard(before.id)
        return written

    def _send(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox, draft_id = self._post.mailbox_of(request), request.body["id"]
        draft = _message(mailbox, draft_id)
        own_thread = draft.thread_id if len(mailbox.thread(draft.thread_id)) > 1 else None
        # https://developers.google.com/workspace/gmail/api/guides/drafts#sending_drafts: as it is, or updated first.
        updated = request.body.get("message", {}).get("raw")
        raw = self._post.raw_of(request, updated) if updated else draft.raw
        sent = self._post.send(mailbox, raw, own_thread)
        mailbox.discard(draft.id)
        del mailbox.drafts[draft_id]
        return {"id": sent.id, "threadId": sent.thread_id, "labelIds": sorted(sent.label_ids)}

    def _delete(self, request: ApiRequest) -> None:
        mailbox, draft_id = self._post.mailbox_of(request), request.parameters["id"]
        mailbox.discard(_message(mailbox, draft_id).id)
        del mailbox.drafts[draft_id]

    def _write(self, request: ApiRequest, draft_id: str) -> dict[str, Any]:
        mailbox = self._post.mailbox_of(request)
        message = request.body.get("message", {})
        thread_id = message.get("threadId")
        if thread_id and not mailbox.thread(thread_id):
            raise ApiError(404, "Requested entity was not found.", "notFound")
        raw = self._post.raw_of(request, message.get("raw"))
        stored = mailbox.store(raw, {"DRAFT"}, self._post.now(), thread_id)
        mailbox.drafts[draft_id] = stored.id
        labels = sorted(stored.label_ids)
        return {"id": draft_id, "message": {"id": stored.id, "threadId": stored.thread_id, "labelIds": labels}}


def _message(mailbox: Mailbox, draft_id: str) -> MailboxMessage:
    message = mailbox.get(mailbox.drafts.get(draft_id, ""))
    if message is None:
        raise ApiError(404, "Requested entity was not found.", "notFound")
    return message
