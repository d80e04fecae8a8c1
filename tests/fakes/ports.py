"""Ports for servers whose address must be known before they listen."""

from __future__ import annotations

import secrets
import socket


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens.

    It is below the kernel's ephemeral ports, because one of those could be taken by another socket before the server
    starts.
    """
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
