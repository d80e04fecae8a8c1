"""Helpers for every command: options, the configuration, and errors as one message and an exit code."""

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
FAILED = 1  # the command failed
WRONG = 2  # the command line or the configuration is wrong
_FILE: ContextVar[SettingsFile | None] = ContextVar("settings_file", default=None)  # of the command that runs

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
PrincipalOption = Annotated[
    str, typer.Option("--principal", help="The person, as platform:tenant:user: http:demo:ada.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def configured(path: Path) -> Settings:
    """Return the settings of a file and set up logging accordingly, or end the command if they are wrong.

    Errors in settings that `run` meets later are also shown with their line in this file.
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
    """Print settings that work but are probably not intended to standard error, each with its file and line."""
    file = _FILE.get()
    for place, text in words:
        print(f"deputy: note: {file.locate(place, text) if file else text}", file=sys.stderr)


def principal(text: str) -> Principal:
    """Return the principal that an option names, or end the command if the option is malformed."""
    try:
        return Principal.parse(text)
    except PrincipalError as error:
        fail(str(error), WRONG)


def run(work: Coroutine[object, object, T]) -> T:
    """Return the result of `work`; expected errors, such as Deputy's own, become a message and an exit code."""
    try:
        with asyncio.Runner(loop_factory=_event_loop) as runner:
            return runner.run(work)
    except SettingsError as error:
        fail(_located(error), WRONG)
    except _failures() as error:
        fail(_located(error), FAILED)
    except sa.exc.SQLAlchemyError as error:
        if not is_database_failure(error):
            raise
        fail(f"the database cannot be used: {reason(error)}", FAILED)


def _located(error: Exception) -> str:
    """Return the error's text, with file and line before it if it begins with a key of the settings."""
    file = _FILE.get()
    return file.located(str(error)) if file else str(error)


def _failures() -> tuple[type[Exception], ...]:
    """Return the expected errors of commands; called after a failure, because importing the proof takes time."""
    from containers.proof import LifetimeError

    return DeputyError, LifetimeError, OSError


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop where there is one (https://uvloop.readthedocs.io), because it is faster."""
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
    """End the command with a message and an exit code."""
    print(f"deputy: {message}", file=sys.stderr)
    raise typer.Exit(code)
