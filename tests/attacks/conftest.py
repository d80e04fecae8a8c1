"""A server for each module of attacks, and two people who are new to it for each attack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.sections.delivery import DeliverySettings
from tests.attacks.attack import Attack, accounts, attack_on
from tests.fakes.environment import open_environment
from tests.fakes.server import Server


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Yield a server on a socket, with HTTP and Slack, that scans too rarely to clean up before a test has looked."""
    folder, delivery = Path(tmp_path_factory.mktemp("attacked")), DeliverySettings(scan_seconds=600)
    async with (
        open_environment(folder, people=accounts(), delivery=delivery) as environment,
        environment.server() as server,
    ):
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def attack(server: Server) -> AsyncIterator[Attack]:
    """Yield a victim and Mallory."""
    async with attack_on(server) as attack:
        yield attack
