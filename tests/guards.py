"""Guards that keep tests from reaching another machine, or starting a process without the marker `system`.

Both are refused where Python calls the system. An audit hook would see the same calls, but it is also called for every
`id()`, which costs a thirtieth of the time of all tests.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_SENDING = ("connect", "connect_ex", "sendmsg", "sendto")  # methods of a socket
_RESOLVING = ("getaddrinfo", "gethostbyaddr", "gethostbyname", "gethostbyname_ex")  # of the module socket
_STARTING = ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system")  # of the module os
_LOCAL_NAMES = (None, "", "localhost", b"localhost")


class NetworkRefusedError(RuntimeError):
    """A test tried to reach another machine. Not an OSError, so that nothing mistakes it for a network failure."""


class ProcessRefusedError(RuntimeError):
    """A test without the marker `system` tried to start a process."""


class _Guard:
    """Refuses everything that a test may not do; lives as long as the process."""

    def __init__(self) -> None:
        self.may_start_processes = True

    def check_address(self, connection: socket.socket, *arguments: Any, **_: Any) -> None:
        """Raise NetworkRefusedError if the last argument is an address beyond loopback."""
        address = arguments[-1] if arguments else None
        if connection.family != socket.AF_UNIX and isinstance(address, tuple) and not _is_loopback(address[0]):
            raise NetworkRefusedError(f"a test may reach loopback only, not {address!r}")

    def check_name(self, host: Any, *_: Any, **__: Any) -> None:
        """Raise NetworkRefusedError if the host is not this machine."""
        if host not in _LOCAL_NAMES and not _is_address(host):
            raise NetworkRefusedError(f"a test may look up loopback only, not {host!r}")

    def check_process(self, *_: Any, **__: Any) -> None:
        """Raise ProcessRefusedError if this test may not start processes."""
        if not self.may_start_processes:
            raise ProcessRefusedError("a test that starts a process needs the marker `system`")


_guard = _Guard()


def _checked(owner: Any, names: tuple[str, ...], check: Callable[..., None]) -> None:
    """Make functions of a module or class check their arguments first."""
    for name in names:
        function = getattr(owner, name)

        def refuse_or_call(*arguments: Any, _function: Any = function, **named: Any) -> Any:
            check(*arguments, **named)
            return _function(*arguments, **named)

        setattr(owner, name, functools.update_wrapper(refuse_or_call, function))


_checked(socket.socket, _SENDING, _guard.check_address)
_checked(socket, _RESOLVING, _guard.check_name)
_checked(os, _STARTING, _guard.check_process)
_checked(subprocess.Popen, ("__init__",), _guard.check_process)


@contextmanager
def processes(allowed: bool) -> Iterator[None]:
    """Allow or refuse to start processes until the block ends."""
    before, _guard.may_start_processes = _guard.may_start_processes, allowed
    try:
        yield
    finally:
        _guard.may_start_processes = before


def _is_address(host: str | bytes) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
