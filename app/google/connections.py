"""The connections to Google that all people share; neither keeps anything from an answer."""

from __future__ import annotations

import httpx2

from app.network import open_client
from app.oauth.token_endpoint import HTTP_TIMEOUT_SECONDS


def open_http() -> httpx2.AsyncClient:
    """Return the client for tokens."""
    return open_client(HTTP_TIMEOUT_SECONDS)
