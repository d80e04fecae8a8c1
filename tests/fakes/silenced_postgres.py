"""A proxy to a PostgreSQL that can fall silent, like a server whose machine is gone and closes no connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import sqlalchemy as sa

from app.sandbox.server import HOST
from tests.fakes.databases import PostgresDatabases


@dataclass
class SilencedPostgres:
    """Forwards connections; while silent, it forwards no byte of new or existing ones.

    Attributes:
        databases: The databases whose addresses lead through it.
        port: The port on which it listens.
        opened: The number of connections made through it.
    """

    databases: PostgresDatabases
    port: int
    opened: int = 0
    _silent: bool = False
    _links: set[asyncio.Task[None]] = field(default_factory=set)
    _dead: list[asyncio.StreamWriter] = field(default_factory=list)

    async def empty(self, name: str) -> str:
        return self._through(await self.databases.empty(name))

    async def migrated(self, name: str) -> str:
        return self._through(await self.databases.migrated(name))

    async def reopened(self, name: str) -> str:
        return self._through(await self.databases.reopened(name))

    def fall_silent(self) -> None:
        """Forward nothing more: existing connections stay open and receive nothing."""
        self._silent = True
        for link in self._links:
            link.cancel()

    def speak(self) -> None:
        """Forward connections that are made from now on."""
        self._silent = False

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        """Forward one connection."""
        self.opened += 1
        self._dead.append(writer)  # kept open until the end
        if self._silent:
            return
        there_reader, there_writer = await asyncio.open_connection(HOST, target)
        self._dead.append(there_writer)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            link = asyncio.create_task(_forward(source, sink))
            self._links.add(link)
            link.add_done_callback(self._links.discard)

    async def end(self) -> None:
        """Break all connections."""
        self.fall_silent()
        for writer in self._dead:
            writer.transport.abort()

    def _through(self, url: str) -> str:
        return sa.make_url(url).set(host=HOST, port=self.port).render_as_string(hide_password=False)


@asynccontextmanager
async def open_silenced_postgres(databases: PostgresDatabases, server_url: str) -> AsyncIterator[SilencedPostgres]:
    """Yield a proxy to these databases, which listens until the block ends."""
    target = sa.make_url(server_url).port
    assert target is not None

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await way.take(reader, writer, target)

    listener = await asyncio.start_server(take, HOST, 0)
    way = SilencedPostgres(databases, listener.sockets[0].getsockname()[1])
    try:
        yield way
    finally:
        listener.close()
        await way.end()


async def _forward(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()
