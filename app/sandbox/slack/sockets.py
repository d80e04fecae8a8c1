"""Socket Mode of the sandbox's Slack (https://docs.slack.dev/apis/events-api/using-socket-mode)."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import WSMsgType, web
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.log import bearer_of
from app.sandbox.server import HOST

MAX_CONNECTIONS = 10
_RETRIES_AT_MOST = 3  # after time has passed; a connection that ends does not count
_APP_ID = "A0SANDBOX"
Kind = Literal["events_api", "interactive", "slash_commands"]


@dataclass(eq=False)
class SocketDelivery:
    """Something that Slack sends until it is acknowledged.

    Attributes:
        kind: The kind of its envelopes.
        payload: The contents; the same in every envelope.
        acknowledged: Resolves to the payload of the acknowledgement; cancelled once Slack has given up.
        envelopes: The ids of the envelopes that it was sent in.
        timeouts: How many of them were not acknowledged in time.
    """

    kind: Kind
    payload: Mapping[str, Any]
    acknowledged: asyncio.Future[Any]
    envelopes: list[str] = field(default_factory=list)
    timeouts: int = 0


class SlackSockets:
    """Opens WebSockets for one app, and sends envelopes over them. Lives with the sandbox.

    Serve `route` beside the Web API, and the WebSockets by `serving`. An envelope goes to one connection, in turn, and
    again, in a new envelope, if its connection ends or some seconds pass without an acknowledgement.

    Args:
        app_token: The app-level token that it accepts.
        ack_seconds: How long Slack waits for an acknowledgement; None for as long as the connection lasts.

    Attributes:
        app_token: The app-level token.
        ack_seconds: As given.
        opened: How many connections were opened so far.
        unknown_acks: Acknowledgements of envelopes that the connection had not been sent.
    """

    def __init__(self, app_token: str, *, ack_seconds: float | None = 3.0) -> None:
        self.app_token = app_token
        self.ack_seconds = ack_seconds
        self._tickets: set[str] = set()
        self._connections: dict[web.WebSocketResponse, dict[str, SocketDelivery]] = {}
        self._turn = itertools.count()
        self._connected = asyncio.Condition()
        self._sending: set[asyncio.Task[None]] = set()
        self._url = ""
        self.opened = 0
        self.unknown_acks: list[str] = []
        self.route = Route("/api/apps.connections.open", self._open, methods=["GET", "POST"])

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._connections)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Accept WebSockets on loopback until the context ends."""
        server = web.Application()
        server.router.add_get("/link/", self._connect)
        runner = web.AppRunner(server, shutdown_timeout=1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self._url = f"ws://{host}:{port}/link/"
        try:
            yield
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            for socket in [*self._connections]:
                await socket.close()
            await runner.cleanup()

    async def connected(self, count: int = 1) -> None:
        """Return once this many connections are open."""
        async with self._connected:
            await self._connected.wait_for(lambda: len(self._connections) >= count)

    def send(self, payload: Mapping[str, Any], kind: Kind = "events_api") -> SocketDelivery:
        """Send something until it is acknowledged."""
        delivery = SocketDelivery(kind, payload, asyncio.get_running_loop().create_future())
        task = asyncio.create_task(self._deliver(delivery))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return delivery

    async def disconnect(self, reason: Literal["warning", "refresh_requested", "link_disabled"]) -> None:
        """Ask the app to leave its connections, and close them a moment later, as Slack does every few hours."""
        for socket in [*self._connections]:
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": HOST}})

    async def cut(self) -> None:
        """Break every connection without a word."""
        for socket in [*self._connections]:
            assert socket._req is not None
            transport = socket._req.transport
            assert transport is not None
            transport.abort()

    async def _open(self, request: Request) -> Response:
        """Return the address of a new WebSocket: https://docs.slack.dev/reference/methods/apps.connections.open."""
        token = bearer_of(request.headers.get("authorization"))
        async with request.form() as form:
            in_body = "token" in form or "token" in request.query_params
        if token is None or in_body:  # a token that is sent as a parameter is an error
            return JSONResponse({"ok": False, "error": "not_authed"})
        if request.method != "POST":
            return JSONResponse({"ok": False, "error": "insecure_request"})
        if token != self.app_token:
            wrong_kind = token.startswith("xoxb-")
            return JSONResponse({"ok": False, "error": "not_allowed_token_type" if wrong_kind else "invalid_auth"})
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return JSONResponse({"ok": True, "url": f"{self._url}?ticket={ticket}&app_id={_APP_ID}"})

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=401)
        self._tickets.discard(ticket)  # it is good once
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if len(self._connections) >= MAX_CONNECTIONS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets", "debug_info": {}})
            await socket.close()
            return socket
        await socket.send_json(
            {"type": "hello", "num_connections": len(self._connections) + 1, "connection_info": {"app_id": _APP_ID}}
        )
        async with self._connected:
            self._connections[socket] = {}
            self.opened += 1
            self._connected.notify_all()
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._acknowledge(socket, frame.data)
        finally:
            for delivery in self._connections.pop(socket).values():
                if not delivery.acknowledged.done():
                    self._again(delivery)
        return socket

    def _acknowledge(self, socket: web.WebSocketResponse, text: str) -> None:
        answer = json.loads(text)
        delivery = self._connections[socket].pop(answer["envelope_id"], None)
        if delivery is None:
            self.unknown_acks.append(answer["envelope_id"])
        elif not delivery.acknowledged.done():
            delivery.acknowledged.set_result(answer.get("payload"))

    def _again(self, delivery: SocketDelivery) -> None:
        task = asyncio.create_task(self._deliver(delivery))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _deliver(self, delivery: SocketDelivery) -> None:
        """Send one envelope, and the next one unless this one is acknowledged in time."""
        if delivery.timeouts > _RETRIES_AT_MOST:
            delivery.acknowledged.cancel()
            return
        await self.connected()
        sockets = [*self._connections]
        socket = sockets[next(self._turn) % len(sockets)]
        envelope_id = str(uuid.uuid4())
        self._connections[socket][envelope_id] = delivery
        retries = len(delivery.envelopes)
        delivery.envelopes.append(envelope_id)
        again = {"retry_attempt": retries, "retry_reason": "timeout" if retries else ""}
        envelope = {
            "envelope_id": envelope_id,
            "type": delivery.kind,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind != "events_api",
            **(again if delivery.kind == "events_api" else {}),
        }
        try:
            await socket.send_json(envelope)
        except ConnectionError:
            return  # as the connection ends, it is sent again
        done, _ = await asyncio.wait([delivery.acknowledged], timeout=self.ack_seconds)
        waiting = self._connections.get(socket, {}).pop(envelope_id, None)
        if not done and waiting is not None:
            delivery.timeouts += 1
            self._again(delivery)
