"""A company's network: servers that have names, and a proxy that alone knows their addresses."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from starlette.types import ASGIApp

from interfaces.listening import listening
from tests.fakes.tls import Authority, accepting, connect_through, tls_before

PASSWORD = "p%40ss-word"  # as it is written in an address
_EXPECTED = "Basic " + base64.b64encode(f"deputy:{unquote(PASSWORD)}".encode()).decode()


@dataclass
class Company:
    """The network, while it is open.

    Attributes:
        authority: Signs the certificates of all servers.
        proxy_url: The address of the proxy, with user and password.
        asked: The host of each connection that the proxy was asked for, oldest first.
        refuses: The status with which the proxy refuses all connections.
        ports: The port of each server for TLS connections, by host.
    """

    authority: Authority
    proxy_url: str = ""
    asked: list[str] = field(default_factory=list)
    refuses: str | None = None
    ports: dict[str, int] = field(default_factory=dict)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle CONNECT, https://www.rfc-editor.org/rfc/rfc9110#name-connect."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = lines[0].split()
        headers = dict(line.lower().partition(": ")[::2] for line in lines[1:] if line)
        host = target.rpartition(":")[0]
        assert method == "CONNECT"
        self.asked.append(host)
        refusal = self.refuses
        if headers.get("proxy-authorization", "") != _EXPECTED.lower():
            refusal = "407 Proxy Authentication Required"
        elif host not in self.ports:
            refusal = refusal or "502 Bad Gateway"
        if refusal is not None:
            writer.write(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await connect_through(reader, writer, self.ports[host])


@asynccontextmanager
async def company_network(folder: Path, apps: Mapping[str, ASGIApp]) -> AsyncIterator[Company]:
    """Serve applications by the names of their hosts, over TLS and behind the proxy, until the block ends."""
    company = Company(Authority(folder))
    async with AsyncExitStack() as stack:
        for host, app in apps.items():
            url = await stack.enter_async_context(listening(app, "127.0.0.1", 0))
            context = company.authority.server_context(host)
            port = int(url.rpartition(":")[2])
            company.ports[host] = await stack.enter_async_context(tls_before(port, context))
        port = await stack.enter_async_context(accepting(company.connect))
        company.proxy_url = f"http://deputy:{PASSWORD}@127.0.0.1:{port}"
        yield company
