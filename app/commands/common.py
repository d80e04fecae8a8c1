"""What every command needs: its options, the configuration, and errors as one message and an exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.logging import RichHandler

from app.errors import DeputyError, PrincipalError, SettingsError
from app.principal import Principal
from app.settings import Settings, load_settings

T = TypeVar("T")

CONFIG = Path("config.yaml")
FAILED = 1  # what was asked for failed
WRONG = 2  # the command line or the configuration is wrong

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
PrincipalOption = Annotated[str, typer.Option("--principal", help="Whom: platform:tenant:user, as in http:demo:ada.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def configured(path: Path) -> Settings:
    """The settings of a file, with logging set up as they say; ends the command if they are wrong."""
    try:
        settings = load_settings(path, os.environ)
    except SettingsError as error:
        fail(str(error), WRONG)
    # Libraries write bodies and parameters at their debug level, so only our own level can be lowered.
    handler = RichHandler(console=Console(stderr=True), show_path=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    for package in ("app", "containers", "interfaces"):
        logging.getLogger(package).setLevel(settings.logging.level.upper())
    return settings


def principal(text: str) -> Principal:
    """The principal that an option names; ends the command if it names none."""
    try:
        return Principal.parse(text)
    except PrincipalError as error:
        fail(str(error), WRONG)


def run(work: Coroutine[object, object, T]) -> T:
    """Run to the end; an error of ours becomes one message and an exit code."""
    try:
        with asyncio.Runner(loop_factory=_event_loop) as runner:
            return runner.run(work)
    except SettingsError as error:
        fail(str(error), WRONG)
    except _failures() as error:
        fail(str(error), FAILED)


def _failures() -> tuple[type[Exception], ...]:
    """Return what a command can fail with; the proof is imported only once something has failed."""
    from containers.proof import LifetimeError

    return DeputyError, LifetimeError, OSError


def _event_loop() -> asyncio.AbstractEventLoop:
    """Uvloop's where there is one (https://uvloop.readthedocs.io): it does the same, and sooner."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


async def told_to_stop() -> None:
    """Return when the process is sent SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def fail(message: str, code: int) -> NoReturn:
    """End the command with a message."""
    print(f"deputy: {message}", file=sys.stderr)
    raise typer.Exit(code)
