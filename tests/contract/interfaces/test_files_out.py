"""Behaviours of every channel: a file from a person's account reaches that person once, or a message says why not."""

from __future__ import annotations

from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest

from app.sandbox.google.drive.file import DOCUMENT, DriveFile
from tests.contract.channels import ChannelDriver, Sender, pair
from tests.contract.interfaces.sending import refused, try_now
from tests.contract.platforms import PLATFORMS, Platform
from tests.fakes.server import CONSENT_LINK, Server, eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")
CHANNELS = PLATFORMS  # the platforms that the assistant sends answers to; over HTTP people fetch theirs


async def test_a_file_reaches_the_person_who_asked_for_it(
    server: Server, channel: ChannelDriver, platform: Platform
) -> None:
    """Two people who ask at once and consent first each get the file from their own mailbox, and a group gets none."""
    writers, people = pair(), pair()  # two pairs with the same two mailboxes
    asks = [await _mail(server, channel, writer) for writer in writers]
    group = f"files{people[0].name}"
    for sender, words in zip(people, asks, strict=True):
        await channel.say(sender, words, group=group)
    for sender in people:
        link = CONSENT_LINK.search(await channel.next(sender))
        assert link is not None
        await server.confirm(channel.principal(sender), await server.consent(link[0], sender.email))
    await eventually(lambda: all(platform.files(sender) for sender in people))

    for sender, writer in zip(people, writers, strict=True):
        assert platform.files(sender) == [(f"{writer.name}.pdf", _contents(writer))]
    assert platform.public_files(group) == []


async def test_a_file_in_drive_reaches_the_person_who_asked_for_it(
    server: Server, channel: ChannelDriver, platform: Platform
) -> None:
    """Two people who also ask for each other's file in Drive get only the bytes of the file in their own Drive."""
    people = pair()
    files = [_in_drive(server, sender) for sender in people]
    group = f"drive{people[0].name}"
    for sender, own in zip(people, files, strict=True):
        await channel.say(sender, f"send me the file {own.file_id}", group=group)
    for sender in people:
        link = CONSENT_LINK.search(await channel.next(sender))
        assert link is not None
        await server.confirm(channel.principal(sender), await server.consent(link[0], sender.email))
    await eventually(lambda: all(platform.files(sender) for sender in people))
    for sender, other in zip(people, files[::-1], strict=True):
        await channel.say(sender, f"send me the file {other.file_id}")
        while "404" not in await channel.next(sender):  # skip the text that came with the first file
            pass

    for sender, own in zip(people, files, strict=True):
        assert platform.files(sender) == [(own.name, own.content)]
    assert platform.public_files(group) == []


async def test_a_file_that_is_refused_for_now_is_sent_later(
    server: Server, channel: ChannelDriver, platform: Platform
) -> None:
    """A file that is refused temporarily is sent later without repeating the answer, and delays nobody else's file."""
    ada, grace = pair()
    asks = {sender: await _mail(server, channel, sender) for sender in (ada, grace)}
    platform.refuse_files(ada, passing=True)
    await channel.say(ada, asks[ada])
    words = await channel.next(ada)
    await refused(server, channel, ada)
    platform.allow_files(ada)
    await channel.say(grace, asks[grace])
    await eventually(lambda: platform.files(grace))
    before = platform.files(ada)
    await try_now(server, channel, ada)
    await eventually(lambda: platform.files(ada))
    later = await _told_until(channel, ada, "that is all")

    assert f"{ada.name}.pdf" in words
    assert later == ["that is all"]
    assert before == []
    assert platform.files(ada) == [(f"{ada.name}.pdf", _contents(ada))]
    assert platform.files(grace) == [(f"{grace.name}.pdf", _contents(grace))]


async def test_a_file_that_is_refused_for_good_is_explained(
    server: Server, channel: ChannelDriver, platform: Platform
) -> None:
    """A file that is refused permanently is explained once, below the answer, and the person's next file is sent."""
    ada, grace = pair()
    asks = {sender: await _mail(server, channel, sender) for sender in (ada, grace)}
    platform.refuse_files(ada, passing=False)
    await channel.say(ada, asks[ada])
    words, why = await channel.next(ada), await channel.next(ada)
    platform.allow_files(ada)
    for sender in (ada, grace):
        await channel.say(sender, asks[sender])
    await eventually(lambda: all(platform.files(sender) for sender in (ada, grace)))
    later = {sender: await _told_until(channel, sender, "that is all") for sender in (ada, grace)}

    assert f'I could not attach "{ada.name}.pdf": ' in why
    assert later[ada] == [words, "that is all"]
    assert len(later[grace]) == 2
    assert "could not attach" not in f"{words} {later[grace]}"
    assert [name for name, _ in platform.files(ada)] == [f"{ada.name}.pdf"]
    assert [name for name, _ in platform.files(grace)] == [f"{grace.name}.pdf"]


async def _told_until(channel: ChannelDriver, sender: Sender, last: str) -> list[str]:
    """Let the assistant repeat a last word, and return the texts until then, without the one that stands for a file."""
    await channel.say(sender, f"repeat {last}")
    told = [await channel.next(sender)]
    while told[-1] != last:
        told.append(await channel.next(sender))
    return [text for text in told if text not in ("", f"[document {sender.name}.pdf]")]


async def _mail(server: Server, channel: ChannelDriver, sender: Sender) -> str:
    """Send this person a mail with a file attached, and return the message that asks for the file."""
    principal = channel.principal(sender)
    await server.connect(principal, sender.email)
    mail = EmailMessage()
    mail["To"], mail["Subject"] = sender.email, f"the offer for {sender.name}"
    mail.set_content("attached")
    mail.add_attachment(_contents(sender), maintype="application", subtype="pdf", filename=f"{sender.name}.pdf")
    await server.send_mail(principal, mail.as_string())
    letters = [each for each in server.google.mailbox(sender.email) if each.subject == f"the offer for {sender.name}"]
    return f"send me attachment {letters[0].id}/1"


def _contents(sender: Sender) -> bytes:
    return f"%PDF of {sender.name}".encode() + bytes(range(256))


def _in_drive(server: Server, sender: Sender) -> DriveFile:
    """Put a file that is shared with nobody into this person's Drive."""
    drive = server.google.drive
    like = next(file for file in drive.files(sender.email) if file.mime_type == DOCUMENT and not file.roles)
    about: dict[str, Any] = {"mime_type": "application/pdf", "name": f"{sender.name}.pdf"}
    return drive._store.put(replace(like, file_id=f"1offer{sender.name}", content=_contents(sender), **about))
