"""Fixtures that the chaos suite shares."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.delivery.preloaded import Preloaded
from tests.delivery.preloaded import preloaded as open_preloaded
from tests.fakes.postgres import Cluster


@pytest.fixture(scope="session")
def preloaded() -> Iterator[Preloaded]:
    """Yield the process that the suite's processes are forked from."""
    with open_preloaded() as process:
        yield process


@pytest.fixture
async def postgres_url(cluster: Cluster) -> AsyncIterator[str]:
    """Yield an empty PostgreSQL database for this test; keep no connection, because a test may restart the server."""
    name = f"chaos_{uuid.uuid4().hex}"
    await _execute(cluster, f"CREATE DATABASE {name}")
    yield f"{cluster.url}/{name}"
    await _execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(cluster: Cluster, statement: str) -> None:
    engine = create_async_engine(f"{cluster.url}/postgres", isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text(statement))
    finally:
        await engine.dispose()
