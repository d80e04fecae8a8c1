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

from app.database.clock import DATABASE_TIME

FREE: dict[str, None] = {"lease_holder": None, "lease_until": None}
HOLDER = sa.bindparam("by_holder", type_=sa.String)
"""The holder of the lease whose parameters a statement is given."""
_SECONDS = sa.bindparam("lease_seconds", type_=sa.Double)
_GIVEN_TIME = sa.bindparam("lease_time", type_=sa.Double)


def new_holder() -> str:
    """Return a name that no other process has had or will have: ``host:pid:8 hexadecimal digits``."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class MessageLease:
    """The name under which this process holds rows, and for how long at a time.

    Attributes:
        seconds: The time after which a lease expires unless it is renewed.
        now: The clock for leases, if it is not the database's. The clocks of machines differ, so only a test has one.
    """

    holder: str
    seconds: float = 30.0
    now: Callable[[], float] | None = None

    @property
    def time(self) -> sa.ColumnElement[float]:
        """The time, for statements that are executed with `given`."""
        return DATABASE_TIME if self.now is None else _GIVEN_TIME

    def given(self, **others: object) -> dict[str, object]:
        """Return the parameters of a statement about leases, along with its others."""
        given = {"by_holder": self.holder, "lease_seconds": self.seconds, **others}
        return given if self.now is None else {**given, "lease_time": self.now()}


def taken(time: sa.ColumnElement[float]) -> dict[str, Any]:
    """Return the column values of a row that belongs to the holder from now on."""
    return {"lease_holder": HOLDER, "lease_until": time + _SECONDS}


def is_over(table: sa.Table, time: sa.ColumnElement[float]) -> sa.ColumnElement[bool]:
    """Return the condition that no process holds the row."""
    return sa.or_(table.c.lease_until.is_(None), table.c.lease_until < time)


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
