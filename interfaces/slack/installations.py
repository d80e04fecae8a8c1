"""Where the app is installed, and the bot token of each place, sealed and bound to it."""

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


@dataclass(frozen=True, slots=True)
class Installation:
    """The app in one place; holds no token.

    Attributes:
        workspace: The workspace's id, "T…", or the organisation's, "E…", when all of its workspaces have the app.
        organisation: The id of the organisation that it is part of, "E…", or None for a workspace of its own.
        name: What people call it.
        bot_user: The bot's user id there.
        bot_scopes: What the bot may do, parted by a space.
        installed_by: The Slack user id of who did it.
        installed_at: When, POSIX seconds.
    """

    workspace: str
    organisation: str | None
    name: str
    bot_user: str
    bot_scopes: str
    installed_by: str
    installed_at: float


class BotTokens(Protocol):
    """Knows the bot token of each place that the app is installed in."""

    async def tokens_of(self, tenant: str) -> Sequence[str]:
        """The tokens with which to ask about the people of a tenant: its own, else those of its workspaces."""
        ...

    async def all_tokens(self) -> Sequence[str]:
        """Every token that there is."""
        ...

    async def bot_token(self, workspace: str | None) -> str | None:
        """The token to answer with there, or None where the app is not installed."""
        ...

    async def uninstalled(self, workspace: str, *, at: float) -> None:
        """Forget the token of a place that Slack says has none any more since then, POSIX seconds."""
        ...


class OneWorkspace:
    """The bot token of the settings, for the one workspace that the app was made in; lives as long as the process."""

    def __init__(self, bot_token: str) -> None:
        self._bot_token = bot_token

    async def tokens_of(self, tenant: str) -> Sequence[str]:
        """The token; what Slack says with it of another tenant's people is for the caller to look at."""
        return (self._bot_token,)

    async def all_tokens(self) -> Sequence[str]:
        """The token."""
        return (self._bot_token,)

    async def bot_token(self, workspace: str | None) -> str | None:
        """The token; Slack sends the app no other workspace's events."""
        return self._bot_token

    async def uninstalled(self, workspace: str, *, at: float) -> None:
        """Nothing: the settings keep it."""


class Installations:
    """Stores installations, their tokens sealed; lives as long as the process and holds no token."""

    def __init__(self, database: Database, key_ring: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._key_ring = key_ring
        self._now = now

    async def save(self, installation: Installation, bot_token: str) -> None:
        """Keep an installation; one of the same place is replaced, with its token."""
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
            values["sealed_bot_token"] = self._key_ring.seal(bot_token, *_bindings(workspace, row_id))
            if known:
                await connection.execute(table.update().where(table.c.id == row_id).values(**values))
            else:
                await connection.execute(table.insert().values(id=row_id, workspace=workspace, **values))

    async def bot_token(self, workspace: str | None) -> str | None:
        """The token of exactly this place, or None.

        Raises:
            SealError: The row was sealed for another place, or with a key that is gone.
        """
        query = sa.select(table.c.id, table.c.sealed_bot_token).where(table.c.workspace == workspace)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None or workspace is None:
            return None
        return self._key_ring.open(row.sealed_bot_token, *_bindings(workspace, row.id))

    async def tokens_of(self, tenant: str) -> Sequence[str]:
        """The token of this place, or, for an organisation that has none itself, those of its workspaces, oldest first.

        Raises:
            SealError: As for `bot_token`.
        """
        own = await self.bot_token(tenant)
        if own is not None:
            return (own,)
        return await self._tokens(table.c.organisation == tenant)

    async def all_tokens(self) -> Sequence[str]:
        """The tokens of all places, oldest first.

        Raises:
            SealError: As for `bot_token`.
        """
        return await self._tokens(sa.true())

    async def _tokens(self, where: sa.ColumnElement[bool]) -> Sequence[str]:
        query = sa.select(table).where(where).order_by(table.c.installed_at, table.c.id)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [self._key_ring.open(row.sealed_bot_token, *_bindings(row.workspace, row.id)) for row in rows]

    async def uninstalled(self, workspace: str, *, at: float) -> None:
        """Erase the installation, unless it was made after that: Slack may tell of the end of a former one late."""
        async with self._database.writing() as connection:
            ended = sa.and_(table.c.workspace == workspace, table.c.installed_at <= at)
            await connection.execute(table.delete().where(ended))

    async def all(self) -> list[Installation]:
        """Every installation, by workspace."""
        async with self._database.reading() as connection:
            rows = await connection.execute(sa.select(table).order_by(table.c.workspace))
            return [Installation(**{name: getattr(row, name) for name in _PARTS}) for row in rows]


_PARTS = tuple(part.name for part in fields(Installation))


def _bindings(workspace: str, row_id: str) -> tuple[str, ...]:
    return ("slack_installations", workspace, row_id)
