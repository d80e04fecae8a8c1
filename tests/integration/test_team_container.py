"""A team in the container: assembled in each person's scope, proven, drawn, and overridden."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.deadline import Deadline
from app.errors import SettingsError
from app.principal import Principal
from app.sections.agents import AgentSettings
from app.settings import Settings
from app.toolkits.toolkit import Toolkit, tool
from containers.application import Application
from containers.build import build
from containers.proof import mermaid
from containers.scopes import Scoped
from containers.testing import assert_isolated, call, open_test_app, scripted, settings_in, two_principals
from tests.integration.test_overrides import Greeter

TEAM = {
    "mail": AgentSettings(toolkits=("gmail",)),
    "desk": AgentSettings(members=("mail",)),
    "assistant": AgentSettings(members=("desk", "mail")),
}


class Ask(Toolkit):
    """A toolkit whose tool has the name by which a team asks the member mail."""

    name = "ask"

    @tool(oauth_scopes=())
    async def mail(self) -> str:
        """Ask."""
        return "asked"


def _settings(folder: Path, **agents: AgentSettings) -> Settings:
    return settings_in(folder).model_copy(update={"agents": {**TEAM, **agents}})


async def test_the_proof_covers_every_member(tmp_path: Path) -> None:
    """Leaders and members are built separately in two people's scopes at once, and nothing outlives either."""
    container = build(_settings(tmp_path))

    await assert_isolated(container, container.agents.providers["assistant"])


def test_the_graph_shows_who_asks_whom(tmp_path: Path) -> None:
    """`deputy graph` draws a leader that depends on its members."""
    container = build(_settings(tmp_path))
    drawn = mermaid(container)

    assert "request_agents__assistant --> request_agents__desk" in drawn
    assert "request_agents__desk --> request_agents__mail" in drawn


async def test_an_override_of_a_members_toolkit_and_model_reaches_the_team(tmp_path: Path) -> None:
    """Overriding a toolkit or a model also works for a member three levels deep, for each person separately."""

    def prepare(container: Application) -> None:
        container.toolkits.providers["gmail"].override(Scoped(Greeter, container.principal))

    async with open_test_app(_settings(tmp_path), prepare) as app:
        answers = [(await app.ask(person, "show my unread mail")).json() for person in two_principals()]
        app.container.shells.providers["mail"]().model = scripted()
        told = (await app.ask(two_principals()[0], "show my unread mail")).json()

    assert [answer["answer"] for answer in answers] == ["hello ada", "hello grace"]
    assert told["answer"] == "ok"


class Watch(Toolkit):
    """A toolkit whose tool returns its person and the id of its deadline."""

    name = "watch"

    def __init__(self, principal: Principal, deadline: Deadline) -> None:
        self._principal = principal
        self._deadline = deadline

    @tool(oauth_scopes=())
    async def look(self) -> str:
        """Look."""
        return f"{self._principal.user} {id(self._deadline)}"


class Alarm(Watch):
    """The same toolkit for another member."""

    name = "alarm"


async def test_members_have_their_own_of_all_but_the_person_and_the_deadline(tmp_path: Path) -> None:
    """Members at each of three levels have their own model, instructions and tools, and share person and deadline."""
    here = "tests.integration.test_team_container"
    settings = settings_in(tmp_path, toolkits={"watch": f"{here}:Watch", "alarm": f"{here}:Alarm"})
    team = {
        "mail": AgentSettings(toolkits=("watch",), instructions="Be mail."),
        "desk": AgentSettings(toolkits=("alarm",), members=("mail",), instructions="Be the desk."),
        "assistant": AgentSettings(members=("desk",), instructions="Lead."),
    }
    steps = {
        "mail": [call("watch_look", "1")],
        "desk": [call("ask_mail", "1", task="look"), call("alarm_look", "2")],
        "assistant": [call("ask_desk", "1", task="look")],
    }
    told: dict[str, set[tuple[str, ...]]] = {name: set() for name in team}

    def model_of(name: str) -> FunctionModel:
        answers = scripted(steps[name]).function
        assert answers is not None

        async def note(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            told[name].add((str(info.instructions), *sorted(each.name for each in info.function_tools)))
            answer = answers(messages, info)
            return answer if isinstance(answer, ModelResponse) else await answer

        return FunctionModel(note)

    async with open_test_app(settings.model_copy(update={"agents": team})) as app:
        for name in team:
            app.container.shells.providers[name]().model = model_of(name)
        asked = [(await app.ask(person, "look")).json()["answer"] for person in two_principals()]

    seen = [set(re.findall(r"(ada|grace) (\d+)", answer)) for answer in asked]
    assert [{name for name, _ in each} for each in seen] == [{"ada"}, {"grace"}]
    assert [answer.count(f"{person.user} ") for person, answer in zip(two_principals(), asked, strict=True)] == [2, 2]
    assert [len(each) for each in seen] == [1, 1]
    assert all(team[name].instructions in first for name, each in told.items() for first, *_ in each)
    assert {name: {tuple(tools) for _, *tools in each} for name, each in told.items()} == {
        "mail": {("watch_look",)},
        "desk": {("alarm_look", "ask_mail")},
        "assistant": {("ask_desk",)},
    }


def test_tools_of_one_name_are_refused_at_the_start(tmp_path: Path) -> None:
    """A toolkit whose tool has the name by which a member is asked stops the start, with both places."""
    settings = settings_in(tmp_path, toolkits={"ask": "tests.integration.test_team_container:Ask"})
    agents = {**TEAM, "assistant": AgentSettings(members=("mail",), toolkits=("ask",))}

    with pytest.raises(
        SettingsError, match=r"agents\.assistant: the member mail and the toolkit ask both have a tool ask"
    ):
        build(settings.model_copy(update={"agents": agents}))
