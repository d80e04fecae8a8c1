"""`deputy worker`: answers messages that servers took in."""

from __future__ import annotations

import asyncio
import os

from app.commands.common import CONFIG, ConfigOption, configured, run, told_to_stop
from app.errors import SettingsError
from app.settings import Settings

_GIVE_WAY = 10  # to a server on the same machine: who waits for an acknowledgement does so for three seconds at most


def worker(config: ConfigOption = CONFIG) -> None:
    """Answer messages beside the servers on the same PostgreSQL, until told to stop (SIGINT, SIGTERM)."""
    run(_work(configured(config)))


async def _work(settings: Settings) -> None:
    # Imported here: the other commands start without it.
    from app.commands.serve import until_stopped
    from app.main import loading, running
    from containers.build import build

    if settings.delivery.engine == "embedded":
        raise SettingsError("delivery.engine: `embedded` is one process, which is the server; set it to procrastinate")
    if settings.google.mode == "sandbox":
        raise SettingsError("google.mode: the sandbox lives inside `deputy serve`; a worker needs a Google of its own")
    os.nice(_GIVE_WAY)
    stopped = asyncio.create_task(told_to_stop())
    container = build(settings)
    async with running(container, settings), loading(container):
        print("Deputy's worker is at work", flush=True)
        await until_stopped(container, stopped)
