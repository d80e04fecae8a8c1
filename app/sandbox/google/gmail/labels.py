"""Gmail's labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.sandbox.google.api import ApiError, ApiRequest, Handler
from app.sandbox.google.gmail.mailbox import FIXED_LABELS, Label, Mailbox
from app.sandbox.google.gmail.post import PostOffice


class Labels:
    """The handlers of the labels' methods. Lives with the sandbox."""

    def __init__(self, post: PostOffice) -> None:
        self._post = post
        self.handlers: Mapping[str, Handler] = {
            "gmail.users.labels.list": self._list,
            "gmail.users.labels.get": self._get,
            "gmail.users.labels.create": self._create,
            "gmail.users.labels.delete": self._delete,
        }

    def _list(self, request: ApiRequest) -> Mapping[str, Any]:
        return {"labels": [_resource(label) for label in self._post.mailbox_of(request).labels.values()]}

    def _get(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox = self._post.mailbox_of(request)
        label = mailbox.labels.get(request.parameters["id"])
        if label is None:
            raise ApiError(404, "Requested entity was not found.", "notFound")
        messages = [message for message in mailbox.messages if label.id in message.label_ids]
        unread = [message for message in messages if "UNREAD" in message.label_ids]
        return {
            **_resource(label),
            "messagesTotal": len(messages),
            "messagesUnread": len(unread),
            "threadsTotal": len({message.thread_id for message in messages}),
            "threadsUnread": len({message.thread_id for message in unread}),
        }

    def _create(self, request: ApiRequest) -> Mapping[str, Any]:
        mailbox, name = self._post.mailbox_of(request), request.body["name"].strip()
        if not name:
            raise ApiError(400, "Invalid label name")
        if any(label.name.lower() == name.lower() for label in mailbox.labels.values()):
            raise ApiError(409, "Label name exists or conflicts", "aborted")
        visibility = request.body.get("labelListVisibility"), request.body.get("messageListVisibility")
        return _resource(mailbox.add_label(name, *visibility))

    def _delete(self, request: ApiRequest) -> None:
        mailbox = self._post.mailbox_of(request)
        label = mailbox.labels.get(request.parameters["id"])
        if label is None:
            raise ApiError(404, "Requested entity was not found.", "notFound")
        if label.system:
            raise ApiError(400, "Invalid delete request")
        mailbox.remove_label(label)


def check_labels(mailbox: Mailbox, label_ids: Iterable[str], *, changing: bool = False) -> None:
    """Check that the mailbox has these labels and, if `changing`, that a person may set them.

    Raises:
        ApiError: A label is unknown, or only Gmail may set it.
    """
    for label_id in sorted(label_ids):
        if label_id not in mailbox.labels or (changing and label_id in FIXED_LABELS):
            raise ApiError(400, f"Invalid label: {label_id}")


def _resource(label: Label) -> dict[str, Any]:
    resource = {"id": label.id, "name": label.name, "type": "system" if label.system else "user"}
    if label.label_list_visibility:
        resource["labelListVisibility"] = label.label_list_visibility
    if label.message_list_visibility:
        resource["messageListVisibility"] = label.message_list_visibility
    return resource
