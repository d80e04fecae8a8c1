"""Connections, agno's toolkits and agno's agents in the container: overridden in tests, proven and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from dependency_injector import providers
from pydantic import SecretStr

pytest.importorskip("agno", reason="NEEDS agno: pip install 'deputy-assistant[agno]'")

from app.connections.connection import Connection
from app.main import prove_lifetimes
from app.principal import Principal
from app.sections.agents import AgentSettings
from app.sections.connections import ConnectionSettings
from app.sections.toolkits import AgnoToolkitSettings
from app.settings import Settings
from app.toolkits.toolkit import Toolkit, tool
from containers.application import Application
from containers.proof import LifetimeError, mermaid
from containers.scopes import Scoped, ScopeError
from containers.testing import (
    call,
    open_test_app,
    open_test_container,
    open_test_scope,
    scripted,
    settings_in,
    two_principals,
    use_model,
)

GITHUB = ConnectionSettings(
    provider="github", client_id="hub", client_secret=SecretStr("hush"), api=("https://api.github.test",)
)


class Books(Toolkit):
    """Stands in for a toolkit of agno's. Lives for one request."""

    name = "books"

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    @tool(oauth_scopes=(), phrases=("whose",))
    async def get_owner(self) -> str:
        """Return the owner."""
        return f"books of {self._principal.user}"


class Double(Connection[Any]):
    """Stands in for a connection. Lives for one request."""

    def __init__(self, principal: Principal) -> None:
        self._owner = principal.user

    async def aclose(self) -> None:
        """Close nothing."""

    def client(self, base_url: str = "", **_: object) -> httpx2.AsyncClient:
        """Return a client that answers with its owner."""
        answer = httpx2.Response(200, text=f"double-of-{self._owner}")
        return httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: answer), base_url=base_url)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with a connection, a toolkit that uses it, a toolkit of agno's and an agent of agno's."""
    books = AgnoToolkitSettings.model_validate(
        {"agno": "tests.outside.foreign:Ledger", "arguments": {"access_token": {"connection": "github"}}}
    )
    agents = {
        "assistant": AgentSettings(toolkits=("hub", "books")),
        "legacy": AgentSettings(agno="tests.outside.foreign_agent:build", reads=("whoami",)),
    }
    return settings_in(tmp_path).model_copy(
        update={
            "toolkits": {"hub": "tests.outside.hub:HubToolkit", "books": books},
            "connections": {"github": GITHUB},
            "agents": agents,
        }
    )


async def test_all_of_them_are_proven_and_drawn(settings: Settings) -> None:
    """All of them pass the proof, and the graph shows each in the request with what it depends on."""
    async with open_test_container(settings) as container:
        assert await prove_lifetimes(container, settings)
        drawn = mermaid(container)

    for part in ("connections__github", "toolkits__hub", "toolkits__books", "agents__legacy"):
        assert f"    request_{part}[" in drawn
    for toolkit in ("hub", "books"):
        assert f"request_agents__assistant --> request_toolkits__{toolkit}" in drawn
    assert "request_toolkits__hub --> request_connections__github" in drawn


async def test_a_connection_is_overridden(settings: Settings) -> None:
    """A double of a connection reaches the toolkit that asks for it, one for each person, and passes the proof."""
    async with open_test_container(settings) as container:
        with container.connections.providers["github"].override(Scoped(Double, container.principal)):
            assert await prove_lifetimes(container, settings)
            for person in two_principals():
                async with open_test_scope(person) as scope:
                    hub = scope.get(container.toolkits.providers["hub"])

                    assert await hub.repositories() == f"double-of-{person.user}"


@pytest.mark.parametrize("part", ["connections", "toolkits", "agents"])
async def test_an_override_that_people_would_share_is_refused(settings: Settings, part: str) -> None:
    """A singleton in place of a request's own object is refused by the override or by the proof."""
    name = {"connections": "github", "toolkits": "books", "agents": "legacy"}[part]
    async with open_test_container(settings) as container:
        provider = getattr(container, part).providers[name]
        with pytest.raises((LifetimeError, ScopeError)), provider.override(providers.Singleton(object)):
            await prove_lifetimes(container, settings)


async def test_a_toolkit_of_agnos_is_overridden(settings: Settings) -> None:
    """The assistant uses the double of agno's toolkit, separately for each person."""

    def prepare(container: Application) -> None:
        container.toolkits.providers["books"].override(Scoped(Books, container.principal))
        use_model(container, scripted([call("books_get_owner", "1")]))

    async with open_test_app(settings, prepare) as app:
        answers = [(await app.ask(person, "whose")).json()["answer"] for person in two_principals()]

    for person, answer in zip(two_principals(), answers, strict=True):
        assert f"books of {person.user}" in answer


async def test_an_agent_of_agnos_is_overridden(settings: Settings) -> None:
    """Another agent can replace an agent of agno's."""
    legacy = settings.model_copy(update={"default_agent": "legacy"})

    def prepare(container: Application) -> None:
        container.toolkits.providers["books"].override(Scoped(Books, container.principal))
        container.agents.providers["legacy"].override(container.agents.providers["assistant"])
        use_model(container, scripted([call("books_get_owner", "1")]))

    async with open_test_app(legacy, prepare) as app:
        answers = [(await app.ask(person, "whose")).json()["answer"] for person in two_principals()]

    for person, answer in zip(two_principals(), answers, strict=True):
        assert f"books of {person.user}" in answer
