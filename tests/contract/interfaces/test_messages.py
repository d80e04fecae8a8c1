"""Behaviours of every channel: each message is kept, and answered once, in order, and for its sender alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.visitor import code_on
from tests.contract.channels import ChannelDriver, Sender, event_id, pair
from tests.contract.interfaces.conftest import stored
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import APPROVAL_CODE, CONSENT_LINK, QUESTION, Server, eventually, own_markers

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_message_is_stored_and_acknowledged_before_it_is_answered(
    server: Server, channel: ChannelDriver, model: ScriptedModel
) -> None:
    """The acknowledgement waits until the message is stored, but not for the model."""
    ada, grace = pair()
    acknowledged = [await channel.say(sender, f"wait {sender.name}") for sender in (ada, grace)]

    assert all(response.is_success for response in acknowledged)
    assert await stored(server, channel, ada, grace) == [f"wait {ada.name}", f"wait {grace.name}"]
    assert await channel.quiet(ada)
    assert await channel.quiet(grace)
    model.gate.set()
    assert [await channel.next(sender) for sender in (ada, grace)] == [f"waited {ada.name}", f"waited {grace.name}"]


async def test_a_message_that_cannot_be_stored_is_not_acknowledged(server: Server, channel: ChannelDriver) -> None:
    """While the database stores no message, the platform is asked to try again, and its retry is answered."""
    ada, _ = pair()
    await channel.say(ada, "repeat hello")
    await channel.next(ada)
    delivery = event_id()
    async with _without_messages(server):
        refused = await channel.say(ada, "repeat gently", event_id=delivery)
    taken = await channel.say(ada, "repeat gently", event_id=delivery, retry=True)

    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert "gently" not in refused.text
    assert taken.is_success
    assert await channel.next(ada) == "gently"


async def test_a_duplicate_is_answered_once(server: Server, channel: ChannelDriver, model: ScriptedModel) -> None:
    """A message that the platform delivers several times, at once or later, is run once and answered once."""
    ada, grace = pair()
    delivery = event_id()
    await asyncio.gather(*(channel.say(ada, "repeat one", event_id=delivery) for _ in range(5)))
    await channel.say(grace, "repeat two")
    answers = [await channel.next(ada), await channel.next(grace)]
    late = await channel.say(ada, "repeat one", event_id=delivery, retry=True)
    await channel.say(ada, "repeat three")

    assert late.is_success
    assert [*answers, await channel.next(ada)] == ["one", "two", "three"]
    assert await channel.quiet(ada)
    assert sorted(model.begun[:2]) == ["repeat one", "repeat two"]  # two people's messages run in any order
    assert model.begun[2:] == ["repeat three"]


async def test_a_retry_that_was_not_seen_before_is_answered(channel: ChannelDriver) -> None:
    """A delivery marked as a retry is answered even if no earlier one arrived."""
    ada, _ = pair()
    await channel.say(ada, "repeat hello", event_id=event_id(), retry=True)

    assert await channel.next(ada) == "hello"


async def test_two_people_are_answered_from_their_own_mailboxes(server: Server, channel: ChannelDriver) -> None:
    """Two people who ask and consent at once each see mail from their own mailbox only."""
    people = pair()
    await asyncio.gather(*(channel.say(sender, QUESTION) for sender in people))
    links = [_link(await channel.next(sender)) for sender in people]
    pages = await asyncio.gather(
        *(server.consent(link, sender.email) for link, sender in zip(links, people, strict=True))
    )
    confirmed = [await _confirm(channel, sender, page) for sender, page in zip(people, pages, strict=True)]
    answers = [await channel.next(sender) for sender in people]

    own = own_markers(server.google, [sender.email for sender in people])
    assert confirmed == [f"Connected: {sender.email}." for sender in people]
    for sender, answer in zip(people, answers, strict=True):
        assert set(MARKER.findall(answer.lower()))
        assert set(MARKER.findall(answer.lower())) <= own[sender.email]


async def test_links_and_private_answers_reach_the_sender_alone(server: Server, channel: ChannelDriver) -> None:
    """In a group, consent links and the contents of somebody's account are shown to that person only."""
    ada, grace = pair()
    group = f"team{ada.name}"
    await channel.say(ada, QUESTION, group=group)
    link = _link(await channel.next(ada))
    await channel.say(grace, "repeat hello", group=group)
    page = await server.consent(link, ada.email)
    connected = await _confirm(channel, ada, page, group=group)  # a code in the group counts; the reply is private
    answer = await channel.next(ada)
    await channel.say(ada, "repeat what you saw", group=group)  # may quote the mail above, so it is private too

    assert connected == f"Connected: {ada.email}."
    assert MARKER.search(answer)
    assert await channel.next(ada) == "what you saw"
    assert await channel.quiet(ada)
    if channel.shows_groups:
        assert await channel.quiet(grace)
        assert channel.public(group) == ["hello"]
    else:
        assert await channel.next(grace) == "hello"


async def test_an_apology_in_a_group_reaches_the_sender_alone(server: Server, channel: ChannelDriver) -> None:
    """An apology that reveals a private request reaches its sender only; others in the group are answered publicly."""
    ada, grace = pair()
    group = f"sorry{ada.name}"
    await channel.say(ada, QUESTION, group=group)
    _link(await channel.next(ada))
    await channel.say(ada, "disconnect google", group=group)
    told = [await channel.next(ada) for _ in range(2)]
    await channel.say(grace, "repeat hello", group=group)

    assert any("I stopped waiting for your permission" in text for text in told)
    if channel.shows_groups:
        assert await eventually(lambda: channel.public(group)) == ["hello"]
        assert await channel.quiet(grace)
    else:
        assert await channel.next(grace) == "hello"


async def test_only_the_one_who_was_asked_can_approve(server: Server, channel: ChannelDriver) -> None:
    """Another person's use of an approval code approves nothing; its owner's runs the call exactly once."""
    ada, grace = pair()
    await server.connect(channel.principal(ada), ada.email)
    await server.connect(channel.principal(grace), grace.email)
    await channel.say(ada, f'/gmail_send to=nobody@example.com subject="{ada.name}" body="hello"')
    found = APPROVAL_CODE.search(await channel.next(ada))
    assert found is not None
    await channel.say(grace, found[0])
    refusal = await channel.next(grace)
    before = _sent(server, ada.email, ada.name)
    await channel.say(ada, found[0])
    await channel.say(ada, found[0])
    told = [await channel.next(ada) for _ in range(3)]

    assert "You have no pending approval" in refusal
    assert before == 0
    assert sum("Approved" in each for each in told) == 1
    assert sum("no longer open: you approved it" in each for each in told) == 1
    assert _sent(server, ada.email, ada.name) == 1
    assert _sent(server, grace.email, ada.name) == 0


async def test_a_conversation_is_answered_in_order(channel: ChannelDriver, model: ScriptedModel) -> None:
    """Messages of one conversation are answered one after the other, without delaying other conversations."""
    ada, grace = pair()
    await channel.say(ada, "wait first")
    await eventually(lambda: model.begun)
    for number in range(5):
        await channel.say(ada, f"repeat {number}")
    await channel.say(grace, "repeat hello")
    overtaken = await channel.next(grace)
    begun = list(model.begun)
    model.gate.set()

    assert overtaken == "hello"
    assert begun == ["wait first", "repeat hello"]
    assert [await channel.next(ada) for _ in range(6)] == ["waited first", "0", "1", "2", "3", "4"]


async def test_a_group_shares_neither_credentials_nor_history(server: Server, channel: ChannelDriver) -> None:
    """In one thread each speaker is answered from their own account, and remembers only their own messages."""
    ada, grace = pair()
    group = f"team{ada.name}"
    for sender in (ada, grace):
        await server.connect(channel.principal(sender), sender.email)
        await channel.say(sender, f"repeat {sender.name}", group=group)
    await channel.say(ada, QUESTION, group=group)
    await channel.say(grace, QUESTION, group=group)
    await channel.say(ada, "recall", group=group)
    await channel.say(grace, "recall", group=group)
    first = {sender: [] if channel.shows_groups else [await channel.next(sender)] for sender in (ada, grace)}
    told = {sender: [*first[sender], *[await channel.next(sender) for _ in range(2)]] for sender in (ada, grace)}

    own = own_markers(server.google, [ada.email, grace.email])
    for sender in (ada, grace):
        mail, memory = told[sender][-2:]
        assert set(MARKER.findall(mail.lower()))
        assert set(MARKER.findall(mail.lower())) <= own[sender.email]
        assert memory == f"repeat {sender.name} | {QUESTION}"
    assert channel.public(group) == ([ada.name, grace.name] if channel.shows_groups else [])


@asynccontextmanager
async def _without_messages(server: Server) -> AsyncIterator[None]:
    """Make every query of the messages fail, as if their table were missing."""
    database = server.container.database()
    for away, name in ((True, "messages_away"), (False, "messages")):
        async with database.writing() as connection:
            await connection.exec_driver_sql(f"ALTER TABLE {'messages' if away else 'messages_away'} RENAME TO {name}")
        if away:
            yield


async def _confirm(channel: ChannelDriver, sender: Sender, page: httpx2.Response, *, group: str | None = None) -> str:
    """Send the code that a page shows to the assistant, and return its reply."""
    code = code_on(page)
    assert code is not None, page.text
    await channel.say(sender, f"confirm {code}", group=group)
    return await channel.next(sender)


def _link(text: str) -> str:
    found = CONSENT_LINK.search(text)
    assert found is not None, text
    return found[0]


def _sent(server: Server, email: str, subject: str) -> int:
    return sum(
        "SENT" in letter.label_ids and letter.header("Subject") == subject for letter in server.google.mailbox(email)
    )
