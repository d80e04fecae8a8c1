"""HTTP connections that cannot lock others out: each client has a share, and a request has to arrive in time."""

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

log_once = LogOnce(logging.getLogger(__name__))

_IPV6_NETWORK_BITS = 64  # one customer has at least so many addresses: RFC 6177, section 2


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a server puts up with.

    Attributes:
        per_client: Connections that one client may have open: an IPv4 address, or an IPv6 network of 64 bits.
        half_open: Connections, of all clients, whose request has not arrived up to the end of its headers. Where there
            are more, the oldest are closed.
        head_bytes: Length of the request line and the headers.
        head_seconds: How long these may take.
        body_seconds: How long the body may take after them.
    """

    per_client: int = 256
    half_open: int = 256
    head_bytes: int = 64 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0


class Connections:
    """The open connections of one server. Lives as long as the server."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._by_client: Counter[str] = Counter()
        self._half_open: dict[GuardedProtocol, None] = {}  # oldest first

    def opened(self, client: str) -> bool:
        """Count a connection, or return False if its client has too many."""
        if self._by_client[client] >= self.limits.per_client:
            log_once.warning(client, "%s has %d connections open, so more are refused", client, self.limits.per_client)
            return False
        self._by_client[client] += 1
        return True

    def closed(self, client: str) -> None:
        """Count a connection no more."""
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]

    def awaits_head(self, protocol: GuardedProtocol) -> None:
        """Note that a connection waits for a request, and close the oldest that do if there are too many."""
        self._half_open[protocol] = None
        while len(self._half_open) > self.limits.half_open:
            oldest = next(iter(self._half_open))
            self.has_head(oldest)
            log_once.warning(
                "half open",
                "%d connections without a request are open, so the oldest are closed",
                self.limits.half_open,
            )
            oldest.transport.abort()

    def has_head(self, protocol: GuardedProtocol) -> None:
        """Note that a request has arrived up to the end of its headers, or that nobody waits for it any more."""
        self._half_open.pop(protocol, None)


class GuardedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, which lets a client take as long as it likes and send headers without end. One a connection.

    Args:
        connections: Those of the server.
        arguments: Of uvicorn's protocol.
    """

    def __init__(self, *, connections: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._connections = connections
        self._client: str | None = None  # None while the connection is not counted
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Take the connection, unless its client has too many."""
        client = _client_of(transport)
        if not self._connections.opened(client):
            transport.abort()
            return
        self._client = client
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the connection."""
        if self._client is None:
            return
        self._connections.closed(self._client)
        self._client = None
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and refuse a request whose headers do not end."""
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
        """Answer the request, whose body may still be on its way."""
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
        if self.cycle is None or self.cycle.response_complete:  # else it is an answer that is awaited
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time")

    def _body_is_late(self) -> None:
        self._stop_timer()
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time")

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Close the connection, with a word unless an answer has begun or nothing was sent."""
        self._stop_timer()
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if self._head_bytes and not begun:
            body = json.dumps({"error": "HTTPException", "detail": detail}).encode()
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        log_once.warning((self._client, status), "a request of %s is dropped: %s", self._client, detail)
        self.transport.close()


def guarded(connections: Connections) -> partial[GuardedProtocol]:
    """Return what uvicorn makes a protocol with."""
    return partial(GuardedProtocol, connections=connections)


def _client_of(transport: asyncio.Transport) -> str:
    """Return the address of a client, or the network of an IPv6 address; empty for a socket of the machine."""
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return ""
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_NETWORK_BITS), strict=False))
