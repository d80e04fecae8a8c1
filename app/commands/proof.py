"""`deputy check` and `deputy graph`: the container, proven and drawn."""

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
    """Prove that nothing of a person's outlives its request, and that keys and engine fit the database.

    Exit 1 with the paths where something may, 2 with the key that is missing or another one, or with who is in the way
    of the configured engine on the database.
    """
    settings = configured(config)
    note(notes(settings))
    print(run(_check(settings)))


def graph(config: ConfigOption = CONFIG) -> None:
    """Print the container as a Mermaid graph, each provider with its lifetime."""
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
            words.append("database: a start makes or migrates it, and looks then who works on it and with which keys")
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
    """Say that nobody is in the way of this configuration on its database.

    Raises:
        SettingsError: A process is, and it is not this configuration's own server.
    """
    from app.delivery.store.lease import this_machine

    replicas = container.replicas()
    others = await replicas.others()
    own = f"{settings.server.host}:{settings.server.port}"
    for other in others:
        if len(others) > 1 or other.address != own or other.machine != this_machine():
            raise replicas.refusal(other)
    return f"engine: {settings.delivery.engine}, {'this very server is at work' if others else 'nobody is in its way'}"


async def _graph(settings: Settings) -> str:
    from app.sandbox.attachment import configured_for_sandbox
    from containers.build import build
    from containers.proof import mermaid

    return mermaid(build(configured_for_sandbox(settings)))
