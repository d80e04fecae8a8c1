"""The places where the app is installed, and their bot tokens, each sealed for its place."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import sqlalchemy as sa

from app.database.database import Database, take_turns
from app.database.tables import slack_installations as table
from app.keys.ring import KeyRing
from app.keys.sealed_columns import seal, unseal


@dataclass(frozen=True, slots=True)
class Installation:
    """The app in one place, without its token.

    Attributes:
        workspace: The workspace's id, "T…", or the organisation's, "E…", when all of its workspaces have the app.
        organisation: The id of the organisation that the workspace is part of, "E…", or None.
        name: The place's name, as people see it.
        bot_user: The bot's user id there.
        bot_scopes: The scopes of the bot, separated by spaces.
        installed_by: The Slack user id of the person who installed it.
        installed_at: POSIX seconds.
    """

    workspace: str
    organisation: str | None
    name: str
    bot_user: str
    bot_scopes: str
    installed_by: str
    installed_at: float


class BotTokens(Protocol):
    """Provides the bot token of each place where the app is installed."""

    async def tokens_of(self, tenant: str) -> Sequence[str]:
        """Return the tokens for looking up people of a tenant: its own, or else those of its workspaces."""
        ...

    async def all_tokens(self) -> Sequence[str]:
        """Return all tokens."""
        ...

    async def bot_token(self, workspace: str | None) -> str | None:
        """Return the token to answer with in a workspace, or None if the app is not installed there."""
        ...

    async def uninstalled(self, workspace: str, *, at: float) -> None:
        """Forget the token of a place that, according to Slack, has been without one since `at` (POSIX seconds)."""
        ...


class OneWorkspace:
    """Holds the bot token from the settings, for the app's own workspace; lives as long as the process."""

    def __init__(self, bot_token: str) -> None:
        self._bot_token = bot_token

    async def tokens_of(self, tenant: str) -> Sequence[str]:
        """Return the token; the caller must check which tenant a person belongs to."""
        return (self._bot_token,)

    async def all_tokens(self) -> Sequence[str]:
        """Return the token."""
        return (self._bot_token,)

    async def bot_token(self, workspace: str | None) -> str | None:
        """Return the token: the app receives no other workspace's events."""
        return self._bot_token

    async def uninstalled(self, workspace: str, *, at: float) -> None:
        """Do nothing: the settings keep the token."""


class Installations:
    """Stores installations with their tokens sealed; lives as long as the process and holds no token."""

    def __init__(self, database: Database, key_ring: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._key_ring = key_ring
        self._now = now

    async def save(self, installation: Installation, bot_token: str) -> None:
        """Store an installation, replacing an earlier one in the same place."""
        values = {
            "organisation": installation.organisation,
            "name": installation.name[:255],
            "bot_user": installation.bot_user,
            "bot_scopes": installation.bot_scopes,
            "installed_by": installation.installed_by,
            "installed_at": self._now(),
        }
        workspace = installation.workspace
        async with self._database.writing() as connection:
            await take_turns(connection, "slack_installations", workspace)
            known = (await connection.execute(sa.select(table.c.id).where(table.c.workspace == workspace))).scalar()
            row_id = known or uuid.uuid4().hex
            values["sealed_bot_token"] = seal(
                self._key_ring, table.c.sealed_bot_token, bot_token, {"workspace": workspace, "id": row_id}
            )
            if known:
                await connection.execute(table.update().where(table.c.id == row_id).values(**values))
            else:
                await connection.execute(table.insert().values(id=row_id, workspace=workspace, **values))

    async def bot_token(self, workspace: str | None) -> str | None:
        """Return the token of exactly this place, or None.

        Raises:
            SealError: The row was sealed for another place, or with a key that is gone.
        """
        query = sa.select(table).where(table.c.workspace == workspace)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else unseal(self._key_ring, table.c.sealed_bot_token, row)

    async def tokens_of(self, tenant: str) -> Sequence[str]:
        """Return the token of this place or, for an organisation without one, those of its workspaces, oldest first.

        Raises:
            SealError: As for `bot_token`.
        """
        own = await self.bot_token(tenant)
        if own is not None:
            return (own,)
        return await self._tokens(table.c.organisation == tenant)

    async def all_tokens(self) -> Sequence[str]:
        """Return the tokens of all places, oldest first.

        Raises:
            SealError: As for `bot_token`.
        """
        return await self._tokens(sa.true())

    async def _tokens(self, where: sa.ColumnElement[bool]) -> Sequence[str]:
        query = sa.select(table).where(where).order_by(table.c.installed_at, table.c.id)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [unseal(self._key_ring, table.c.sealed_bot_token, row) for row in rows]

    async def uninstalled(self, workspace: str, *, at: float) -> None:
        """Erase the installation, unless it is newer than `at`: Slack may report the end of an earlier one late."""
        async with self._database.writing() as connection:
            ended = sa.and_(table.c.workspace == workspace, table.c.installed_at <= at)
            await connection.execute(table.delete().where(ended))

    async def all(self) -> list[Installation]:
        """Return every installation, ordered by workspace."""
        async with self._database.reading() as connection:
            rows = await connection.execute(sa.select(table).order_by(table.c.workspace))
            return [Installation(**{name: getattr(row, name) for name in _PARTS}) for row in rows]


_PARTS = tuple(part.name for part in fields(Installation))
