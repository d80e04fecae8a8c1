"""`deputy worker`: answer messages that servers have accepted."""

from __future__ import annotations

import asyncio
import os

from app.commands.common import CONFIG, ConfigOption, configured, run, told_to_stop
from app.commands.frameworks import import_frameworks
from app.commands.tuning import settle, tuned
from app.errors import SettingsError
from app.settings import Settings

GIVE_WAY = 10  # to a server on the same machine, which must acknowledge within three seconds


def worker(config: ConfigOption = CONFIG) -> None:
    """Answer messages for the servers on the same PostgreSQL, until SIGINT or SIGTERM."""
    with tuned():
        run(_work(configured(config)))


async def _work(settings: Settings) -> None:
    # Imported here: the other commands start without it.
    import_frameworks()
    from app.commands.serve import until_stopped
    from app.main import loading, running
    from containers.build import build

    if settings.delivery.engine == "embedded":
        raise SettingsError("delivery.engine: `embedded` allows only one process, the server; set it to procrastinate")
    if settings.google.mode == "sandbox":
        raise SettingsError(
            "google.mode: the sandbox runs inside `deputy serve`; a worker needs mode google or workspace"
        )
    if simulated := next((name for name, each in settings.connections.items() if each.sandbox_port is not None), None):
        raise SettingsError(
            f"connections.{simulated}.sandbox_port: the sandbox runs inside `deputy serve`; a worker needs the provider"
        )
    os.nice(GIVE_WAY)
    stopped = asyncio.create_task(told_to_stop())
    container = build(settings, only_used=True)
    async with running(container, settings), loading(container, loaded=settle):
        print("Deputy's worker is at work", flush=True)
        await until_stopped(container, stopped)
