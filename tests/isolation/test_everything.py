"""Forty people write a thousand messages, in random order, over everything that Deputy can act with.

A team of three levels has Gmail, Calendar, a second provider's API, an MCP server that knows people, and two of agno's
own toolkits, one of them with the second provider's token. Each message names its sender, and so do the requests that
Deputy makes for it: the servers check the bearer, and record its owner beside the name. Everybody is shown only their
own data, no message is lost, and every object of every request is freed although the cyclic collector never ran.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

pytest.importorskip("agno", reason="NEEDS agno: pip install 'deputy-assistant[agno]'")

from agno.tools.toolkit import Toolkit as ForeignToolkit
from mcp import Client

from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.oauth.differences import GITHUB, Differences
from app.sandbox.oauth.sandbox import OAuthSandbox
from app.sandbox.people import Person
from app.sandbox.server import serve_loopback
from app.sandbox.whatsapp.people import PairRates
from app.sections.agents import AgentSettings
from app.sections.mcp import McpSettings
from app.sections.toolkits import AgnoToolkitSettings
from app.settings import Settings
from app.toolkits.calendar import CalendarToolkit
from interfaces.web.interface import callback_url
from tests.fakes.databases import Databases
from tests.fakes.environment import open_environment
from tests.fakes.fading import without_the_collector
from tests.fakes.hub import CLIENT_ID, SECRET, settings_of
from tests.fakes.mcp_server import PersonalOffice, serving
from tests.fakes.server import GMAIL_SCOPES, Server, own_markers
from tests.isolation.census import Census
from tests.isolation.crowd import DELIVERY, Crowd, all_channels, side_by_side
from tests.isolation.members import Delivery, Member, some_group
from tests.isolation.watch import Watch

PEOPLE, MESSAGES = 40, 1000
# Tokens expire and are refreshed, refresh tokens rotate, and an id_token names the account.
OFFICE = Differences(
    refreshes=True,
    rotates=True,
    scopes="spaces",
    revocation="rfc7009",
    names="id_token",
    client_authentication="basic",
    errors_with_200=False,
)
TEAM = {
    "mail": AgentSettings(toolkits=("gmail",)),
    "diary": AgentSettings(toolkits=("calendar",)),
    "desk": AgentSettings(members=("mail", "diary")),
    "workshop": AgentSettings(toolkits=("hub", "office")),
    "assistant": AgentSettings(members=("desk", "workshop"), toolkits=("post", "forge")),
}
# The messages, by the account that they need. MARK is replaced by the sender's own mark.
ASKED = {
    "gmail": (
        '/gmail_search query="{MARK the}" limit=2',
        'ask desk ask mail gmail_search query="{MARK the}" limit=1',
    ),
    "calendar": ("/calendar_search MARK", "ask desk to calendar_search MARK"),
    "github": ("/hub_read url=HUB/user/repos?for=MARK", "ask workshop hub_read url=HUB/user/repos?for=MARK"),
    "office": ("/office_who mark=MARK", "ask workshop office_who mark=MARK"),
    "agno, Google": ('/post_search_emails query="{MARK the}" count=1',),
    "agno, GitHub": ("/forge_make_request endpoint=/user/repos?for=MARK",),
}
MARK = re.compile(r"\bm(\d\d)x(\d+)\b")
NAME = re.compile(r"\bmember(\d\d)\b")
NAMED = re.compile(r"\bmember(\d\d)(?:/notes| called with)")  # by the second provider and the MCP server


@dataclass
class Everything:
    """A server with everything, and the servers that it asks.

    Attributes:
        crowd: The server and the people who write to it.
        hub: The second provider, with an API.
        hub_url: The address of the second provider.
        office: The MCP server.
    """

    crowd: Crowd
    hub: OAuthSandbox
    hub_url: str
    office: PersonalOffice

    def delivery(self, random_: random.Random, text: str, event: int) -> Delivery:
        """Return the delivery of a message that names its random sender."""
        member = random_.choice(self.crowd.members)
        group = None if random_.random() < 0.5 else some_group(random_)
        return self.crowd.delivery(member, self.words(member, text, event), group, event)

    def words(self, member: Member, text: str, event: int) -> str:
        """Return a text that names a member and the message."""
        return text.replace("MARK", f"m{member.number:02}x{event}").replace("HUB", self.hub_url)

    async def act(self, member: Member, event: int) -> None:
        """Let a member write into their own book at the MCP server, and approve it."""
        person = member.principal(self.crowd.server)
        text = self.words(member, "/office_write MARK", event)
        asked = (await self.crowd.server.ask(person, text, conversation="acts")).json()
        told = await self.crowd.server.told(person, asked["message"])
        await self.crowd.server.ask(person, f"approve {told['approval']['code']}", conversation="acts")
        await self.crowd.server.told(person, asked["message"])
        self.crowd.asked.add((member, asked["message"]))

    def heard(self) -> set[tuple[int, int, int]]:
        """Return, for each request to a server, the bearer's owner, the member it names and the message's number."""
        calls = [(call.email or "", unquote_plus(call.query)) for call in self.crowd.server.google.calls]
        calls += [(account, unquote_plus(target)) for account, _, target in self.hub.calls]
        calls += self.office.callers
        calls += [(account, text) for account, texts in self.office.books.items() for text in texts]
        return {
            (_number(account), int(named), int(event)) for account, what in calls for named, event in MARK.findall(what)
        }


def _number(account: str) -> int:
    found = NAME.match(account)
    return int(found[1]) if found else -1


@asynccontextmanager
async def everything(folder: Path, databases: Databases, census: Census) -> AsyncIterator[Everything]:
    """Yield a server to which forty people have connected all their accounts."""
    accounts = [Person.named(f"Member{n:02} Crowd", f"member{n:02}@sandbox.example") for n in range(PEOPLE)]
    names = tuple(f"member{n:02}" for n in range(PEOPLE))
    async with open_environment(folder, databases, people=accounts, delivery=DELIVERY) as environment:
        environment.whatsapp.rates = PairRates(burst=1_000_000)

        def provider(name: str, differences: Differences) -> OAuthSandbox:
            back = frozenset({callback_url(environment.settings.server.public_url, name)})
            return OAuthSandbox(
                client_id=CLIENT_ID, client_secret=SECRET, redirect_uris=back, accounts=names, differences=differences
            )

        hub, keys = provider("github", GITHUB), provider("office", OFFICE)

        def whose(token: str) -> str | None:
            grant = keys.state.find(token, time.time())
            return grant.account if grant else None

        office = PersonalOffice(whose)
        async with (
            serve_loopback(hub.app) as hub_url,
            serve_loopback(keys.app) as keys_url,
            serving(office.server()) as office_url,
        ):
            connections = {"github": settings_of(hub_url, GITHUB), "office": settings_of(keys_url, OFFICE)}
            environment.settings = _settings(environment.settings, connections, hub_url, office_url)
            async with environment.server(census.install, interfaces=all_channels(environment)) as server:
                members = [Member(number, account.email) for number, account in enumerate(accounts)]
                await side_by_side(_connect(server, member, name) for member, name in zip(members, names, strict=True))
                yield Everything(Crowd(server, members, Watch()), hub, hub_url, office)


def _settings(settings: Settings, connections: Any, hub_url: str, office_url: str) -> Settings:
    post = AgnoToolkitSettings(
        agno="agno.tools.google.gmail:GmailTools", reads=("get_*", "search_*"), oauth_scopes={"search_*": GMAIL_SCOPES}
    )
    forge = AgnoToolkitSettings.model_validate(
        {
            "agno": "agno.tools.api:CustomApiTools",
            "arguments": {"base_url": hub_url, "api_key": {"connection": "github"}},
            "reads": ["make_request"],
            "oauth_scopes": {"*": ["repo"]},
        }
    )
    mcp = {"office": McpSettings(url=office_url, connection="office", reads=("who",))}
    return settings.model_copy(
        update={
            "agents": TEAM,
            "connections": connections,
            "mcp": mcp,
            "toolkits": {"hub": "tests.outside.hub:HubToolkit", "post": post, "forge": forge},
        }
    )


async def _connect(server: Server, member: Member, name: str) -> None:
    person = member.principal(server)
    calendar = {scope for spec in CalendarToolkit.tools().values() for scope in spec.oauth_scopes}
    await server.connect(person, member.email, GMAIL_SCOPES | calendar)
    await server.connect(person, name, ("repo",), provider="github")
    await server.connect(person, name, (), provider="office")


# agno's class uses requests, which leaves sockets to be freed when a run is interrupted.
@pytest.mark.system
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_thousand_messages_of_forty_people(tmp_path: Path, databases: Databases) -> None:
    """A thousand mixed messages of forty people each use and show their own sender's data only."""
    random_ = random.Random(1000)
    census = Census(ForeignToolkit, Client)
    with without_the_collector():
        async with everything(tmp_path, databases, census) as all_:
            crowd = all_.crowd
            over_http = [member for member in crowd.members if member.platform == "http"]
            await crowd.delivery(over_http[0], "/office_tools", None, MESSAGES)()  # nobody knows the tools before
            await crowd.ended(1)
            greetings = crowd.greetings("/office_tools")
            count = MESSAGES - 1 - len(greetings) - 2 * len(over_http)
            texts = [(kind, text) for kind, of_kind in ASKED.items() for text in of_kind]
            asked = [text for _, text in random_.choices(texts, k=count)]
            deliveries = [all_.delivery(random_, text, event) for event, text in enumerate(asked, len(greetings))]
            await crowd.run(random_, greetings, deliveries, interrupts=MESSAGES // 20)
            await asyncio.gather(*(all_.act(member, MESSAGES + member.number) for member in over_http))
            await crowd.ended(MESSAGES)
            states, shown, heard = await crowd.states(), await crowd.shown(), all_.heard()
            letters = own_markers(crowd.server.google, [member.email for member in crowd.members])
            readers = {member.principal(crowd.server): member for member in crowd.members}
            alive = await census.alive(60.0)

    assert states == Counter({("done", True): MESSAGES})
    assert {owner for owner, named, _ in heard if owner != named} == set()
    expected = {*range(len(greetings), len(greetings) + count), *(MESSAGES + each.number for each in over_http)}
    assert {event for _, _, event in heard} == expected
    assert alive == Counter()
    for reader, text in shown:
        member = readers[reader] if reader else None
        assert {int(each) for each in NAMED.findall(text)} <= ({member.number} if member else set())
        assert member is None or {int(each) for each, _ in MARK.findall(text)} <= {member.number}
        own = letters[member.email] if member else set()
        assert {each.lower() for each in MARKER.findall(text)} <= own
