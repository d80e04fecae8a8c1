"""Agents written for agno: a factory builds one for each request, and their acts wait for approval."""

from __future__ import annotations

import asyncio
import gc
import re
from pathlib import Path

import pytest

pytest.importorskip("agno", reason="NEEDS agno: pip install 'deputy-assistant[agno]'")

from app.deadline import Deadline
from app.errors import SettingsError
from app.principal import Principal
from app.sections.agents import AgentSettings
from app.settings import Settings
from containers.agno_agents import try_agno_agent
from containers.proof import LifetimeError
from containers.testing import AppClient, open_test_app, open_test_container, settings_in
from tests.outside import foreign_agent


def settings(folder: Path, function: str = "build") -> Settings:
    """Return settings with one agno agent."""
    path = f"tests.outside.foreign_agent:{function}"
    return settings_in(folder, agent=AgentSettings(agno=path, reads=("whoami",)))


def person(number: int) -> Principal:
    """Return a person over HTTP."""
    return Principal("http", "demo", f"person{number}x")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    foreign_agent.BORN.clear()
    foreign_agent.PAID.clear()


@pytest.mark.system  # a crowd
async def test_thirty_people_at_once_each_have_their_own(tmp_path: Path) -> None:
    """Thirty people at once are each answered by their own agent; all are freed without the cyclic collector."""

    async def ask(app: AppClient, number: int) -> str:
        answer = (await app.ask(person(number), "whoami")).json()
        return str(await app.told(person(number), answer["message"]))

    try:
        async with open_test_app(settings(tmp_path)) as app:
            foreign_agent.BORN.clear()
            gc.collect()
            gc.disable()
            answers = await asyncio.gather(*(ask(app, number) for number in range(30)))
        alive = [type(each()).__name__ for each in foreign_agent.BORN if each() is not None]
    finally:
        gc.enable()

    for number, answer in enumerate(answers):
        assert f"person{number}x" in answer
        assert not any(f"person{other}x" in answer for other in range(30) if other != number)
    assert len(foreign_agent.BORN) == 60
    assert alive == []


async def test_a_pause_is_an_approval_that_survives_a_restart(tmp_path: Path) -> None:
    """After a restart, each of two people's pending calls is made once, by a new agent, when only they approve it."""
    people, words = (person(1), person(2)), ("pay 5", "pay 7")
    async with open_test_app(settings(tmp_path)) as app:
        asked = [(await app.ask(each, text)).json()["message"] for each, text in zip(people, words, strict=True)]
        waiting = [await app.told(each, message, wait=0) for each, message in zip(people, asked, strict=True)]
        codes = [one["approval"]["code"] for one in waiting]
    gc.collect()
    former = [each() for each in foreign_agent.BORN if each() is not None]
    paid_before = list(foreign_agent.PAID)

    async with open_test_app(settings(tmp_path)) as app:
        foreign_agent.BORN.clear()  # without those of the proof
        foreign = [
            (await app.ask(each, f"approve {code}")).json() for each, code in zip(people, codes[::-1], strict=True)
        ]
        paid_by_foreign = list(foreign_agent.PAID)
        await asyncio.gather(*(app.ask(each, f"approve {code}") for each, code in zip(people, codes, strict=True)))
        answers = [str(await app.told(each, message)) for each, message in zip(people, asked, strict=True)]
        late = [(await app.ask(each, f"approve {code}")).json() for each, code in zip(people, codes, strict=True)]

    assert (former, paid_before, paid_by_foreign) == ([], [], [])
    assert all("no pending approval" in one["answer"] for one in foreign)
    assert all("no longer open" in one["answer"] for one in late)
    assert sorted(foreign_agent.PAID) == ["person1x paid 5", "person2x paid 7"]
    assert "person1x paid 5" in answers[0]
    assert "person2x paid 7" in answers[1]
    assert len(foreign_agent.BORN) == 4  # an agent and a bank for each person


async def test_what_was_said_is_the_persons_own(tmp_path: Path) -> None:
    """An agent gets the history of its own person only."""
    async with open_test_app(settings(tmp_path)) as app:
        await app.told(person(1), (await app.ask(person(1), "hello")).json()["message"])
        told = await app.told(person(1), (await app.ask(person(1), "hello")).json()["message"])
        other = await app.told(person(2), (await app.ask(person(2), "hello")).json()["message"])

    assert "2 messages" in str(told)
    assert "1 messages" in str(other)


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        ("shared", "is an agent, which everybody would share"),
        ("missing", "cannot be imported"),
        ("greedy", "asks for everything: dict"),
        ("team", "gives a Team of agno's, whose members it would run without asking the person; write a function for"),
        ("workflow", "gives a Workflow of agno's"),
    ],
)
async def test_what_is_no_factory_is_refused(tmp_path: Path, function: str, fault: str) -> None:
    """A setting that does not name a usable factory is refused at the start, with the reason."""
    with pytest.raises(SettingsError, match=fault):
        async with open_test_container(settings(tmp_path, function)):
            pass


async def test_a_factory_that_gives_out_one_agent_is_refused(tmp_path: Path) -> None:
    """A factory that returns the same agent twice is refused by the proof, which builds it for two requests."""
    with pytest.raises(LifetimeError, match="gave out the same Agent again"):
        async with open_test_app(settings(tmp_path, "give_shared")):
            pass


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        ("build_team", "gives a Team of agno's.*`members` for the team"),
        ("with_files", "a FileTools, which works on files or processes of this machine"),
        ("from_environment", r"builds a toolkit that reads BANK_TOKEN from.*allow_environment: \[BANK_TOKEN\]"),
    ],
)
async def test_a_factory_whose_agent_may_not_be_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, fault: str
) -> None:
    """A factory whose agent may not be run is refused by the proof, which builds one at the start."""
    monkeypatch.setenv("BANK_TOKEN", "everybody")
    monkeypatch.setenv("MODEL_API_KEY", "the company's")
    with pytest.raises((LifetimeError, SettingsError), match=fault) as refused:
        async with open_test_app(settings(tmp_path, function)):
            pass

    assert "MODEL_API_KEY" not in str(refused.value)


async def test_a_credential_for_everybody_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment variable that the settings list reaches a toolkit that the factory builds."""
    monkeypatch.setenv("BANK_TOKEN", "company")
    monkeypatch.setenv("MODEL_API_KEY", "the company's")
    path = "tests.outside.foreign_agent:from_environment"
    listed = AgentSettings(agno=path, reads=("whoami",), allow_environment=("BANK_TOKEN",))
    async with open_test_app(settings_in(tmp_path, agent=listed)) as app:
        answer = (await app.ask(person(1), "whoami")).json()

        assert "company" in str(await app.told(person(1), answer["message"]))


@pytest.mark.parametrize(
    ("function", "place"),
    [
        ("with_one_model", "agent.model, a Echo"),
        ("with_one_state", "agent.session_state, a dict"),
        ("with_one_book", "book, a dict"),
        ("with_one_method", "__self__, a Ledger"),
        ("with_one_variable", "its variable book, a dict"),
    ],
)
async def test_a_factory_whose_agents_share_something_is_refused(tmp_path: Path, function: str, place: str) -> None:
    """A factory whose agents are distinct but share an object is refused."""
    async with open_test_container(settings(tmp_path, function)) as container:
        one, other = ((person(number), Deadline.after(60)) for number in (1, 2))
        found = await try_agno_agent(container, "assistant", one, other)

    assert found
    assert any(re.search(place, finding.fault) for finding in found)


async def test_the_start_tries_each_factory(tmp_path: Path) -> None:
    """The start refuses a factory whose agents share a model."""
    with pytest.raises(LifetimeError, match=r"`agents.assistant` has one object in two requests"):
        async with open_test_app(settings(tmp_path, "with_one_model")):
            pass
