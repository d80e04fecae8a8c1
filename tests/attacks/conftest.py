"""A server for each module of attacks, and for each attack two people who are new to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.sections.delivery import DeliverySettings
from tests.attacks.stage import Scene, accounts, scene_on
from tests.fakes.deputy_server import DeputyServer, world


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DeputyServer]:
    """A server on a socket, with HTTP and Slack; no scan finishes what an attack leaves before the test has looked."""
    folder, delivery = Path(tmp_path_factory.mktemp("attacked")), DeliverySettings(scan_seconds=600)
    async with world(folder, people=accounts(), delivery=delivery) as outside, outside.server() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def scene(server: DeputyServer) -> AsyncIterator[Scene]:
    """Mallory and a victim."""
    async with scene_on(server) as scene:
        yield scene
