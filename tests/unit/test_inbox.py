"""Accepted messages at rest."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from app.conversations.history import Conversations
from app.database.database import Database
from app.database.tables import messages
from app.delivery.store.inbox import Inbox, Upcoming
from app.delivery.store.lease import MessageLease
from app.delivery.store.outbox import Outbox
from app.errors import InvalidMessageError, NotFoundError
from app.messages import ConversationKey, InboundMessage, MessageState, StoredMessage
from app.principal import Principal
from tests.fakes.core_server import inbound
from tests.fakes.sandbox import Clock


@pytest.fixture
def clock() -> Clock:
    """Return the inbox's clock."""
    return Clock()


@pytest.fixture
def inbox(database: Database, clock: Clock) -> Inbox:
    """Return an empty inbox."""
    return Inbox(database, clock)


async def _begun(inbox: Inbox, message: InboundMessage) -> StoredMessage:
    stored, _ = await inbox.accept(message)
    begun = await inbox.begin_next(ConversationKey.of(stored))
    assert begun is not None
    return begun


async def test_an_event_is_stored_once_however_often_it_arrives_at_once(
    inbox: Inbox, database: Database, ada: Principal, grace: Principal
) -> None:
    """Twenty concurrent posts of one event id in each of two tenants make one row per tenant, each new only once."""
    elsewhere = replace(grace, tenant="elsewhere")
    posts = [inbound(person, event_id="e1") for _ in range(20) for person in (ada, elsewhere)]

    accepted = await asyncio.gather(*(inbox.accept(post) for post in posts))

    assert len({stored.message_id for stored, _ in accepted}) == 2
    assert sum(is_new for _, is_new in accepted) == 2
    async with database.reading() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(messages))).scalar() == 2


async def test_a_burst_in_one_conversation_is_stored_whole(
    database: Database, inbox: Inbox, ada: Principal, grace: Principal
) -> None:
    """Messages that arrive at the same moment in two processes are all stored, each at a place of its own."""
    other = Database(database.url.render_as_string(hide_password=False))
    await other.open()
    try:
        burst = [
            inbound(person, f"{number}", conversation="shared", event_id=f"{person.user}-{number}")
            for number in range(60)
            for person in (ada, grace)
        ]
        doors = [inbox, Inbox(other)]
        accepted = await asyncio.gather(*(doors[at % 3 // 2].accept(each) for at, each in enumerate(burst)))
    finally:
        await other.close()

    assert sorted(stored.sequence for stored, _ in accepted) == [*range(1, len(burst) + 1)]


async def test_a_repeated_event_yields_the_first_row(inbox: Inbox, ada: Principal) -> None:
    """A second post of an event changes nothing and returns the first row."""
    first, was_new = await inbox.accept(inbound(ada, "one", event_id="e1"))
    second, is_new = await inbox.accept(inbound(ada, "two", event_id="e1", conversation="other"))

    assert (was_new, is_new) == (True, False)
    assert second == first
    assert second.text == "one"


async def test_sequences_have_no_gap_and_no_double(inbox: Inbox, ada: Principal, grace: Principal) -> None:
    """Two people who post into one conversation at once share its sequence, and another conversation has its own."""
    shared = [inbound(person, conversation="group") for _ in range(15) for person in (ada, grace)]
    other = [inbound(ada, conversation="other") for _ in range(5)]

    stored = [row for row, _ in await asyncio.gather(*(inbox.accept(message) for message in [*shared, *other]))]

    sequences = {
        name: sorted(row.sequence for row in stored if row.conversation == name) for name in ("group", "other")
    }
    assert sequences == {"group": list(range(1, 31)), "other": list(range(1, 6))}


async def test_the_same_name_in_another_tenant_is_another_conversation(inbox: Inbox, ada: Principal) -> None:
    """A conversation is unique within platform and tenant, so equal names elsewhere count from one."""
    here, _ = await inbox.accept(inbound(ada))
    there, _ = await inbox.accept(inbound(replace(ada, tenant="elsewhere")))

    assert (here.sequence, there.sequence) == (1, 1)
    assert ConversationKey.of(here) != ConversationKey.of(there)


async def test_messages_are_begun_in_their_order_and_one_at_a_time(
    inbox: Inbox, ada: Principal, grace: Principal
) -> None:
    """Of several concurrent callers one gets the oldest undone message, and the next one begins only after it."""
    for person in (ada, grace) * 3:
        await inbox.accept(inbound(person, conversation="group"))
    key = ConversationKey(ada.platform, ada.tenant, "group")

    sequences = []
    for _ in range(6):
        begun = await asyncio.gather(*(inbox.begin_next(key) for _ in range(5)))
        (message,) = [each for each in begun if each is not None]
        assert await inbox.next_up(key) is None
        sequences.append(message.sequence)
        await inbox.finish(message, "done", private=False)

    assert sequences == [1, 2, 3, 4, 5, 6]
    assert await inbox.begin_next(key) is None


async def test_nobody_reads_another_persons_message(inbox: Inbox, ada: Principal, grace: Principal) -> None:
    """Another person's message is not found, just like one that does not exist."""
    stored, _ = await inbox.accept(inbound(ada, "secret"))

    assert (await inbox.get(ada, stored.message_id)).text == "secret"
    for message_id in (stored.message_id, "f" * 32):
        with pytest.raises(NotFoundError, match="no such message"):
            await inbox.get(grace, message_id)


async def test_an_overtaken_attempt_changes_nothing(inbox: Inbox, ada: Principal) -> None:
    """After a message was begun again, the earlier attempt can neither finish, fail nor put it back."""
    first = await _begun(inbox, inbound(ada))
    await inbox.put_back(first)
    second = await inbox.begin_next(ConversationKey.of(first))
    assert second is not None

    late = [
        await inbox.finish(first, "late", private=False),
        await inbox.fail(first, "late"),
        await inbox.put_back(first),
    ]

    assert late == [False, False, False]
    assert await inbox.get(ada, first.message_id) == second
    assert await inbox.finish(second, "in time", private=True)
    assert not await inbox.finish(second, "twice", private=True)


async def test_a_turn_is_stored_with_its_answer_only(inbox: Inbox, database: Database, ada: Principal) -> None:
    """A superseded attempt stores no turn and owes no reply, and an answer is not stored without its turn."""
    conversations = Conversations(database)
    message = await _begun(inbox, inbound(ada))
    conversation, here = ConversationKey.of(message), (ada, message.conversation)
    turn = conversations.row(*here, message.sequence, [], private=False)
    taken = {**turn, "messages": None}  # the column does not accept null
    outbox = Outbox(database, MessageLease("host:1:somebody"))
    with pytest.raises(sa.exc.IntegrityError):
        await inbox.finish(message, "half", private=False, turn=taken)
    assert (await inbox.get(ada, message.message_id)).state is MessageState.RUNNING
    assert not await inbox.finish(replace(message, attempt=7), "late", private=False, turn=turn)
    assert (await conversations.load(*here, turns_at_most=9)).sequences == ()
    assert await outbox.waiting(conversation) == []
    assert await inbox.finish(message, "whole", private=False, turn=turn)

    assert (await conversations.load(*here, turns_at_most=9)).sequences == (message.sequence,)
    assert len(await outbox.waiting(conversation)) == 1


async def test_the_next_message_says_whether_more_wait(inbox: Inbox, ada: Principal, grace: Principal) -> None:
    """Another person's message in the same conversation counts as waiting, but none of another conversation does."""
    found = []
    for message in (inbound(ada), inbound(grace, conversation="other"), inbound(grace)):
        await inbox.accept(message)
        found.append(await inbox.next_up(ConversationKey.of(inbound(ada))))

    assert found == [Upcoming(ada, 0, more=False), Upcoming(ada, 0, more=False), Upcoming(ada, 0, more=True)]


async def test_interruptions_are_counted_and_a_new_attempt_alone_is_none(inbox: Inbox, ada: Principal) -> None:
    """An attempt that is broken off or recovered counts as an interruption; one that is handed over does not."""
    message = await _begun(inbox, inbound(ada))
    await inbox.put_back(message)
    handed_over = await inbox.begin_next(ConversationKey.of(message))
    assert handed_over is not None
    await inbox.put_back(handed_over, suspect=False)
    await inbox.begin_next(ConversationKey.of(message))
    await inbox.recover()
    again = await inbox.begin_next(ConversationKey.of(message))

    assert again is not None
    assert (message.interruptions, again.interruptions, again.attempt) == (0, 2, 4)


async def test_recover_undoes_what_was_running_and_nothing_else(inbox: Inbox, ada: Principal, grace: Principal) -> None:
    """After a process has ended, its running messages are undone again, and finished ones stay finished."""
    done = await _begun(inbox, inbound(ada, conversation="a"))
    await inbox.finish(done, "done", private=False)
    running = await _begun(inbox, inbound(grace, conversation="b"))

    await inbox.recover()

    assert await inbox.conversations_with_work() == [ConversationKey.of(running)]
    assert (await inbox.get(ada, done.message_id)).state is MessageState.DONE


async def test_hundreds_of_one_persons_conversations_do_not_crowd_out_anothers(
    inbox: Inbox, clock: Clock, ada: Principal, grace: Principal
) -> None:
    """A person's only conversation is among the first to be woken, even if hundreds of another's have waited longer."""
    for number in range(210):
        await inbox.accept(inbound(ada, conversation=f"a{number}"))
    clock.now += 1
    await inbox.accept(inbound(grace, conversation="g"))

    woken = [key.conversation for key in await inbox.conversations_with_work()]

    assert woken[:3] == ["a0", "g", "a1"]
    assert len(woken) == 200


async def test_what_waits_for_another_try_holds_up_its_own_person_only(
    inbox: Inbox, ada: Principal, grace: Principal
) -> None:
    """While a message waits for another try, others in the thread go on in order, but later ones of its person wait."""
    first = await _begun(inbox, inbound(ada, "a 1"))
    for person, text in ((ada, "a 2"), (grace, "g 1"), (grace, "g 2")):
        await inbox.accept(inbound(person, text))
    await inbox.try_later(first, 60, "model_busy")
    key, begun = ConversationKey.of(first), list[str]()
    while (message := await inbox.begin_next(key)) is not None:
        begun.append(message.text)
        await inbox.finish(message, "done", private=False)

    assert begun == ["g 1", "g 2"]
    assert await inbox.conversations_with_work() == []


async def test_who_has_no_turn_holds_up_nobody_else_in_a_shared_thread(
    inbox: Inbox, ada: Principal, grace: Principal
) -> None:
    """While a person has all their turns elsewhere, another person's next message is begun."""
    (first, _), _ = [await inbox.accept(inbound(person)) for person in (ada, grace)]
    upcoming = await inbox.next_up(ConversationKey.of(first), {ada})
    begun = await inbox.begin_next(ConversationKey.of(first), {ada})

    assert upcoming == Upcoming(grace, 0)
    assert begun is not None
    assert begun.principal == grace


@pytest.mark.parametrize(
    "message",
    [
        {"text": " \n"},
        {"text": "x" * 40_001},
        {"text": "a\x00b"},
        {"text": "half \ud83d"},
        {"conversation": "c" * 513},
        {"event_id": "e" * 513},
        {"conversation": "\ud800"},
    ],
)
async def test_what_cannot_be_stored_is_refused(inbox: Inbox, ada: Principal, message: dict[str, str]) -> None:
    """Empty text, parts that are too long and invalid text are refused, neither stored nor repeated in the error."""
    fields = {"event_id": "e", "conversation": "c", "text": "hello", **message}

    with pytest.raises(InvalidMessageError) as caught:
        await inbox.accept(InboundMessage(ada, fields["event_id"], fields["conversation"], fields["text"]))

    assert len(str(caught.value)) < 100
    assert await inbox.conversations_with_work() == []


async def test_no_text_shows_in_a_repr(inbox: Inbox, ada: Principal) -> None:
    """A message's repr shows neither what a person wrote nor what they were answered."""
    message = await _begun(inbox, inbound(ada, "my-secret"))
    await inbox.finish(message, "your-secret", private=True)

    shown = repr(message) + repr(await inbox.get(ada, message.message_id)) + repr(inbound(ada, "my-secret"))

    assert "secret" not in shown
