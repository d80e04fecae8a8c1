"""A process that has imported all of Deputy, and forks one that runs `deputy …` for each line that it reads.

The imports alone take two seconds of CPU, and the suite starts dozens of processes. When this process ends, so do the
forked ones. It speaks JSON, one line each way: ``{"arguments", "folder", …}`` → ``{"pid"}``, and ``{"reap"}`` →
``{"status"}``.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

_ROOT = Path(__file__).parents[2]
_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


class Preloaded:
    """The test's handle on a preloaded process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def fork(
        self, arguments: Sequence[str], folder: Path, log: Path, *, environ: Mapping[str, str], fault: str | None
    ) -> int:
        """Run ``deputy`` with these arguments in a folder, and return its pid."""
        order = {"arguments": list(arguments), "folder": str(folder), "log": str(log), "fault": fault}
        return int(self._ask({**order, "environ": dict(environ)})["pid"])

    def reap(self, pid: int) -> int:
        """Return the exit status of a process that has ended, or minus the number of the signal that killed it."""
        return int(self._ask({"reap": pid})["status"])

    def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def preloaded() -> Iterator[Preloaded]:
    """Yield a preloaded process that is ready; it ends with the context, and so do the processes that it forked."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C reaches only the test, which ends this process
    ) as process:
        try:
            yield Preloaded(process)
        finally:
            process.kill()


def _serve() -> None:
    """Fork and reap processes as requested, until standard input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        if "reap" in order:
            _, status = os.waitpid(order["reap"], 0)
            _tell(status=os.waitstatus_to_exitcode(status))
        elif (pid := os.fork()) == 0:
            _become(order)
        else:
            _tell(pid=pid)


def _tell(**answer: int) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


def _become(order: Mapping[str, Any]) -> NoReturn:
    from app.cli import main
    from tests.delivery.planted import plant

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir(order["folder"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(log, standard)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(order["environ"])
    plant(order["fault"])
    sys.argv = ["deputy", *order["arguments"]]
    status = 1
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        os._exit(status)  # do not return into the loop of the parent process


def _import_all() -> None:
    """Import everything, including what a server imports only when it starts."""
    for module in (
        "aiosqlite",
        "alembic.command",
        "anyio._backends._asyncio",
        "app.database.migrate",
        "app.main",
        "app.sandbox.attachment",
        "asyncpg",
        "containers.build",
        "encodings.idna",
        "interfaces.slack.client",
        "interfaces.slack.interface",
        "interfaces.slack.inbound",
        "mako.exceptions",
        "procrastinate",
        "psycopg",
        "sqlalchemy.dialects.postgresql.asyncpg",
        "sqlalchemy.dialects.sqlite.aiosqlite",
        "tests.delivery.badge",
        "httptools",
        "uvicorn.lifespan.off",
        "uvicorn.protocols.http.auto",
        "uvloop",
    ):
        import_module(module)


if __name__ == "__main__":
    _import_all()
    _serve()
