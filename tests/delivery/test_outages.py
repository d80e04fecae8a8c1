"""The database goes away for a while; acknowledged messages are there afterwards, and the others are posted again."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.delivery.deployment import Deployment, Layout, Load, open_deployment, run_with_outage
from tests.delivery.preloaded import Preloaded
from tests.delivery.verdict import Verdict
from tests.fakes.postgres import Cluster

LOAD = Load(messages=150, conversations=20, repeated=15, kills=0)
LAYOUTS = {"one process": Layout(), "2 workers": Layout("procrastinate", workers=2)}


async def assert_came_through(deployment: Deployment) -> None:
    """Assert that every message is answered once, in order, in its own place."""
    settled = await deployment.settled()
    await deployment.stop()
    verdict = await deployment.judge()

    assert verdict == Verdict(), deployment.describe()
    assert settled, deployment.describe()


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_postgresql_restarts(
    preloaded: Preloaded, tmp_path: Path, cluster: Cluster, postgres_url: str, layout: str
) -> None:
    """Every message is answered once although PostgreSQL restarts during the run and crashes a little later."""
    async with open_deployment(preloaded, tmp_path, postgres_url, LAYOUTS[layout], LOAD, seed=5) as deployment:

        async def outage() -> None:
            await asyncio.to_thread(cluster.restart, "fast")
            await deployment.until_begun(LOAD.messages * 2 // 3)
            await asyncio.to_thread(cluster.restart, "immediate")

        await run_with_outage(deployment, LOAD, outage)
        await assert_came_through(deployment)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of sixteen megabytes; SQLite's log alone grows to four."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("NEEDS a tmpfs of its own: run as root, where mount is allowed")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(disk: Path) -> Path:
    """Fill all the remaining space, and return the file that takes it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return ballast


async def assert_full_disk_is_survived(preloaded: Preloaded, disk: Path, load: Load, seconds: float) -> None:
    """Fill the disk for a while, early, while SQLite's log still grows, and expect 503 from the webhook meanwhile."""
    url = f"sqlite+aiosqlite:///{disk / 'deputy.db'}"
    async with open_deployment(preloaded, disk.parent, url, Layout(), load, seed=6) as deployment:

        async def outage() -> None:
            ballast = fill(disk)
            await deployment.until_refused()
            await asyncio.sleep(seconds)
            acknowledged = len(deployment.posting.acknowledged)
            assert await deployment.ledger.stored() >= acknowledged
            os.unlink(ballast)

        await run_with_outage(deployment, load, outage)
        await assert_came_through(deployment)

        assert deployment.posting.outcomes["503"] > 0


async def test_the_disk_is_full(preloaded: Preloaded, small_disk: Path) -> None:
    """A full disk loses no acknowledged message, and work continues once there is space again."""
    await assert_full_disk_is_survived(preloaded, small_disk, LOAD, seconds=3)


@pytest.mark.soak
async def test_the_disk_is_full_for_long(preloaded: Preloaded, small_disk: Path) -> None:
    """A full disk loses no acknowledged message even after ten seconds."""
    await assert_full_disk_is_survived(preloaded, small_disk, Load(1000, 100, 100, kills=0), seconds=10)
