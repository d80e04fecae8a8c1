"""Behaviours of every channel: which deliveries are believed, who may stop a run, and who is no longer answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from app.delivery.store.stops import NOTHING_TO_STOP, STOPPED, WITHDRAWN
from tests.contract.channels import ChannelDriver, Sender, pair
from tests.contract.interfaces.conftest import stored
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import APPROVAL_CODE, Server, eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")

_PROOFS = ("authorization", "x-slack-signature", "x-telegram-bot-api-secret-token", "x-hub-signature-256")


async def test_only_the_platform_is_believed(server: Server, channel: ChannelDriver) -> None:
    """A delivery without the platform's proof is refused and not stored; with its proof it is answered."""
    ada, grace = pair()
    with _unproven(server):
        refused = [await channel.say(sender, "repeat hello") for sender in (ada, grace)]
    before = await stored(server, channel, ada, grace)
    await channel.say(ada, "repeat hello")

    assert all(response.status_code in (401, 403) for response in refused)
    assert before == []
    assert await channel.next(ada) == "hello"


async def test_the_owner_of_a_run_stops_it_and_nobody_else(
    server: Server, channel: ChannelDriver, model: ScriptedModel
) -> None:
    """In a group, only the owner's `stop` stops a run, and what both of them write afterwards is answered."""
    ada, grace = pair()
    group = f"stop{ada.name}"
    for sender in (ada, grace):
        await channel.say(sender, f"repeat {sender.name}")
        assert await channel.next(sender) == sender.name
    await channel.say(ada, "wait here", group=group)
    await eventually(lambda: "wait here" in model.begun)
    await channel.say(grace, "stop", group=group)
    foreign = await channel.next(grace)
    runs_on = await channel.quiet(ada)
    await channel.say(ada, "stop", group=group)
    stopped = await channel.next(ada)
    model.gate.set()
    later = [await _answer_in(channel, group, sender, f"{sender.name} later") for sender in (ada, grace)]

    assert foreign == NOTHING_TO_STOP
    assert runs_on
    assert stopped == STOPPED
    assert later == [f"{ada.name} later", f"{grace.name} later"]
    assert channel.public(group) == (later if channel.shows_groups else [])
    assert await channel.quiet(ada)


async def test_what_waits_for_approval_is_withdrawn_by_its_owner(server: Server, channel: ChannelDriver) -> None:
    """After a `stop` the person's approval code approves nothing, and another person's pending call can be approved."""
    people = pair()
    codes = []
    for sender in people:
        await server.connect(channel.principal(sender), sender.email)
        await channel.say(sender, f'/gmail_send to=nobody@example.com subject="stop {sender.name}" body="x"')
        found = APPROVAL_CODE.search(await channel.next(sender))
        assert found is not None
        codes.append(found[0])
    ada, grace = people
    await channel.say(ada, "stop")
    stopped = await _until(channel, ada, WITHDRAWN[:20])
    await channel.say(ada, codes[0])
    late = await _until(channel, ada, "no longer open")
    await channel.say(grace, codes[1])
    approved = [await channel.next(grace) for _ in range(2)]

    assert stopped == f"{STOPPED} {WITHDRAWN.format('gmail_send')}"
    assert codes[0].split()[1] in late
    assert any("Approved" in text for text in approved)
    assert _subjects(server, ada.email, ada.name) == 0
    assert _subjects(server, grace.email, grace.name) == 1


async def test_who_was_offboarded_is_answered_no_more(server: Server, channel: ChannelDriver) -> None:
    """An offboarded person's messages are not stored, and the platform does not retry them; others are answered."""
    ada, grace = pair()
    for sender in (ada, grace):
        await channel.say(sender, "repeat before")
        assert await channel.next(sender) == "before"
    await server.container.offboarding().begin(channel.principal(ada))
    response = await channel.say(ada, "repeat after")
    await channel.say(grace, "repeat after")

    assert response.is_success or response.status_code in (401, 403)
    assert await channel.next(grace) == "after"
    assert "repeat after" not in await stored(server, channel, ada)


async def test_a_long_answer_arrives_whole(channel: ChannelDriver) -> None:
    """A long answer arrives complete and in order, in as many messages as needed, and reaches its own person."""
    ada, grace = pair()
    words = [f"word{number}" for number in range(800)]
    await channel.say(ada, f"repeat {' '.join(words)}")
    await channel.say(grace, "repeat short")
    told = ""
    while words[-1] not in told:
        told += f" {await channel.next(ada)}"

    assert [word for word in told.split() if word.startswith("word")] == words
    assert await channel.next(grace) == "short"


async def _answer_in(channel: ChannelDriver, group: str, sender: Sender, words: str) -> str:
    """Let this person have words repeated in a group, and return the answer, which the whole group may be shown."""
    before = len(channel.public(group))
    await channel.say(sender, f"repeat {words}", group=group)
    if not channel.shows_groups:
        return await _until(channel, sender, words)
    return (await eventually(lambda: channel.public(group)[before:]))[0]


async def _until(channel: ChannelDriver, sender: Sender, words: str) -> str:
    """Return the next message to this person that contains these words."""
    while words not in (told := await channel.next(sender)):
        pass
    return told


@contextmanager
def _unproven(server: Server) -> Iterator[None]:
    """Send requests without the headers that prove their origin."""

    async def strip(request: httpx2.Request) -> None:
        for name in _PROOFS:
            request.headers.pop(name, None)

    server.client.event_hooks = {"request": [strip], "response": []}
    try:
        yield
    finally:
        server.client.event_hooks = {"request": [], "response": []}


def _subjects(server: Server, email: str, name: str) -> int:
    return sum(
        "SENT" in letter.label_ids and letter.header("Subject") == f"stop {name}"
        for letter in server.google.mailbox(email)
    )
