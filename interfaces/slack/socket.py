"""Socket Mode: Slack sends over WebSockets that this process opens, so no public address is needed.

https://docs.slack.dev/apis/events-api/using-socket-mode. slack_sdk's own client is not used: it acknowledges on
whichever connection is the newest, runs its listeners in tasks that nothing waits for, and logs the URLs of
connections, which are secrets.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError

from app.errors import DeputyError, InvalidMessageError, SettingsError
from app.log_once import LogOnce
from app.network import notice, tls_context
from app.proxies import proxy_for
from app.supervisor import Supervisor, cancel, describe_crash
from interfaces.slack.inbound import SlackInbound
from interfaces.slack.web_api import new_client, no_answer

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse

log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 10.0  # between pings; without an answer in half of it, the connection is dead
_CONNECT_SECONDS = 15.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0  # after a connection that could not be opened
_LEAVE_SECONDS = 5.0  # for what is being handled as the process stops
# Only the settings or the app can be at fault: https://docs.slack.dev/reference/methods/apps.connections.open.
_WRONG_TOKEN = frozenset(
    {
        *("access_denied", "account_inactive", "forbidden_team", "invalid_auth", "missing_scope", "no_permission"),
        *("not_allowed_token_type", "not_authed", "token_expired", "token_revoked"),
    }
)
_SWITCHED_OFF = "link_disabled"


class SlackSocket:
    """Keeps connections to Slack open and takes what arrives on them. Lives as long as the process.

    Slack sends each envelope to one of the connections, and again if it is not acknowledged. It is acknowledged once
    its message is stored, on the connection that it came on.

    Args:
        inbound: Takes the contents of envelopes.
        supervisor: Keeps the connections.
        app_token: The app-level token (xapp-…), with the scope connections:write.
        api_base_url: Where Slack's Web API is; ends with a slash.
        connections: How many are kept. Slack closes each every few hours; with two, one is always open.
    """

    def __init__(
        self,
        inbound: SlackInbound,
        supervisor: Supervisor,
        *,
        app_token: str,
        api_base_url: str,
        connections: int,
    ) -> None:
        self._inbound = inbound
        self._supervisor = supervisor
        self._app_token = app_token
        self._api_base_url = api_base_url
        self._connections = connections
        self._leaving: set[asyncio.Task[None]] = set()  # connections that are read no more
        self._log = LogOnce(log)

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[None]:
        """Keep the connections until the context ends; what is being handled then is still acknowledged.

        Raises:
            SettingsError: Slack refuses the token.
        """
        from aiohttp import ClientSession

        first: list[str] = []
        try:
            first.append(await self._new_url())
        except SlackApiError as error:
            if (reason := str(error.response.get("error"))) in _WRONG_TOKEN:
                raise SettingsError(
                    f"interfaces.slack.app_token: Slack refuses it: {reason}; make one with the scope "
                    "connections:write (your app's page, Basic Information, App-Level Tokens)"
                ) from None
        except no_answer():
            pass  # it is tried again
        async with ClientSession(trust_env=False) as session:
            kept = {
                f"slack_connection_{number}": lambda: self._keep(session, first) for number in range(self._connections)
            }
            async with self._supervisor.keeping(**kept):
                yield
            if self._leaving:
                await asyncio.wait(self._leaving)

    async def _keep(self, session: ClientSession, first: list[str]) -> None:
        """Keep one connection open, a new one after each that ends.

        Args:
            session: Opens WebSockets.
            first: The URL for a first connection, or nothing.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    socket = await _connect(session, first.pop() if first else await self._new_url())
            except SlackApiError as error:
                reason = str(error.response.get("error"))
                self._log.error(reason, "Slack gives no Socket Mode connection: %s", reason)
            except no_answer() as error:
                self._log.warning("unreachable", "no Socket Mode connection to Slack: %s", type(error).__name__)
            else:
                if await self._use(socket):
                    pause = _FIRST_PAUSE_SECONDS
                    continue
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  # spreads processes that start at once
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _new_url(self) -> str:
        """Ask for the address of a connection, which holds a ticket that is good once."""
        client = new_client(None, self._api_base_url)
        return str((await client.apps_connections_open(app_token=self._app_token))["url"])

    async def _use(self, socket: ClientWebSocketResponse) -> bool:
        """Read a connection until Slack ends it; return whether it was of use."""
        handling: set[asyncio.Task[None]] = set()
        try:
            return await self._read(socket, handling)
        finally:
            leaving = asyncio.create_task(_leave(socket, handling))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _read(self, socket: ClientWebSocketResponse, handling: set[asyncio.Task[None]]) -> bool:
        was_of_use = False
        async for frame in socket:
            envelope = _parse(frame.data)
            if envelope.get("type") == "hello":
                was_of_use = True
                log.info("connected to Slack by Socket Mode")
            elif envelope.get("type") == "disconnect":
                if (reason := envelope.get("reason")) == _SWITCHED_OFF:
                    self._log.error(reason, "Socket Mode is switched off on the app's page at Slack")
                    return False
                break
            elif isinstance(envelope.get("envelope_id"), str):
                task = asyncio.create_task(self._handle(socket, envelope))
                handling.add(task)
                task.add_done_callback(handling.discard)
        return was_of_use

    async def _handle(self, socket: ClientWebSocketResponse, envelope: dict[str, Any]) -> None:
        """Take an envelope and acknowledge it; the outermost edge of a task.

        An envelope that cannot be read is acknowledged too: the same would come again.
        """
        answer: dict[str, object] = {"envelope_id": envelope["envelope_id"]}
        try:
            answer |= await self._take(envelope)
        except InvalidMessageError as error:
            self._log.warning("invalid", "an envelope from Slack is ignored: %s", error)
        except DeputyError as error:
            log.warning("Slack will send an envelope again: %s", error)
            return
        except Exception as error:
            log.error("handling an envelope from Slack failed: %s", describe_crash(error))
            return
        try:
            await socket.send_json(answer)
        except ConnectionError:  # Slack sends it again, and it counts as a duplicate
            log.info("a connection to Slack ended before an acknowledgement")

    async def _take(self, envelope: dict[str, Any]) -> dict[str, object]:
        """Take the contents of an envelope; return what the acknowledgement says besides its id."""
        kind, payload = envelope.get("type"), envelope.get("payload")
        if not isinstance(payload, dict):
            return {}
        if kind == "events_api":
            await self._inbound.take_event(payload)
        elif kind == "interactive":
            await self._inbound.take_click(payload)
        elif kind == "slash_commands":
            line = await self._inbound.take_command(payload)
            return {"payload": {"response_type": "ephemeral", "text": line}}
        return {}


async def _connect(session: ClientSession, url: str) -> ClientWebSocketResponse:
    """Open a WebSocket.

    Raises:
        aiohttp.ClientError: It could not be opened.
    """
    from aiohttp import ClientWSTimeout

    as_http = url.replace("ws", "http", 1)  # proxies and the log go by http and https
    proxy = proxy_for(as_http)
    try:
        return await session.ws_connect(
            url,
            heartbeat=_HEARTBEAT_SECONDS,
            timeout=ClientWSTimeout(ws_close=1.0),
            proxy=proxy.url if proxy else None,
            ssl=tls_context(),
        )
    except no_answer() as error:
        notice(error, as_http, proxy)
        raise


async def _leave(socket: ClientWebSocketResponse, handling: set[asyncio.Task[None]]) -> None:
    """Close a connection once what came on it is acknowledged, or that has taken too long."""
    if handling:
        await asyncio.wait(handling, timeout=_LEAVE_SECONDS)
    await cancel(handling)
    await socket.close()


def _parse(data: object) -> dict[str, Any]:
    """Return an envelope; an empty one if the data is none."""
    try:
        envelope = json.loads(data) if isinstance(data, str) else None
    except (ValueError, RecursionError):
        envelope = None
    return envelope if isinstance(envelope, dict) else {}
