"""A folder in memory for temporary files, because on disk every SQLite commit waits for the device."""

from __future__ import annotations

import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")  # Linux's file system in memory
_ROOM = 2**30  # bytes


def folder_in_memory() -> Path | None:
    """Return a folder whose files are in memory, or None if there is no such folder or it is full."""
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
    return _MEMORY if has_room else None
