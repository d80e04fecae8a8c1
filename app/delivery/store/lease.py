"""Leases: a row belongs to one process for a while, and is free again once that process stops renewing it."""

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

from app.database.database import HasDialect, database_time

TimeOf = Callable[[HasDialect], sa.ColumnElement[float]]
FREE: dict[str, None] = {"lease_holder": None, "lease_until": None}


def new_holder() -> str:
    """Return a name that no other process has had or will have: ``host:pid:8 hexadecimal digits``."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class MessageLease:
    """The name under which this process holds rows, and for how long at a time.

    Attributes:
        seconds: The time after which a lease expires unless it is renewed.
        time_of: The clock for leases: the database's, because the clocks of machines differ.
    """

    holder: str
    seconds: float = 30.0
    time_of: TimeOf = database_time

    def taken(self, of: HasDialect) -> dict[str, Any]:
        """Return the column values of a row that belongs to this process from now on."""
        return {"lease_holder": self.holder, "lease_until": self.time_of(of) + self.seconds}

    def is_over(self, table: sa.Table, of: HasDialect) -> sa.ColumnElement[bool]:
        """Return the condition that no process holds the row."""
        return sa.or_(table.c.lease_until.is_(None), table.c.lease_until < self.time_of(of))


def this_machine() -> str:
    """Return an id of this boot and this PID namespace: processes with the same id can look up each other's PID.

    32 hexadecimal digits, or empty where the system does not tell; an empty id equals no other.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        numbering = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return hashlib.blake2b(f"{boot} {numbering}".encode(), digest_size=16).hexdigest()


def process_is_gone(holder: str, machine: str) -> bool:
    """Return whether the process of this name has certainly ended; False if that cannot be known."""
    if not machine or machine != this_machine():
        return False
    pid = int(holder.rsplit(":", 2)[1])
    if pid == os.getpid():
        return True  # an earlier process with the PID that is ours now
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
