"""A team in the container: assembled in each person's scope, proven, drawn, and overridden."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.sections.agents import AgentSettings
from app.settings import Settings
from app.toolkits.toolkit import Toolkit, tool
from containers.application import Application
from containers.build import build
from containers.proof import mermaid
from containers.scopes import Scoped
from containers.testing import assert_isolated, open_test_app, scripted, settings_in, two_principals
from tests.integration.test_overrides import Greeter

TEAM = {
    "mail": AgentSettings(toolkits=("gmail",)),
    "desk": AgentSettings(members=("mail",)),
    "assistant": AgentSettings(members=("desk", "mail")),
}


class Ask(Toolkit):
    """Its tool has the name by which a team asks the member mail."""

    name = "ask"

    @tool(oauth_scopes=())
    async def mail(self) -> str:
        """Ask."""
        return "asked"


def _settings(folder: Path, **agents: AgentSettings) -> Settings:
    return settings_in(folder).model_copy(update={"agents": {**TEAM, **agents}})


async def test_the_proof_covers_every_member(tmp_path: Path) -> None:
    """Leaders and members are built in two people's scopes at once, and nothing of them is shared or outlives both."""
    container = build(_settings(tmp_path))

    await assert_isolated(container, container.agents.providers["assistant"])


def test_the_graph_shows_who_asks_whom(tmp_path: Path) -> None:
    """`deputy graph` draws a leader as one that depends on its members."""
    container = build(_settings(tmp_path))
    drawn = mermaid(container)

    assert "request_agents__assistant --> request_agents__desk" in drawn
    assert "request_agents__desk --> request_agents__mail" in drawn


async def test_an_override_of_a_members_toolkit_and_model_reaches_the_team(tmp_path: Path) -> None:
    """What a test overrides in the container works in a member, for each person with their own; three levels deep."""

    def prepare(container: Application) -> None:
        container.toolkits.providers["gmail"].override(Scoped(Greeter, container.principal))

    async with open_test_app(_settings(tmp_path), prepare) as app:
        answers = [(await app.ask(person, "show my unread mail")).json() for person in two_principals()]
        app.container.shells.providers["mail"]().model = scripted()
        told = (await app.ask(two_principals()[0], "show my unread mail")).json()

    assert [answer["answer"] for answer in answers] == ["hello ada", "hello grace"]
    assert told["answer"] == "ok"


def test_tools_of_one_name_are_refused_at_the_start(tmp_path: Path) -> None:
    """A toolkit whose tool has the name by which a member is asked stops the start, with both places."""
    settings = settings_in(tmp_path, toolkits={"ask": "tests.integration.test_team_container:Ask"})
    agents = {**TEAM, "assistant": AgentSettings(members=("mail",), toolkits=("ask",))}

    with pytest.raises(
        SettingsError, match=r"agents\.assistant: the member mail and the toolkit ask both have a tool ask"
    ):
        build(settings.model_copy(update={"agents": agents}))
