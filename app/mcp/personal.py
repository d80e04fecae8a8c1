"""The connection to a server that knows people, made in one request with its person's own token."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import mcp_types
from mcp import Client

from app.connections.connection import Connection
from app.errors import ConsentRequiredError, DeputyError, ToolError
from app.mcp.calling import LostError, MoreScopesError, ToolCall, call
from app.mcp.catalogue import McpCatalogue
from app.mcp.step_up import StepUpTransport
from app.mcp.transport import cause_of, connected_over, forget_frames, listed
from app.principal import Principal
from app.supervisor import cancel

_CLOSE_SECONDS = 5.0


class PersonalSession:
    """One person's use of a server. Lives for one request, and connects when a tool is called.

    Args:
        principal: The person.
        catalogue: Gets the tools that the server lists for this person.
        connection: Signs each call with the person's token.
    """

    def __init__(self, principal: Principal, catalogue: McpCatalogue, connection: Connection[Any]) -> None:
        self._principal = principal
        self._catalogue = catalogue
        self._connection = connection
        self._link: _Link | None = None

    async def call(self, asked: ToolCall) -> mcp_types.CallToolResult:
        """Make a call, and once more after the connection was lost if the first attempt has certainly changed nothing.

        Raises:
            ToolError: The server cannot be reached, refused the call, or stopped during it.
            CredentialsError: The person has to consent first.
        """
        for _ in range(2):
            link = await self._linked()
            try:
                return await call(link.client, asked)
            except MoreScopesError as more:
                raise self._lacking(more.oauth_scopes) from None
            except LostError as lost:
                unlinking = self._unlink(link)
                del link  # it keeps what ended it, and the traceback of that would hold this frame
                _raise_ours(await unlinking)
                if asked.acts and not lost.is_undone:
                    raise ToolError(f"The server {asked.server} stopped during this.{asked.maybe_done}") from None
        raise ToolError(f"The server {asked.server} stopped twice during this. Please try again later.")

    async def list_tools(self) -> None:
        """List the server's tools into the catalogue; raises as `call`."""
        await self._linked()

    async def aclose(self) -> None:
        """End the connection."""
        if self._link is not None:
            await self._unlink(self._link)

    async def _linked(self) -> _Link:
        """Return a link that is open, with the tools listed for its person."""
        if self._link is None or self._link.has_ended:
            self._link = _Link(self._catalogue, self._connection)
        link = self._link
        await link.opened.wait()
        if not link.has_ended:
            return link
        unlinking = self._unlink(link)
        del link  # as above
        _raise_ours(await unlinking)
        name = self._catalogue.server.name
        raise ToolError(f"The server {name} does not answer, so nothing was done. Please try again later.")

    def _lacking(self, oauth_scopes: frozenset[str]) -> ConsentRequiredError:
        """Return the error of a call that the server has refused because these OAuth scopes are missing."""
        lacks = ConsentRequiredError(self._principal, oauth_scopes, connection=self._connection.name)
        lacks.is_undone = True
        return lacks

    async def _unlink(self, link: _Link) -> BaseException | None:
        """Give a link up, and return the error that ended it, if one did."""
        if self._link is link:
            self._link = None
        return await link.close()


def _raise_ours(cause: BaseException | None) -> None:
    """Raise what has ended a link if it is an error of Deputy's, which says what to do."""
    try:
        if isinstance(cause, DeputyError):
            raise cause from None
    finally:
        del cause  # its traceback holds this frame: avoid the cycle


class _Link:
    """One open client, in a task of its own, because the SDK ends a client in the task that began it.

    The task is begun by a tool, so it may use the access that the guard has ensured for this tool.

    Attributes:
        opened: Set once the client can be used, or never will be.
        client: Usable once `opened` is set, unless the link has ended.
    """

    client: Client

    def __init__(self, catalogue: McpCatalogue, connection: Connection[Any]) -> None:
        self.opened = asyncio.Event()
        self._stop = asyncio.Event()
        self._cause: BaseException | None = None
        serving = self._serve(catalogue, connection)
        self._task = asyncio.create_task(self._keep(serving, catalogue), name=f"mcp {catalogue.server.name}")

    @property
    def has_ended(self) -> bool:
        """Return whether the client can no longer be used."""
        return self._task.done() or self._cause is not None

    async def close(self) -> BaseException | None:
        """End the client, and return the error that had ended it before, if one did; without its frames."""
        self._stop.set()
        await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)
        if not self._task.done():
            await cancel([self._task])
        return self._cause

    async def _keep(self, serving: Coroutine[Any, Any, None], catalogue: McpCatalogue) -> None:
        try:
            await serving
        except Exception as error:  # the outermost edge of this task
            catalogue.protocol = None
            cause = cause_of(error)
            forget_frames(error)
            cause.__context__ = cause.__cause__ = None
            self._cause = cause.with_traceback(None)
        except asyncio.CancelledError as error:  # it did not end in time
            forget_frames(error)
            raise
        finally:
            self.opened.set()

    async def _serve(self, catalogue: McpCatalogue, connection: Connection[Any]) -> None:
        server = catalogue.server
        async with (
            connection.client(around=StepUpTransport) as http,
            connected_over(server, http, protocol=catalogue.protocol) as client,
        ):
            async with asyncio.timeout(server.connect_seconds):
                await catalogue.take(await listed(client), complete=False)
            catalogue.protocol = client.protocol_version
            self.client = client
            self.opened.set()
            await self._stop.wait()
