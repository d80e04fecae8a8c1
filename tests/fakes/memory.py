"""Where files are kept that are thrown away: in memory, as on disk each commit of SQLite's waits for the device."""

from __future__ import annotations

import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")  # Linux's file system in memory
_ROOM = 2**30  # bytes


def folder_in_memory() -> Path | None:
    """Return a folder whose files are in memory, or None where there is none or it has no room."""
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
    return _MEMORY if has_room else None
