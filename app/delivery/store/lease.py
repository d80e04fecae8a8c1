"""A lease: a row is one process's for a while, and anybody's once that process has stopped renewing it."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import database_time

TimeOf = Callable[[AsyncConnection], sa.ColumnElement[float]]
FREE: dict[str, None] = {"lease_holder": None, "lease_until": None}


def new_holder() -> str:
    """A name that no other process has had or will have: ``host:pid:8 hexadecimal digits``."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class MessageLease:
    """Under which name this process holds rows, and for how long at a time.

    Attributes:
        seconds: Unless it is renewed, a lease ends after so long.
        time_of: The clock that leases go by; that of the database, as those of machines differ.
    """

    holder: str
    seconds: float = 30.0
    time_of: TimeOf = database_time

    def taken(self, connection: AsyncConnection) -> dict[str, Any]:
        """The column values of a row that is this process's from now on."""
        return {"lease_holder": self.holder, "lease_until": self.time_of(connection) + self.seconds}

    def is_over(self, table: sa.Table, connection: AsyncConnection) -> sa.ColumnElement[bool]:
        """The condition that nobody holds the row (any more)."""
        return sa.or_(table.c.lease_until.is_(None), table.c.lease_until < self.time_of(connection))


def this_machine() -> str:
    """Names the boot and the process numbering that this process lives in: two alike can ask about a process id.

    Empty where the system does not say; then nothing is alike. 32 hexadecimal digits.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        numbering = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return hashlib.blake2b(f"{boot} {numbering}".encode(), digest_size=16).hexdigest()


def process_is_gone(holder: str, machine: str) -> bool:
    """Whether the process of this name has certainly ended; False where that cannot be known."""
    if not machine or machine != this_machine():
        return False
    pid = int(holder.rsplit(":", 2)[1])
    if pid == os.getpid():
        return True  # an earlier process of this number; it is ours now
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
