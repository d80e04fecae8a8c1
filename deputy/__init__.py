"""Everything that a project may import from Deputy: toolkits and what they work with, and request scopes.

`deputy.testing` has the test support. All other modules may change without notice. Names are imported when they are
first used, so `import deputy` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from deputy.packages import refuse_other_packages

if TYPE_CHECKING:
    from app.approvals.question import Question
    from app.connections.connection import Connection
    from app.deadline import Deadline
    from app.errors import (
        AccessRefusedError,
        ConsentRequiredError,
        CredentialsError,
        DeputyError,
        ForeignRunError,
        GoogleError,
        PrincipalError,
        SettingsError,
        ToolError,
    )
    from app.google.client import GoogleClient
    from app.principal import Principal
    from app.toolkits.input_file import InputFile, OneFile, SeveralFiles, TakesFiles
    from app.toolkits.toolkit import Effect, Toolkit, ToolSpec, tool
    from containers.proof import Finding, LifetimeError, Proof, prove
    from containers.scopes import OutsideScopeError, Scope, Scoped, ScopeError, Seed, open_threads

__all__ = [
    "AccessRefusedError",
    "Connection",
    "ConsentRequiredError",
    "CredentialsError",
    "Deadline",
    "DeputyError",
    "Effect",
    "Finding",
    "ForeignRunError",
    "GoogleClient",
    "GoogleError",
    "InputFile",
    "LifetimeError",
    "OneFile",
    "OutsideScopeError",
    "Principal",
    "PrincipalError",
    "Proof",
    "Question",
    "Scope",
    "ScopeError",
    "Scoped",
    "Seed",
    "SettingsError",
    "SeveralFiles",
    "TakesFiles",
    "ToolError",
    "ToolSpec",
    "Toolkit",
    "open_threads",
    "prove",
    "tool",
]

_MODULES = MappingProxyType(
    {
        "app.approvals.question": ("Question",),
        "app.connections.connection": ("Connection",),
        "app.deadline": ("Deadline",),
        "app.errors": (
            "AccessRefusedError",
            "ConsentRequiredError",
            "CredentialsError",
            "DeputyError",
            "ForeignRunError",
            "GoogleError",
            "PrincipalError",
            "SettingsError",
            "ToolError",
        ),
        "app.google.client": ("GoogleClient",),
        "app.principal": ("Principal",),
        "app.toolkits.input_file": ("InputFile", "OneFile", "SeveralFiles", "TakesFiles"),
        "app.toolkits.toolkit": ("Effect", "ToolSpec", "Toolkit", "tool"),
        "containers.proof": ("Finding", "LifetimeError", "Proof", "prove"),
        "containers.scopes": ("OutsideScopeError", "Scope", "ScopeError", "Scoped", "Seed", "open_threads"),
    }
)
_MODULE_OF = MappingProxyType({name: module for module, names in _MODULES.items() for name in names})


def __getattr__(name: str) -> object:
    """Import a public name (https://peps.python.org/pep-0562/).

    Raises:
        AttributeError: There is no such name.
        ImportError: Another package hides Deputy's own.
    """
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    refuse_other_packages()
    found = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted({*globals(), *__all__})
