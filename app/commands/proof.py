"""`deputy check` and `deputy graph`: the container, proven and drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from app.commands.common import CONFIG, ConfigOption, configured, run
from app.credentials.key_check import check_key_ring
from app.settings import Settings

if TYPE_CHECKING:
    from containers.application import Application


def check(config: ConfigOption = CONFIG) -> None:
    """Prove that nothing of a person's outlives its request, and that key ring and engine fit the database.

    Exit 1 with the paths where something may, 2 with the key that is missing or another one, or with the process that
    is in the engine's way.
    """
    print(run(_check(configured(config))))


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
        present, needed = await database.revisions()
        if present == needed:  # else a start migrates it first, and compares then
            await check_key_ring(database, container.key_ring())
        proof = str(await prove_lifetimes(container, settings))
        return f"{proof}\n{await _look_at_replicas(container, settings)}"
    finally:
        await container.http().aclose()
        await database.close()


async def _look_at_replicas(container: Application, settings: Settings) -> str:
    """Say who is in the way of this configuration on its database, if it can be seen.

    Raises:
        SettingsError: A process is, and it is not this configuration's own server.
    """
    from app.delivery.lease import this_machine

    replicas = container.replicas()
    try:
        if not container.database().exists():
            return "engine: the database is not made yet"
        others = await replicas.others()
    except (SQLAlchemyError, OSError) as error:
        return f"engine: the database cannot be asked who works on it ({type(error).__name__})"
    own = f"{settings.server.host}:{settings.server.port}"
    for other in others:
        if len(others) > 1 or other.address != own or other.machine != this_machine():
            raise replicas.refusal(other)
    return f"engine: {settings.delivery.engine}, {'this very server is at work' if others else 'nobody is in its way'}"


async def _graph(settings: Settings) -> str:
    from app.sandbox.attachment import configured_for_sandbox
    from containers.build import build
    from containers.mermaid import mermaid

    return mermaid(build(configured_for_sandbox(settings)))
