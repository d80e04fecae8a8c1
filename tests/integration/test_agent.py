"""Tests of one person's agent: what it does without asking, where it stops, and how it resumes."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from pydantic_ai.exceptions import ModelRetry, UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionDef, FunctionModel

from app.agents.agent import Answered
from app.agents.refusals import ACCOUNT_GONE, UNKNOWN_EFFECT
from app.agents.run import DECLINED_CALL, StoppedRun
from app.approvals.approvals import ApprovalState
from app.approvals.form import Form
from app.database.database import Database
from app.delivery.backoff import Fault, passing_fault
from app.errors import (
    AccessRefusedError,
    AgentError,
    ConsentRequiredError,
    GoogleError,
    GrantRevokedError,
    ToolError,
)
from app.messages import StoredMessage
from app.principal import Principal
from app.toolkits.questions import AnswerNeededError
from app.toolkits.toolkit import Effect, tool
from containers.testing import answering, call, prompts, scripted
from tests.fakes.assistants import Letters, Post
from tests.fakes.fading import fading, without_the_collector
from tests.fakes.sandbox import READ, SEND
from tests.fakes.studio import Studio

READ_LETTER = call("letters_read", "r")
SEND_LETTER = call("letters_send", "s", to="bob")
SHOUT = call("letters_shout", "h", text="hey")


def _text(outcome: Answered | StoppedRun) -> str:
    assert isinstance(outcome, Answered)
    return outcome.text


def _waits(outcome: Answered | StoppedRun) -> list[tuple[str, str]]:
    assert isinstance(outcome, StoppedRun)
    return [(stopped.tool, stopped.waits_for) for stopped in outcome.calls]


async def test_two_people_at_once_read_with_their_own_credentials(
    database: Database, ada: Principal, grace: Principal
) -> None:
    """Concurrent runs of two people through one agent shell each read their own person's letter."""
    studio = Studio(database, scripted([READ_LETTER]))
    studio.tokens.grant(ada, READ)
    studio.tokens.grant(grace, READ)
    messages = [await studio.message(person) for _ in range(10) for person in (ada, grace)]

    outcomes = await asyncio.gather(*(studio.run(message) for message in messages))

    for message, outcome in zip(messages, outcomes, strict=True):
        assert _text(outcome) == f"letters_read: a letter to {message.principal.user}"


async def test_a_tool_without_consent_stops_the_run(database: Database, ada: Principal, grace: Principal) -> None:
    """Without consent the run stops, names the missing scope and does nothing; with consent the message is answered."""
    studio = Studio(database, scripted([READ_LETTER]))
    studio.tokens.grant(grace, READ)

    stopped, answered = [await studio.run(await studio.message(person)) for person in (ada, grace)]

    assert _waits(stopped) == [("letters_read", "consent")]
    assert isinstance(stopped, StoppedRun)
    assert (stopped.oauth_scopes, stopped.pending_calls) == (frozenset({READ}), [])
    assert _text(answered) == "letters_read: a letter to grace"
    assert studio.post.names("ada") == []


async def test_a_run_goes_on_with_the_same_call_once(database: Database, ada: Principal) -> None:
    """After the consent, a new process runs the waiting call once and returns its answer."""
    before = Studio(database, scripted([READ_LETTER]))
    message = await before.message(ada, "what is new?")
    run = await before.stop(message)
    after = Studio(database, scripted([READ_LETTER]))
    after.tokens.grant(ada, READ)
    outcome = await after.go_on(message, run, granted=True)

    assert _text(outcome) == "letters_read: a letter to ada"
    assert after.post.names("ada") == ["read"]
    assert isinstance(outcome, Answered)
    assert prompts(outcome.turn) == ["what is new?"]


async def test_a_refused_consent_is_told_to_the_model(database: Database, ada: Principal) -> None:
    """After a refused consent the answer says so, and nothing is read."""
    studio = Studio(database, scripted([READ_LETTER]))
    message = await studio.message(ada)
    outcome = await studio.go_on(message, await studio.stop(message), granted=False)

    assert _text(outcome).startswith("letters_read: You did not connect your account, so nothing was read or done.")
    assert studio.post.done == []


async def test_a_partial_consent_does_not_loop(database: Database, ada: Principal) -> None:
    """A consent that does not include the needed scope leads to an answer that says so, not to another request."""
    studio = Studio(database, scripted([READ_LETTER]))
    message = await studio.message(ada)
    run = await studio.stop(message)
    studio.tokens.grant(ada, SEND)
    outcome = await studio.go_on(message, run, granted=True)

    assert "You did not allow" in _text(outcome)
    assert studio.post.done == []


async def test_a_grant_that_google_withdrew_asks_for_consent(database: Database, ada: Principal) -> None:
    """A revoked grant stops the run as a missing one does, even when only the call itself discovers it."""
    studio = Studio(database, scripted([READ_LETTER]))
    studio.tokens.failures[ada] = GrantRevokedError(ada)
    early = await studio.run(await studio.message(ada))
    studio.tokens.failures.clear()

    async def revoked(person: str, name: str) -> None:
        raise GrantRevokedError(ada)

    studio.post.before = revoked
    late = await studio.run(await studio.message(ada))

    assert _waits(early) == _waits(late) == [("letters_read", "consent")]


async def test_google_being_away_ends_the_run_as_a_fault_that_passes(database: Database, ada: Principal) -> None:
    """When Google does not answer a token request, the run fails with a fault that can be retried, not for consent."""
    studio = Studio(database, scripted([READ_LETTER]))
    studio.tokens.failures[ada] = GoogleError("no answer")
    with pytest.raises(AgentError, match="Google gives me no answer") as failed:
        await studio.run(await studio.message(ada))

    assert passing_fault(failed.value) is Fault.GOOGLE_DOWN


async def test_a_refusal_of_the_sign_in_is_told_to_the_model(database: Database, ada: Principal) -> None:
    """When Google rejects the client, the answer says what an administrator has to do, and the run continues."""
    studio = Studio(database, scripted([READ_LETTER]))
    studio.tokens.failures[ada] = GoogleError("no", status=401, reason="invalid_client")

    assert "Only the administrator of this server" in _text(await studio.run(await studio.message(ada)))


async def test_acting_waits_for_approval_with_its_exact_arguments(
    database: Database, ada: Principal, grace: Principal
) -> None:
    """A call that would act stops with the arguments as they will run, defaults included; a read needs no approval."""
    notes = {"ünï": [1.5, {"深": None}], "b": 1e-9}
    whole = call("letters_shout", "h", text="hey 👋", volume=2, notes=notes)
    studio = Studio(database, scripted([call("letters_clock", "c"), whole, call("letters_shout", "d", text="hey")]))
    outcomes = [await studio.run(await studio.message(person)) for person in (ada, grace)]

    for stopped in outcomes:
        assert isinstance(stopped, StoppedRun)
        assert [(pending.call_id, pending.tool, pending.arguments) for pending in stopped.pending_calls] == [
            ("h", "letters_shout", {"text": "hey 👋", "volume": 2.0, "notes": notes}),
            ("d", "letters_shout", {"text": "hey", "volume": 1.0, "notes": None}),
        ]
    assert [(who, name) for who, name, _ in studio.post.done] == [("ada", "clock"), ("grace", "clock")]


async def test_what_was_approved_runs_once_as_shown(database: Database, ada: Principal) -> None:
    """Floats, any script and nested values pass the claim after a restart; resuming twice runs the call once."""
    notes = {"ünï": [1.5, {"深": None, "a": 1e22}], "b": 1e-9}
    step = [call("letters_shout", "h", text="hey 👋", volume=0.1, notes=notes)]
    studio = Studio(database, scripted(step))
    message = await studio.message(ada)
    run = await studio.stop(message)
    await studio.approve(message, run)
    after = Studio(database, scripted(step))
    first = await after.go_on(message, run)
    second = await after.go_on(message, run)

    assert _text(first) == "letters_shout: shouted hey 👋"
    assert _text(second) == f"letters_shout: {UNKNOWN_EFFECT}"
    assert after.post.done == [("ada", "shout", {"text": "hey 👋", "volume": 0.1, "notes": notes})]


async def test_two_attempts_at_once_run_it_once(database: Database, ada: Principal) -> None:
    """When two attempts resume at once, one acts; the other asks nothing and answers that the effect is unknown."""
    studio = Studio(database, scripted([SHOUT]))
    message = await studio.message(ada)
    run = await studio.stop(message)
    await studio.approve(message, run)

    outcomes = await asyncio.gather(studio.go_on(message, run), studio.go_on(message, run))

    assert sorted(_text(outcome) for outcome in outcomes) == sorted(
        ["letters_shout: shouted hey", f"letters_shout: {UNKNOWN_EFFECT}"]
    )
    assert studio.post.names("ada") == ["shout"]


async def test_a_denied_call_does_not_run(database: Database, ada: Principal, grace: Principal) -> None:
    """A denied call is not run, and the answer says so; another person's own approved call runs."""
    studio = Studio(database, scripted([SHOUT]))
    mine, hers = await studio.message(ada), await studio.message(grace)
    my_run, her_run = await studio.stop(mine), await studio.stop(hers)
    await studio.approve(mine, my_run, approved=False)
    await studio.approve(hers, her_run)
    outcomes = [await studio.go_on(hers, her_run), await studio.go_on(mine, my_run)]

    assert [_text(outcome) for outcome in outcomes] == [
        "letters_shout: shouted hey",
        f"letters_shout: {DECLINED_CALL}",
    ]
    assert studio.post.done == [("grace", "shout", {"text": "hey", "volume": 1.0, "notes": None})]


async def test_another_persons_approval_lets_nothing_run(database: Database, ada: Principal, grace: Principal) -> None:
    """A run that is handed another person's approval of an equal call cannot claim it."""
    studio = Studio(database, scripted([SHOUT]))
    mine, hers = await studio.message(ada), await studio.message(grace)
    my_run, her_run = await studio.stop(mine), await studio.stop(hers)
    await studio.approve(hers, her_run)
    stolen = await studio.approvals.of_message(grace, hers.message_id)
    outcome = await studio.agent(ada).go_on(mine, StoppedRun.load(my_run), granted=None, approvals=stolen)

    assert _text(outcome) == f"letters_shout: {UNKNOWN_EFFECT}"
    assert studio.post.done == []
    assert (await studio.approvals.of_message(grace, hers.message_id))[0].state is ApprovalState.APPROVED


async def test_consent_first_and_approval_after_for_the_same_call(database: Database, ada: Principal) -> None:
    """A call that lacks both stops first for consent and then for approval, and runs once."""
    studio = Studio(database, scripted([SEND_LETTER]))
    message = await studio.message(ada)
    first = await studio.stop(message)
    studio.tokens.grant(ada, SEND)
    second = await studio.go_on(message, first, granted=True)
    assert isinstance(second, StoppedRun)
    await studio.approve(message, second.dump())
    third = await studio.go_on(message, second.dump())

    assert _waits(StoppedRun.load(first)) == [("letters_send", "consent")]
    assert _waits(second) == [("letters_send", "approval")]
    assert _text(third) == "letters_send: sent to bob"
    assert studio.post.names("ada") == ["send"]


async def test_an_approval_ends_with_its_account(database: Database, ada: Principal, grace: Principal) -> None:
    """An approved call fails if its grant ends before it runs, because a new grant could be for another account."""
    studio = Studio(database, scripted([SEND_LETTER]))
    runs = {}
    for person in (ada, grace):
        studio.tokens.grant(person, SEND)
        message = await studio.message(person)
        runs[person] = message, await studio.stop(message)
        await studio.approve(*runs[person])
    studio.tokens.revoke(ada)
    mine, hers = [await studio.go_on(*runs[person]) for person in (ada, grace)]

    assert _text(mine) == f"letters_send: {ACCOUNT_GONE}"
    assert _text(hers) == "letters_send: sent to bob"
    assert studio.post.done == [("grace", "send", {"to": "bob", "text": ""})]


async def test_an_approval_counts_for_the_access_that_was_shown(database: Database, ada: Principal) -> None:
    """The guard refuses an approved call when the run's credential id is not the one that was shown for approval."""
    studio = Studio(database, scripted([SEND_LETTER]))
    studio.tokens.grant(ada, SEND)
    message = await studio.message(ada)
    run = await studio.stop(message)
    await studio.approve(message, run)
    shown = StoppedRun.load(run).credential_ids.get("google")
    outcome = await studio.go_on(message, run.replace(f'"{shown}"', '"another"'))

    assert shown == str(ada)
    assert _text(outcome) == f"letters_send: {ACCOUNT_GONE}"
    assert studio.post.done == []


async def test_three_calls_that_wait_for_different_things_each_run_once(database: Database, ada: Principal) -> None:
    """A step with a read, a call without consent and an act stops twice; each call runs once and no result is lost."""
    studio = Studio(database, scripted([call("letters_clock", "c"), READ_LETTER, SHOUT]))
    message = await studio.message(ada)
    first = await studio.stop(message)
    studio.tokens.grant(ada, READ)
    second = await studio.go_on(message, first, granted=True)
    assert isinstance(second, StoppedRun)
    await studio.approve(message, second.dump())
    outcome = await studio.go_on(message, second.dump())

    assert sorted(_waits(StoppedRun.load(first))) == [("letters_read", "consent"), ("letters_shout", "approval")]
    assert _waits(second) == [("letters_shout", "approval")]
    assert _text(outcome) == "letters_clock: noon; letters_read: a letter to ada; letters_shout: shouted hey"
    assert studio.post.names("ada") == ["clock", "read", "shout"]


async def test_a_turn_of_a_run_that_was_stopped_does_not_cut_the_next_one(database: Database, ada: Principal) -> None:
    """After a turn whose tool results came in parts, the next turn is stored from its own prompt on."""
    studio = Studio(database, scripted([call("letters_clock", "c"), READ_LETTER]))
    first = await studio.message(ada, "one")
    run = await studio.stop(first)
    studio.tokens.grant(ada, READ)
    await studio.keep(first, await studio.go_on(first, run, granted=True))
    second = await studio.message(ada, "two")
    outcome = await studio.keep(second, await studio.run(second))

    assert prompts(outcome.turn) == ["two"]
    assert prompts((await studio.conversations.load(ada, "group", turns_at_most=9)).messages) == ["one", "two"]


async def test_the_speakers_of_a_group_have_separate_histories(
    database: Database, ada: Principal, grace: Principal
) -> None:
    """In a group, the model sees what the same person said before, and nothing that others said."""

    async def tell(messages: list[ModelMessage]) -> str:
        return ", ".join(prompts(messages))

    studio = Studio(database, answering(tell))
    answers = []
    for number in range(3):
        for person in (ada, grace):
            message = await studio.message(person, f"{person.user} {number}")
            answers.append((await studio.keep(message, await studio.run(message))).text)

    assert answers[-2:] == ["ada 0, ada 1, ada 2", "grace 0, grace 1, grace 2"]


async def test_what_comes_out_of_an_account_makes_answers_private(
    database: Database, ada: Principal, grace: Principal
) -> None:
    """An answer is private once a tool with OAuth scopes returned a result, in this turn or in a remembered one."""
    reads, tells = Studio(database, scripted([READ_LETTER])), Studio(database, scripted([call("letters_clock", "c")]))
    reads.tokens.grant(ada, READ)
    for person, studio, private in ((ada, tells, False), (ada, reads, True), (ada, tells, True), (grace, tells, False)):
        message = await studio.message(person)
        outcome = await studio.keep(message, await studio.run(message))

        assert outcome.private is private


async def test_a_result_of_a_tool_that_is_gone_stays_private(database: Database, ada: Principal) -> None:
    """The result of a tool that is removed from the configuration while the run waits stays private."""
    studio = Studio(database, scripted([READ_LETTER], [SHOUT]))
    studio.tokens.grant(ada, READ)
    message = await studio.message(ada)
    run = await studio.stop(message)
    await studio.approve(message, run)
    renamed = StoppedRun.load(run.replace("letters_read", "post_read"))
    asked = await studio.approvals.of_message(ada, message.message_id)
    outcome = await studio.agent(ada).go_on(message, renamed, granted=None, approvals=asked)

    assert isinstance(outcome, Answered)
    assert outcome.private


@pytest.mark.parametrize("limits", [{"request_limit": 1}, {"tool_calls_limit": 0}])
async def test_a_limit_ends_the_run_with_a_text_for_the_person(
    database: Database, ada: Principal, limits: dict[str, int]
) -> None:
    """A run that would exceed its limit of requests or tool calls ends with an error that tells the person why."""
    studio = Studio(database, scripted([call("letters_clock", "c")]), **limits)

    with pytest.raises(AgentError, match="more steps than I may"):
        await studio.run(await studio.message(ada))


async def _empty(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    return ModelResponse(parts=[TextPart("")])


async def _quoting(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    (prompt,) = prompts(messages)
    raise UnexpectedModelBehavior(f"cannot answer {prompt}", body=prompt)


@pytest.mark.parametrize("model", [_empty, _quoting])
async def test_a_model_that_fails_is_an_agent_error(
    database: Database, ada: Principal, grace: Principal, model: FunctionDef
) -> None:
    """Text quoted in a model's failure does not reach the person."""
    studio = Studio(database, FunctionModel(model))

    for person in (ada, grace):
        with pytest.raises(AgentError, match="gave no usable answer") as failed:
            await studio.run(await studio.message(person, f"secret of {person.user}"))

        assert "secret" not in str(failed.value)


async def test_a_stopped_run_shows_no_text(database: Database, ada: Principal) -> None:
    """The repr of a stopped run or of an answer contains nothing that anybody wrote."""
    studio = Studio(database, scripted([SHOUT]))
    message = await studio.message(ada, "secret")
    run = await studio.stop(message)
    await studio.approve(message, run)
    outcome = await studio.go_on(message, run)

    assert json.loads(run)["turn"]
    assert "secret" not in repr(StoppedRun.load(run)) + repr(outcome)
    assert "shouted" not in repr(outcome)


_FAILS: dict[str, Callable[[Principal], Exception]] = {
    "busy": lambda _: GoogleError("no answer", status=503),
    "refused": lambda _: GoogleError("no", status=403, reason="forbidden"),
    "without consent": lambda person: ConsentRequiredError(person, frozenset({SEND})),
    "revoked": GrantRevokedError,
    "without access": lambda _: AccessRefusedError("ask your administrator"),
    "questioning": lambda _: AnswerNeededError(Form("Wiki", "Which one?", ()), None),
    "impossible": lambda _: ToolError("no such letter"),
    "wrongly called": lambda _: ModelRetry("another one"),
}


async def _end(studio: Studio, message: StoredMessage, how: str) -> list[weakref.ref[Any]]:
    """Have a run end in the given way, and return weak references to its agent and toolkit."""

    async def before(person: str, name: str) -> None:
        if how in _FAILS:
            raise _FAILS[how](message.principal)
        if how == "crashed":
            raise RuntimeError("secret")
        if how == "cancelled":
            limit.reschedule(0)
            await asyncio.Event().wait()

    letters = Letters(message.principal, Post(before=before))
    agent = studio.agent(message.principal, letters)
    with suppress(RuntimeError, AgentError, TimeoutError, GoogleError):
        async with asyncio.timeout(30) as limit:
            await agent.answer(message)
    return [weakref.ref(agent), weakref.ref(letters)]


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("how", ["answered", "stopped", "crashed", "cancelled", "failed", *_FAILS])
async def test_an_ended_run_leaves_nothing_behind(
    database: Database, ada: Principal, grace: Principal, how: str, calls: int
) -> None:
    """However a run ends, its agent and toolkits are freed without the cyclic collector; two people's at once."""
    limits = {"request_limit": 1} if how == "failed" else {}
    asked = [SHOUT if how == "stopped" else READ_LETTER, call("letters_read", "another")][:calls]
    studio = Studio(database, scripted(asked), **limits)
    messages = []
    for person in (ada, grace):
        studio.tokens.grant(person, READ)
        messages.append(await studio.message(person))

    with without_the_collector():
        ended = await asyncio.gather(*(_end(studio, message, how) for message in messages))
        references = [reference for each in ended for reference in each]
        await fading(references)

        assert [reference() for reference in references] == [None] * 4


class Drafts(Letters):
    """Letters that can be drafted, and stamped any number of times."""

    @tool(effect=Effect.ORGANISE, oauth_scopes=())
    async def draft(self) -> str:
        """Write a draft."""
        return "drafted"

    @tool(effect=Effect.ORGANISE, oauth_scopes=(), repeatable=True)
    async def stamp(self) -> str:
        """Put a stamp on it."""
        return "stamped"


async def test_a_write_that_must_not_be_repeated_is_noted_before_it_is_made(
    database: Database, ada: Principal, grace: Principal
) -> None:
    """An unrepeatable write is noted before it is made and a repeatable one is not; a superseded attempt fails."""
    studio = Studio(database, scripted([call("letters_draft", "one")], [call("letters_stamp", "two")]))
    mine, hers = [await studio.message(person) for person in (ada, grace)]
    await studio.agent(ada, Drafts(ada, studio.post)).answer(mine)
    overtaken = replace(hers, attempt=7)
    with pytest.raises(AgentError, match="taken this message over"):
        await studio.agent(grace, Drafts(grace, studio.post)).answer(overtaken)

    assert await studio.writes.of_message(ada, mine.message_id) == ["letters_draft"]
    assert await studio.writes.of_message(grace, hers.message_id) == []
