"""The OAuth scopes of the Gmail tools, against the sandbox Google and Google's own discovery document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from app.toolkits.gmail import COMPOSE_MAIL, EDIT_LABELS, MODIFY_MAIL, READ_MAIL, SEND_MAIL, GmailToolkit
from tests.fakes.gmail_sandbox import GmailSandbox, open_gmail_sandbox
from tests.fakes.sandbox import ADA, GRACE

ALL_MAIL = "https://mail.google.com/"
# The scopes that are wider than each scope. gmail.compose, with which mail can be sent, is wider than gmail.readonly
# only for the methods that read drafts, because it allows no other method for which gmail.readonly is enough.
WIDER = {
    READ_MAIL: {COMPOSE_MAIL, MODIFY_MAIL, ALL_MAIL},
    SEND_MAIL: {COMPOSE_MAIL, MODIFY_MAIL, ALL_MAIL},
    COMPOSE_MAIL: {MODIFY_MAIL, ALL_MAIL},
    EDIT_LABELS: {READ_MAIL, MODIFY_MAIL, ALL_MAIL},
    MODIFY_MAIL: {ALL_MAIL},
}
# Narrower scopes that are not sufficient: gmail.metadata gives no text, no snippet and no search (`q`), and the add-on
# scopes reach only the mail that is open in a Gmail add-on, which Deputy is not.
# https://developers.google.com/workspace/gmail/api/auth/scopes
NOT_ENOUGH = {
    f"https://www.googleapis.com/auth/gmail.{name}"
    for name in (
        *("metadata", "addons.current.action.compose", "addons.current.message.action"),
        *("addons.current.message.metadata", "addons.current.message.readonly"),
    )
}


@pytest.fixture
async def gmail() -> AsyncIterator[GmailSandbox]:
    """Yield a sandbox for one test."""
    async with open_gmail_sandbox() as gmail:
        yield gmail


async def arguments(gmail: GmailSandbox, method: str) -> dict[str, Any]:
    """Return arguments with which a tool succeeds."""
    mail = gmail.mail(ADA)[0]
    attached = next(each for each in gmail.mail(ADA) if each.attachments)
    if method == "send_draft":
        draft = await (await gmail.toolkit(ADA, COMPOSE_MAIL)).create_draft(to=GRACE, subject="s", body="b")
        return {"draft_id": draft["id"], "to": GRACE, "subject": "s", "body": "b"}
    if method == "update_draft":
        draft = await (await gmail.toolkit(ADA, COMPOSE_MAIL)).create_draft(to=GRACE, subject="s", body="b")
        return {"draft_id": draft["id"], "to": GRACE, "subject": "t", "body": "c"}
    if method == "delete_label":
        await (await gmail.toolkit(ADA)).create_label("Work")
        return {"label": "Work"}
    by_tool: dict[str, dict[str, Any]] = {
        "search": {"query": "a"},
        "by_date": {"since": date(2020, 1, 1)},
        "from_person": {"person": mail.sender},
        "read": {"message_id": mail.id},
        "read_thread": {"thread_id": mail.thread_id},
        "read_attachment": {"reference": f"{attached.id}/1"},
        "download": {"reference": f"{attached.id}/1"},
        "create_label": {"label": "Work"},
        "add_label": {"message_ids": [mail.id], "label": "IMPORTANT"},
        "remove_label": {"message_ids": [mail.id], "label": "IMPORTANT"},
        "create_draft": {"to": GRACE, "subject": "s", "body": "b"},
        "send": {"to": GRACE, "subject": "s", "body": "b"},
        "reply": {"message_id": mail.id, "to": mail.sender, "subject": mail.subject, "body": "b"},
    }
    listing = {"latest", "unread", "starred", "threads", "drafts", "labels"}
    return by_tool.get(method, {} if method in listing else {"message_ids": [mail.id]})


@pytest.mark.parametrize("method", [spec.method for spec in GmailToolkit.tools().values()])
async def test_the_declared_scopes_are_enough_and_the_least(gmail: GmailSandbox, method: str) -> None:
    """Each tool works with exactly its declared scopes, and its methods would not work with narrower ones."""
    declared = set(GmailToolkit.tools()[f"gmail_{method}"].oauth_scopes)
    given = await arguments(gmail, method)
    ada = await gmail.toolkit(ADA, *declared)
    gmail.google.calls.clear()
    gmail.unmasked.clear()
    await getattr(ada, method)(**given)
    called = {call.method_id for call in gmail.google.calls}
    enough = {method_id: gmail.apis.method_scopes(method_id) - NOT_ENOUGH for method_id in called}

    assert called
    assert gmail.unmasked == []  # Google is asked only for fields that are used
    assert {call.status // 100 for call in gmail.google.calls} == {2}
    for scope in declared:
        needing = [accepted for accepted in enough.values() if accepted & declared == {scope}]
        assert needing, f"{scope} is not needed"
        others = [accepted - {scope} for accepted in needing]
        assert any(each <= WIDER[scope] for each in others), (
            "less is enough, or Google has a scope unknown to this test"
        )
