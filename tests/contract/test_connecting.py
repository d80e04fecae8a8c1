"""A first message that needs another provider than Google, on each channel that has groups."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from types import MappingProxyType
from typing import Any, cast

import pytest
import pytest_asyncio
from mcp.server.auth.provider import AccessToken
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo

from app.sandbox.oauth.differences import GITHUB
from app.sandbox.oauth.sandbox import OAuthSandbox
from app.sandbox.server import serve_loopback
from app.sandbox.visitor import code_on
from app.sections.agents import AgentSettings
from app.sections.mcp import McpSettings
from interfaces.web.interface import callback_url
from tests.contract.channels import DRIVERS, ChannelDriver, pair
from tests.fakes.discovered import STRANGER, GuardedOffice
from tests.fakes.environment import open_environment, with_telegram
from tests.fakes.hub import CLIENT_ID, SECRET, consent, settings_of
from tests.fakes.mcp_server import PersonalOffice, serving
from tests.fakes.open_provider import REGISTERS, OpenProvider
from tests.fakes.ports import free_port
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import Server, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHO = "/office_who mark=m"
BORROW = "/library_who mark=m"
_LINK = re.compile(r"https?://\S+/connect/(?:github|library)/[\w-]+")


class HubOffice(PersonalOffice):
    """An MCP server that takes the tokens of the sandbox's GitHub and knows people by them."""

    def __init__(self, hub: OAuthSandbox) -> None:
        super().__init__()
        self._hub = hub

    async def verify_token(self, token: str) -> AccessToken | None:
        """Know the account that has granted the token."""
        grant = self._hub.state.find(token, time.time())
        return AccessToken(token=token, client_id="deputy", scopes=[], subject=grant.account) if grant else None


class ListingModel(ScriptedModel):
    """Lists the tools of an MCP server before it asks there who calls, if they are not known yet."""

    async def _answer(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        last = messages[-1].parts[-1]
        known = {tool.name for tool in info.function_tools}
        for asks, server in ((WHO, "office"), (BORROW, "library")):
            if isinstance(last, UserPromptPart) and last.content == asks and f"{server}_who" not in known:
                return ModelResponse(parts=[ToolCallPart(f"{server}_tools", {})])
            if isinstance(last, ToolReturnPart) and last.tool_name == f"{server}_tools":
                return ModelResponse(parts=[ToolCallPart(f"{server}_who", {"mark": "m"})])
        return await super()._answer(messages, info)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def hub() -> AsyncIterator[tuple[OAuthSandbox, str]]:
    """The sandbox's GitHub, whose redirect URI the server gives it, and its address."""
    sandbox = OAuthSandbox(client_id=CLIENT_ID, client_secret=SECRET, redirect_uris=set())
    async with serve_loopback(sandbox.app) as root:
        yield sandbox, root


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def library() -> AsyncIterator[GuardedOffice]:
    """An MCP server that says itself where people sign in, and wants more of them for its tool `who`."""
    url = f"http://127.0.0.1:{free_port()}/mcp"
    provider = OpenProvider(url, ("ada", "grace"), STRANGER, REGISTERS)
    async with serve_loopback(provider.app) as root:
        library = GuardedOffice(provider, url, root, needs={"who": "books:more"})
        async with serving(library.server(), url, older=library):
            yield library


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(
    tmp_path_factory: pytest.TempPathFactory, hub: tuple[OAuthSandbox, str], library: GuardedOffice
) -> AsyncIterator[Server]:
    """A server whose assistant has a toolkit and an MCP server of people's GitHub accounts, and the library."""
    sandbox, root = hub
    discovered = McpSettings.model_validate({"url": library.url, "oauth": "discover", "reads": ("who",)})
    async with serving(HubOffice(sandbox).server()) as office_url:
        sections: dict[str, Any] = {
            "connections": MappingProxyType({"github": settings_of(root, GITHUB)}),
            "mcp": MappingProxyType(
                {
                    "office": McpSettings(url=office_url, connection="github", reads=("who",)),
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
    """Each channel that has groups, in turn."""
    driver: Any = DRIVERS[request.param](server)
    return cast(ChannelDriver, driver)


@pytest.fixture
def question(hub: tuple[OAuthSandbox, str]) -> str:
    """A message that needs GitHub."""
    return f"/hub_read url={hub[1]}/user/repos"


async def test_a_first_message_in_a_group_is_answered_after_its_sender_has_connected(
    channel: ChannelDriver, question: str
) -> None:
    """Two people ask at once: each is sent a link in private; who connects is answered, who declines is told so."""
    ada, grace = pair()
    group = f"first{ada.name}"
    await asyncio.gather(*(channel.say(sender, question, group=group) for sender in (ada, grace)))
    links = [_link(await channel.next(sender)) for sender in (ada, grace)]
    pages = await asyncio.gather(consent(links[0], "ada"), consent(links[1], "grace", allow=False))
    declined = await channel.next(grace)
    await channel.say(ada, f"confirm {code_on(pages[0])}", group=group)
    connected, answer = await channel.next(ada), await channel.next(ada)
    await channel.say(grace, question, group=group)

    assert links[0] != links[1]
    assert "Not connected" in pages[1].text
    assert declined.startswith("You did not connect your account, so nothing was read or done. Write ")
    assert (connected, "ada/notes" in answer) == ("Connected: ada.", True)
    assert _link(await channel.next(grace)) not in links
    assert channel.public(group) == []
    assert await eventually(lambda: len(channel.directed(group)) >= 2)


async def test_an_mcp_server_of_the_same_connection_knows_each_sender(channel: ChannelDriver, question: str) -> None:
    """Two people ask a server who they are; each is told their own name, by themselves connected for it."""
    ada, grace = pair()
    group = f"office{ada.name}"
    await asyncio.gather(*(channel.say(sender, WHO, group=group) for sender in (ada, grace)))
    links = [_link(await channel.next(sender)) for sender in (ada, grace)]
    for sender, link, account in ((grace, links[1], "grace"), (ada, links[0], "ada")):
        await channel.say(sender, f"confirm {code_on(await consent(link, account))}", group=group)
        connected, answer = await channel.next(sender), await channel.next(sender)

        assert (connected, f"{account} called with m" in answer) == (f"Connected: {account}.", True)
    await channel.say(grace, question, group=group)
    assert "read and change your repositories" in await channel.next(grace)  # of the toolkit, not granted yet
    assert channel.public(group) == []


async def test_an_mcp_server_that_needs_more_of_its_people_is_granted_it_in_private(
    channel: ChannelDriver, library: GuardedOffice
) -> None:
    """Two people ask in a group; each is sent a second link for what the tool needs, and is answered afterwards."""
    ada, grace = pair()
    group = f"library{ada.name}"
    library.calls.clear()
    library.refused.clear()
    await asyncio.gather(*(channel.say(sender, BORROW, group=group) for sender in (ada, grace)))
    for asked in ("use your account", "books:more"):
        told = [await channel.next(sender) for sender in (ada, grace)]
        assert all(asked in words for words in told)
        for sender, words, account in ((grace, told[1], "grace"), (ada, told[0], "ada")):
            await channel.say(sender, f"confirm {code_on(await consent(_link(words), account))}", group=group)
            assert (await channel.next(sender)).startswith("Connected: ")
    answers = [await channel.next(sender) for sender in (ada, grace)]

    assert ["ada called with m" in answers[0], "grace called with m" in answers[1]] == [True, True]
    assert (sorted(library.refused), len(library.calls)) == ([("ada", "who"), ("grace", "who")], 2)
    assert channel.public(group) == []


def _link(told: str) -> str:
    found = _LINK.search(told)
    assert found is not None, told
    return found[0]
