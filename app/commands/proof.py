"""`deputy check` and `deputy graph`: the container, proven and drawn."""

from __future__ import annotations

from app.commands.common import CONFIG, ConfigOption, configured, run
from app.credentials.key_check import check_key_ring
from app.settings import Settings


def check(config: ConfigOption = CONFIG) -> None:
    """Prove that nothing of a person's outlives its request, and that the key ring fits the database.

    Exit 1 with the paths where something may, 2 with the key that is missing or another one.
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
        return str(await prove_lifetimes(container, settings))
    finally:
        await container.http().aclose()
        await database.close()


async def _graph(settings: Settings) -> str:
    from app.sandbox.attachment import configured_for_sandbox
    from containers.build import build
    from containers.mermaid import mermaid

    return mermaid(build(configured_for_sandbox(settings)))
