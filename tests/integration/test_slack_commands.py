"""Slash commands and the App Home: answered privately, once, and for the person who used them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from app.principal import Principal
from app.sandbox.slack.blocks import buttons_in, shown_text
from app.sandbox.slack.clicks import home_opened, post_form, post_interaction, press_at_home, slash
from interfaces.slack.slash import ANSWERED_DIRECTLY, NO_DIRECT_CHAT
from tests.fakes.environment import Environment, open_environment, with_sockets
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import ADA, GRACE, PATIENCE_SECONDS, TEAM, Server, direct, eventually, user

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def environment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Environment]:
    """Yield a Google and a Slack."""
    async with open_environment(Path(tmp_path_factory.mktemp("commands"))) as environment:
        yield environment


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(environment: Environment) -> AsyncIterator[Server]:
    """Yield a server on a socket, with Ada and Grace connected."""
    async with environment.server(ScriptedModel().install) as server:
        for name, email in (("ada", ADA), ("grace", GRACE)):
            await server.connect(Principal("slack", TEAM, user(name)), email)
        yield server


async def command(server: Server, form: dict[str, str]) -> httpx2.Response:
    """Send a slash command as Slack does."""
    return await post_form(server.slack, server.client, "/slack/commands", form)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("connect", "/connect/google/"),
        ("Connect as work", "/connect/google/"),
        ("accounts", "Your Google accounts:"),
        ("status", "I'm not working on anything for you right now."),
        ("NEW", "I have forgotten what we said here."),
        ("repeat any other words", "any other words"),
    ],
)
async def test_a_command_is_answered_in_the_direct_chat(server: Server, words: str, told: str) -> None:
    """A command in a channel is answered in the direct chat, and the channel shows only that, to its sender."""
    before = {name: len(server.posted(direct(name))) for name in ("ada", "grace")}
    answers = await asyncio.gather(
        *(command(server, slash(words, user=user(name), channel="C0GENERAL", team=TEAM)) for name in before)
    )

    assert [answer.json() for answer in answers] == [{"response_type": "ephemeral", "text": ANSWERED_DIRECTLY}] * 2
    for name, count in before.items():
        assert told in (await server.posts(direct(name), count + 1))[count].text
    assert not server.posted("C0GENERAL")


async def test_a_command_that_is_sent_twice_counts_once(server: Server) -> None:
    """A command that Slack sends twice is answered once, and the same text typed again is a new command."""
    first, second = (slash("repeat once", user=user("twice"), channel="C0GENERAL", team=TEAM) for _ in range(2))
    for form in (first, first, second):
        assert (await command(server, form)).status_code == 200
    await command(server, slash("repeat last", user=user("twice"), channel="C0GENERAL", team=TEAM))

    assert [post.text for post in await server.posts(direct("twice"), 3)] == ["once", "once", "last"]


async def test_a_person_who_cannot_be_written_to_sees_why(server: Server) -> None:
    """A person without a direct chat reads why there is no answer, and what to do."""
    server.slack.places.unreachable[user("closed")] = "cannot_dm_bot"
    answer = await command(server, slash("help", user=user("closed"), channel="C0GENERAL", team=TEAM))

    assert answer.json()["text"] == NO_DIRECT_CHAT


async def test_a_command_that_slack_did_not_sign_is_refused(server: Server) -> None:
    """An unsigned command gets a 401, and a signed one without its fields a 400."""
    unsigned = await server.client.post("/slack/commands", content=b"text=help")
    body = b"text=help"
    empty = await server.client.post("/slack/commands", content=body, headers=server.slack.sign(body, time.time()))

    assert (unsigned.status_code, empty.status_code) == (401, 400)


async def test_the_home_shows_ones_own_connections_alone(server: Server) -> None:
    """The Home tab shows only the person's own connections, and offers to connect one if the person has no account."""
    for name in ("ada", "grace", "nobody"):
        await server.deliver(home_opened(server.slack, user=user(name), team=TEAM))
    homes = {
        name: shown_text(await eventually(lambda name=name: server.slack.homes.get(user(name), [])))  # type: ignore[misc]
        for name in ("ada", "grace", "nobody")
    }

    assert (ADA in homes["ada"], GRACE in homes["ada"]) == (True, False)
    assert (ADA in homes["grace"], GRACE in homes["grace"]) == (False, True)
    assert "no account connected" in homes["nobody"]
    assert "[Connect Google]" in homes["nobody"]


async def test_the_messages_tab_publishes_nothing(server: Server) -> None:
    """Opening the Messages tab publishes no Home."""
    await server.deliver(home_opened(server.slack, user=user("reader"), team=TEAM, tab="messages"))
    await server.deliver(home_opened(server.slack, user=user("witness"), team=TEAM))
    await eventually(lambda: user("witness") in server.slack.homes)

    assert user("reader") not in server.slack.homes


async def test_a_press_in_the_home_disconnects_the_person_who_pressed(server: Server) -> None:
    """Disconnecting in the Home tab works once, is answered in the direct chat, and removes the button."""
    name, principal = "leaver", Principal("slack", TEAM, user("leaver"))
    await server.connect(principal, ADA)
    await server.deliver(home_opened(server.slack, user=user(name), team=TEAM))
    blocks = await eventually(lambda: server.slack.homes.get(user(name), []))
    payload = press_at_home(blocks, "Disconnect Google", user=user(name), team=TEAM)
    for _ in range(2):
        answer = await post_interaction(server.slack, server.client, "/slack/interactions", payload)
        assert answer.status_code == 200
    told = (await server.posts(direct(name), 1))[0].text
    await eventually(lambda: not [*buttons_in(server.slack.homes[user(name)])])
    shown = shown_text(server.slack.homes[user(name)])
    await server.deliver(home_opened(server.slack, user=user(name), team=TEAM))

    assert f"Disconnected {ADA}" in told
    assert "You chose: Disconnect Google" in shown
    await eventually(lambda: "no account connected" in shown_text(server.slack.homes[user(name)]))
    assert await server.container.grants().find(Principal("slack", TEAM, user("ada"))) is not None


async def test_commands_and_presses_come_over_sockets_too(tmp_path: Path) -> None:
    """Over Socket Mode a command's acknowledgement contains its line, and a press's contains nothing."""
    async with open_environment(tmp_path) as environment, environment.slack_sockets.serving():
        interfaces = with_sockets(environment, connections=1)
        async with environment.server(ScriptedModel().install, interfaces=interfaces) as server:
            sockets = environment.slack_sockets
            form = slash("help", user=user("ada"), channel="C0GENERAL", team=TEAM)
            sockets.send(home_opened(server.slack, user=user("ada"), team=TEAM))
            blocks = await eventually(lambda: server.slack.homes.get(user("ada"), []))
            payload = press_at_home(blocks, "Connect Google", user=user("ada"), team=TEAM)
            async with asyncio.timeout(PATIENCE_SECONDS):
                said = await sockets.send(form, "slash_commands").acknowledged
                pressed = await sockets.send(payload, "interactive").acknowledged
            posts = await server.posts(direct("ada"), 2)

    assert said == {"response_type": "ephemeral", "text": ANSWERED_DIRECTLY}
    assert pressed is None
    assert "/connect/google/" in posts[1].text
