"""Tests of attaching files to mail and putting them into Drive: files that people sent, and files of their accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.messages import Attachment, AttachmentKind, MessageState, StoredMessage
from app.principal import Principal
from app.sandbox.google.gmail.message import MailboxMessage
from app.sections.agents import AgentSettings
from app.toolkits.drive import DriveToolkit
from containers.testing import RecordingChannel, two_principals
from tests.fakes.core_server import inbound, until
from tests.fakes.environment import open_environment
from tests.fakes.server import ADA, APPROVAL_CODE, GRACE, Server, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

EMAILS = dict(zip(two_principals(), (ADA, GRACE), strict=True))
CHANNEL = RecordingChannel()
_AGENTS: Any = {"assistant": AgentSettings(toolkits=("gmail", "drive"))}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Yield a server to which both people have connected their accounts, and whose replies are recorded."""
    async with (
        open_environment(Path(tmp_path_factory.mktemp("files-in"))) as environment,
        environment.server(lambda container: CHANNEL.install(container, "http"), agents=_AGENTS) as server,
    ):
        for person, email in EMAILS.items():
            await server.connect(person, email)
        yield server


async def _say(server: Server, person: Principal, text: str, contents: bytes | None = None) -> StoredMessage:
    """Write to the assistant, optionally with a file, and return the accepted message."""
    attachments: tuple[Attachment, ...] = ()
    if contents is not None:
        place = f"{person.user}-{len(CHANNEL.files)}"
        CHANNEL.files[place] = contents
        attachments = (Attachment(AttachmentKind.DOCUMENT, f"{person.user}.pdf", "application/pdf", None, place),)
    conversation = f"chat of {person.user}"
    return await server.container.intake().accept(
        inbound(person, text, conversation=conversation, attachments=attachments)
    )


async def _told(server: Server, message: StoredMessage) -> str:
    """Return the answer to a message once it is done."""
    inbox = server.container.inbox()

    async def is_done() -> bool:
        return (await inbox.get(message.principal, message.message_id)).state is MessageState.DONE

    await until(is_done)
    return str((await inbox.get(message.principal, message.message_id)).answer)


async def _asked(message: StoredMessage) -> str:
    """Return the first text that is sent for a message, once there is one."""
    return await eventually(
        lambda: next((each.text for each in CHANNEL.sent if each.message_id == message.message_id), "")
    )


async def _approve(server: Server, message: StoredMessage) -> tuple[str, str]:
    """Approve what a message asks for, and return the question and the final answer."""
    question = await _asked(message)
    code = APPROVAL_CODE.findall(question)[-1]
    approved = await _say(server, message.principal, f"approve {code}")
    await _told(server, approved)
    return question, await _told(server, message)


def _attached(letter: MailboxMessage) -> list[tuple[str, bytes]]:
    return [(str(part.get_filename()), bytes(part.get_payload(decode=True))) for part in letter.attachments]


async def test_a_file_that_was_sent_is_mailed_as_it_was_approved(server: Server) -> None:
    """For two people at once, the question names file, type and size, and the letter has that person's own bytes."""
    asked = {
        person: await _say(
            server, person, f"mail this file to {other} about offer of {person.user}: As promised.", _bytes(person)
        )
        for person, other in zip(EMAILS, reversed(EMAILS.values()), strict=True)
    }
    told = {person: await _approve(server, message) for person, message in asked.items()}
    for (person, message), other in zip(asked.items(), reversed(EMAILS.values()), strict=True):
        question, answer = told[person]
        [letter] = [each for each in server.google.mailbox(other) if each.subject == f"offer of {person.user}"]

        assert f"{message.reference_to(message.attachments[0])}: {person.user}.pdf (application/pdf, " in question
        assert answer == f"Sent to {other}."
        assert _attached(letter) == [(f"{person.user}.pdf", _bytes(person))]
        assert letter.sender == EMAILS[person]


async def test_a_file_of_a_mail_is_put_into_drive_and_one_of_drive_into_a_mail(server: Server) -> None:
    """Files move between mail and Drive by their references; a person cannot use another person's reference."""
    ada, grace = EMAILS
    await _approve(server, await _say(server, ada, f"mail this file to {GRACE} about plans: Here.", b"plans of ada"))
    [letter] = [each for each in server.google.mailbox(GRACE) if each.subject == "plans"]
    wanting = await _say(server, grace, f"drive_upload_file file={letter.id}/1 name=plans.pdf")
    await _connect_drive(server, grace, await _asked(wanting))
    done = await _told(server, wanting)
    [kept] = [each for each in server.google.drive.files(GRACE) if each.made_by_app]
    send = f'gmail_send to={ADA} subject=back body="Yours." attachments={kept.file_id}'
    question, answer = await _approve(server, await _say(server, grace, send))
    [back] = [each for each in server.google.mailbox(ADA) if each.subject == "back"]
    foreign = await _say(server, ada, f"gmail_create_draft to={GRACE} subject=s body=b attachments={letter.id}/1")
    refused = await _told(server, foreign)

    assert "I put plans.pdf into your Drive" in done
    assert (kept.content, kept.mime_type, kept.owner) == (b"plans of ada", "application/pdf", GRACE)
    assert "plans.pdf (application/pdf, 12 bytes)" in question
    assert answer == f"Sent to {ADA}."
    assert _attached(back) == [("plans.pdf", b"plans of ada")]
    assert "I found nothing with this id in your account" in refused


async def _connect_drive(server: Server, person: Principal, question: str) -> None:
    """Grant what Drive's tools need by a consent link."""
    scopes = frozenset(scope for spec in DriveToolkit.tools().values() for scope in spec.oauth_scopes)
    consent = server.container.consent()
    link = (await consent.sign_in(person, await consent.ask(person, scopes))).url
    assert "/connect/google/" in question
    assert link is not None
    await server.confirm(person, await server.consent(link, EMAILS[person]))


def _bytes(person: Principal) -> bytes:
    return b"%PDF of " + person.user.encode() + bytes(range(256))
