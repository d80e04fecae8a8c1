"""A server whose people connect accounts for a toolkit and MCP servers, and each channel that has groups, in turn."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from types import MappingProxyType
from typing import Any, cast

import pytest
import pytest_asyncio
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo

from app.llm.offline import reply
from app.sandbox.oauth.differences import GITHUB
from app.sandbox.oauth.sandbox import OAuthSandbox
from app.sandbox.server import serve_loopback
from app.sections.agents import AgentSettings
from app.sections.mcp import McpSettings
from interfaces.web.interface import callback_url
from tests.contract.buttons import BUTTONS, Buttons
from tests.contract.channels import DRIVERS, ChannelDriver
from tests.fakes.discovered import STRANGER, GuardedOffice
from tests.fakes.environment import open_environment, with_telegram
from tests.fakes.hub import CLIENT_ID, SECRET, settings_of
from tests.fakes.mcp_server import serving
from tests.fakes.open_provider import REGISTERS, OpenProvider
from tests.fakes.ports import free_port
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server
from tests.fakes.shop import Shop

_OF_A_SERVER = re.compile(r"/((office|library)_\w+) .*")


class ListingModel(ScriptedModel):
    """A scripted model that lists the tools of an MCP server before it calls one that it does not know yet."""

    async def _answer(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        last = messages[-1].parts[-1]
        known = {tool.name for tool in info.function_tools}
        if isinstance(last, UserPromptPart) and (asked := _OF_A_SERVER.fullmatch(str(last.content))):
            tool, server = asked.groups()
            if tool not in known:
                return ModelResponse(parts=[ToolCallPart(f"{server}_tools", {})])
        if isinstance(last, ToolReturnPart) and last.tool_name in ("office_tools", "library_tools"):
            prompts = [part for message in messages for part in message.parts if isinstance(part, UserPromptPart)]
            return ModelResponse(parts=[reply([ModelRequest(parts=prompts[-1:])], info.function_tools)])
        return await super()._answer(messages, info)


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def hub() -> AsyncIterator[tuple[OAuthSandbox, str]]:
    """Yield the sandbox's GitHub, whose redirect URI the server adds, and its address."""
    sandbox = OAuthSandbox(client_id=CLIENT_ID, client_secret=SECRET, redirect_uris=set())
    async with serve_loopback(sandbox.app) as root:
        yield sandbox, root


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def library() -> AsyncIterator[GuardedOffice]:
    """Yield an MCP server that names its own authorization server and needs another OAuth scope for its tool `who`."""
    url = f"http://127.0.0.1:{free_port()}/mcp"
    provider = OpenProvider(url, ("ada", "grace"), STRANGER, REGISTERS)
    async with serve_loopback(provider.app) as root:
        library = GuardedOffice(provider, url, root, needs={"who": "books:more"})
        async with serving(library.server(), url, older=library):
            yield library


@pytest.fixture(scope="package")
def shop(hub: tuple[OAuthSandbox, str]) -> Shop:
    """Return an MCP server that accepts the tokens of the sandbox's GitHub and knows people by them."""

    def owner(token: str) -> str | None:
        grant = hub[0].state.find(token, time.time())
        return grant.account if grant else None

    return Shop(owner)


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def server(
    tmp_path_factory: pytest.TempPathFactory, hub: tuple[OAuthSandbox, str], library: GuardedOffice, shop: Shop
) -> AsyncIterator[Server]:
    """Yield a server whose assistant has a toolkit and the shop for people's GitHub accounts, and the library."""
    sandbox, root = hub
    discovered = McpSettings.model_validate({"url": library.url, "oauth": "discover", "reads": ("who",)})
    async with serving(shop.server()) as office_url:
        sections: dict[str, Any] = {
            "connections": MappingProxyType({"github": settings_of(root, GITHUB)}),
            "mcp": MappingProxyType(
                {
                    "office": McpSettings(url=office_url, connection="github", reads=("who", "order")),
                    "library": discovered,
                }
            ),
            "toolkits": MappingProxyType({"hub": "tests.outside.hub:HubToolkit"}),
            "agents": {"assistant": AgentSettings(toolkits=("hub", "office", "library"))},
        }
        async with open_environment(tmp_path_factory.mktemp("connecting"), **sections) as environment:
            public_url = environment.settings.server.public_url
            sandbox.redirect_uris.add(callback_url(public_url, "github"))
            interfaces = with_telegram(environment, environment.settings.interfaces)
            async with environment.server(ListingModel().install, interfaces=interfaces) as server:
                yield server


@pytest.fixture(params=sorted(set(DRIVERS) - {"http"}))
def channel(request: pytest.FixtureRequest, server: Server) -> ChannelDriver:
    """Return each channel that has groups, in turn."""
    driver: Any = DRIVERS[request.param](server)
    return cast(ChannelDriver, driver)


@pytest.fixture
def buttons(channel: ChannelDriver, server: Server) -> Buttons:
    """Return the buttons that the channel shows."""
    made: Any = BUTTONS[channel.platform](server)
    return cast(Buttons, made)
