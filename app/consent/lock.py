"""A person's turn: of all that changes what a person consents to, one transaction at a time."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import take_turns
from app.principal import Principal


async def take_consent_turn(connection: AsyncConnection, principal: Principal) -> None:
    """Wait for this person's turn, and hold it until the caller's transaction ends.

    Whoever changes links, what is in quarantine, or what waits for a consent takes it first: they lock the same rows,
    each in its own order, and one must not decide by what another one is about to change.
    """
    await take_turns(connection, "consent", principal.platform, principal.tenant, principal.user)
