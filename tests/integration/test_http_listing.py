"""GET /v1/messages: a person's latest messages in one conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.principal import Principal
from tests.conftest import DATABASES
from tests.fakes.environment import open_environment
from tests.fakes.server import QUESTION, Server
from tests.fixtures import databases_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=DATABASES)
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Yield a server with only HTTP, in this process."""
    folder = tmp_path_factory.mktemp("listed")
    async with (
        databases_of(request, folder) as databases,
        open_environment(folder, databases) as environment,
        environment.in_process() as server,
    ):
        yield server


async def listed(server: Server, person: Principal, **query: Any) -> Any:
    """Return the body of the answer."""
    answer = await server.client.get(
        "/v1/messages", params={"conversation": "main", **query}, headers=await server.bearer(person)
    )
    return answer.json()


async def test_each_person_lists_their_own_latest_messages(server: Server, ada: Principal, grace: Principal) -> None:
    """A person lists their own latest messages of a conversation, oldest first, with texts and answers."""
    for number in range(3):
        for person in (ada, grace):
            await server.ask(person, f"help {person.user} {number}")
    await server.ask(ada, "elsewhere", conversation="other")
    hers, theirs = [(await listed(server, person, limit=2))["messages"] for person in (ada, grace)]

    assert [each["text"] for each in hers] == ["help ada 1", "help ada 2"]
    assert [each["text"] for each in theirs] == ["help grace 1", "help grace 2"]
    assert {each["state"] for each in (*hers, *theirs)} == {"done"}
    assert all(each["answer"] for each in (*hers, *theirs))


async def test_a_message_that_waits_holds_its_question_and_its_buttons(server: Server, ada: Principal) -> None:
    """A listed message that waits has its question and its buttons, so a reloaded page can show them again."""
    posted = (await server.ask(ada, QUESTION, conversation="parked")).json()
    [found] = (await listed(server, ada, conversation="parked"))["messages"]

    assert found == {"text": QUESTION, **posted}
    assert found["consent_url"] in found["question"]
    assert [each["url"] for each in found["buttons"]] == [found["consent_url"]]


@pytest.mark.parametrize(
    "query", [{"conversation": ""}, {"conversation": "a\x00"}, {"limit": 0}, {"limit": 101}], ids=str
)
async def test_a_bad_query_is_refused(server: Server, ada: Principal, query: dict[str, Any]) -> None:
    """An invalid query is refused with a validation error."""
    assert (await listed(server, ada, **query))["error"] == "RequestValidationError"
