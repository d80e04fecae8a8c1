"""A fault in a tool ends that call, not the run; and how much a message may organise without approval."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic_ai.messages import ToolCallPart

from app.agents.agent import Answered
from app.agents.organised import MAX_ORGANISED
from app.agents.run import StoppedRun
from app.database.database import Database
from app.messages import StoredMessage
from app.principal import Principal
from app.toolkits.toolkit import Effect, tool
from containers.testing import call, scripted
from tests.fakes.assistants import Letters
from tests.fakes.studio import Studio

SECRET = "text-of-a-letter"


class Faulty(Letters):
    """Letters whose tools fail in the ways in which Python code fails."""

    @tool(oauth_scopes=())
    async def raises(self) -> str:
        """Look something up that is not there."""
        return {"a": SECRET}[SECRET]

    @tool(oauth_scopes=())
    async def groups(self) -> str:
        """Fail in two tasks at once."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_fails())
            tasks.create_task(_fails())
        return "done"

    @tool(oauth_scopes=())
    async def times_out(self) -> str:
        """Wait for something that does not come."""
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
        return "done"

    @tool(oauth_scopes=())
    async def recurses(self) -> str:
        """Call itself."""
        return await self.recurses()

    @tool(oauth_scopes=())
    async def returns_an_object(self) -> Any:
        """Return what no model can read."""
        return {"letter": _Opaque()}

    @tool(oauth_scopes=())
    async def returns_half_a_pair(self) -> str:
        """Return what cannot be encoded."""
        return f"{SECRET}\ud83d"

    @tool(effect=Effect.ORGANISE, oauth_scopes=())
    async def draft(self) -> str:
        """Write a draft, and fail after it."""
        raise ValueError(SECRET)


class _Opaque:
    def __repr__(self) -> str:
        return SECRET


async def _fails() -> None:
    raise ValueError(SECRET)


@pytest.mark.parametrize(
    ("name", "cause", "place"),
    [
        ("raises", "KeyError", "in raises"),
        ("groups", "ExceptionGroup", "in groups"),
        ("times_out", "TimeoutError", "in times_out"),
        ("recurses", "RecursionError", "in recurses"),
        ("returns_an_object", "its result, of the type", "cannot be sent to a model"),
        ("returns_half_a_pair", "its result, of the type", "cannot be sent to a model"),
        ("draft", "ValueError", "in draft"),
    ],
)
async def test_a_tool_that_fails_ends_its_call_alone(
    database: Database,
    ada: Principal,
    grace: Principal,
    caplog: pytest.LogCaptureFixture,
    name: str,
    cause: str,
    place: str,
) -> None:
    """After a tool fails the run continues, the fault is logged without values, and others' runs are unaffected."""
    step = [call(f"letters_{name}", "f")]
    studio = Studio(database, scripted(step, [call("letters_clock", "c")]))
    mine, hers = [await studio.message(person) for person in (ada, grace)]
    outcome, other = await asyncio.gather(
        studio.agent(ada, Faulty(ada, studio.post)).answer(mine),
        Studio(database, scripted([call("letters_clock", "c")])).run(hers),
    )
    (line,) = [record.getMessage() for record in caplog.records if record.name == "app.agents.guard"]

    assert isinstance(outcome, Answered)
    assert outcome.text.endswith("letters_clock: noon")
    assert f"letters_{name} failed because of a fault in it" in outcome.text
    assert isinstance(other, Answered)
    assert other.text == "letters_clock: noon"
    assert all(each in line for each in (mine.message_id, str(ada), f"letters_{name}", cause, place))
    assert SECRET not in line + outcome.text


class Filing(Letters):
    """Letters that can be filed and stamped, several at once."""

    @tool(effect=Effect.ORGANISE, oauth_scopes=(), repeatable=True)
    async def file(self, ids: list[str]) -> str:
        """File letters."""
        await self._post.do(self._principal, "file", ids=ids)
        return "filed"

    @tool(effect=Effect.ORGANISE, oauth_scopes=(), repeatable=True)
    async def stamp(self, ids: list[str]) -> str:
        """Stamp letters."""
        await self._post.do(self._principal, "stamp", ids=ids)
        return "stamped"


def _organises(tool: str, call_id: str, number: int) -> ToolCallPart:
    return call(f"letters_{tool}", call_id, ids=[f"{call_id}{each}" for each in range(number)])


def _done(studio: Studio, person: Principal) -> int:
    return sum(len(arguments["ids"]) for who, _, arguments in studio.post.done if who == person.user)


async def _answer(studio: Studio, message: StoredMessage) -> Answered | StoppedRun:
    return await studio.agent(message.principal, Filing(message.principal, studio.post)).answer(message)


async def _go_on(studio: Studio, message: StoredMessage, stopped: StoppedRun) -> Answered | StoppedRun:
    await studio.approve(message, stopped.dump())
    asked = await studio.approvals.of_message(message.principal, message.message_id)
    agent = studio.agent(message.principal, Filing(message.principal, studio.post))
    return await agent.go_on(message, StoppedRun.load(stopped.dump()), granted=None, approvals=asked)


async def test_what_is_organised_counts_over_all_tools_of_a_message(
    database: Database, ada: Principal, grace: Principal
) -> None:
    """All tools of a message share one limit on organising without approval, and each person has their own."""
    steps = [_organises("file", "a", 6)], [_organises("stamp", "b", 4)], [_organises("file", "c", 1)]
    studio, within = Studio(database, scripted(*steps)), Studio(database, scripted(*steps[:2]))
    mine, hers = [await studio.message(person) for person in (ada, grace)]
    stopped, answered = await asyncio.gather(_answer(studio, mine), _answer(within, hers))

    assert isinstance(stopped, StoppedRun)
    assert [each.call_id for each in stopped.pending_calls] == ["c"]
    assert isinstance(answered, Answered)
    assert (_done(studio, ada), _done(within, grace)) == (MAX_ORGANISED, MAX_ORGANISED)


async def test_calls_of_one_step_count_together(database: Database, ada: Principal) -> None:
    """Calls that run in parallel in one step count towards the limit like sequential ones."""
    studio = Studio(database, scripted([_organises("file", f"{number}-", 3) for number in range(8)]))
    stopped = await _answer(studio, await studio.message(ada))

    assert isinstance(stopped, StoppedRun)
    assert len(stopped.pending_calls) == 5
    assert _done(studio, ada) == 9


async def test_what_earlier_runs_of_a_message_organised_counts(
    database: Database, ada: Principal, grace: Principal
) -> None:
    """An approval allows only its own call, and does not reset the count of what the message has organised."""
    steps = [_organises("file", "a", 8)], [_organises("stamp", "b", 5)], [_organises("file", "c", 3)]
    studio = Studio(database, scripted(*steps))
    for person in (ada, grace):
        message = await studio.message(person)
        first = await _answer(studio, message)
        assert isinstance(first, StoppedRun)
        second = await _go_on(studio, message, first)

        assert isinstance(second, StoppedRun)
        assert [each.call_id for each in second.pending_calls] == ["c"]
        assert _done(studio, person) == 13
