"""Connections to Slack's Web API that are kept open between calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import ClientSession

CALL_SECONDS = 30
# No connection is kept idle for longer: if Slack is about to close one, a post on it may stay without an answer, and
# then nothing is posted again before the first copy would be visible.
_IDLE_SECONDS = 4.0


class SlackHttp:
    """Shares connections to Slack among all posts; lives as long as the process and knows no token.

    It keeps no cookie, because one workspace's would go out with another's call.
    """

    def __init__(self) -> None:
        self._open = False
        self._session: ClientSession | None = None

    @property
    def session(self) -> ClientSession | None:
        """Return the session for a call; None, for a connection of its own, while nothing is kept open."""
        if self._open and self._session is None:
            from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector  # a start does without

            self._session = ClientSession(
                connector=TCPConnector(keepalive_timeout=_IDLE_SECONDS),
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(total=CALL_SECONDS),
                trust_env=False,
            )
        return self._session

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep connections open until the context ends."""
        self._open = True
        try:
            yield
        finally:
            self._open = False
            session, self._session = self._session, None
            if session is not None:
                await session.close()
