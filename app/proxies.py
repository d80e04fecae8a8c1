"""Which proxy a request goes through, as the environment says.

HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY count, in capitals or not, for every client alike, whatever its library
would make of them. A proxy's password stands in no error or repr.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from app.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy of the environment; `str` gives its address without user and password.

    Attributes:
        url: Its whole address.
    """

    url: str = field(repr=False)

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def credentials(self) -> str | None:
        """``user:password``, decoded; None where the address has neither."""
        user_info, at, _ = urlsplit(self.url).netloc.rpartition("@")
        return ":".join(map(unquote, f"{user_info}:".split(":")[:2])) if at else None


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy that a request to this address goes through; None where it goes straight there.

    This machine is never asked for through a proxy. NO_PROXY lists hosts, domains, addresses and networks
    (``10.0.0.0/8``), or is ``*``.

    Raises:
        SettingsError: The environment names a proxy that cannot be used.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_loopback(host):
        return None
    proxies = getproxies()
    named = next((name for name in (parts.scheme, "all") if proxies.get(name)), None)
    if named is None or proxy_bypass(parts.netloc.rpartition("@")[2]) or _is_within(host, proxies.get("no", "")):
        return None
    return _read(f"{named.upper()}_PROXY", proxies[named])


def check_proxies() -> None:
    """Refuse a proxy that cannot be used before anything needs it.

    Raises:
        SettingsError: There is one.
    """
    for scheme in ("https", "http"):
        proxy_for(f"{scheme}://proxied.example")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_within(host: str, no_proxy: str) -> bool:
    """Return whether a host is an address in one of the networks of NO_PROXY."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in no_proxy.split(","):
        try:
            if address in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:  # a name
            continue
    return False


def _read(variable: str, address: str) -> Proxy:
    url = address if "://" in address else f"http://{address}"
    if not _is_usable(url):
        raise SettingsError(
            f"{variable} is not the address of a proxy that can be used; write http:// or https://, host and port, "
            "such as http://proxy.example:3128, and percent-encode special characters in the user and the password"
        )
    return Proxy(url)


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its words would quote the address
        return False
    return known and not (parts.path.strip("/") or parts.query or parts.fragment) and parts.netloc.count("@") <= 1
