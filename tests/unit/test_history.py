"""The history of one person in one conversation."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from app.conversations.history import Conversations, History, keep
from app.database.database import Database
from app.database.tables import turns
from app.principal import Principal
from containers.testing import prompts


class Shelf:
    """Conversations that a test adds to."""

    def __init__(self, database: Database) -> None:
        self.conversations = Conversations(database)
        self._database = database
        self._sequence = 0

    async def add(
        self,
        person: Principal,
        text: str,
        *between: ModelMessage,
        conversation: str = "c",
        private: bool = False,
        sequence: int | None = None,
    ) -> None:
        """Store a turn that begins with this text."""
        self._sequence += 1
        turn = [
            ModelRequest(parts=[UserPromptPart(text)]),
            *between,
            ModelResponse(parts=[TextPart(f"about {text}")], model_name="test"),
        ]
        async with self._database.writing() as connection:
            place = (person, conversation, sequence or self._sequence)
            await keep(connection, self.conversations.row(*place, turn, private=private))

    async def load(self, person: Principal, conversation: str = "c", turns_at_most: int = 20) -> History:
        """Load a history."""
        return await self.conversations.load(person, conversation, turns_at_most=turns_at_most)


@pytest.fixture
def shelf(database: Database) -> Shelf:
    """Return conversations without turns."""
    return Shelf(database)


def _call(*call_ids: str) -> ModelResponse:
    return ModelResponse(parts=[ToolCallPart("letters_read", {}, call_id) for call_id in call_ids], model_name="test")


def _result(call_id: str, content: str = "a letter") -> ModelRequest:
    return ModelRequest(parts=[ToolReturnPart("letters_read", content, call_id)])


async def test_each_speaker_of_a_group_has_their_own_history(shelf: Shelf, ada: Principal, grace: Principal) -> None:
    """In one conversation nobody's history holds what another person said or was answered."""
    for number in range(3):
        await shelf.add(ada, f"ada {number}")
        await shelf.add(grace, f"grace {number}")

    mine, hers = await shelf.load(ada), await shelf.load(grace)

    assert prompts(mine.messages) == ["ada 0", "ada 1", "ada 2"]
    assert prompts(hers.messages) == ["grace 0", "grace 1", "grace 2"]
    assert "grace" not in str(mine.messages)


async def test_a_person_elsewhere_is_another_person(shelf: Shelf, ada: Principal) -> None:
    """A history holds neither another conversation nor the same user id in another tenant or on another platform."""
    await shelf.add(ada, "here")
    await shelf.add(ada, "there", conversation="other")
    for stranger in (replace(ada, tenant="other"), replace(ada, platform="slack")):
        await shelf.add(stranger, "stranger")

    assert prompts((await shelf.load(ada)).messages) == ["here"]


async def test_the_latest_turns_are_kept_whole(shelf: Shelf, ada: Principal) -> None:
    """The limit counts whole turns in the order of their messages, so that no call loses its result."""
    await shelf.add(ada, "third", _call("1", "2"), _result("1"), _result("2"), sequence=3)
    await shelf.add(ada, "first", sequence=1)
    await shelf.add(ada, "second", _call("1"), _result("1"), sequence=2)

    history = await shelf.load(ada, turns_at_most=2)

    assert prompts(history.messages) == ["second", "third"]
    assert len([part for each in history.messages for part in each.parts if isinstance(part, ToolReturnPart)]) == 3
    assert (await shelf.load(ada, turns_at_most=0)).messages == []


async def test_a_history_is_in_the_form_that_a_run_gives_it(shelf: Shelf, ada: Principal) -> None:
    """Consecutive requests are merged, as in a run, so that a turn can be distinguished from earlier ones."""
    await shelf.add(ada, "both", _call("1", "2"), _result("1"), _result("2"))

    assert [type(message) for message in (await shelf.load(ada)).messages] == [
        ModelRequest,
        ModelResponse,
        ModelRequest,
        ModelResponse,
    ]


async def test_a_history_is_private_while_one_of_its_turns_is(shelf: Shelf, ada: Principal, grace: Principal) -> None:
    """While a private turn is within the limit, its person's history in that conversation is private."""
    await shelf.add(ada, "private", private=True)
    await shelf.add(grace, "hers")
    await shelf.add(ada, "public")
    await shelf.add(ada, "elsewhere", conversation="other")

    assert (await shelf.load(ada)).private
    assert not (await shelf.load(ada, turns_at_most=1)).private
    assert not (await shelf.load(grace)).private
    assert not (await shelf.load(ada, "other")).private


async def test_broken_text_of_a_tool_does_not_end_the_conversation(shelf: Shelf, ada: Principal) -> None:
    """Half of a surrogate pair, which databases and JSON readers refuse, is replaced, and everything else is kept."""
    await shelf.add(ada, "Grüße 👋", _call("1"), _result("1", "half \ud83d of it, \x00, 👍"))

    history = await shelf.load(ada)

    assert prompts(history.messages) == ["Grüße 👋"]
    assert "half ? of it" in str(history.messages)
    assert "👍" in str(history.messages)


async def test_no_text_shows_in_a_repr(shelf: Shelf, ada: Principal) -> None:
    """A history's repr shows whether it is private and nothing of what was said."""
    await shelf.add(ada, "secret", private=True)

    assert repr(await shelf.load(ada)) == "History(private=True)"


async def test_what_is_too_long_together_loses_its_oldest_turns(
    shelf: Shelf, database: Database, ada: Principal, grace: Principal
) -> None:
    """As many of the latest turns as fit are loaded whole, and each person's turns are counted separately."""
    for number in range(4):
        for person in (ada, grace):
            await shelf.add(person, f"{number} {'x' * 1000}", sequence=10 * number + 1)
    two_turns = 6000  # a turn holds its text twice
    history = await shelf.conversations.load(ada, "c", turns_at_most=20, characters_at_most=two_turns)
    everything = await shelf.conversations.load(grace, "c", turns_at_most=20)

    assert (history.sequences, history.outgrown) == ((21, 31), True)
    assert (everything.sequences, everything.outgrown) == ((1, 11, 21, 31), False)


async def test_one_turn_that_is_too_long_or_unreadable_holds_up_nothing(
    shelf: Shelf, database: Database, ada: Principal
) -> None:
    """A history continues without a turn that is too long or unreadable."""
    await shelf.add(ada, "x" * 10_000)
    for text in ("one", "two"):
        await shelf.add(ada, text)
    async with database.writing() as connection:
        await connection.execute(turns.update().where(turns.c.sequence == 2).values(messages='[{"kind": "strange"}]'))

    assert prompts((await shelf.conversations.load(ada, "c", turns_at_most=9, characters_at_most=5000)).messages) == [
        "two"
    ]
    assert len((await shelf.load(ada)).sequences) == 2
