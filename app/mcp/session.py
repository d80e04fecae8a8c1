"""The connection to a server that knows no person, shared by all requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import mcp_types
from mcp import Client

from app.errors import SettingsError, ToolError
from app.mcp.calling import LostError, ToolCall, call
from app.mcp.catalogue import McpCatalogue
from app.mcp.definition import Definition
from app.mcp.transport import cause_of, connected, listed
from app.supervisor import Rounds, cancel

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.5  # before the next attempt to connect; each one doubles it
_LONGEST_PAUSE_SECONDS = 30.0
_WAIT_SECONDS = 5.0  # how long a call waits for a connection that is being opened again
_CLOSE_SECONDS = 10.0
_TOKENS = frozenset({"token", "access_token", "user_token", "oauth_token", "authorization", "credentials"})


class PinnedTools:
    """Reads the pinned tools of a server that only people can list, now and then. Lives as long as the process.

    So a person finds the tools that somebody else's request has listed, in another process as well.

    Args:
        catalogue: Gets the tools.
    """

    def __init__(self, catalogue: McpCatalogue) -> None:
        self._catalogue = catalogue
        self._rounds = Rounds()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Read them until the context ends."""
        await self._catalogue.load()
        task = asyncio.create_task(self._keep(), name=f"mcp {self._catalogue.server.name}")
        try:
            yield
        finally:
            await cancel([task])

    async def tried(self) -> None:
        """Return at once: nobody asks the server before a person does."""

    async def _keep(self) -> None:
        server = self._catalogue.server
        while True:
            await asyncio.sleep(server.refresh_seconds)
            await self._rounds.run(f"reading the tools of the MCP server {server.name}", self._catalogue.load())


class SharedSession:
    """A connection that one task opens, keeps and opens again when it is lost. Lives as long as the process.

    Nobody's identity is in it, so requests of all people use it at the same time. A call that was under way when the
    connection ended is repeated only if its tool changes nothing; all other ones fail with words for their person.

    Args:
        catalogue: Gets the tools that the server lists.
        first_pause_seconds: How long it waits before it connects again.
    """

    def __init__(self, catalogue: McpCatalogue, *, first_pause_seconds: float = _FIRST_PAUSE_SECONDS) -> None:
        self.server = catalogue.server
        self._catalogue = catalogue
        self._first_pause_seconds = first_pause_seconds
        self._client: Client | None = None
        self._changed = asyncio.Condition()  # of `_client`
        self._tried = asyncio.Event()  # the first attempt has ended …
        self._refused: SettingsError | None = None  # … and this is why it showed a mistake in the settings
        self._wake = asyncio.Event()  # the connection has ended, the list has changed, or the process stops
        self._stop = asyncio.Event()
        self._rounds = Rounds()

    @property
    def is_up(self) -> bool:
        """Return whether the server can be called."""
        return self._client is not None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep the connection open until the context ends; `tried` says how the first attempt went."""
        await self._catalogue.load()
        task = asyncio.create_task(self._keep(), name=f"mcp {self.server.name}")
        try:
            yield
        finally:
            self._stop.set()
            self._wake.set()
            await asyncio.wait([task], timeout=_CLOSE_SECONDS)
            if not task.done():
                await cancel([task])

    async def tried(self) -> None:
        """Return once the first attempt to connect has ended, or takes too long; a server may be down.

        Raises:
            SettingsError: The server wants to know who calls.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self.server.connect_seconds):
                await self._tried.wait()
        if self._refused is not None:
            raise self._refused

    async def call(self, asked: ToolCall) -> mcp_types.CallToolResult:
        """Make a call, and once more after the connection was lost if the first attempt has certainly changed nothing.

        Raises:
            ToolError: The server is down, refused the call, or stopped during it.
        """
        lost: Client | None = None
        while True:
            client = await self._live(asked, not_this=lost)
            try:
                return await call(client, asked)
            except LostError as error:
                self._give_up(client)
                if asked.acts and not error.is_undone:
                    raise ToolError(f"The server {self.server.name} stopped during this.{asked.maybe_done}") from None
                if lost is not None:
                    words = f"The server {self.server.name} stopped twice during this. Please try again later."
                    raise ToolError(words) from None
                lost = client

    async def _live(self, asked: ToolCall, *, not_this: Client | None) -> Client:
        """Return the client of an open connection, waiting a while for one that is being opened."""

        def is_live() -> bool:
            return self._client is not None and self._client is not not_this

        try:
            async with asyncio.timeout(min(_WAIT_SECONDS, asked.seconds)), self._changed:
                await self._changed.wait_for(is_live)
                assert self._client is not None
                return self._client
        except TimeoutError:
            words = f"The server {self.server.name} is down, so nothing was done. Please try again later."
            raise ToolError(words) from None

    def _give_up(self, client: Client) -> None:
        if client is self._client:
            self._client = None
            self._wake.set()

    async def _keep(self) -> None:
        """Connect, and connect again, until the process stops."""
        pause = self._first_pause_seconds
        while not self._stop.is_set():
            self._wake.clear()
            failed = "it ended the connection"
            try:
                async with connected(self.server, self._end, self._wake.set) as client:
                    await self._list(client)
                    await self._publish(client)
                    pause = self._first_pause_seconds
                    await self._serve(client)
            except Exception as error:  # the outermost edge of this task
                cause = cause_of(error)
                failed = str(cause) if isinstance(cause, SettingsError) else type(cause).__name__
                if isinstance(cause, SettingsError) and not self._tried.is_set():
                    self._refused = cause.with_traceback(None)
                    self._stop.set()
            finally:
                await self._publish(None)
            if not self._stop.is_set():
                log.warning(
                    "the MCP server %s is down (%s); its tools are left out meanwhile", self.server.name, failed
                )
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stop.wait()
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _end(self) -> None:
        """Take notice that the server has ended the connection."""
        self._client = None
        self._wake.set()

    async def _publish(self, client: Client | None) -> None:
        async with self._changed:
            self._client = client
            self._changed.notify_all()
        if client is not None and self._tried.is_set():
            log.info("the MCP server %s is up", self.server.name)
        self._tried.set()

    async def _serve(self, client: Client) -> None:
        """Return when the connection has ended; list the tools now and then, and when the server says so."""
        while self._client is client and not self._stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self.server.refresh_seconds):
                    await self._wake.wait()
            self._wake.clear()
            if self._client is client and not self._stop.is_set():
                await self._rounds.run(f"listing the tools of the MCP server {self.server.name}", self._list(client))

    async def _list(self, client: Client) -> None:
        definitions = await listed(client)
        if not self._tried.is_set():
            self._refuse_tokens(definitions)
        await self._catalogue.take(definitions)

    def _refuse_tokens(self, definitions: list[Definition]) -> None:
        for each in definitions:
            properties = each.schema.get("properties")
            if isinstance(properties, dict) and (asked := sorted(_TOKENS & properties.keys())):
                raise SettingsError(
                    f"mcp.{self.server.name}: its tool {each.tool} takes {asked[0]} as an argument, which a model must "
                    "never see. If the server knows people, write `oauth: discover` instead of `identity: none`, or "
                    "`connection:` with the name of a connection; else give it its key in `env` or `headers`"
                )
