"""Ports for servers whose address has to be known before they listen."""

from __future__ import annotations

import secrets
import socket


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on.

    Below the ports that the kernel gives to whoever asks for any, or one of those would have it by then.
    """
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
