"""Helpers for tests of credentials: named tokens, a token endpoint that works and records, and stored bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import metadata
from app.errors import GoogleError, InvalidGrantError
from app.grants.grant import Grant
from app.grants.grants import Grants
from app.oauth.provider import GOOGLE
from app.oauth.tokens import ProviderAccount, ProviderTokens
from app.principal import Principal
from tests.fakes.sandbox import READ, Clock

NOW = Clock().now
HOUR = 3600.0


def google_tokens(
    name: str,
    *,
    scopes: frozenset[str] = frozenset({READ}),
    account: str = "",
    expires_in: float = HOUR,
    now: float = NOW,
) -> ProviderTokens:
    """Return tokens named by person, ``access-ada-1`` and ``refresh-ada-1``, for the account ``ada`` by default."""
    account = account or name.partition("-")[0]
    return ProviderTokens(
        access_token=f"access-{name}",
        expires_at=now + expires_in,
        refresh_token=f"refresh-{name}",
        granted_scopes=scopes,
        account=ProviderAccount(subject=f"subject-{account}", email=f"{account}@example.com"),
    )


async def connect(database: Database, grants: Grants, principal: Principal, tokens: ProviderTokens) -> str:
    """Make these tokens the principal's grant, as the end of a consent does, and return its id."""
    async with database.writing() as connection:
        return await grants.activate(connection, principal, tokens)


def invalid_grant() -> InvalidGrantError:
    """Return the error that `GoogleAuth` raises for an expired refresh token."""
    return InvalidGrantError("Google answered 400", status=400, reason="invalid_grant")


def unavailable() -> GoogleError:
    """Return the error that `GoogleAuth` raises when Google is down."""
    return GoogleError("Google answered 503", status=503)


class WatchedGrants(Grants):
    """Grants that count lookups.

    Attributes:
        found: The number of `find` calls that have ended; afterwards, their caller may wait for a refresh.
    """

    found = 0

    async def find(
        self, principal: Principal, conversation: str | None = None, *, provider: str = GOOGLE
    ) -> Grant | None:
        grant = await super().find(principal, conversation, provider=provider)
        self.found += 1
        return grant


@dataclass
class TokenEndpoint:
    """A Google that refreshes: ``refresh-ada-1`` gives ``access-ada-2`` and, rotated, ``refresh-ada-2``.

    Attributes:
        now: The clock.
        rotates: Whether a refresh token can be used only once; a second use is refused.
        failure: Makes the error to raise instead of answering.
        gate: Answers wait until it is set.
        asked: Set by every request.
        refreshed: The refresh tokens that came in.
        revoked: The tokens whose grants were revoked.
        before: Awaited in `get_ready`.
    """

    now: Callable[[], float] = Clock()
    rotates: bool = True
    failure: Callable[[], Exception] | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    refreshed: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    before: Callable[[], Awaitable[object]] | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    async def get_ready(self) -> None:
        if self.before is not None:
            await self.before()

    async def refresh(self, refresh_token: str) -> ProviderTokens:
        spent = self.rotates and refresh_token in self.refreshed
        self.refreshed.append(refresh_token)
        self.asked.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure()
        if spent:
            raise invalid_grant()
        _, name, number = refresh_token.split("-")
        count = len(self.refreshed) if not self.rotates else int(number)
        return ProviderTokens(
            access_token=f"access-{name}-{count + 1}",
            expires_at=self.now() + HOUR,
            refresh_token=f"refresh-{name}-{count + 1}" if self.rotates else None,
            granted_scopes=frozenset({READ}),
        )

    async def revoke(self, token: str, *, is_refresh_token: bool = False) -> bool:
        self.asked.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure()
        self.revoked.append(token)
        return True


async def stored_bytes(database: Database, folder: Path) -> bytes:
    """Return every value in the database, and for SQLite every byte of its files, including the journal."""
    async with database.reading() as connection:
        rows = [(await connection.execute(sa.select(table))).all() for table in metadata.sorted_tables]
    return repr(rows).encode() + _file_bytes(folder)


def _file_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())
