"""Recognises hosts by their name or address."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Return whether a host, by name or address, is this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_confidential(url: str) -> bool:
    """Return whether nobody can read along on the way to an address: it is https, or this very machine."""
    try:
        place = urlsplit(url)
    except ValueError:  # no address at all
        return False
    return place.scheme == "https" or (place.scheme == "http" and is_loopback(place.hostname or ""))
