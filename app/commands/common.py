"""What every command needs: its options, the configuration, and errors as one message and an exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Iterable
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import sqlalchemy as sa
import typer

from app.commands.logs import set_up_logging
from app.database.reach import is_database_failure, reason
from app.errors import DeputyError, PrincipalError, SettingsError
from app.principal import Principal
from app.settings import Settings, settings_of
from app.settings_file import Place, SettingsFile, read_settings_file

T = TypeVar("T")

CONFIG = Path("config.yaml")
FAILED = 1  # what was asked for failed
WRONG = 2  # the command line or the configuration is wrong
_FILE: ContextVar[SettingsFile | None] = ContextVar("settings_file", default=None)  # of the command that runs

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
PrincipalOption = Annotated[str, typer.Option("--principal", help="Whom: platform:tenant:user, as in http:demo:ada.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def configured(path: Path) -> Settings:
    """Return the settings of a file, with logging set up as they say; ends the command if they are wrong.

    What `run` meets later is shown with the line of this file, too.
    """
    try:
        file = read_settings_file(path, os.environ)
        settings = settings_of(file)
    except SettingsError as error:
        fail(str(error), WRONG)
    _FILE.set(file)
    set_up_logging(settings.logging)
    return settings


def note(words: Iterable[tuple[Place, str]]) -> None:
    """Print what works and is probably not meant, each with its file and line, to standard error."""
    file = _FILE.get()
    for place, text in words:
        print(f"deputy: note: {file.locate(place, text) if file else text}", file=sys.stderr)


def principal(text: str) -> Principal:
    """The principal that an option names; ends the command if it names none."""
    try:
        return Principal.parse(text)
    except PrincipalError as error:
        fail(str(error), WRONG)


def run(work: Coroutine[object, object, T]) -> T:
    """Run to the end. An error of ours, of the database or of the system becomes one message and an exit code."""
    try:
        with asyncio.Runner(loop_factory=_event_loop) as runner:
            return runner.run(work)
    except SettingsError as error:
        file = _FILE.get()
        fail(file.located(str(error)) if file else str(error), WRONG)
    except _failures() as error:
        fail(str(error), FAILED)
    except sa.exc.SQLAlchemyError as error:
        if not is_database_failure(error):
            raise
        fail(f"the database cannot be used: {reason(error)}", FAILED)


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
