"""`deputy check` and `deputy graph`: prove and draw the container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.commands.common import CONFIG, ConfigOption, configured, note, run
from app.keys.check import check_key_ring
from app.settings import Settings
from app.settings_checks import notes

if TYPE_CHECKING:
    from app.database.database import Database
    from containers.application import Application


def check(config: ConfigOption = CONFIG) -> None:
    """Prove that no personal data outlives its request, and that keys and engine match the database.

    Exit 1 if the proof fails, with the path of each finding. Exit 2 if a key is missing or wrong, or if another process
    on the database conflicts with the configured engine.
    """
    settings = configured(config)
    note(notes(settings))
    print(run(_check(settings)))


def graph(config: ConfigOption = CONFIG) -> None:
    """Print the container as a Mermaid graph that shows each provider's lifetime."""
    print(run(_graph(configured(config))), end="")


async def _check(settings: Settings) -> str:
    from app.main import prove_lifetimes
    from app.sandbox.attachment import configured_for_sandbox
    from containers.build import build

    settings = configured_for_sandbox(settings)
    container = build(settings)
    database = container.database()
    try:
        words = [str(await prove_lifetimes(container, settings))]
        if await _is_migrated(database):
            await check_key_ring(database, container.key_ring())
            words.append(await _look_at_replicas(container, settings))
        else:
            words.append("database: the next start creates or migrates it, and then checks its processes and keys")
        return "\n".join(words)
    finally:
        await container.http().aclose()
        await database.close()


async def _is_migrated(database: Database) -> bool:
    if not database.exists():
        return False
    present, needed = await database.revisions()
    return present == needed


async def _look_at_replicas(container: Application, settings: Settings) -> str:
    """Return a line that says that no other process conflicts with this configuration on its database.

    Raises:
        SettingsError: A process that is not this configuration's own server conflicts with it.
    """
    from app.delivery.store.lease import this_machine

    replicas = container.replicas()
    others = await replicas.others()
    own = f"{settings.server.host}:{settings.server.port}"
    for other in others:
        if len(others) > 1 or other.address != own or other.machine != this_machine():
            raise replicas.refusal(other)
    state = "this server is running" if others else "no other engine works on this database"
    return f"engine: {settings.delivery.engine}, {state}"


async def _graph(settings: Settings) -> str:
    from app.sandbox.attachment import configured_for_sandbox
    from containers.build import build
    from containers.proof import mermaid

    return mermaid(build(configured_for_sandbox(settings)))
