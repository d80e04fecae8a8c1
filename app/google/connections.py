"""The connections to Google that all people share; neither keeps anything from an answer."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2
import urllib3

from app.google.token_endpoint import HTTP_TIMEOUT_SECONDS

_CONNECTIONS_TO_ONE_HOST = 32


def open_http() -> httpx2.AsyncClient:
    """Return the client for tokens. It keeps no cookies, which would be sent with another person's request."""
    return httpx2.AsyncClient(
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])), trust_env=False, timeout=HTTP_TIMEOUT_SECONDS
    )


def open_pool() -> urllib3.PoolManager:
    """Return the pool for API calls; it is thread-safe."""
    return urllib3.PoolManager(maxsize=_CONNECTIONS_TO_ONE_HOST)
