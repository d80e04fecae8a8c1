"""The tests cannot leave this machine, and start processes only where they are marked for it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import SYSTEM, TOGETHER
from tests.guards import NetworkRefusedError, ProcessRefusedError


@pytest.mark.parametrize("connect", [socket.socket.connect, socket.socket.connect_ex])
def test_a_connection_beyond_loopback_is_refused(connect: Callable[[socket.socket, tuple[str, int]], object]) -> None:
    """A connection to another machine's address is refused before a packet is sent."""
    with socket.socket() as client, pytest.raises(NetworkRefusedError):
        connect(client, ("192.0.2.1", 80))


def test_a_datagram_beyond_loopback_is_refused() -> None:
    """A datagram to another machine is refused too."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        with pytest.raises(NetworkRefusedError):
            client.sendto(b"", ("192.0.2.1", 53))
        with pytest.raises(NetworkRefusedError):
            client.sendmsg([b""], [], 0, ("192.0.2.1", 53))


async def test_a_name_of_another_machine_is_not_looked_up() -> None:
    """A name is refused before a resolver is asked, even in the event loop's threads."""
    with pytest.raises(NetworkRefusedError):
        await asyncio.open_connection("www.googleapis.com", 443)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
async def test_loopback_is_reached(family: socket.AddressFamily, host: str) -> None:
    """A server on this machine can be reached over both protocols."""
    async with await asyncio.start_server(lambda _, writer: writer.close(), host, 0, family=family) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(host, port)

        assert await reader.read() == b""
        writer.close()


def test_a_process_is_refused() -> None:
    """A test without the marker `system` cannot start a process in any way."""
    for start in (
        lambda: subprocess.run([sys.executable, "--version"]),
        os.fork,
        lambda: os.system("true"),
        lambda: os.posix_spawn(sys.executable, [sys.executable, "--version"], {}),
    ):
        with pytest.raises(ProcessRefusedError, match="`system`"):
            start()


async def test_a_process_of_the_event_loop_is_refused() -> None:
    """A test without the marker cannot start a process through asyncio either."""
    with pytest.raises(ProcessRefusedError):
        await asyncio.create_subprocess_exec(sys.executable, "--version")


@pytest.mark.system
def test_a_system_test_starts_processes() -> None:
    """A test with the marker can start a process."""
    assert subprocess.run([sys.executable, "-c", ""]).returncode == 0


def test_the_places_of_system_tests_exist() -> None:
    """Every folder and module that is given the marker exists, so that a renamed one cannot lose it unnoticed."""
    assert [place for place in SYSTEM if not (Path(__file__).parents[1] / place).exists()] == []


def test_the_places_of_tests_that_are_run_together_exist() -> None:
    """Every place of tests that run together exists, so that a renamed one is not left out."""
    assert [place for place in TOGETHER if not [*Path(__file__).parents[1].glob(f"{place}*")]] == []
