"""Formats a message's status as JSON, and the progress of its run as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from fastapi.sse import format_sse_event

from app.agents.listening import Progress, TextWritten, Working
from app.delivery.replies.status import Status, in_words
from app.reply import Button


def as_json(message_id: str, status: Status) -> dict[str, Any]:
    """Return the body of a response: ``message`` and ``state`` always, the other keys if they apply."""
    body: dict[str, Any] = {"message": message_id, "state": status.state.value}
    if status.answer is not None:
        body["answer"] = status.answer
    if status.waits_for is not None:
        body["waits_for"] = status.waits_for.value
    if status.sign_in is not None:
        body["sign_in"] = status.sign_in.stage.value
        if status.sign_in.url is not None:
            body["consent_url"] = status.sign_in.url
        body["needs"] = {tool: list(permissions) for tool, permissions in status.needs.items()}
    if status.approvals:
        first = status.approvals[0]  # the next one shows once this one is decided
        body["approval"] = {"code": first.code, "tool": first.call.tool, "arguments": dict(first.call.arguments)}
        if member := status.members.get(first.call.call_id):
            body["approval"]["member"] = member
        if account := status.accounts.get(first.call.call_id):
            body["approval"]["account"] = account.email
    if status.files:
        body["files"] = [
            {"number": number, "name": file.name, "mime_type": file.mime_type, "size": file.size}
            for number, file in enumerate(status.files)
        ]
    if content := in_words(status):
        if status.waits_for is not None:
            body["question"] = content.text
        if content.buttons:
            body["buttons"] = [_button(button) for button in content.buttons]
    return body


def _button(button: Button) -> dict[str, str]:
    """Return a button: pressing it means to post its ``command`` as a message, or to open its ``url``."""
    does = {"command": button.command} if button.command is not None else {"url": str(button.url)}
    return {"label": button.label, **does, "style": button.style.value}


def file_headers(name: str) -> dict[str, str]:
    """Return the headers of a file that somebody else may have made: saved, never shown, never cached."""
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",  # RFC 6266
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def as_event(name: str, data: Mapping[str, Any]) -> bytes:
    """Return one event of a stream, its data JSON on one line."""
    return format_sse_event(event=name, data_str=json.dumps(data))


def progress_as_event(progress: Progress) -> bytes:
    """Return a step of a run as the event ``text``, ``tool`` or ``working``."""
    if isinstance(progress, TextWritten):
        return as_event("text", {"delta": progress.delta})
    if isinstance(progress, Working):
        return as_event("working", {"doing": progress.doing})
    member = {"member": progress.member} if progress.member else {}
    return as_event("tool", {"name": progress.name, "state": progress.state.value, **member})
