"""The tests themselves cannot leave this machine."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.conftest import NetworkRefusedError


def test_a_connection_beyond_loopback_is_refused() -> None:
    """An address of another machine is refused before a packet is sent."""
    with socket.socket() as client, pytest.raises(NetworkRefusedError):
        client.connect(("192.0.2.1", 80))


def test_a_datagram_beyond_loopback_is_refused() -> None:
    """UDP is held to the same."""
    with socket.socket(type=socket.SOCK_DGRAM) as client, pytest.raises(NetworkRefusedError):
        client.sendto(b"", ("192.0.2.1", 53))


async def test_a_name_of_another_machine_is_not_looked_up() -> None:
    """A name is refused before a resolver is asked, in the event loop's threads too."""
    with pytest.raises(NetworkRefusedError):
        await asyncio.open_connection("www.googleapis.com", 443)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
async def test_loopback_is_reached(family: socket.AddressFamily, host: str) -> None:
    """A server on this machine is reached over both protocols."""
    async with await asyncio.start_server(lambda _, writer: writer.close(), host, 0, family=family) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(host, port)

        assert await reader.read() == b""
        writer.close()
