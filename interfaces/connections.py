"""Limits on HTTP connections, so that no client can lock out others: a quota for each, and time limits for requests."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.log_once import LogOnce

_IPV6_NETWORK_BITS = 64  # the smallest network that one customer is given: RFC 6177, section 2


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits that a server enforces on its connections.

    Attributes:
        per_client: Open connections per client, which is an IPv4 address or a 64-bit IPv6 network.
        half_open: Connections, over all clients, whose request headers have not arrived completely. When there are
            more, the oldest are closed.
        head_bytes: Maximum length of the request line and the headers.
        head_seconds: Maximum time for these to arrive.
        body_seconds: Maximum time for the body to arrive after them.
        idle_seconds: Time after which a connection without a request is closed. It is longer than clients and load
            balancers keep one (5 to 60 seconds), so that none is closed just as it is used again.
    """

    per_client: int = 256
    half_open: int = 256
    head_bytes: int = 64 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: int = 75


class Connections:
    """The open connections of one server. Lives as long as the server.

    Attributes:
        limits: The limits that are enforced.
        log: Where it is written what the limits refuse.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.log = LogOnce(logging.getLogger(__name__))
        self._by_client: Counter[str] = Counter()
        self._half_open: dict[GuardedProtocol, None] = {}  # oldest first

    def opened(self, client: str) -> bool:
        """Count a connection, or return False if its client has too many."""
        if self._by_client[client] >= self.limits.per_client:
            self.log.warning(client, "%s has %d connections open, so more are refused", client, self.limits.per_client)
            return False
        self._by_client[client] += 1
        return True

    def closed(self, client: str) -> None:
        """Stop counting a connection."""
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]

    def awaits_head(self, protocol: GuardedProtocol) -> None:
        """Note that a connection is waiting for a request. If too many are, close the oldest."""
        self._half_open[protocol] = None
        while len(self._half_open) > self.limits.half_open:
            oldest = next(iter(self._half_open))
            self.has_head(oldest)
            self.log.warning(
                "half open",
                "%d connections without a request are open, so the oldest are closed",
                self.limits.half_open,
            )
            oldest.transport.abort()

    def has_head(self, protocol: GuardedProtocol) -> None:
        """Note that a request's headers have arrived, or that its connection is no longer waiting for them."""
        self._half_open.pop(protocol, None)


class GuardedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with limits; uvicorn sets none on the time or the headers. Lives as long as its connection.

    Args:
        connections: The server's open connections.
        arguments: Passed on to uvicorn's protocol.
    """

    def __init__(self, *, connections: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._connections = connections
        self._client: str | None = None  # None while the connection is not counted
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Accept the connection, unless its client has too many."""
        client = _client_of(transport)
        if not self._connections.opened(client):
            transport.abort()
            return
        self._client = client
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection."""
        if self._client is None:
            return
        self._connections.closed(self._client)
        self._client = None
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process more bytes, and refuse a request whose headers are too long."""
        if self._client is None or self.transport.is_closing():
            return
        if self._timer is None:
            self._await_head()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > self._connections.limits.head_bytes and self._in_head:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        if self._timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Start to answer the request, and limit the time for the rest of its body."""
        self._stop_timer()
        self._timer = self.loop.call_later(self._connections.limits.body_seconds, self._body_is_late)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request."""
        self._stop_timer()
        super().on_message_complete()

    def _await_head(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._timer = self.loop.call_later(self._connections.limits.head_seconds, self._head_is_late)
        self._connections.awaits_head(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._in_head = False
        self._connections.has_head(self)

    def _head_is_late(self) -> None:
        self._stop_timer()
        if self.cycle is None or self.cycle.response_complete:  # otherwise the client is waiting for an answer
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time")

    def _body_is_late(self) -> None:
        self._stop_timer()
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time")

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Close the connection, after an error response unless an answer has begun or the client has sent nothing."""
        self._stop_timer()
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if self._head_bytes and not begun:
            body = json.dumps({"error": "HTTPException", "detail": detail}).encode()
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self._connections.log.warning((self._client, status), "a request of %s is dropped: %s", self._client, detail)
        self.transport.close()


def guarded(connections: Connections) -> partial[GuardedProtocol]:
    """Return the factory that uvicorn calls for each connection."""
    return partial(GuardedProtocol, connections=connections)


def _client_of(transport: asyncio.Transport) -> str:
    """Return a client's IPv4 address or IPv6 network; empty for a Unix socket."""
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return ""
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_NETWORK_BITS), strict=False))
