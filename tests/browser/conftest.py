"""One Chromium and one server for all tests here, and two new people for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.people import NAME, Person, at, chromium
from tests.contract.channels import HttpDriver, SlackDriver, pair
from tests.fakes.environment import open_environment
from tests.fakes.ports import free_port
from tests.fakes.server import Server, user
from tests.fakes.tls import Authority, tls_before

Pair = tuple[Person, Person]


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def browser() -> AsyncIterator[Browser]:
    """Yield the machine's own Chromium."""
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Yield a server that browsers reach at https://deputy.test, with HTTP and Slack."""
    folder, port = Path(tmp_path_factory.mktemp("browsed")), free_port()
    async with (
        open_environment(folder, public_url=f"https://{NAME}:{port}") as environment,
        environment.server() as server,
        tls_before(server.settings.server.port, Authority(folder).server_context(NAME), port),
    ):
        yield server


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def pages(browser: Browser) -> AsyncIterator[list[Page]]:
    """Yield a page in each of two browser contexts, which share nothing and look like two browsers to a server."""
    contexts = [await browser.new_context(ignore_https_errors=True) for _ in range(2)]
    yield [await context.new_page() for context in contexts]
    for context in contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="package")
async def people(pages: list[Page], server: Server) -> AsyncIterator[Pair]:
    """Yield Ada, who writes over HTTP, and Grace, whom Slack knows by her name; each has a browser of her own."""
    ada, grace = pair()
    server.slack.members[user(grace.name)] = {"profile": {"real_name": "Grace Hopper"}}
    async with at(pages[0], ada, HttpDriver(server)) as first, at(pages[1], grace, SlackDriver(server)) as second:
        yield first, second
