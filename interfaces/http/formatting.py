"""A message's status as JSON."""

from __future__ import annotations

from typing import Any

from app.delivery.status import Status


def as_json(message_id: str, status: Status) -> dict[str, Any]:
    """What a client is told: always ``message`` and ``state``, and of the rest what there is."""
    body: dict[str, Any] = {"message": message_id, "state": status.state.value}
    if status.answer is not None:
        body["answer"] = status.answer
    if status.waits_for is not None:
        body["waits_for"] = status.waits_for.value
    if status.consent_url is not None:
        body["consent_url"] = status.consent_url
    if status.approvals:
        first = status.approvals[0]  # the next one shows once this one is decided
        body["approval"] = {"code": first.code, "tool": first.call.tool, "arguments": dict(first.call.arguments)}
    return body
