"""`deputy check` and `deputy graph`: the container, proven and drawn."""

from __future__ import annotations

from app.commands.common import CONFIG, ConfigOption, configured, run
from app.settings import Settings


def check(config: ConfigOption = CONFIG) -> None:
    """Prove that nothing of a person's outlives its request; exit 1 with the paths where something may."""
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
    try:
        return str(await prove_lifetimes(container, settings))
    finally:
        await container.http().aclose()
        await container.database().close()


async def _graph(settings: Settings) -> str:
    from app.sandbox.attachment import configured_for_sandbox
    from containers.build import build
    from containers.mermaid import mermaid

    return mermaid(build(configured_for_sandbox(settings)))
