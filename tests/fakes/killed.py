"""Runs `deputy`, or a refresh, in processes that are killed in the middle, each at another place.

    python -m tests.fakes.killed app.users:Users.offboard=after nowhere=never -- users offboard --principal … -c …
    python -m tests.fakes.killed app.google.auth:GoogleAuth.refresh=before -- refresh --principal … -c …

For every place, one process is forked from this one; it kills itself with SIGKILL right before or after that method has
run, so that nothing is cleaned up. Its exit code is printed; a line on standard input starts the next one.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from app.cli import cli
from app.commands.common import configured
from app.commands.container import opened_container
from app.principal import Principal
from app.settings import Settings
from containers import build as _build  # before the forks, so that not each of them imports it
from containers.application import Application

assert _build
LEASE_SECONDS = 1.0  # tests need not wait for 15


def kill_at(place: str, when: str) -> None:
    """Let this process die right before or after the method ``package.module:Class.method`` runs."""
    module, _, path = place.partition(":")
    owner_name, _, name = path.partition(".")
    owner = getattr(importlib.import_module(module), owner_name)
    method = getattr(owner, name)

    @functools.wraps(method)
    async def fatal(*arguments: Any, **named: Any) -> NoReturn:
        if when == "after":
            await method(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

    setattr(owner, name, fatal)


async def refresh(settings: Settings, principal: Principal) -> None:
    """Refresh this person's grant as a server would."""
    async with opened_container(settings) as container:
        await container.refresher().fresh(principal)


def do(step: str, arguments: list[str]) -> None:
    """Plant the kill, then do what was asked."""
    os.dup2(2, 1)  # standard output is for exit codes
    Application.refresh_leases.add_kwargs(lease_seconds=LEASE_SECONDS)
    place, _, when = step.partition("=")
    if place != "nowhere":
        kill_at(place, when)
    if arguments[0] == "refresh":
        principal, config = arguments[2], arguments[4]
        asyncio.run(refresh(configured(Path(config)), Principal.parse(principal)))
    else:
        cli(arguments)


def main() -> None:
    """Fork a process for each step, and print how it ended."""
    end = sys.argv.index("--")
    for step in sys.argv[1:end]:
        child = os.fork()
        if child == 0:
            do(step, sys.argv[end + 1 :])
            return
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()
        sys.stdin.readline()


if __name__ == "__main__":
    main()
