"""One server that all channels reach, and each channel in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
import sqlalchemy as sa

from app.database.tables import messages, owned_by
from tests.contract.channels import DRIVERS, ChannelDriver
from tests.fakes.environment import open_environment, with_http, with_telegram
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def model() -> ScriptedModel:
    """What answers; its gate is closed."""
    return ScriptedModel()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> AsyncIterator[Server]:
    """A server that all channels reach; a POST over HTTP is acknowledged after 50 ms when there is no answer yet."""
    async with open_environment(Path(tmp_path_factory.mktemp("contract"))) as environment:
        interfaces = with_telegram(environment, with_http(environment.settings, wait_seconds=0.05))
        async with environment.server(model.install, interfaces=interfaces) as server:
            yield server


@pytest.fixture(params=sorted(DRIVERS))
def channel(request: pytest.FixtureRequest, server: Server, model: ScriptedModel) -> ChannelDriver:
    """Each channel in turn."""
    model.gate.clear()
    model.begun.clear()
    driver: Any = DRIVERS[request.param](server)
    return cast(ChannelDriver, driver)


async def stored(server: Server, channel: ChannelDriver, *senders: object) -> list[str]:
    """The texts of these people's messages as they are in the database, in the order of their arrival."""
    mine = sa.or_(*(owned_by(messages, channel.principal(sender)) for sender in senders))  # type: ignore[arg-type]
    query = sa.select(messages.c.body).where(mine).order_by(messages.c.created_at)
    async with server.container.database().reading() as connection:
        return list((await connection.execute(query)).scalars())
