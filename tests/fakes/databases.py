"""Databases for one test, SQLite or PostgreSQL: empty, or copied from one that is migrated once per session."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.database.database import Database


class Databases(Protocol):
    """The databases of one test, each with a name of its choice."""

    async def empty(self, name: str) -> str:
        """Return the address of the database of this name, which is empty when it is requested for the first time."""
        ...

    async def migrated(self, name: str) -> str:
        """Return the address of a new database of this name, with the newest schema."""
        ...

    async def reopened(self, name: str) -> str:
        """Return the address of the database of this name with its contents, or of a migrated one the first time."""
        ...


class SqliteDatabases:
    """Files in a folder."""

    _template: ClassVar[bytes] = b""  # the bytes of a migrated file, once there is one

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def empty(self, name: str) -> str:
        return f"sqlite+aiosqlite:///{self._path(name)}"

    async def migrated(self, name: str) -> str:
        if not SqliteDatabases._template:
            await _migrate(await self.empty("template"))
            SqliteDatabases._template = self._path("template").read_bytes()
            self._path("template").unlink()
        self._path(name).write_bytes(SqliteDatabases._template)
        return await self.empty(name)

    async def reopened(self, name: str) -> str:
        return await (self.empty(name) if self._path(name).exists() else self.migrated(name))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.db"


@dataclass
class PostgresServer:
    """A running server. Lives for a session.

    Attributes:
        url: For SQLAlchemy, without a database.
        template: The name of a migrated database to which nobody connects, once there is one.
    """

    url: str
    template: str = ""

    @asynccontextmanager
    async def databases(self) -> AsyncIterator[PostgresDatabases]:
        """Yield databases that are dropped when the block ends."""
        engine = create_async_engine(f"{self.url}/postgres", isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                databases = PostgresDatabases(self, connection)
                yield databases
                await databases.drop()
        finally:
            await engine.dispose()


class PostgresDatabases:
    """Databases of a server; names belong to one test, and other tests may use the same ones."""

    def __init__(self, server: PostgresServer, connection: AsyncConnection) -> None:
        self._server = server
        self._connection = connection
        self._names: dict[str, str] = {}  # the server's name for each of the test's names

    async def empty(self, name: str) -> str:
        if name not in self._names:
            self._names[name] = await self._create("template1")
        return self._url(self._names[name])

    async def migrated(self, name: str) -> str:
        if not self._server.template:
            template = await self._create("template1")
            await _migrate(self._url(template))
            self._server.template = template
        self._names[name] = await self._create(self._server.template)
        return self._url(self._names[name])

    async def reopened(self, name: str) -> str:
        return await (self.empty(name) if name in self._names else self.migrated(name))

    async def drop(self) -> None:
        """Drop all databases of a test, even if somebody is still connected."""
        for name in self._names.values():
            await self._connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))

    async def _create(self, template: str) -> str:
        name = f"test_{uuid.uuid4().hex}"
        # Copying the files takes half as long as the default, which logs every page.
        await self._connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
        return name

    def _url(self, name: str) -> str:
        return f"{self._server.url}/{name}"


async def _migrate(url: str) -> None:
    database = Database(url)
    try:
        await database.open()
    finally:
        await database.close()
