"""Behaviours of every channel: how an answer reaches its person, and what happens when the platform refuses it."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from app.database.tables import messages, owned_by
from app.delivery.store.owing import ReplyState
from app.errors import ToolError
from app.messages import StoredMessage
from app.principal import Principal
from app.sandbox.google.gmail.letters import MARKER
from app.toolkits.input_file import FileTooLargeError
from tests.contract.channels import DRIVERS, ChannelDriver, Sender, event_id, pair
from tests.contract.interfaces.conftest import MAX_BYTES
from tests.contract.interfaces.sending import refused, rows, try_now
from tests.contract.platforms import DOTS, GROUPS, PLATFORMS, SHOWS_DOTS, THREADS, WRITTEN, Platform
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import QUESTION, Server, eventually, own_markers

pytestmark = pytest.mark.asyncio(loop_scope="package")
CHANNELS = PLATFORMS  # the platforms that the assistant sends answers to; over HTTP people fetch theirs


async def test_a_platform_that_asks_to_wait_is_obeyed(
    server: Server, channel: ChannelDriver, platform: Platform
) -> None:
    """A refused answer is not sent again before the time that the platform names, and nobody else's is delayed."""
    ada, grace = pair()
    before = time.time()
    seconds = platform.ask_to_wait(ada)
    for sender in (ada, grace):
        await channel.say(sender, f"repeat {sender.name}")
    told = await channel.next(grace)
    waiting = await refused(server, channel, ada)
    platform.allow(ada)

    assert told == grace.name
    assert waiting.state == ReplyState.WAITING
    assert waiting.next_try_at >= before + seconds
    assert await channel.quiet(ada)
    await try_now(server, channel, ada)
    assert await channel.next(ada) == ada.name


async def test_a_passing_refusal_loses_no_answer(server: Server, channel: ChannelDriver, platform: Platform) -> None:
    """An answer that is refused temporarily is kept, and sent once the platform accepts it again."""
    for kind in platform.passing:
        ada, grace = pair()
        platform.refuse(ada, kind)
        for sender in (ada, grace):
            await channel.say(sender, f"repeat {sender.name}")
        told = await channel.next(grace)
        waiting = await refused(server, channel, ada)
        platform.allow(ada)
        await try_now(server, channel, ada)

        assert told == grace.name
        assert waiting.state == ReplyState.WAITING, kind
        assert await channel.next(ada) == ada.name


async def test_a_permanent_refusal_is_given_up(server: Server, channel: ChannelDriver, platform: Platform) -> None:
    """An answer that is refused permanently is not retried, and delays no other answer to this person or others."""
    for kind in platform.permanent:
        ada, grace = pair()
        platform.refuse(ada, kind)
        for sender in (ada, grace):
            await channel.say(sender, f"repeat {sender.name}")
        told = await channel.next(grace)
        given_up = await refused(server, channel, ada)
        platform.allow(ada)
        await channel.say(ada, "repeat later")

        assert told == grace.name
        assert given_up.state == ReplyState.GIVEN_UP, kind
        assert await channel.next(ada) == "later"
        assert await channel.quiet(ada)


async def test_a_picture_over_the_limit_is_not_read(
    server: Server, channel: ChannelDriver, platform: Platform, model: ScriptedModel
) -> None:
    """A picture over the limit is not given to the model, and its sender learns the limit."""
    ada, grace = pair()
    acknowledged = await platform.send_picture(ada, b"\x89PNG" + bytes(MAX_BYTES))
    await channel.say(grace, "repeat hello")

    assert acknowledged.is_success
    assert "it is larger than 2 kB" in await channel.next(ada)
    assert await channel.next(grace) == "hello"
    assert model.begun == ["repeat hello"]


async def test_a_file_that_a_person_sent_is_there_for_their_tools_alone(
    server: Server, channel: ChannelDriver, platform: Platform
) -> None:
    """Only its sender's tools, in the same conversation, can fetch a sent file by its reference, up to a limit."""
    pictures = {each: b"\x89PNG\r\n\x1a\n" + each.name.encode() + bytes(MAX_BYTES) for each in pair()}
    files, sent = server.container.sent_files(), {}
    for sender, contents in pictures.items():
        await platform.send_picture(sender, contents)
        await channel.next(sender)
        sent[sender] = await _latest(server, channel.principal(sender))
    for (sender, message), other in zip(sent.items(), reversed(sent), strict=True):
        reference = message.reference_to(message.attachments[0])
        mine, theirs, here = channel.principal(sender), channel.principal(other), message.conversation
        file = await files.fetch(mine, here, reference, limit=2 * MAX_BYTES)

        assert file.contents == pictures[sender]
        assert file.mime_type.startswith("image/")
        assert file.name
        with pytest.raises(FileTooLargeError):
            await files.fetch(mine, here, reference, limit=MAX_BYTES)
        for person, place in ((theirs, here), (theirs, sent[other].conversation), (mine, f"{here} elsewhere")):
            with pytest.raises(ToolError, match="you sent me no"):
                await files.fetch(person, place, reference, limit=2 * MAX_BYTES)


async def _latest(server: Server, person: Principal) -> StoredMessage:
    """Return a person's latest message."""
    query = sa.select(messages.c.id).where(owned_by(messages, person)).order_by(messages.c.created_at.desc()).limit(1)
    async with server.container.database().reading() as connection:
        message_id = (await connection.execute(query)).scalar_one()
    return await server.container.inbox().get(person, message_id)


async def test_the_same_message_under_a_second_event_id_counts_once(channel: ChannelDriver) -> None:
    """A message that the platform reports as two events is answered once, and so is the next message."""
    ada, grace = pair()
    message = event_id()
    for sender, text, event in (
        (ada, "one", message),
        (grace, "hers", None),
        (ada, "one", message),
        (ada, "two", None),
    ):
        await channel.say(sender, f"repeat {text}", event_id=event)

    assert [await channel.next(ada) for _ in range(2)] == ["one", "two"]
    assert await channel.next(grace) == "hers"
    assert await channel.quiet(ada)


async def test_the_first_word_in_a_group_is_answered(channel: ChannelDriver) -> None:
    """People who have never written before are answered in the group if the answer is not private."""
    ada, grace = pair()
    group = f"first{ada.name}"
    for sender in (ada, grace):
        await channel.say(sender, f"repeat {sender.name}", group=group, met=False)

    shown = await eventually(lambda: found if len(found := channel.public(group)) == 2 else [])
    assert shown == [ada.name, grace.name]


async def test_a_private_answer_to_the_first_word_in_a_group(
    server: Server, channel: ChannelDriver, platform: Platform
) -> None:
    """Nothing private is shown in a group; if the bot may not write to a newcomer first, the group says what to do."""
    ada, grace = pair()
    group = f"stranger{ada.name}"
    for sender in (ada, grace):
        await server.connect(channel.principal(sender), sender.email)
    await channel.say(grace, "repeat hello")
    assert await channel.next(grace) == "hello"
    for sender in (ada, grace):
        await channel.say(sender, QUESTION, group=group, met=sender is grace)
    own = own_markers(server.google, [ada.email, grace.email])
    hers = await channel.next(grace)
    if not platform.reaches_strangers:
        assert await eventually(lambda: platform.told_to_write(group))
        assert await channel.quiet(ada)
        await channel.say(ada, QUESTION)
    mine = await channel.next(ada)

    for answer, sender in ((mine, ada), (hers, grace)):
        assert set(MARKER.findall(answer.lower()))
        assert set(MARKER.findall(answer.lower())) <= own[sender.email]
    assert not [text for text in channel.public(group) if MARKER.search(text)]


@pytest.mark.parametrize("name", sorted(WRITTEN))
async def test_a_person_sees_that_an_answer_is_being_written(server: Server, model: ScriptedModel, name: str) -> None:
    """A person sees the beginning of an answer, or dots where messages cannot grow, and nobody else sees it."""
    model.gate.clear()
    driver: Any = DRIVERS[name.split()[0]](server)
    people = pair()
    async with WRITTEN[name](server, people[0], "slowly first last") as seen:
        async with WRITTEN[name](server, people[1], "repeat hers") as hers:
            shown = await eventually(seen)
            other = hers()
        model.gate.set()
    answers = [await _answer(server, driver, sender) for sender in people]

    assert shown == (DOTS if name in SHOWS_DOTS else "first")
    assert "first" not in other
    assert answers == ["first last", "hers"]


@pytest.mark.parametrize("name", sorted(GROUPS))
async def test_in_a_group_an_answer_grows_as_long_as_anybody_may_read_it(
    server: Server, model: ScriptedModel, name: str
) -> None:
    """In a group an answer grows until it becomes private: then a line replaces it, and no more of it is shown."""
    driver: Any = DRIVERS[name](server)
    ada, grace = pair()
    hers, theirs = (f"growing{sender.name}" for sender in (ada, grace))  # a group answers one message at a time
    for sender in (ada, grace):
        await server.connect(driver.principal(sender), sender.email)
    seen = {group: GROUPS[name](server, group) for group in (hers, theirs)}
    model.gate.clear()
    await driver.say(ada, "search one moment", group=hers)
    await driver.say(grace, "slowly first last", group=theirs)
    await eventually(lambda: (seen[hers](), seen[theirs]()) == (["one moment"], ["first"]))
    model.gate.set()
    mine = await driver.next(ada)
    await eventually(lambda: driver.public(theirs) == ["first last"] and driver.directed(hers))
    shown = seen[hers]()
    model.gate.clear()
    await driver.say(ada, "slowly quoting mail", group=hers)
    await eventually(lambda: model.begun[-1:] == ["slowly quoting mail"])
    await driver.say(grace, "slowly second last", group=theirs)
    await eventually(lambda: "second" in seen[theirs]())
    during = seen[hers]()
    model.gate.set()

    assert await driver.next(ada) == "quoting mail"
    assert set(MARKER.findall(mine.lower()))
    assert set(MARKER.findall(mine.lower())) <= own_markers(server.google, [ada.email, grace.email])[ada.email]
    assert shown == during == driver.directed(hers)[:1]
    assert await driver.quiet(grace)


@pytest.mark.parametrize("name", sorted(THREADS))
async def test_an_answer_stays_in_its_thread(server: Server, name: str) -> None:
    """Each thread of a group is a separate conversation, in which each person has their own history."""
    ada, grace = pair()
    threads = THREADS[name](server, f"threads{ada.name}")
    for thread, sender in ((1, ada), (2, grace), (2, ada)):
        before = len(threads.shown(thread))
        for text in (f"repeat {sender.name} in {thread}", "recall"):
            await threads.say(sender, text, thread)
        await eventually(lambda thread=thread, before=before: len(threads.shown(thread)) == before + 2)  # type: ignore[misc]

    shown = {thread: threads.shown(thread) for thread in (1, 2)}
    assert shown[1] == [f"{ada.name} in 1", f"repeat {ada.name} in 1"]
    assert shown[2][:2] == [f"{grace.name} in 2", f"repeat {grace.name} in 2"]
    assert shown[2][2:] == [f"{ada.name} in 2", f"repeat {ada.name} in 2"]


async def _answer(server: Server, channel: ChannelDriver, sender: Sender) -> str:
    """Return a person's latest answer, once there is one."""
    theirs = owned_by(messages, channel.principal(sender))
    query = sa.select(messages.c.answer).where(theirs, messages.c.answer.is_not(None))
    return str((await rows(server, query))[-1].answer)
