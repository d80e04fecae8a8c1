"""Groups: what a run may do where others can read, who may write, and how often."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart

from app.agents.rules import GROUP, PlaceRules
from app.allow_list import AllowList
from app.database.database import Database
from app.database.tables import person_rates
from app.delivery.work.admission import Admission, AllowedHere
from app.delivery.work.backlog import Backlog
from app.delivery.work.intake import Intake
from app.delivery.work.rates import PersonRates
from app.errors import NotAllowedError
from app.keys.ring import KeyRing
from app.messages import InboundMessage, MessageState
from app.principal import Principal
from containers.testing import answering, call, scripted
from tests.fakes.core_server import CoreServer, inbound
from tests.fakes.sandbox import READ, SEND

SHARED = PlaceRules(acts=False, shared_history=True)
SHOUT = scripted([call("letters_shout", "one", text="one")])


async def _everything(messages: list[ModelMessage]) -> str:
    """Return everything that the model was given of people's messages."""
    parts = [part for each in messages if isinstance(each, ModelRequest) for part in each.parts]
    texts = [part.content for part in parts if isinstance(part, UserPromptPart)]
    return " | ".join(text if isinstance(text, str) else " ".join(map(str, text)) for text in texts)


async def test_nothing_acts_in_a_group_unless_the_settings_say_so(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """By default a tool that acts is refused in a group, and asks for approval in a direct chat."""
    server = CoreServer(database, key_ring, model=SHOUT, group_rules=GROUP)
    server.channel.groups.add("g")
    for person in (ada, grace):
        await server.grant(person, SEND)
    in_group = await server.ask(ada, "shout", "g")
    directly = await server.ask(grace, "shout", "d")

    assert in_group.state is MessageState.DONE
    assert "I do not do this in a group. Write to me directly" in str(in_group.answer)
    assert directly.state is MessageState.PARKED
    assert server.post.done == []


async def test_acting_in_groups_can_be_allowed(database: Database, key_ring: KeyRing, ada: Principal) -> None:
    """If the settings allow acting in groups, the call waits for approval."""
    allowed = PlaceRules(acts=True, shared_history=False)
    server = CoreServer(database, key_ring, model=SHOUT, group_rules=allowed)
    server.channel.groups.add("g")
    await server.grant(ada, SEND)

    assert (await server.ask(ada, "shout", "g")).state is MessageState.PARKED


async def test_a_call_that_was_parked_before_runs_no_more_in_a_group(
    database: Database, key_ring: KeyRing, ada: Principal
) -> None:
    """An approved call in a group is refused if a restart has forbidden acting in groups."""
    before = CoreServer(database, key_ring, model=SHOUT)
    before.channel.groups.add("g")
    await before.grant(ada, SEND)
    parked = await before.ask(ada, "shout", "g")
    (code,) = await before.codes(parked)
    after = CoreServer(
        database, key_ring, model=SHOUT, group_rules=GROUP, clock=before.clock, channel=before.channel, post=before.post
    )
    await after.ask(ada, f"approve {code}", "d")
    answered = await after.answer_next(parked)

    assert "I do not do this in a group" in str(answered.answer)
    assert after.post.done == []


async def test_history_is_a_persons_own_unless_shared(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """Other people's messages reach the model, marked as theirs, only where the group's history is shared."""
    marked = "[Somebody else in this group wrote this to you:] tea at four"
    for rules, expected in ((GROUP, "recall"), (SHARED, marked)):
        conversation = f"g{rules.shared_history}"
        server = CoreServer(database, key_ring, model=answering(_everything), group_rules=rules)
        server.channel.groups.add(conversation)
        await server.ask(ada, "tea at four", conversation)
        answered = await server.ask(grace, "recall", conversation)

        assert str(answered.answer).startswith(expected)
        assert str(answered.answer).endswith("recall")


async def test_what_is_private_is_never_shared(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A turn that read from an account is not shared with others, even if the group's history is shared."""
    reads = CoreServer(database, key_ring, group_rules=SHARED)
    reads.channel.groups.add("g")
    await reads.grant(ada, READ)
    private = await reads.ask(ada, "/letters_read", "g")
    recalls = CoreServer(database, key_ring, model=answering(_everything), group_rules=SHARED, clock=reads.clock)
    recalls.channel.groups.add("g")
    hers = await recalls.ask(grace, "recall", "g")
    his = await recalls.ask(ada, "recall", "g")

    assert private.private
    assert hers.answer == "recall"
    assert not hers.private
    assert "/letters_read" in str(his.answer)
    assert his.private


def _message(person: Principal, chat: str | None) -> InboundMessage:
    return InboundMessage(person, f"{person.user}{chat}", "c", "hello", chat=chat)


@pytest.mark.parametrize(
    ("people", "chats", "chat", "admitted"),
    [
        ((), (), "C1", ("ada", "grace")),
        (("ada",), (), "C1", ("ada",)),
        ((), ("C1",), "C1", ("ada", "grace")),
        ((), ("C1",), "C2", ()),
        ((), ("C1",), None, ("ada", "grace")),
        (("grace",), ("C1",), "C2", ()),
        (("grace",), ("C1",), None, ("grace",)),
    ],
)
async def test_only_listed_people_and_groups_are_admitted(
    database: Database,
    key_ring: KeyRing,
    ada: Principal,
    grace: Principal,
    people: tuple[str, ...],
    chats: tuple[str, ...],
    chat: str | None,
    admitted: tuple[str, ...],
) -> None:
    """Only listed people and groups may write, an empty list admits everybody, and direct chats need no listing."""
    server = CoreServer(database, key_ring)
    admission = Admission({"http": AllowedHere(AllowList(people), AllowList(chats))})
    intake = Intake(server.inbox, server.wakeups, Backlog(server.inbox, 9, 9), server.users, admission=admission)
    taken = []
    for person in (ada, grace):
        try:
            taken.append((await intake.accept(_message(person, chat))).principal.user)
        except NotAllowedError:
            continue
    waiting = await server.inbox.count_undone()

    assert tuple(taken) == admitted
    assert {person.user for person in waiting} == set(admitted)


async def test_who_writes_too_much_is_told_when_to_write_again(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A message over a person's limit is not read; commands and other people's messages do not count."""
    asked: list[str] = []

    async def answer(messages: list[ModelMessage]) -> str:
        asked.append(await _everything(messages[-1:]))
        return "ok"

    server = CoreServer(database, key_ring, model=answering(answer), person_messages=3)
    mine = [await server.ask(ada, f"hello {number}", f"c{number}") for number in range(4)]
    command = await server.ask(ada, "new conversation", "c9")
    hers = await server.ask(grace, "hello", "g")
    server.clock.now += 1200
    again = await server.ask(ada, "hello again", "c4")

    assert [message.answer for message in mine[:3]] == ["ok"] * 3
    assert mine[3].answer == (
        "You have reached your limit of 3 messages within an hour, so I have not read this one. Please send it again "
        "in 20 minutes."
    )
    assert mine[3].private
    assert "limit" not in str(command.answer)
    assert (hers.answer, again.answer) == ("ok", "ok")
    assert "hello 3" not in asked


async def test_several_processes_share_a_persons_limit(database: Database, ada: Principal, grace: Principal) -> None:
    """Two processes share a person's limit, and each person has their own."""
    here, there = (PersonRates(database, 5, 3600.0, lambda: 1000.0) for _ in range(2))
    waits = await asyncio.gather(
        *(rates.take(person) for rates in (here, there) for person in (ada, grace) for _ in range(5))
    )

    assert sum(wait == 0 for wait in waits) == 10
    assert all(wait == pytest.approx(720) for wait in waits if wait)


async def test_without_a_limit_nothing_is_counted(database: Database, key_ring: KeyRing, ada: Principal) -> None:
    """Without a limit no message is counted."""
    server = CoreServer(database, key_ring)
    await server.answer_next(await server.intake.accept(inbound(ada)))
    async with database.reading() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(person_rates))).scalar() == 0
