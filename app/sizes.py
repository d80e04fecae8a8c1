"""Sizes in words."""

from __future__ import annotations


def in_units(size: int) -> str:
    """Return a number of bytes as people write it, such as ``20 MB``."""
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"
