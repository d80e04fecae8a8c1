"""In place of what a container keeps: a database would only hide the differences that are measured."""

from __future__ import annotations

from collections.abc import Sequence

from dependency_injector import providers

from app.audit.audit import AuditEntry
from app.conversations.history import History
from app.principal import Principal
from containers.application import Application


class NoHistory:
    """Stands in for the stored turns: there are none."""

    async def load(self, principal: Principal, conversation: str, **limits: object) -> History:
        """An empty history."""
        return History([], private=False)


class NoAudit:
    """Stands in for the rows of the audit trail."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Forget them."""


def keep_nothing(container: Application) -> None:
    """From now on the container's agents have no history, and what they do is written down nowhere."""
    container.conversations.override(providers.Object(NoHistory()))
    container.audit.override(providers.Object(NoAudit()))
