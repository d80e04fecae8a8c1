"""Sending, answering and deleting mail with the Gmail toolkit: two people against the sandbox Google."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from googleapiclient.http import HttpRequest

from app.approvals.approvals import Approval, ApprovalState, PendingCall
from app.approvals.question import Question, ask
from app.errors import GoogleError, ToolError
from app.google.client import GoogleClient
from app.principal import Principal
from app.toolkits.untrusted import unquoted
from tests.fakes.gmail_sandbox import GmailSandbox, open_gmail_sandbox
from tests.fakes.sandbox import ADA, GRACE, encoded


@pytest.fixture
async def gmail() -> AsyncIterator[GmailSandbox]:
    """Yield a sandbox for one test."""
    async with open_gmail_sandbox() as gmail:
        yield gmail


async def test_a_sent_mail_arrives_at_the_other(gmail: GmailSandbox) -> None:
    """A sent mail arrives unchanged, from the sender's own address."""
    ada, grace = [await gmail.toolkit(email) for email in (ADA, GRACE)]
    sent = await ada.send(to=GRACE, subject="Grüße", body="At noon?\nAda")
    newest = gmail.mail(GRACE, "INBOX")[0]
    read = unquoted(await grace.read(newest.id))

    assert (read["subject"], read["to"], read["body"].split()) == ("Grüße", GRACE, ["At", "noon?", "Ada"])
    assert ADA in read["from"]
    assert gmail.mail(ADA, "SENT")[0].id == sent["id"]


async def test_an_answer_joins_the_thread_on_both_sides(gmail: GmailSandbox) -> None:
    """An answer refers to the answered mail and to those before it, so both people see one thread."""
    ada, grace = [await gmail.toolkit(email) for email in (ADA, GRACE)]
    first = await gmail.deliver(
        ADA, GRACE, f"To: {GRACE}\nSubject: Lunch\nMessage-ID: <{'1' * 120}@x.example>\n\nNoon?"
    )
    await grace.reply(first.id, to=ADA, subject="Re: Lunch", body="Yes.")
    answer = gmail.mail(ADA, "INBOX")[0]
    await ada.reply(answer.id, to=GRACE, subject="Re: Lunch", body="Good.")
    last = gmail.mail(GRACE, "INBOX")[0]

    assert (answer.subject, last.subject, last.body.strip()) == ("Re: Lunch", "Re: Lunch", "Good.")
    assert last.header("In-Reply-To") == answer.message_id
    assert last.header("References").split() == [first.message_id, answer.message_id]
    assert last.thread_id == first.thread_id
    assert len({each.thread_id for each in gmail.mail(ADA) if each.subject.endswith("Lunch")}) == 1


async def test_an_answer_goes_to_all_who_are_named_and_no_further(gmail: GmailSandbox) -> None:
    """An answer goes only to the people of the mail that the arguments name, and not to others in Reply-To or Cc."""
    headers = f"To: {GRACE}, c@x.example\nCc: d@x.example\nReply-To: list@x.example\nSubject: s"
    received = await gmail.deliver(ADA, GRACE, f"{headers}\n\nhi")
    grace = await gmail.toolkit(GRACE)
    await grace.reply(received.id, to="LIST@x.example", subject="Re: s", body="to the list", cc=f"d@x.example, {ADA}")
    sent = gmail.mail(GRACE, "SENT")[0]

    assert sent.addresses("To") == ["list@x.example"]
    assert sent.addresses("Cc", "Bcc") == ["d@x.example", ADA]


async def test_an_answer_to_a_stranger_is_not_sent(gmail: GmailSandbox) -> None:
    """An answer to somebody who took no part in the mail is refused, with their address and what to do instead."""
    mails = [gmail.mail(email, "INBOX")[0] for email in (ADA, GRACE)]
    ada, grace = [await gmail.toolkit(email) for email in (ADA, GRACE)]
    before = [len(gmail.google.mailbox(email)) for email in (ADA, GRACE)]

    with pytest.raises(ToolError, match=r"eve@evil\.example took no part .* nothing was sent; .* gmail_send"):
        await ada.reply(mails[0].id, to=mails[0].sender, subject="s", body="b", cc="eve@evil.example")
    with pytest.raises(GoogleError):  # the mail is Ada's
        await grace.reply(mails[0].id, to=mails[0].sender, subject="s", body="b")
    assert [len(gmail.google.mailbox(email)) for email in (ADA, GRACE)] == before


async def test_a_draft_is_sent_as_it_was_approved(gmail: GmailSandbox) -> None:
    """A draft that matches its approval is sent, and is no longer a draft."""
    ada = await gmail.toolkit(ADA)
    draft = await ada.create_draft(to=GRACE, subject="Grüße", body="At noon?\n\nAda", cc="c@x.example")
    sent = await ada.send_draft(draft["id"], to=GRACE, cc="C@x.example", subject="Grüße", body="At noon?\n\nAda")
    arrived = gmail.mail(GRACE, "INBOX")[0]

    assert (arrived.subject, arrived.sender, arrived.body.split()) == ("Grüße", ADA, ["At", "noon?", "Ada"])
    assert sent["summary"] == f"Sent to {GRACE}, C@x.example."
    assert gmail.labels_of(ADA, sent["id"]) == {"SENT"}
    assert gmail.mail(ADA, "DRAFT") == []


@pytest.mark.parametrize(
    ("headers", "argument", "refusal"),
    [
        ("Bcc: eve@evil.example\n", {}, "other recipients"),
        ("Cc: all: eve@evil.example;\n", {}, "cannot be read"),
        ("", {"to": "c@x.example"}, "other recipients"),
        ("", {"subject": "other"}, "another subject"),
        ("", {"subject": "S"}, "another subject"),
        ("", {"body": "other"}, "another text"),
        ("", {"body": "b  b"}, "another text"),
        ("", {"cc": "c@x.example"}, "other recipients"),
        ("Cc: c@x.example\n", {"to": f"{GRACE}, c@x.example"}, "other recipients"),
        ("Reply-To: eve@evil.example\n", {}, r"headers that were not shown \(reply-to\)"),
        ("Disposition-Notification-To: eve@evil.example\n", {}, "headers that were not shown"),
        ("Content-Type: text/html\n", {}, "has formatting"),
        (
            "Content-Type: application/pdf\nContent-Disposition: attachment; filename=f.pdf\n",
            {},
            "has other attachments",
        ),
    ],
)
async def test_a_draft_that_is_another_is_not_sent(
    gmail: GmailSandbox, headers: str, argument: dict[str, Any], refusal: str
) -> None:
    """A draft with a recipient, text, header or file that the person did not approve is not sent."""
    ada = await gmail.toolkit(ADA)
    bearer = (await gmail.browser.sign_in(ADA, "https://www.googleapis.com/auth/gmail.compose"))["access_token"]
    raw = encoded(f"To: {GRACE}\nSubject: s\nMIME-Version: 1.0\n{headers}\nb\n")
    path = "/gmail/v1/users/me/drafts"
    draft = (await gmail.browser.call(bearer, "POST", path, json={"message": {"raw": raw}})).json()

    with pytest.raises(ToolError, match=f"{refusal}.*so it was not sent"):
        await ada.send_draft(draft["id"], **({"to": GRACE, "subject": "s", "body": "b"} | argument))
    assert len(gmail.mail(ADA, "DRAFT")) == 1


async def test_an_answer_leaves_under_the_subject_that_was_approved(gmail: GmailSandbox) -> None:
    """An answer whose approved subject is not the mail's own is refused, and is sent with the right one."""
    received = await gmail.deliver(ADA, GRACE, f"To: {GRACE}\nSubject: I agree to pay 9,000\n\nhi")
    grace = await gmail.toolkit(GRACE)

    with pytest.raises(ToolError, match=r"the subject of an answer .* nothing was sent"):
        await grace.reply(received.id, to=ADA, subject="Re: Lunch", body="Yes.")
    await grace.reply(received.id, to=ADA, subject="Re: I agree to pay 9,000", body="Yes.")
    assert gmail.mail(GRACE, "SENT")[0].subject == "Re: I agree to pay 9,000"


async def test_what_leaves_is_what_was_approved_though_the_draft_changes_meanwhile(gmail: GmailSandbox) -> None:
    """If a draft changes between the comparison and the sending, the approved version is sent."""
    changed: list[str] = []

    class Slow(GoogleClient):
        async def execute(self, request: HttpRequest, *, repeatable: bool | None = None) -> Any:
            if request.methodId == "gmail.users.drafts.send":
                path = f"/gmail/v1/users/me/drafts/{draft['id']}"
                other = {"message": {"raw": encoded("To: eve@evil.example\nSubject: s\n\nother")}}
                changed.append(str((await gmail.browser.call(bearer, "PUT", path, json=other)).status_code))
            return await super().execute(request)

    ada = await gmail.toolkit(ADA, client=Slow)
    bearer = (await gmail.browser.sign_in(ADA, "https://www.googleapis.com/auth/gmail.compose"))["access_token"]
    draft = await ada.create_draft(to=GRACE, subject="s", body="b")
    await ada.send_draft(draft["id"], to=GRACE, subject="s", body="b")
    sent = gmail.mail(ADA, "SENT")[0]

    assert changed == ["200"]
    assert (sent.addresses("To", "Cc", "Bcc"), sent.body.strip()) == ([GRACE], "b")


async def test_another_persons_draft_is_not_there(gmail: GmailSandbox) -> None:
    """Another person's draft is not found, and nothing is sent."""
    ada, grace = [await gmail.toolkit(email) for email in (ADA, GRACE)]
    draft = await ada.create_draft(to=GRACE, subject="s", body="b")

    with pytest.raises(GoogleError) as missing:
        await grace.send_draft(draft["id"], to=GRACE, subject="s", body="b")
    assert missing.value.status == 404
    assert len(gmail.mail(ADA, "DRAFT")) == 1


async def test_mail_is_thrown_away_and_taken_back(gmail: GmailSandbox) -> None:
    """Mail is moved to the trash and back in one batch for each person."""
    people = {email: await gmail.toolkit(email) for email in (ADA, GRACE)}
    chosen = {email: [each.id for each in gmail.mail(email, "INBOX")[:10]] for email in people}
    trashed = await asyncio.gather(*(people[email].trash(chosen[email]) for email in people))
    gone = [gmail.labels_of(email, each) for email in people for each in chosen[email]]
    back = await asyncio.gather(*(people[email].untrash(chosen[email]) for email in people))

    assert gmail.requests == ["/batch"] * 4
    assert trashed == [{"trashed": ids} for ids in chosen.values()]
    assert back == [{"untrashed": ids} for ids in chosen.values()]
    assert all("TRASH" in labels and "INBOX" not in labels for labels in gone)
    assert set(chosen[ADA]) <= {each.id for each in gmail.mail(ADA, "INBOX")}


async def test_anothers_mail_is_not_thrown_away(gmail: GmailSandbox) -> None:
    """Another person's mail is reported as not found, and is not moved to the trash."""
    theirs = gmail.mail(GRACE, "INBOX")[0]
    result = await (await gmail.toolkit(ADA)).trash([theirs.id])

    assert (result["trashed"], "404" in result["problems"][0]["problem"]) == ([], True)
    assert gmail.labels_of(GRACE, theirs.id) == theirs.label_ids


async def test_an_approval_names_the_mails_that_it_is_about(gmail: GmailSandbox) -> None:
    """An approval shows each mail's sender and subject, with invisible characters escaped, only to its owner."""
    hostile = await gmail.deliver(GRACE, ADA, f"To: {ADA}\nSubject: Lunch\u202e\u3164?\n\nhi")
    ada, grace = [await gmail.toolkit(email) for email in (ADA, GRACE)]
    named = {"message_ids": [hostile.id]}
    mine, hers = await asyncio.gather(
        ada.approval_details("gmail_trash", named), grace.approval_details("gmail_trash", named)
    )
    asked = []
    for details in (mine, hers):
        call = PendingCall("c", "gmail_trash", named)
        approval = Approval(
            "0" * 32, Principal("http", "demo", "ada"), "3f2a", "m", call, ApprovalState.PENDING, 3600.0
        )
        asked.append(ask(approval, Question("Throw these mails away?", details=tuple(details))))

    assert f"    Message ids: {hostile.id}\n      - {hostile.id}: from Grace Hopper <{GRACE}>" in asked[0]
    assert "subject: Lunch\\u202e\\u3164?\n" in asked[0]
    assert f"      - {hostile.id}: this mail could not be looked up\n" in asked[1]
    assert "Lunch" not in asked[1]
