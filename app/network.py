"""How every outgoing client reaches the network: through which proxy, and whose certificates it trusts.

Everything that Deputy opens to Google, Slack or a model is opened here, or asks here: `app.proxies` says which proxy,
SSL_CERT_FILE and SSL_CERT_DIR which authorities. A proxy's password stands in no log line, error or repr.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from os import environ
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import urllib3
from anyio import CancelScope

from app.errors import SettingsError
from app.log_once import LogOnce
from app.proxies import Proxy, check_proxies, proxy_for

if TYPE_CHECKING:
    from httpcore2 import AsyncConnectionInterface

_CONNECTIONS_TO_ONE_HOST = 32
_PROXY_ANSWERED = re.compile(r"(?:^|Tunnel connection failed: )([45]\d\d)\b")
_HTTPX_PROXY_ERRORS = (httpx2.ProxyError, httpx2.ConnectError, httpx2.ConnectTimeout)
_URLLIB3_PROXY_ERRORS = (
    urllib3.exceptions.ProxyError,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
)

_log = LogOnce(logging.getLogger(__name__))

ResponseHook = Callable[[httpx2.Response], Awaitable[None]]


def tls_context() -> ssl.SSLContext:
    """Return what certificates are checked with: the system's authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR.

    The files are read once; a change of them counts after a restart.

    Raises:
        SettingsError: SSL_CERT_FILE or SSL_CERT_DIR cannot be read.
    """
    return _tls_context(environ.get("SSL_CERT_FILE") or None, environ.get("SSL_CERT_DIR") or None)


def open_client(timeout: httpx2.Timeout | float, *, response_hooks: Sequence[ResponseHook] = ()) -> httpx2.AsyncClient:
    """Return a client for everybody. It keeps no cookie: one person's would go out with the next one's request.

    Args:
        timeout: For each connect, read and write.
        response_hooks: Awaited with each response before it is returned.

    Raises:
        SettingsError: The environment's proxies or certificates cannot be used.
    """
    check_proxies()
    return httpx2.AsyncClient(
        transport=RoutedTransport(tls_context()),
        cookies=no_cookies(),
        timeout=timeout,
        trust_env=False,
        event_hooks={"response": list(response_hooks)},
    )


def no_cookies() -> CookieJar:
    """Return a cookie jar that stays empty."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def open_transport() -> RoutedTransport:
    """Return the connections that people's own clients share.

    Raises:
        SettingsError: The environment's proxies or certificates cannot be used.
    """
    check_proxies()
    return RoutedTransport(tls_context())


def open_pool() -> urllib3.PoolManager:
    """Return a pool for everybody; it is safe for threads.

    Raises:
        SettingsError: The environment's proxies or certificates cannot be used.
    """
    check_proxies()
    return RoutedPool(tls_context())


class PooledTransport(httpx2.AsyncHTTPTransport):
    """Connections that are kept open between requests. Lives as long as the client.

    Before httpcore2 sends a request, it closes the connections that have expired, one after the other. If that request
    is cancelled meanwhile, httpcore2 forgets the rest of them, and their sockets stay open. Here all are closed.

    Args:
        given: As `httpx2.AsyncHTTPTransport` takes it.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._pool._close_connections = _close_all  # type: ignore[method-assign]  # there is no public place for it


class RoutedTransport(httpx2.AsyncBaseTransport):
    """Sends each request of an httpx2 client straight or through its proxy; lives as long as the client.

    Args:
        context: For the servers and for proxies that speak TLS.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._routes: dict[Proxy | None, PooledTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request.

        Raises:
            httpx2.TransportError: There was no answer.
        """
        url = str(request.url)
        proxy = proxy_for(url)
        try:
            return await self._route(proxy).handle_async_request(request)
        except httpx2.TransportError as error:
            notice(error, url, proxy if isinstance(error, _HTTPX_PROXY_ERRORS) else None)
            raise

    async def aclose(self) -> None:
        """Close all connections."""
        for route in self._routes.values():
            await route.aclose()

    def _route(self, proxy: Proxy | None) -> PooledTransport:
        if proxy not in self._routes:
            self._routes[proxy] = PooledTransport(verify=self._context, proxy=self._in_httpxs_words(proxy))
        return self._routes[proxy]

    def _in_httpxs_words(self, proxy: Proxy | None) -> httpx2.Proxy | None:
        if proxy is None:
            return None
        # httpx2 takes a context for a proxy that speaks TLS, and for no other.
        return httpx2.Proxy(proxy.url, ssl_context=self._context if proxy.url.startswith("https:") else None)


class RoutedPool(urllib3.PoolManager):
    """Sends each request of urllib3 straight or through its proxy; lives as long as the process, and threads share it.

    Args:
        context: For the servers and for proxies that speak TLS.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(maxsize=_CONNECTIONS_TO_ONE_HOST, ssl_context=context)
        self._context = context
        self._proxied: dict[Proxy, urllib3.ProxyManager] = {}

    def urlopen(  # type: ignore[override]  # as PoolManager has it
        self, method: str, url: str, redirect: bool = True, **kw: Any
    ) -> urllib3.BaseHTTPResponse:
        """Send one request.

        Raises:
            urllib3.exceptions.HTTPError: There was no answer.
        """
        proxy = proxy_for(url)
        try:
            if proxy is None:
                return super().urlopen(method, url, redirect, **kw)
            return self._through(proxy).urlopen(method, url, redirect, **kw)
        except urllib3.exceptions.HTTPError as error:
            notice(error, url, proxy if isinstance(error, _URLLIB3_PROXY_ERRORS) else None)
            raise

    def clear(self) -> None:
        """Close all idle connections."""
        super().clear()
        for manager in tuple(self._proxied.values()):
            manager.clear()

    def _through(self, proxy: Proxy) -> urllib3.ProxyManager:
        manager = self._proxied.get(proxy)
        if manager is None:
            manager = urllib3.ProxyManager(
                proxy.url,
                maxsize=_CONNECTIONS_TO_ONE_HOST,
                proxy_headers=urllib3.make_headers(proxy_basic_auth=proxy.credentials),
                ssl_context=self._context,
                proxy_ssl_context=self._context,
            )
            manager = self._proxied.setdefault(proxy, manager)  # another thread may have been faster
        return manager


def notice(error: Exception, url: str, failed_proxy: Proxy | None) -> None:
    """Log, once a minute at most, what only an operator can fix about a connection that failed.

    Args:
        error: The library's; of its words only a status is logged.
        url: Where the request was to go; its host is logged.
        failed_proxy: The proxy, if it was the proxy that did not connect.
    """
    host = urlsplit(url).hostname
    causes = tuple(_causes(error))
    untrusted = next((cause for cause in causes if type(cause) is ssl.SSLCertVerificationError), None)  # not aiohttp's
    if untrusted is not None:
        words = "the certificate of %s is not trusted (%s); if your network has an authority of its own, name its file "
        words += "in SSL_CERT_FILE"
        _log.error(("certificate", host), words, host, untrusted.verify_message)
    elif failed_proxy is not None:
        answered = next((found[1] for cause in causes if (found := _PROXY_ANSWERED.search(str(cause)))), None)
        said = f"it answered {answered}" if answered else type(causes[-1]).__name__
        words = "the proxy %s made no connection to %s (%s); look at HTTPS_PROXY and NO_PROXY"
        _log.error(("proxy", str(failed_proxy), host), words, failed_proxy, host, said)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and the errors that it arose from."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            # urllib3 and aiohttp keep the system's error among the arguments.
            found = (*each.args, each.__context__, each.__cause__)
            waiting += [cause for cause in found if isinstance(cause, BaseException)]


async def _close_all(closing: Iterable[AsyncConnectionInterface]) -> None:
    """Close every connection, also when the task is cancelled on the way, or one cannot be closed."""
    failed: BaseException | None = None
    with CancelScope(shield=True):
        for connection in closing:
            try:
                await connection.aclose()  # closes its socket before it waits for anything
            except (Exception, asyncio.CancelledError) as error:
                failed = error
    try:
        if failed is not None:
            raise failed
    finally:
        # It refers to this frame and to the cancelled run's: they would keep each other, as in an AsyncExitStack.
        del failed


@functools.cache
def _tls_context(file: str | None, folder: str | None) -> ssl.SSLContext:
    if file is None and folder is None:
        return httpx2.create_ssl_context(trust_env=False)  # the system's own authorities
    try:
        return ssl.create_default_context(cafile=file, capath=folder)
    except OSError as error:  # ssl.SSLError among them
        kind = type(error).__name__
    raise SettingsError(f"SSL_CERT_FILE={file or ''} or SSL_CERT_DIR={folder or ''} cannot be read ({kind})")
