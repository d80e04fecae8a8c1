"""`deputy doctor`: ask every part of an installation how it is."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from app.commands.common import CONFIG, FAILED, ConfigOption, JsonOption, configured, run
from app.diagnosis import Diagnosis, Verdict, fault
from app.errors import DeputyError
from app.settings import Settings

if TYPE_CHECKING:
    from app.commands.checkups import Clock
    from containers.application import Application

_MARKS = {Verdict.OK: "ok   ", Verdict.NOTE: "note ", Verdict.FAULT: "FAULT"}


def doctor(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """Ask the channels, Google, the models and the database whether they work, and say what to do where not.

    Unlike `deputy check`, it uses the network: one short request for each model, and none that changes anything. Run it
    while the server runs. Exit 1 if there is a fault.
    """
    found = run(_examine(configured(config), tell=not as_json))
    if as_json:
        print(json.dumps([asdict(each) for each in found], indent=2))
    if any(each.verdict is Verdict.FAULT for each in found):
        raise typer.Exit(FAILED)


async def _examine(settings: Settings, *, tell: bool) -> list[Diagnosis]:
    found = []
    async for each in diagnose(settings):
        found.append(each)
        if tell:
            print(in_words(each), flush=True)
    return found


def in_words(each: Diagnosis) -> str:
    """Return a diagnosis as one line, and what to do as a second one."""
    return f"{_MARKS[each.verdict]}  {each.title}: {each.found}" + (f"\n       → {each.remedy}" if each.remedy else "")


async def diagnose(settings: Settings, now: Clock = time.time) -> AsyncIterator[Diagnosis]:
    """Yield what is found, part by part; a part that cannot be examined does not keep the others from it.

    Args:
        settings: The installation's.
        now: This machine's clock, POSIX seconds.
    """
    from app.commands import checkups
    from app.commands.connection_checkup import look_at_connections
    from app.commands.mcp_checkup import look_at_mcp
    from app.sandbox.attachment import configured_for_sandbox
    from containers.build import build

    container = build(configured_for_sandbox(settings))
    try:
        parts = {
            "Database": checkups.look_at_database(container, settings),
            "Google": checkups.look_at_google(container, settings, now),
            "Models": checkups.look_at_models(container, settings),
            **({"Connections": look_at_connections(container, settings)} if settings.connections else {}),
            **({"MCP": look_at_mcp(container, settings)} if settings.mcp else {}),
            **_channels(container),
            "Address": checkups.look_at_address(container, settings),
        }
        for title, looks in parts.items():
            try:
                async for each in looks:
                    yield each
            except (DeputyError, OSError) as error:
                yield fault(title, str(error), "this part could not be examined further; fix that first")
            except Exception as error:  # the outermost edge of one part: the others are examined all the same
                yield fault(title, f"it could not be examined ({type(error).__name__})", "fix the other faults first")
    finally:
        await container.model_http().aclose()
        await container.http().aclose()
        await container.database().close()


def _channels(container: Application) -> dict[str, AsyncIterator[Diagnosis]]:
    return {
        channel.title: channel.checkup.look()
        for channel in container.channels().values()
        if channel.checkup is not None
    }
