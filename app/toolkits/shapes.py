"""Parts of an API's answers, by the shapes that Google documents; a shape that is not as documented reads as empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mapping(value: object, key: str) -> Mapping[str, Any]:
    """Return the object below a key, or an empty one."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def objects(value: object, key: str) -> list[Mapping[str, Any]]:
    """Return the objects in the list under a key, skipping all other elements."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def text(value: object, key: str) -> str:
    """Return the text below a key, or an empty one."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else ""


def number(value: object, key: str) -> int:
    """Return the whole number below a key, or 0; 64 bits travel as text."""
    found = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(found, str) and len(found) <= 20:
        digits = found.removeprefix("-")
        return int(found) if digits.isascii() and digits.isdecimal() else 0
    return found if isinstance(found, int) else 0
