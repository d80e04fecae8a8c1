"""The declaration of one class in the configuration: written for agno. Importing this does not import agno."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a toolkit's constructor.

    Attributes:
        value: The value from the settings, which may be a secret; None if it is a connection.
        connection: The connection whose access token it is, the sender's own.
    """

    value: Any = field(default=None, repr=False)
    connection: str | None = None

    def __str__(self) -> str:
        return f"the access token of {self.connection}" if self.connection else "********"


@dataclass(frozen=True, slots=True)
class ForeignDeclaration:
    """One class, and what its tools may do; the settings explain each part. Lives as long as the process."""

    path: str
    arguments: Mapping[str, Argument] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    reads: tuple[str, ...] = ()
    acts: tuple[str, ...] = ()
    oauth_scopes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    allow_environment: tuple[str, ...] = ()
    allow_machine: tuple[str, ...] = ()
