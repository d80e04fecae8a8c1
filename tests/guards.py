"""Guards that keep a test from reaching another machine, starting processes unmarked, and changing others' logging.

The first two are enforced by an audit hook, which also sees calls that go around the modules `socket` and `subprocess`.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SENDING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_RESOLVING = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_STARTING = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
_WATCHED = _SENDING | _RESOLVING | _STARTING  # the others, such as `builtins.id`, come thousands of times a test
_LOCAL_NAMES = (None, "", "localhost", b"localhost")


class NetworkRefusedError(RuntimeError):
    """A test tried to reach another machine. Not an OSError, so that nothing mistakes it for a network failure."""


class ProcessRefusedError(RuntimeError):
    """A test without the marker `system` tried to start a process."""


class _Guard:
    """Refuses everything that a test may not do; lives as long as the process."""

    def __init__(self) -> None:
        self.may_start_processes = True

    def check(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise an error if this test may not do this.

        Raises:
            NetworkRefusedError: It reaches, or looks up, another machine.
            ProcessRefusedError: It starts a process without the marker.
        """
        if event in _SENDING:
            connection, address = arguments
            if connection.family != socket.AF_UNIX and address and not _is_loopback(address[0]):
                raise NetworkRefusedError(f"a test may reach loopback only, not {address!r}")
        elif event in _RESOLVING:
            if arguments[0] not in _LOCAL_NAMES and not _is_address(arguments[0]):
                raise NetworkRefusedError(f"a test may look up loopback only, not {arguments[0]!r}")
        elif event in _STARTING and not self.may_start_processes:
            raise ProcessRefusedError(f"a test that starts a process needs the marker `system` ({event})")


_guard = _Guard()


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _WATCHED:
        _guard.check(event, arguments)


sys.addaudithook(_watch)


@contextmanager
def processes(allowed: bool) -> Iterator[None]:
    """Allow or refuse to start processes until the block ends."""
    before, _guard.may_start_processes = _guard.may_start_processes, allowed
    try:
        yield
    finally:
        _guard.may_start_processes = before


@contextmanager
def own_logging() -> Iterator[None]:
    """Undo at the end of the block what a command, run in the test's process, has set up for the whole process."""
    loggers = [logging.getLogger(name) for name in (None, "app", "containers", "interfaces")]
    before = [(log, log.handlers[:], log.level) for log in loggers]
    try:
        yield
    finally:
        for log, handlers, level in before:
            log.handlers[:] = handlers
            if log.level != level:
                log.setLevel(level)  # clears what every logger remembers of its level


def _is_address(host: str | bytes) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
