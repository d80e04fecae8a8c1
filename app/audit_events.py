"""Audit events of Python's by which code reaches outside its process: https://docs.python.org/3/library/audit_events.html.

Each stands for all events that begin with it.
"""

from __future__ import annotations

import os

CHANGES = (
    "subprocess.",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.kill",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.ch",
    "shutil.",
    "sqlite3.connect",
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND  # flags of the event `open`
