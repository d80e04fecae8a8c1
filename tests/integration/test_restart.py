"""A server ends and another one starts on the same database: everything that waited continues automatically."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.principal import Principal
from app.sandbox.google.gmail.letters import MARKER
from app.sections.delivery import DeliverySettings
from containers.application import Application
from tests.conftest import DATABASES
from tests.fakes.environment import Environment, open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import (
    ADA,
    APPROVAL_CODE,
    CONSENT_LINK,
    GRACE,
    QUESTION,
    TEAM,
    Ahead,
    Server,
    direct,
    eventually,
    hasty,
    own_markers,
    user,
)
from tests.fixtures import databases_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = {"ada": ADA, "grace": GRACE}


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=DATABASES)
async def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Environment]:
    """Yield a Google and a Slack that outlive the servers, once with each kind of database."""
    folder = Path(tmp_path_factory.mktemp("restart"))
    async with databases_of(request, folder) as databases, open_environment(folder, databases) as environment:
        yield environment


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Return a prefix that makes people new to a test."""
    return str(request.function.__name__).removeprefix("test_").replace("_", "")


async def say(server: Server, name: str, text: str) -> None:
    """Write to the assistant in Slack, in the direct chat."""
    event = server.slack.event(user=user(name), text=text, channel=direct(name))
    (await server.deliver(event)).raise_for_status()


def person(name: str) -> Principal:
    """Return the principal of this person."""
    return Principal("slack", TEAM, user(name))


async def test_what_waits_for_consent_goes_on_after_a_restart(environment: Environment, prefix: str) -> None:
    """Consent links sent before a restart work after it, and each person is answered from their own account."""
    names = [f"{name}{prefix}" for name in PEOPLE]
    async with environment.server(database=prefix) as server:
        for name in names:
            await say(server, name, QUESTION)
        asked = [(await server.posts(direct(name), 1))[0].text for name in names]
    async with environment.server(database=prefix) as server:
        for name, text, email in zip(names, asked, PEOPLE.values(), strict=True):
            link = CONSENT_LINK.search(text)
            assert link is not None
            await server.confirm(person(name), await server.consent(link[0], email))
        posts = [await server.posts(direct(name), 2) for name in names]

    own = own_markers(environment.google, PEOPLE.values())
    for (_, answer), email in zip(posts, PEOPLE.values(), strict=True):
        assert set(MARKER.findall(answer.text.lower()))
        assert set(MARKER.findall(answer.text.lower())) <= own[email]


async def test_what_waits_for_approval_goes_on_after_a_restart(environment: Environment, prefix: str) -> None:
    """A call that needed approval before a restart is approved after it, and runs once."""
    names = [f"{name}{prefix}" for name in PEOPLE]
    async with environment.server(database=prefix) as server:
        for name, email in zip(names, PEOPLE.values(), strict=True):
            await server.connect(person(name), email)
            await say(server, name, f'/gmail_send to=nobody@example.com subject="{name}" body="hello"')
        asked = [(await server.posts(direct(name), 1))[0].text for name in names]
    async with environment.server(database=prefix) as server:
        for name, text in zip(names, asked, strict=True):
            code = APPROVAL_CODE.search(text)
            assert code is not None
            await say(server, name, code[0])
        for name in names:
            await server.posts(direct(name), 3)

    for name, email in zip(names, PEOPLE.values(), strict=True):
        sent = [letter for letter in environment.google.mailbox(email) if "SENT" in letter.label_ids]
        assert [letter.subject for letter in sent].count(name) == 1


async def test_what_was_begun_is_answered_after_a_restart(environment: Environment, prefix: str) -> None:
    """Messages that a server accepted but did not answer are answered once by the next one, in order."""
    names = [f"{name}{prefix}" for name in PEOPLE]
    model = ScriptedModel()

    def prepare(container: Application) -> None:
        hasty(container)
        model.install(container)

    async with environment.server(prepare, database=prefix) as server:
        for name in names:
            await say(server, name, f"wait {name}")
            await say(server, name, "repeat later")
        await eventually(lambda: len(model.begun) == 2)
    told = [server.posted(direct(name)) for name in names]
    model.gate.set()
    async with environment.server(model.install, database=prefix) as server:
        posts = [await server.posts(direct(name), 2) for name in names]
        await asyncio.sleep(0.1)

        assert told == [[], []]
        for name, answers in zip(names, posts, strict=True):
            assert [post.text for post in answers] == [f"waited {name}", "later"]
            assert server.posted(direct(name)) == answers


async def test_what_waits_too_long_expires(environment: Environment, prefix: str) -> None:
    """A parked message that expires while no server runs is dropped with a reply, and a later consent wakes nothing."""
    delivery = DeliverySettings(parked_seconds=60, scan_seconds=0.02)

    def later(container: Application) -> None:
        Ahead(60).install(container)
        container.parking.add_kwargs(now=Ahead(60))

    async with environment.server(database=prefix, delivery=delivery) as server:
        await say(server, prefix, QUESTION)
        asked = (await server.posts(direct(prefix), 1))[0].text
    async with environment.server(later, database=prefix, delivery=delivery) as server:
        await server.posts(direct(prefix), 2)
        link = CONSENT_LINK.search(asked)
        assert link is not None
        await server.confirm(person(prefix), await server.consent(link[0], ADA))
        await asyncio.sleep(0.2)
        posts = server.posted(direct(prefix))

    assert "and dropped your message" in posts[1].text
    assert len(posts) == 2
