"""Confines foreign code while it runs: it reaches no credential of the environment, and nothing of this machine.

agno's classes read environment variables when an argument is left out, and everybody would share what they find. In
confined code a variable that looks like a credential does not exist unless the settings list it, and files and
processes are refused. Python's audit hooks (PEP 578) report the latter; a C library's own calls they do not see, and a
thread that the foreign code starts itself is not confined.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from app.audit_events import CHANGES, WRITES

# A name is split at its underscores; one of these parts says that its value tells who somebody is, or opens something.
_CREDENTIALS = frozenset(
    {"ACCOUNT", "APIKEY", "AUTH", "AUTHORIZATION", "BEARER", "CLIENT", "COOKIE", "CREDENTIAL", "CREDENTIALS"}
    | {"DELEGATED", "DSN", "EMAIL", "KEY", "KEYS", "LOGIN", "PASS", "PASSPHRASE", "PASSWD", "PASSWORD", "PRIVATE"}
    | {"PWD", "SECRET", "SECRETS", "SESSION", "SID", "TOKEN", "TOKENS", "USER", "USERNAME"}
)
_OF_THE_SYSTEM = frozenset({"PWD", "OLDPWD", "USER", "USERNAME", "LOGIN", "SSH_AUTH_SOCK", "SESSION_MANAGER"})
_URL_WITH_LOGIN = re.compile(r"(?:.*_)?(?:DATABASE|DB|REDIS|MONGO|POSTGRES|PG|BROKER)_?(?:URL|URI)")

_MACHINE = (
    *CHANGES,
    "os.listdir",
    "os.scandir",
    "os.walk",
    "os.putenv",
    "os.unsetenv",
    "os.startfile",
    "glob.",
    "pathlib.",
    "pty.spawn",
    "webbrowser.open",
)
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.send", "socket.bind", "_thread.start_")
_METADATA = ("169.254.", "fd00:ec2:", "fe80:")  # link-local: a cloud's own credentials are served there
_IMPORT_SYSTEM = "<frozen importlib"
_READABLE = tuple(
    {f"{os.path.abspath(sysconfig.get_path(name))}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {
        "/etc/ssl/",
        "/etc/pki/",
        "/usr/share/zoneinfo/",
        "/usr/share/ca-certificates/",
        "/usr/local/share/ca-certificates/",
    }
)
_READABLE_FILES = frozenset({os.devnull, "/dev/urandom", "/etc/mime.types", "/etc/localtime", "/etc/timezone"})


class ConfinedError(PermissionError):
    """Foreign code was about to reach what it may not."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """The limits of one toolkit's code. Lives as long as the process.

    Attributes:
        variables: Environment variables that it may read though they look like credentials.
        machine: It may reach files and processes.
        network: It may reach other hosts, and start threads.
        owners: The limits on the environment are for the methods of these classes alone; by default for all code.
        hidden: The variables that it asked for in vain.
    """

    variables: frozenset[str] = frozenset()
    machine: bool = False
    network: bool = True
    owners: tuple[type, ...] = ()
    hidden: set[str] = field(default_factory=set, compare=False)

    def hides(self, variable: str) -> bool:
        """Return whether an environment variable is kept from the code."""
        if variable in self.variables or not looks_like_credential(variable):
            return False
        return not self.owners or _is_in_method_of(self.owners)


def looks_like_credential(variable: str) -> bool:
    """Return whether an environment variable's name says that it holds a credential, or whose one to use."""
    if variable in _OF_THE_SYSTEM:
        return False
    upper = variable.upper()
    parts = re.sub(r"([a-z])([A-Z])", r"\1_\2", variable).upper().split("_")
    return (
        not _CREDENTIALS.isdisjoint(parts)
        or upper.endswith(("KEY", "TOKEN", "SECRET"))
        or bool(_URL_WITH_LOGIN.fullmatch(upper))
    )


def _is_in_method_of(owners: tuple[type, ...]) -> bool:
    """Return whether a method of one of these classes is among the callers."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        names = frame.f_code.co_varnames
        if frame.f_code.co_argcount and isinstance(frame.f_locals.get(names[0]), owners):
            return True
        frame = frame.f_back
    return False


_confinement: ContextVar[Confinement | None] = ContextVar("confinement", default=None)
_install = threading.Lock()
_is_installed = False


@contextmanager
def confined(confinement: Confinement | None) -> Iterator[None]:
    """Confine the code in the block, in this task or thread; None frees code of Deputy's own that it calls."""
    _install_hooks()
    before = _confinement.get()
    _confinement.set(confinement)
    try:
        yield
    finally:
        _confinement.set(before)


def _install_hooks() -> None:
    """Watch the environment and the audit events of this process, from the first use on."""
    global _is_installed
    with _install:
        if not _is_installed:
            _watch_environment(type(os.environ))
            sys.addaudithook(_hook)
            _is_installed = True


def _watch_environment(environment: Any) -> None:
    get, names = environment.__getitem__, environment.__iter__

    def watched_get(self: Any, key: Any) -> Any:
        if (confinement := _confinement.get()) is not None:
            name = os.fsdecode(key) if isinstance(key, str | bytes) else str(key)
            if confinement.hides(name):
                confinement.hidden.add(name)
                raise KeyError(key)
        return get(self, key)

    def watched_names(self: Any) -> Iterator[Any]:
        confinement = _confinement.get()
        for key in names(self):
            if confinement is None or not confinement.hides(os.fsdecode(key)):
                yield key

    environment.__getitem__, environment.__iter__ = watched_get, watched_names


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    confinement = _confinement.get()
    if confinement is None or (refused := _refused(confinement, event, arguments)) is None:
        return
    if sys._getframe(1).f_code.co_filename.startswith(_IMPORT_SYSTEM):  # it imports a module, late
        return
    raise ConfinedError(f"{refused} is out of reach here ({event})")


def _refused(confinement: Confinement, event: str, arguments: tuple[Any, ...]) -> str | None:
    if not confinement.machine:
        if event == "open":
            return None if _is_harmless(*arguments) else "a file of this machine"
        if event.startswith(_MACHINE):
            return "this machine"
    if not confinement.network and event.startswith(_NETWORK):
        return "the network"
    if event == "socket.connect" and _is_metadata(arguments[1]):
        return "a link-local address"
    return None


def _is_metadata(address: Any) -> bool:
    return isinstance(address, tuple) and str(address[0]).lower().startswith(_METADATA)


def _is_harmless(path: object, mode: object, flags: object) -> bool:
    """Return whether a file may be opened: one of Python's or of the system's, to read it."""
    if not isinstance(path, str | bytes):  # a file that is open already
        return True
    if isinstance(flags, int) and flags & WRITES and os.fsdecode(path) != os.devnull:
        return False
    full = os.path.abspath(os.fsdecode(path))
    return full in _READABLE_FILES or full.startswith(_READABLE)
