"""Tests of answering messages step by step, without a worker, up to the replies that their senders receive."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage

from app.approvals.approvals import ApprovalState
from app.consent.link import Place
from app.database.database import Database
from app.delivery.store.stops import MAY_BE_DONE
from app.delivery.work import answering as answering_module
from app.delivery.work.answering import STOPPED_WRITING, TOO_LATE, referenced
from app.errors import AgentError, UnavailableError
from app.keys.ring import KeyRing
from app.messages import ConversationKey, MessageState, StoredMessage
from app.oauth.provider import GOOGLE
from app.principal import Principal
from containers.testing import answering, call, prompts, scripted
from tests.fakes.core_server import CoreServer
from tests.fakes.leaping import end_limit, limits_of
from tests.fakes.sandbox import READ, SEND

TWO_ACTS = scripted([call("letters_shout", "one", text="one"), call("letters_shout", "two", text="two")])


@pytest.fixture
def server(database: Database, key_ring: KeyRing) -> CoreServer:
    """Return a process that uses the offline model."""
    return CoreServer(database, key_ring)


async def _restarted(server: CoreServer, key_ring: KeyRing) -> CoreServer:
    """Return the process that is started after `server` ended, on the same database and channel."""
    after = CoreServer(server.database, key_ring, post=server.post, clock=server.clock, channel=server.channel)
    await after.inbox.recover()
    return after


async def _begin(server: CoreServer, message: StoredMessage) -> StoredMessage:
    begun = await server.inbox.begin_next(ConversationKey.of(message))
    assert begun is not None
    return begun


async def test_two_people_are_answered_with_what_is_their_own(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """In one group, each speaker reads their own letter, and each answer is private to its reader."""
    for person in (ada, grace):
        await server.grant(person, READ)
    messages = [await server.say(person, "/letters_read") for person in (ada, grace, ada, grace)]
    for message in messages:
        await server.answer_next(message)

    assert [(sent.principal, sent.text, sent.private) for sent in server.channel.sent] == [
        (person, f"a letter to {person.user}", True) for person in (ada, grace, ada, grace)
    ]


async def test_an_answer_is_private_only_when_it_may_hold_something_of_theirs(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """An answer that used no account is public; once a person has had a letter read, all their answers are private."""
    await server.grant(ada, READ)
    for person, text in (
        (ada, "/letters_clock"),
        (ada, "/letters_read"),
        (ada, "/letters_clock"),
        (grace, "/letters_clock"),
    ):
        await server.ask(person, text)

    assert [sent.private for sent in server.channel.sent] == [False, True, True, False]


async def test_a_message_without_consent_waits_with_a_private_link(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """A person without a grant is sent their own private link, and another's consent does not wake their message."""
    mine, hers = [await server.ask(person, "/letters_read") for person in (ada, grace)]
    await server.grant(grace, READ)
    await server.parking.consent_ended(grace, granted=True)
    answered = await server.answer_next(hers)

    assert (await server.inbox.get(ada, mine.message_id)).state is MessageState.PARKED
    assert answered.answer == "a letter to grace"
    assert [sent.private for sent in server.channel.sent] == [True, True, True]
    assert "/connect/google/" in server.channel.texts(ada)[0]
    assert server.channel.texts(ada)[0] != server.channel.texts(grace)[0]


async def test_a_consent_lets_the_same_call_go_on_once(server: CoreServer, key_ring: KeyRing, ada: Principal) -> None:
    """After the consent, a new process runs the waiting call once and leaves no parked run behind."""
    message = await server.ask(ada, "/letters_read")
    await server.grant(ada, READ)
    after = await _restarted(server, key_ring)
    await after.parking.consent_ended(ada, granted=True)
    answered = await after.answer_next(message)

    assert (answered.state, answered.answer, answered.private) == (MessageState.DONE, "a letter to ada", True)
    assert server.post.names("ada") == ["read"]
    assert await after.parking.find(message) is None
    history = await after.conversations.load(ada, "c", turns_at_most=9)
    assert prompts(history.messages) == ["/letters_read"]


async def test_a_refused_consent_is_told(server: CoreServer, ada: Principal, grace: Principal) -> None:
    """A person who declines at Google gets an answer that says so; another person's message stays parked."""
    mine, hers = [await server.ask(person, "/letters_read") for person in (ada, grace)]
    await server.parking.consent_ended(ada, granted=False)
    answered = await server.answer_next(mine)

    assert "You did not connect" in (answered.answer or "")
    assert (await server.inbox.get(grace, hers.message_id)).state is MessageState.PARKED
    assert server.post.done == []


async def test_a_partial_consent_ends_with_an_answer(server: CoreServer, ada: Principal) -> None:
    """A message whose consent was only partial ends with an answer that says so, instead of asking again."""
    message = await server.ask(ada, "/letters_read")
    await server.grant(ada, SEND)
    await server.parking.consent_ended(ada, granted=True)
    answered = await server.answer_next(message)

    assert answered.state is MessageState.DONE
    assert "You did not allow" in (answered.answer or "")


async def test_a_grant_that_comes_between_the_run_and_the_parking_wakes_it(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """When the consent ends just before the run is parked, the message becomes ready again and no link is sent."""
    message, other = await server.say(ada, "/letters_read", "a"), await server.ask(grace, "/letters_read", "g")
    ask = server.consent.ask

    async def grant_and_ask(
        principal: Principal,
        oauth_scopes: frozenset[str],
        *,
        conversation: str | None = None,
        place: Place = Place.DIRECT,
        provider: str = GOOGLE,
    ) -> str:
        link_id = await ask(principal, oauth_scopes, conversation=conversation, place=place, provider=provider)
        await server.grant(principal, *oauth_scopes)
        await server.parking.consent_ended(principal, granted=True)
        return link_id

    server.consent.ask = grant_and_ask  # type: ignore[method-assign]
    woken = await server.answer_next(message)

    assert woken.state is MessageState.NEW
    assert server.channel.texts(ada) == []
    assert (await server.answer_next(message)).answer == "a letter to ada"
    assert (await server.inbox.get(grace, other.message_id)).state is MessageState.PARKED


async def test_acting_shows_its_exact_arguments_and_runs_once(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """Only the asked person can approve; approved twice, the call runs once, as shown, and is answered where asked."""
    message = await server.ask(ada, '/letters_shout text="Grüße, all" volume=0.1')
    (code,) = await server.codes(message)
    stranger = await server.ask(grace, f"approve {code}")
    first = await server.ask(ada, f"approve {code}", "elsewhere")
    second = await server.ask(ada, f"approve {code}", "elsewhere")
    answered = await server.answer_next(message)

    assert "    text: Grüße, all\n    volume: 0.1" in server.channel.texts(ada)[0]
    assert stranger.answer == f"You have no pending approval `{code}`."
    assert first.answer == "Approved, I'm on it."
    assert second.answer == f"`{code}` is no longer open: you approved it a few seconds ago."
    assert answered.answer == "shouted Grüße, all"
    assert [(sent.principal, sent.message_id) for sent in server.channel.sent if sent.text == answered.answer] == [
        (ada, message.message_id)
    ]
    assert server.post.done == [("ada", "shout", {"text": "Grüße, all", "volume": 0.1, "notes": None})]


async def test_a_denied_call_is_answered_without_being_done(server: CoreServer, ada: Principal) -> None:
    """A denial is acknowledged, and the message is then answered without running the call."""
    message = await server.ask(ada, "/letters_shout text=hey")
    (code,) = await server.codes(message)
    decision = await server.ask(ada, f"deny {code}")
    answered = await server.answer_next(message)

    assert decision.answer == "OK, I won't do it."
    assert answered.answer == "You said no, so nothing was done."
    assert server.post.done == []


async def test_two_calls_need_both_decisions(database: Database, key_ring: KeyRing, ada: Principal) -> None:
    """The run resumes once both calls are decided: the approved call runs and the denied call does not."""
    server = CoreServer(database, key_ring, model=TWO_ACTS)
    message = await server.ask(ada, "go")
    status = await server.status(message)
    codes = {str(approval.call.arguments["text"]): approval.code for approval in status.approvals}
    await server.ask(ada, f"approve {codes['two']}")
    assert await server.is_in(message, MessageState.PARKED)
    await server.ask(ada, f"deny {codes['one']}")
    answered = await server.answer_next(message)

    assert "letters_shout: shouted two" in (answered.answer or "")
    assert [arguments["text"] for _, _, arguments in server.post.done] == ["two"]


async def test_an_approval_that_comes_too_late_does_nothing(server: CoreServer, ada: Principal) -> None:
    """A wait that expired is reported as expired, and a late approval does nothing."""
    message = await server.ask(ada, "/letters_shout text=hey")
    (code,) = await server.codes(message)
    server.clock.now += 3601
    late = await server.ask(ada, f"approve {code}", "other")
    await server.parking.give_up_expired()
    server.clock.now += 31
    await server.sender.send_waiting(ConversationKey.of(message))
    after = await server.ask(ada, f"approve {code}", "other")

    assert f"`{code}` is no longer open: it has expired." in (late.answer or "")
    assert after.answer == late.answer
    assert server.channel.texts(ada)[2] == (
        'I waited an hour for your answer to `letters_shout`, and dropped your message "/letters_shout text=hey". '
        "It was not done. Ask again if you still want it."
    )
    assert server.post.done == []


async def test_consent_and_then_approval_for_one_call(server: CoreServer, ada: Principal) -> None:
    """A call that needs both asks first for consent and then for approval, and runs once with the arguments shown."""
    message = await server.ask(ada, "/letters_send to=bob text=hi")
    await server.grant(ada, SEND)
    await server.parking.consent_ended(ada, granted=True)
    await server.answer_next(message)
    (code,) = await server.codes(message)
    await server.ask(ada, f"approve {code}")
    answered = await server.answer_next(message)

    link, question, approved, answer = server.channel.texts(ada)
    assert "/connect/google/" in link
    assert "Shall I run letters_send?\n    text: hi\n    to: bob\n" in question
    assert (approved, answer) == ("Approved, I'm on it.", "sent to bob")
    assert answered.private
    assert server.post.done == [("ada", "send", {"to": "bob", "text": "hi"})]


async def test_a_crash_between_claim_and_completion_does_not_run_it_again(
    server: CoreServer, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """If the process ends while an approved call runs, the next process answers that the effect is unknown."""
    mine, hers = [await server.ask(person, f"/letters_shout text={person.user}") for person in (ada, grace)]
    for person, message in ((ada, mine), (grace, hers)):
        (code,) = await server.codes(message)
        await server.ask(person, f"approve {code}", "other")
    (approval,) = await server.approvals.of_message(ada, mine.message_id)
    await _begin(server, mine)
    assert await server.approvals.claim(ada, approval.approval_id, approval.call)
    after = await _restarted(server, key_ring)
    answered = await after.answer_next(mine)
    await after.answer_next(hers)

    assert "I do not know whether it took effect" in (answered.answer or "")
    assert server.post.done == [("grace", "shout", {"text": "grace", "volume": 1.0, "notes": None})]


async def test_a_message_that_fails_after_an_act_says_that_it_may_have_been_done(
    database: Database, key_ring: KeyRing, ada: Principal
) -> None:
    """A message that times out during an approved call says that the call may have been done."""
    server = CoreServer(database, key_ring)
    message = await server.ask(ada, "/letters_shout text=hey")
    (code,) = await server.codes(message)
    await server.ask(ada, f"approve {code}")

    async def hang(person: str, name: str) -> None:
        end_limit()
        await asyncio.Event().wait()

    server.post.before = hang
    with limits_of(answering_module):
        answered = await server.answer_next(message)

    assert answered.answer == referenced(f"{TOO_LATE} {MAY_BE_DONE.format('letters_shout')}", message)
    (approval,) = await server.approvals.of_message(ada, message.message_id)
    assert approval.state is ApprovalState.DONE


async def test_a_message_that_takes_too_long_is_given_up(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A message past its deadline fails, its agent is closed and its sender is notified; others are answered."""

    async def answer(messages: list[ModelMessage]) -> str:
        if prompts(messages) == ["slow"]:
            end_limit()
            await asyncio.Event().wait()
        return "quick"

    server = CoreServer(database, key_ring, model=answering(answer))
    with limits_of(answering_module):
        messages = [await server.ask(ada, "slow", "a"), await server.ask(grace, "hello", "g")]

    assert [(message.state, message.answer) for message in messages] == [
        (MessageState.FAILED, referenced(TOO_LATE, messages[0])),
        (MessageState.DONE, "quick"),
    ]
    assert server.channel.texts(ada) == [referenced(TOO_LATE, messages[0])]
    assert server.open_now == 0


async def test_an_overtaken_attempt_changes_and_says_nothing(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """A superseded attempt stores no answer and no turn, and sends nothing, however it ends."""
    stored = [await server.say(person, "/letters_clock", person.user) for person in (ada, grace)]
    begun = [await _begin(server, message) for message in stored]
    await server.inbox.put_back(begun[0])
    await server.answer_next(stored[0])
    for message in begun:
        await server.answering.answer(message)
    await server.answering.give_up(begun[0], "sorry", "test")
    for message in begun:
        await server.sender.send_waiting(ConversationKey.of(message))

    assert [(sent.principal, sent.text) for sent in server.channel.sent] == [(ada, "noon"), (grace, "noon")]
    assert len((await server.conversations.load(ada, "ada", turns_at_most=9)).messages) == 4


async def test_an_answer_that_the_channel_does_not_take_is_kept(
    server: CoreServer, ada: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer that could not be sent is kept and sent later; the log names the message but not its text."""
    server.channel.failures.append(UnavailableError("Slack is away"))
    message = await server.ask(ada, "/letters_clock")
    key = ConversationKey.of(message)
    kept = await server.outbox.waiting(key)
    server.clock.now += 11
    await server.sender.send_waiting(key)

    assert [(place.reply.message_id, place.due) for place in kept] == [(message.message_id, False)]
    assert message.message_id in caplog.text
    assert "noon" not in caplog.text
    assert server.channel.texts(ada) == ["noon"]
    assert await server.outbox.waiting(key) == []


async def test_a_channel_that_is_gone_from_the_settings_is_no_crash(
    server: CoreServer, ada: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    """A message from an interface that is no longer configured gets a stored answer, and the problem is logged."""
    elsewhere = replace(ada, platform="slack")
    with caplog.at_level(logging.ERROR):
        message = await server.ask(elsewhere, "/letters_clock")

    assert message.answer == "noon"
    assert "the interface slack is not configured" in caplog.text
    assert server.channel.sent == []


async def test_a_busy_model_is_asked_again_later(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A passing model fault is retried silently, the third failure is reported to the sender, and nobody else waits."""
    faults: list[Exception] = [ModelHTTPError(429, "m")] * 2

    async def answer(messages: list[ModelMessage]) -> str:
        if faults and prompts(messages) == ["busy"]:
            raise faults.pop()
        return "done"

    server = CoreServer(database, key_ring, model=answering(answer))
    message = await server.ask(ada, "busy", "a")
    hers = await server.ask(grace, "hello", "g")
    waits = [message.state, hers.state]
    for _ in range(2):
        server.clock.now += 61
        message = await server.answer_next(message)
    faults += [ModelHTTPError(503, "m")] * 9
    lost = await server.ask(ada, "busy", "b")
    for _ in range(3):
        server.clock.now += 61
        lost = await server.answer_next(lost)

    assert waits == [MessageState.NEW, MessageState.DONE]
    assert (message.answer, message.failures) == ("done", 2)
    assert (lost.state, lost.failures) == (MessageState.FAILED, 3)
    assert server.channel.texts(ada) == ["done", lost.answer]


async def test_a_message_that_was_interrupted_as_it_wrote_is_not_begun_again(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """A message interrupted after an unrepeatable write is answered with a warning; one that wrote nothing restarts."""
    stored = [await server.say(person, "/letters_clock", person.user) for person in (ada, grace)]
    begun = [await _begin(server, message) for message in stored]
    await server.writes.begin(ada, begun[0].message_id, begun[0].attempt, "letters_draft")
    for message in begun:
        await server.inbox.put_back(message)
    with pytest.raises(AgentError):  # a superseded attempt can begin no further write
        await server.writes.begin(ada, begun[0].message_id, begun[0].attempt, "letters_draft")
    mine, hers = [await server.answer_next(message) for message in stored]

    assert mine.answer == referenced(f"{STOPPED_WRITING} {MAY_BE_DONE.format('letters_draft')}", mine)
    assert hers.answer == "noon"
    assert await server.writes.of_message(ada, mine.message_id) == []


async def test_a_person_with_too_many_open_questions_is_told_so(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """Above a person's limit of parked messages, their next one fails with an explanation; another person's parks."""
    server = CoreServer(database, key_ring, person_parked=2)
    mine = [await server.ask(ada, "/letters_shout text=hey", f"a{number}") for number in range(3)]
    hers = await server.ask(grace, "/letters_shout text=hey", "g")

    assert [message.state for message in (*mine, hers)] == [
        MessageState.PARKED,
        MessageState.PARKED,
        MessageState.FAILED,
        MessageState.PARKED,
    ]
    assert (mine[2].answer or "").startswith("2 of your messages already wait for your consent or approval")
