"""One server for the whole suite, which all channels reach, and each channel in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
import sqlalchemy as sa

from app.database.tables import messages, owned_by
from app.sections.agents import AgentSettings, AttachmentSettings, ModelSettings
from containers.application import Application
from tests.contract.channels import DRIVERS, ChannelDriver
from tests.contract.platforms import PLATFORMS, Platform
from tests.fakes.environment import open_environment, with_http, with_telegram
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server

MAX_BYTES = 2_000  # the limit for attachments
_MODEL = ModelSettings(base_url="http://127.0.0.1:9/v1", model="none", reads=("images",))  # ScriptedModel replaces it


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def model() -> ScriptedModel:
    """Return the model that answers, with its gate closed."""
    return ScriptedModel()


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def server(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> AsyncIterator[Server]:
    """Yield a server that all channels reach, whose assistant reads pictures of up to 2 kB.

    A POST over HTTP is acknowledged after 50 ms if there is no answer yet, and growing answers are updated without long
    waits.
    """

    def prepare(container: Application) -> None:
        model.install(container)
        parts: Any = container.channel_parts.providers
        parts["slack.SlackAnswers"].add_kwargs(first_seconds=0.1, every_seconds=0.1)
        parts["telegram.GroupAnswers"].add_kwargs(seconds=0.1)
        parts["telegram.Pace"].add_kwargs(chat_seconds=0.05, group_seconds=0.05)

    sections: dict[str, Any] = {
        "models": {"local": _MODEL},
        "agents": {"assistant": AgentSettings(model="local", toolkits=("gmail", "drive"))},
        "attachments": AttachmentSettings(max_bytes=MAX_BYTES),
    }
    async with open_environment(Path(tmp_path_factory.mktemp("contract")), **sections) as environment:
        interfaces = with_telegram(environment, with_http(environment.settings, wait_seconds=0.05))
        async with environment.server(prepare, interfaces=interfaces) as server:
            yield server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on every channel, or on the `CHANNELS` that its module names."""
    if "channel" in metafunc.fixturenames:
        metafunc.parametrize("channel", sorted(getattr(metafunc.module, "CHANNELS", DRIVERS)), indirect=True)


@pytest.fixture
def channel(request: pytest.FixtureRequest, server: Server, model: ScriptedModel) -> ChannelDriver:
    """Return each channel in turn."""
    model.gate.clear()
    model.begun.clear()
    driver: Any = DRIVERS[request.param](server)
    return cast(ChannelDriver, driver)


async def stored(server: Server, channel: ChannelDriver, *senders: object) -> list[str]:
    """Return the texts of these people's messages in the database, in the order of their arrival."""
    mine = sa.or_(*(owned_by(messages, channel.principal(sender)) for sender in senders))  # type: ignore[arg-type]
    query = sa.select(messages.c.body).where(mine).order_by(messages.c.created_at)
    async with server.container.database().reading() as connection:
        return list((await connection.execute(query)).scalars())


@pytest.fixture
def platform(channel: ChannelDriver, server: Server) -> Platform:
    """Return the channel's platform."""
    made: Any = PLATFORMS[channel.platform](server)
    return cast(Platform, made)
