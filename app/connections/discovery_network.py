"""The network as strangers' metadata may use it: addresses that a server names, and not those inside this network."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx2

from app.errors import ProviderError
from app.hosts import is_confidential
from app.network import PooledTransport, RoutedTransport, no_cookies, notice, tls_context
from app.oauth.token_endpoint import HTTP_TIMEOUT_SECONDS
from app.proxies import check_proxies, proxy_for

MAX_BODY = 512 * 1024  # bytes of an answer; metadata has a few KiB

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNREACHED = (httpx2.ConnectError, httpx2.ConnectTimeout)
_NEVER, _LOOPBACK, _PRIVATE, _PUBLIC = "never", "loopback", "private", "public"


class RefusedAddressError(httpx2.TransportError):
    """A request was about to go where a server's word must not send it."""


class DiscoveryTransport(httpx2.AsyncBaseTransport):
    """Sends requests to addresses that an MCP server, or its authorization server, has named. Lives with its client.

    Without it, a server could have Deputy ask machines that only Deputy reaches, such as a cloud's metadata service.
    Only public addresses are reached, and those of the network in which the settings place the server itself. Whoever
    runs a server says what its name stands for, so one that was ever found at a public address points to public ones
    only. A name is looked up once for each request and the connection goes to the address that was checked, so that a
    name cannot mean one thing to the check and another one to the connection. Through a proxy, the proxy looks names
    up.

    Args:
        configured: The server's address in the settings.
    """

    def __init__(self, configured: str) -> None:
        self._configured = configured
        self._is_public = False
        self._proxied = RoutedTransport(tls_context())
        # No connection is kept: one to an address that two names share would have been made for one of them.
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._direct = PooledTransport(verify=tls_context(), limits=limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request, without its connection's being kept.

        Raises:
            RefusedAddressError: It must not go there.
            httpx2.TransportError: There was no answer, or it is too long.
        """
        url = str(request.url)
        addresses = await self.addresses(url)
        if addresses is None:
            return await _bounded(await self._proxied.handle_async_request(request))
        *others, last = addresses
        for address in others:
            with suppress(*_UNREACHED):
                return await self._ask_at(address, request)
        try:
            return await self._ask_at(last, request)
        except _UNREACHED as error:
            notice(error, url, None)
            raise

    async def _ask_at(self, address: str, request: httpx2.Request) -> httpx2.Response:
        to_address = httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,  # with the Host of the name
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )
        return await _bounded(await self._direct.handle_async_request(to_address))

    async def addresses(self, url: str) -> list[str] | None:
        """Return the IP addresses at which a URL may be reached; None if a proxy looks them up.

        Raises:
            RefusedAddressError: It may not be reached.
            httpx2.ConnectError: Its name is unknown.
        """
        try:
            is_allowed, url = is_confidential(url), str(httpx2.URL(url))
        except httpx2.InvalidURL:
            raise RefusedAddressError("it is no address at all") from None
        if not is_allowed:
            raise RefusedAddressError(f"{_host(url)} is not reached over https")
        if proxy_for(url) is not None and _kind(_host(url)) is None:
            return None
        found = await _look_up(url)
        is_own = _host(url) == _host(self._configured)
        around = {*map(_kind, found if is_own else await _look_up(self._configured))}
        self._is_public = self._is_public or _PUBLIC in around
        allowed = {_PUBLIC, *(around if is_own or not self._is_public else ())} - {_NEVER}
        if any(_kind(address) not in allowed for address in found):
            raise RefusedAddressError(f"{_host(url)} is inside a network that this server may not point to")
        return found

    async def aclose(self) -> None:
        """Close all connections."""
        await self._direct.aclose()
        await self._proxied.aclose()


def open_discovery_client(transport: DiscoveryTransport) -> httpx2.AsyncClient:
    """Return the client that asks a server, and its authorization server, about the sign-in; it keeps no cookies.

    Raises:
        SettingsError: The environment names proxies or certificates that cannot be used.
    """
    check_proxies()
    return httpx2.AsyncClient(
        transport=transport,
        headers={"Accept-Encoding": "identity"},
        cookies=no_cookies(),
        timeout=HTTP_TIMEOUT_SECONDS,
        trust_env=False,
        follow_redirects=False,
    )


async def check_reachable(transport: DiscoveryTransport, url: str, title: str) -> None:
    """Return if an address that a server has named may be asked.

    Raises:
        ProviderError: It may not, or nobody knows where it is.
    """
    try:
        await transport.addresses(url)
    except RefusedAddressError as refused:
        words = f"{title} names an address that I do not ask: {refused}"
        raise ProviderError(words, status=200, provider=title) from None
    except httpx2.ConnectError:
        raise ProviderError(f"{title} names the host {_host(url)}, which is unknown", provider=title) from None


async def _look_up(url: str) -> list[str]:
    place = urlsplit(url)
    try:
        port = place.port or (443 if place.scheme == "https" else 80)
        async with asyncio.timeout(HTTP_TIMEOUT_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(_host(url), port, type=socket.SOCK_STREAM)
    except (OSError, ValueError, TimeoutError) as error:
        raise httpx2.ConnectError(f"the host {_host(url)} is unknown") from error
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _kind(address: str) -> str | None:
    """Return in what kind of network an IP address is; None for a name."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or _behind_nat64(ip) or ip
    if ip.is_loopback:
        return _LOOPBACK
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:  # 169.254.169.254 among them
        return _NEVER
    return _PUBLIC if ip.is_global else _PRIVATE if ip.is_private else _NEVER


def _behind_nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a gateway between the two protocols would reach: RFC 6052."""
    return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF) if ip in _NAT64 else None


async def _bounded(response: httpx2.Response) -> httpx2.Response:
    """Return an answer with a bound on its body, which must not be compressed: a few bytes could become gigabytes."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        await response.aclose()
        raise httpx2.RemoteProtocolError("the answer is compressed, which was not asked for")
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _BoundedStream(response.stream)
    return response


class _BoundedStream(httpx2.AsyncByteStream):
    """The body of an answer, which ends with an error where it is longer than anything that is asked for here."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_BODY
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise httpx2.ReadError("the answer is too long")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
