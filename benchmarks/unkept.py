"""Replacements for a container's stores, because a database would hide the differences that are measured."""

from __future__ import annotations

from collections.abc import Sequence

from dependency_injector import providers

from app.audit.audit import AuditEntry
from app.conversations.history import History
from app.principal import Principal
from containers.application import Application


class NoHistory:
    """Stands in for the stored turns, and has none."""

    async def load(self, principal: Principal, conversation: str, **limits: object) -> History:
        """Return an empty history."""
        return History([], private=False)


class NoAudit:
    """Stands in for the rows of the audit trail."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Discard the entries."""


def keep_nothing(container: Application) -> None:
    """Make the container's agents start without history and store neither turns nor an audit trail."""
    container.conversations.override(providers.Object(NoHistory()))
    container.audit.override(providers.Object(NoAudit()))
