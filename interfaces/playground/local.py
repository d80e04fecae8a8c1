"""Checks that a request comes from our page in a browser on this machine."""

from __future__ import annotations

import re

from fastapi import Request

from app.hosts import is_loopback

# A proxy that passes a request on for somebody else adds one of these.
_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[\w.-]+))(?::\d+)?", re.ASCII)


def is_local(request: Request) -> bool:
    """Return whether the request was made on this machine, for this machine.

    The connection comes from a loopback address. The `Host` is one as well, or a page of another site could have its
    name lead here (DNS rebinding). And no proxy passed it on.
    """
    peer = request.client.host if request.client else ""
    hosts = [_HOST.fullmatch(host) for host in request.headers.getlist("host")]
    return (
        is_loopback(peer)
        and [is_loopback(host["name"] or host["address"]) for host in hosts if host] == [True]
        and len(hosts) == 1
        and not any(name in request.headers for name in _PASSED_ON)
    )


def is_from_our_page(request: Request) -> bool:
    """Return whether a script of a page of this very origin made the request.

    Another port of this machine is another origin, and another user's server may listen there. Browsers say where a
    request comes from in `Sec-Fetch-Site` and, for a POST, in `Origin`; one that says neither is refused.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None:
        return False
    ours = f"{request.url.scheme}://{request.headers['host']}"
    return site in (None, "same-origin") and origin in (None, ours)
