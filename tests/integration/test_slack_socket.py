"""Socket Mode: messages from Slack's WebSockets are stored before they are acknowledged, and answered once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from app.delivery.work.intake import Intake
from app.errors import SettingsError, UnavailableError
from app.messages import InboundMessage, StoredMessage
from app.sandbox.slack.sockets import SocketDelivery
from tests.fakes.environment import Environment, open_environment, with_sockets
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import PATIENCE_SECONDS, Server, direct, user

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def environment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Environment]:
    """Yield a Google, and a Slack with WebSockets."""
    folder = Path(tmp_path_factory.mktemp("socket"))
    async with open_environment(folder) as environment, environment.slack_sockets.serving():
        yield environment


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(environment: Environment) -> AsyncIterator[Server]:
    """Yield a server with two connections to it."""
    async with environment.server(ScriptedModel().install, interfaces=with_sockets(environment)) as server:
        await environment.slack_sockets.connected(2)
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(tmp_path: Path) -> AsyncIterator[Environment]:
    """Yield another such environment, for a server that starts and stops within a test."""
    async with open_environment(tmp_path) as environment, environment.slack_sockets.serving():
        yield environment


def event(server: Server, name: str, text: str, **changes: Any) -> dict[str, Any]:
    """Return a direct message's event."""
    return server.slack.event(user=user(name), text=text, channel=direct(name), **changes)


async def acknowledged(delivery: SocketDelivery) -> None:
    """Wait until Slack has the acknowledgement."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await delivery.acknowledged


class Fickle:
    """An intake that refuses the first messages temporarily, and then stores.

    Attributes:
        refusals: How many more messages are refused.
        stored: The messages that were stored.
    """

    def __init__(self, intake: Intake, refusals: int) -> None:
        self.intake = intake
        self.refusals = refusals
        self.stored: list[StoredMessage] = []

    async def accept(self, message: InboundMessage) -> StoredMessage:
        """Store a message, or refuse it."""
        if self.refusals:
            self.refusals -= 1
            raise UnavailableError("not now")
        self.stored.append(await self.intake.accept(message))
        return self.stored[-1]


async def test_two_people_are_answered(server: Server, environment: Environment) -> None:
    """Two people's messages are each acknowledged in their first envelope and answered, without an HTTP route."""
    sent = [environment.slack_sockets.send(event(server, name, f"repeat for {name}")) for name in ("ada", "grace")]
    for delivery in sent:
        await acknowledged(delivery)

    assert [(await server.posts(direct(name), 1))[0].text for name in ("ada", "grace")] == ["for ada", "for grace"]
    assert [len(delivery.envelopes) for delivery in sent] == [1, 1]
    assert (await server.client.post("/slack/events", content=b"{}")).status_code == 404


async def test_a_message_that_comes_twice_is_answered_once(server: Server, environment: Environment) -> None:
    """A message that arrives again, with the same or another event id, is answered once."""
    first = event(server, "twice", "repeat once")
    for payload in (first, first, {**first, "event_id": "Ev0OTHER"}):
        await acknowledged(environment.slack_sockets.send(payload))
    await acknowledged(environment.slack_sockets.send(event(server, "twice", "repeat last")))

    assert [post.text for post in await server.posts(direct("twice"), 2)] == ["once", "last"]


async def test_what_is_not_stored_is_not_acknowledged(
    server: Server, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that cannot be stored is not acknowledged, so Slack sends it again until it is."""
    inbound = server.container.channel_parts.providers["slack.SlackInbound"]()
    fickle = Fickle(server.container.intake(), refusals=2)
    monkeypatch.setattr(inbound, "_intake", fickle)
    monkeypatch.setattr(environment.slack_sockets, "ack_seconds", 0.05)
    delivery = environment.slack_sockets.send(event(server, "fickle", "repeat stored"))
    await acknowledged(delivery)

    assert len(delivery.envelopes) == 3
    assert len({stored.message_id for stored in fickle.stored}) == 1
    assert [post.text for post in await server.posts(direct("fickle"), 1)] == ["stored"]


async def test_an_envelope_that_cannot_be_read_is_not_sent_again(server: Server, environment: Environment) -> None:
    """A malformed event or payload is acknowledged, so that Slack does not send it again."""
    broken = event(server, "broken", "hello")
    del broken["event"]["ts"]
    odd: list[dict[str, Any]] = [broken, {"type": "event_callback", "event": None}, {}]
    for payload in odd:
        delivery = environment.slack_sockets.send(payload)
        await acknowledged(delivery)
        assert len(delivery.envelopes) == 1


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_nothing_is_lost_while_slack_refreshes_connections(
    server: Server, environment: Environment, reason: Any
) -> None:
    """When Slack refreshes connections the server opens new ones, and messages sent meanwhile are answered once."""
    sockets, name = environment.slack_sockets, f"refresh{reason[0]}"
    opened = sockets.opened
    before = [sockets.send(event(server, name, f"repeat {number}")) for number in range(3)]
    await sockets.disconnect(reason)
    after = [sockets.send(event(server, name, f"repeat {number}")) for number in range(3, 6)]
    for delivery in (*before, *after):
        await acknowledged(delivery)

    assert sorted(post.text for post in await server.posts(direct(name), 6)) == [*"012345"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sockets.opened < opened + 2 or sockets.connections < 2:
            await asyncio.sleep(0.01)


async def test_nothing_is_lost_when_connections_break(server: Server, environment: Environment) -> None:
    """When connections break, unacknowledged messages arrive on the next connection and are answered once."""
    sockets = environment.slack_sockets
    sent = [sockets.send(event(server, "break", f"repeat {number}")) for number in range(4)]
    await sockets.cut()
    sent += [sockets.send(event(server, "break", f"repeat {number}")) for number in range(4, 6)]
    for delivery in sent:
        await acknowledged(delivery)

    assert sorted(post.text for post in await server.posts(direct("break"), 6)) == [*"012345"]


async def test_a_server_that_stops_acknowledges_what_it_stored(
    fresh: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that stops has acknowledged its message, and logs neither the app's token nor a connection's ticket."""
    caplog.set_level(logging.DEBUG)
    sockets = fresh.slack_sockets
    async with fresh.server(ScriptedModel().install, interfaces=with_sockets(fresh, connections=1)) as server:
        delivery = sockets.send(event(server, "stops", "repeat hello"))
        await acknowledged(delivery)
        await server.posts(direct("stops"), 1)

    assert sockets.unknown_acks == []
    assert sockets.app_token not in caplog.text
    assert "ticket=" not in caplog.text


@pytest.mark.parametrize(("token", "reason"), [("xapp-wrong", "invalid_auth"), ("xoxb", "not_allowed_token_type")])
async def test_a_token_that_slack_refuses_ends_the_start(fresh: Environment, token: str, reason: str) -> None:
    """A token that Slack refuses stops the start, with an error that names the setting and not the token."""
    slack = fresh.settings.interfaces.slack
    assert slack is not None
    given = slack.bot_token if token == "xoxb" else SecretStr(token)
    with pytest.raises(SettingsError, match=reason) as refused:
        async with fresh.server(interfaces=with_sockets(fresh, app_token=given)):
            pass

    assert "interfaces.slack.app_token" in str(refused.value)
    assert token == "xoxb" or token not in str(refused.value)
