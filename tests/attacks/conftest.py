"""A server for each module of attacks, and for each attack two people who are new to it."""

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
    """A server on a socket, with HTTP and Slack; no scan finishes what an attack leaves before the test has looked."""
    folder, delivery = Path(tmp_path_factory.mktemp("attacked")), DeliverySettings(scan_seconds=600)
    async with (
        open_environment(folder, people=accounts(), delivery=delivery) as environment,
        environment.server() as server,
    ):
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def attack(server: Server) -> AsyncIterator[Attack]:
    """Mallory and a victim."""
    async with attack_on(server) as attack:
        yield attack
