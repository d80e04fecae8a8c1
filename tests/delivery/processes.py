"""Real Deputy processes that are started, killed, frozen and stopped, always by their own pid."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.delivery.preloaded import Preloaded

_START_SECONDS = 60.0  # a start takes two seconds of CPU, and other processes compete for it
_STOP_SECONDS = 30.0
_READY = ("Deputy listens on", "Deputy's worker is at work")  # printed by the two commands


class Child:
    """A process that was forked from a preloaded one. Do not use it after `wait` has returned.

    Attributes:
        pid: Not reused by the system before `wait` has returned.
    """

    def __init__(self, preloaded: Preloaded, pid: int) -> None:
        self.pid = pid
        self._preloaded = preloaded
        self._end = os.pidfd_open(pid)

    @property
    def has_ended(self) -> bool:
        """Return whether the process has ended, even if nobody has waited for it."""
        return bool(select.select([self._end], [], [], 0)[0])

    async def wait(self) -> int:
        """Return the exit status, once there is one."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._end, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._end)
        os.close(self._end)
        return self._preloaded.reap(self.pid)


@dataclass
class Deputy:
    """One server or worker, which may be killed and started again; each start is another incarnation.

    Attributes:
        name: Such as "serve-1" or "worker-2".
        command: `serve` or `worker`.
        config: The configuration.
        url: The address that the process listens on, if it does.
        fault: A planted fault of tests/delivery/planted.py, or None.
        environ: Variables added to the environment.
        absences: By pid, the times at which each incarnation was killed or frozen; monotonic clock, seconds.
        wakes: By pid, the times at which each frozen incarnation was woken.
        kills: The number of times it was killed.
    """

    name: str
    command: str
    config: Mapping[str, Any]
    folder: Path
    url: str
    preloaded: Preloaded
    environ: Mapping[str, str]
    fault: str | None = None
    absences: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    wakes: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    kills: int = 0
    _child: Child | None = None

    @property
    def pid(self) -> int:
        """Return the pid of the running incarnation."""
        return self._running.pid

    @property
    def log(self) -> str:
        """Return the output of every incarnation, for the message of a failed test."""
        return self._log_file.read_text() if self._log_file.exists() else ""

    async def start(self) -> None:
        """Start the process and return once it is ready."""
        assert self._child is None
        written = len(self.log)
        config = self.folder / f"{self.name}.yaml"
        config.write_text(yaml.safe_dump(dict(self.config)))
        arguments = [self.command, "--config", str(config)]
        self._child = Child(
            self.preloaded,
            self.preloaded.fork(arguments, self.folder, self._log_file, environ=self.environ, fault=self.fault),
        )
        await self._until_ready(written)

    async def kill(self) -> None:
        """End the process immediately, at any point of its work (SIGKILL)."""
        self._signal(signal.SIGKILL)
        await self._running.wait()
        self.absences[self._running.pid].append(time.monotonic())
        self.kills += 1
        self._child = None

    async def stop(self) -> None:
        """Let the process finish or hand over its work in progress (SIGTERM).

        Raises:
            AssertionError: It failed, or had to be killed.
        """
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                status = await self._running.wait()
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"{self.name} did not stop\n{self.log}") from None
        self._child = None
        assert status == 0, f"{self.name} ended with {status}\n{self.log}"

    def freeze(self) -> None:
        """Suspend the process (SIGSTOP); its connections stay open."""
        self._signal(signal.SIGSTOP)
        self.absences[self._running.pid].append(time.monotonic())

    def wake(self) -> None:
        """Resume a frozen process (SIGCONT)."""
        self.wakes[self._running.pid].append(time.monotonic())
        self._signal(signal.SIGCONT)

    async def end(self) -> None:
        """End the process if it runs, even if it is frozen."""
        if self._child is not None:
            self._signal(signal.SIGKILL)
            await self._child.wait()
            self._child = None

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self._running.pid, number)

    @property
    def _running(self) -> Child:
        assert self._child is not None, f"{self.name} does not run"
        return self._child

    @property
    def _log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    async def _until_ready(self, written: int) -> None:
        end = time.monotonic() + _START_SECONDS
        while not any(words in self.log[written:] for words in _READY):
            assert not self._running.has_ended, f"{self.name} ended at its start\n{self.log}"
            assert time.monotonic() < end, f"{self.name} did not start in time\n{self.log}"
            await asyncio.sleep(0.01)


async def end_all(deputies: Sequence[Deputy]) -> None:
    """End all of these processes that still run."""
    for deputy in deputies:
        await deputy.end()
