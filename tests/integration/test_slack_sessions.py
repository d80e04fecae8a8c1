"""Agent sessions in Slack: how they show that the assistant works, and who can stop it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from app.delivery.work.signs import SignsOfLife
from app.sandbox.server import serve_loopback
from app.sandbox.slack.declaration import EVERYTHING, SlackDeclaration
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.slack.sessions import AgentSession, session_stopped
from containers.application import Application
from interfaces.slack.web_api import new_client
from tests.fakes.environment import Environment, open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import PATIENCE_SECONDS, TEAM, Server, direct, eventually, user
from tests.fakes.slack_channel import slack_channel
from tests.integration.test_slack_files_out import mention

pytestmark = pytest.mark.asyncio(loop_scope="module")
THREAD = "1700000000.000001"


@dataclass(frozen=True)
class Stage:
    """A server and the model that answers."""

    server: Server
    model: ScriptedModel

    async def say(self, name: str, text: str, channel: str | None = None) -> None:
        """Write in a thread of a channel, or of the direct chat."""
        said = f"<@U0BOT> {text}" if channel else text
        kind = "app_mention" if channel else "message.im"
        where = channel or direct(name)
        event = self.server.slack.event(user=user(name), text=said, channel=where, thread_ts=THREAD, kind=kind)  # type: ignore[arg-type]
        (await self.server.deliver(event)).raise_for_status()

    async def session(self, channel: str, status: str) -> AgentSession:
        """Return the session of the channel's thread, once it has had this status."""
        sessions = self.server.slack.sessions.by_thread
        key = (channel, THREAD)
        await eventually(lambda: key in sessions and status in sessions[key].statuses)
        return sessions[key]

    async def press_stop(self, name: str, channel: str) -> None:
        """Press Slack's Stop button in the thread."""
        event = session_stopped(user(name), channel, THREAD, self.server.slack.new_ts())
        (await self.server.deliver(self.server.slack.notice(event, TEAM))).raise_for_status()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def environment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Environment]:
    """Yield a Google and a Slack."""
    async with open_environment(Path(tmp_path_factory.mktemp("sessions"))) as environment:
        yield environment


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(environment: Environment) -> AsyncIterator[Stage]:
    """Yield a server that shows at once that it works, and whose model can be made to wait."""
    model = ScriptedModel()

    def prepare(container: Application) -> None:
        model.install(container)
        container.signs.add_kwargs(first_seconds=0.0)

    async with environment.server(prepare) as server:
        yield Stage(server, model)


async def test_a_thread_shows_that_the_assistant_works_and_is_stopped_by_its_owner_alone(stage: Stage) -> None:
    """Only the press of the person who asked stops the run, and then the session is active again."""
    await stage.say("ada", "wait for it", "C0WORK")
    session = await stage.session("C0WORK", "processing")
    await stage.press_stop("grace", "C0WORK")
    assert not [post for post in stage.server.posted("C0WORK") if "stopped" in post.text]
    await stage.press_stop("ada", "C0WORK")
    await stage.session("C0WORK", "active")
    await eventually(lambda: [post for post in stage.server.posted(direct("ada")) if "stopped" in post.text.lower()])

    assert session.title == "wait for it"
    assert session.statuses[0] == "processing"
    assert session.statuses[-1] == "active"
    assert not [post for post in stage.server.posted("C0WORK") if "waited" in post.text]


async def test_a_session_is_active_again_after_the_answer(stage: Stage) -> None:
    """In a thread of the direct chat the session is processing during the run and active after the answer."""
    stage.model.gate.clear()
    await stage.say("grace", "wait a moment")
    await stage.session(direct("grace"), "processing")
    stage.model.gate.set()
    session = await stage.session(direct("grace"), "active")

    assert session.statuses == ["processing", "active"]
    assert [post.text for post in await stage.server.posts(direct("grace"), 1)] == ["waited a moment"]


@pytest.mark.parametrize(
    ("declaration", "warning"),
    [
        (EVERYTHING, None),
        (
            SlackDeclaration(EVERYTHING.scopes, EVERYTHING.events - {"agent_session_stopped"}),
            "missing_agent_session_stopped_event_subscription",
        ),
    ],
)
async def test_slack_warns_where_nobody_could_stop(declaration: SlackDeclaration, warning: str | None) -> None:
    """If the app does not subscribe to the stop event, Slack answers the status call with a warning."""
    slack = SlackSandbox(signing_secret="s", bot_token="xoxb-1", declaration=declaration)
    slack.event(user="U0ADA", text="<@U0BOT> x", channel="C1", ts=THREAD, kind="app_mention")
    async with serve_loopback(slack.app) as url:
        client = new_client("xoxb-1", f"{url}/api/")
        answer = await client.agents_sessions_setStatus(channel_id="C1", thread_ts=THREAD, status="processing")

    assert answer.get("warning") == warning


async def test_a_sign_that_is_cut_off_leaves_no_connection_open() -> None:
    """If Slack hangs while a status is being set, every connection is closed once the answer is there."""
    hanging, closed = list[asyncio.StreamWriter](), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(hanging) < 2:
            hanging.append(writer)
            while await reader.read(1000):
                pass
            open_ones.pop()
            if not open_ones:
                closed.set()
        writer.close()

    open_ones = [1, 2]
    async with await asyncio.start_server(hang, "127.0.0.1", 0) as listener:
        channel = slack_channel("xoxb-1", f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
        signs = SignsOfLife({"slack": channel}, first_seconds=0.0)
        async with signs.shown(mention("ADA"), None), signs.shown(mention("GRACE"), None):
            await eventually(lambda: len(hanging) == 2)
        await signs.aclose()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await closed.wait()
    gc.collect()  # a client session that was not closed warns when it is collected, which fails this test

    assert open_ones == []
