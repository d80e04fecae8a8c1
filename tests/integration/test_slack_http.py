"""Posts to Slack share connections while the process runs, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.sandbox.server import serve_loopback
from app.sandbox.slack.sandbox import SlackSandbox
from interfaces.slack.http import SlackHttp
from interfaces.slack.web_api import new_client

TOKEN = "xoxb-sandbox"


class Front:
    """A proxy for a Slack that records each call's connection and headers, and sets a cookie in each answer."""

    def __init__(self) -> None:
        self.slack = SlackSandbox(signing_secret="secret", bot_token=TOKEN)
        self.connections: list[int] = []  # the client's port
        self.headers: list[Mapping[bytes, bytes]] = []
        self.url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        self.connections.append(scope["client"][1])
        self.headers.append(dict(scope["headers"]))

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"set-cookie", b"d=a-workspace; Path=/")]
            await send(message)

        await self.slack.app(scope, receive, with_cookie)

    async def post(self, http: SlackHttp, channel: str = "D0ADA") -> None:
        """Post as the channel does."""
        client: Any = new_client(TOKEN, f"{self.url}/api/", retries=False, session=http.session)
        await client.chat_postMessage(channel=channel, text="hello")


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """Yield a front to which nothing was posted yet."""
    front = Front()
    async with serve_loopback(front) as front.url:
        yield front


async def test_posts_share_a_connection(front: Front) -> None:
    """While the session is open, posts share a connection."""
    http = SlackHttp()
    async with http.opened():
        await front.post(http)
        await front.post(http, "D0BOB")

    assert len(front.slack.posts) == 2
    assert len(set(front.connections)) == 1


async def test_no_cookie_goes_from_one_call_to_the_next(front: Front) -> None:
    """A cookie that Slack sets in one answer is not sent with the next call."""
    http = SlackHttp()
    async with http.opened():
        await front.post(http)
        await front.post(http)

    assert len(front.headers) == 2
    assert not any(b"cookie" in headers for headers in front.headers)


async def test_nothing_is_open_outside(front: Front) -> None:
    """The session is closed with its context, and outside it each call has its own connection."""
    http = SlackHttp()
    async with http.opened():
        inside = http.session
    assert inside is not None
    assert inside.closed
    assert http.session is None

    await front.post(http)
    await front.post(http)

    assert len(set(front.connections)) == 2
