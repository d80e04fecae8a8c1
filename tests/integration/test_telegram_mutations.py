"""Mutated updates: whatever is posted, no 5xx, and no valid message is lost."""

from __future__ import annotations

import copy
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.sandbox.telegram.chats import BotMessage, TelegramChats
from app.sandbox.telegram.updates import TelegramPeople
from tests.fakes.environment import open_environment, with_telegram
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

_GROUP = -1900
_BOT = {"id": 700, "is_bot": True, "first_name": "Deputy", "username": "deputy_bot"}
_PEOPLE = TelegramPeople(TelegramChats(), _BOT, "")
_QUESTION = BotMessage(5, 901, None, "x", keyboard=[[{"text": "Approve", "callback_data": "approve 3f2a"}]])
_VALID: list[dict[str, Any]] = [
    _PEOPLE.write(901, "repeat hello"),
    _PEOPLE.write(901, "@deputy_bot repeat hello", chat=_GROUP, thread=3),
    _PEOPLE.write(901, None, photo=[{"file_id": "p", "file_size": 5}], caption="look"),
    _PEOPLE.write(901, "x", forward_origin={"type": "user", "sender_user": {"id": 902, "first_name": "Grace"}}),
    _PEOPLE.press(901, _QUESTION, "Approve"),
    _PEOPLE.update("stopped_message_generation", {"chat": _PEOPLE.chat(901, None), "draft_id": 3}),
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_numbers = itertools.count(950)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server that Telegram posts to."""
    async with open_environment(Path(tmp_path_factory.mktemp("mutations"))) as environment:
        interfaces = with_telegram(environment, environment.settings.interfaces)
        async with environment.in_process(ScriptedModel().install, interfaces=interfaces) as server:
            yield server


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return (
        [path, *(place for key, inner in items for place in places(inner, (*path, key)))]
        if path
        else [place for key, inner in items for place in places(inner, (key,))]
    )


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A valid update of which some places hold something else, or nothing."""
    update: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(_VALID)))
    for path in draw(st.lists(st.sampled_from(places(update)), min_size=1, max_size=3, unique=True)):
        holder: Any = update
        try:
            for key in path[:-1]:
                holder = holder[key]
            if draw(st.booleans()):
                holder[path[-1]] = draw(_JSON)
            else:
                del holder[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return update


@settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(update=mutated())
async def test_no_update_breaks_the_webhook(server: Server, update: dict[str, Any]) -> None:
    """It is taken, as Telegram would only send it again."""
    assert (await server.telegram.people.post(server.client, update)).status_code == 200


async def test_valid_messages_among_them_are_answered(server: Server) -> None:
    """After all that, people are answered, each their own."""
    users = [next(_numbers) for _ in range(2)]
    for user in users:
        await server.telegram.people.post(server.client, server.telegram.people.write(user, f"repeat {user}"))
    for user in users:
        answers = await eventually(lambda user=user: server.telegram.chats.in_chat(user))  # type: ignore[misc]
        assert [answer.text for answer in answers] == [str(user)]
