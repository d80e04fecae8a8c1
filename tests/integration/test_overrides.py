"""Overrides in a serving container: they apply from the next request, and end with their block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from dependency_injector import providers
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.principal import Principal
from app.toolkits.toolkit import Toolkit, tool
from containers.scopes import Scoped
from tests.fakes.environment import open_environment
from tests.fakes.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Greeter(Toolkit):
    """Stands in for Gmail, and asks for no consent. Lives for one request."""

    name = "gmail"

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    @tool(oauth_scopes=(), phrases=(r"show my unread mail",))
    async def greet(self) -> str:
        """Greet the person."""
        return f"hello {self._principal.user}"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Yield a server on a socket."""
    async with (
        open_environment(Path(tmp_path_factory.mktemp("overrides"))) as environment,
        environment.server() as server,
    ):
        yield server


async def tool_names(server: Server, principal: Principal) -> set[str]:
    """Return the names of the tools that the live route lists for this person."""
    response = await server.client.get("/v1/me", headers=await server.bearer(principal))
    assert response.json()["principal"] == str(principal)
    return {each["name"] for each in response.json()["tools"]}


async def test_an_override_of_a_toolkit_reaches_the_next_request(
    server: Server, ada: Principal, grace: Principal
) -> None:
    """While a toolkit is overridden every person's requests get the override, and afterwards Gmail again."""
    before = await tool_names(server, ada)
    with server.container.toolkits.gmail.override(Scoped(Greeter, server.container.principal)):
        during = [await tool_names(server, person) for person in (ada, grace)]
    after = [await tool_names(server, person) for person in (ada, grace)]

    assert during == [{"gmail_greet"}, {"gmail_greet"}]
    assert after == [before, before]
    assert "gmail_unread" in before


async def test_an_override_of_a_toolkit_reaches_the_worker(server: Server, ada: Principal, grace: Principal) -> None:
    """While a toolkit is overridden the worker answers with the override, each person from their own instance."""
    with server.container.toolkits.gmail.override(Scoped(Greeter, server.container.principal)):
        during = [(await server.ask(person, "show my unread mail")).json() for person in (ada, grace)]
    after = (await server.ask(ada, "show my unread mail")).json()

    assert [each["answer"] for each in during] == ["hello ada", "hello grace"]
    assert after["state"] == "parked"


async def test_an_override_below_the_toolkit_reaches_it(server: Server, ada: Principal) -> None:
    """An object that a toolkit depends on can be overridden without naming the toolkit."""

    class Unreachable:
        """Stands in for Google's authorization server."""

    with server.container.google_auth.override(Unreachable()):
        replaced = server.container.google_auth()
        during = await tool_names(server, ada)
    after = server.container.google_auth()

    assert isinstance(replaced, Unreachable)
    assert "gmail_unread" in during
    assert not isinstance(after, Unreachable)


async def test_an_override_of_the_model_reaches_new_shells(server: Server, ada: Principal, grace: Principal) -> None:
    """To override a model its shell is overridden too, because a shell is built once with its model."""

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart("another model")])

    container = server.container
    shell: Any = container.shells.providers["assistant"]
    before = (await server.ask(ada, "hello")).json()["answer"]
    (model,) = container.models.providers.values()
    with (
        model.override(providers.Object(FunctionModel(answer))),
        shell.override(providers.Factory(shell.provides, *shell.args, **shell.kwargs)),
    ):
        during = [(await server.ask(person, "hello")).json()["answer"] for person in (ada, grace)]
    after = (await server.ask(ada, "hello")).json()["answer"]

    assert during == ["another model", "another model"]
    assert before == after
    assert "offline demo model" in before
