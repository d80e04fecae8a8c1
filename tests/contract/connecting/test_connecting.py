"""A first message that needs a connection other than Google, on each channel that has groups."""

from __future__ import annotations

import asyncio
import re

import pytest

from app.sandbox.oauth.sandbox import OAuthSandbox
from app.sandbox.visitor import code_on
from tests.contract.channels import ChannelDriver, pair
from tests.fakes.discovered import GuardedOffice
from tests.fakes.hub import consent
from tests.fakes.server import eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")

WHO = "/office_who mark=m"
BORROW = "/library_who mark=m"
_LINK = re.compile(r"https?://\S+/connect/(?:github|library)/[\w-]+")


@pytest.fixture
def question(hub: tuple[OAuthSandbox, str]) -> str:
    """Return a message that needs GitHub."""
    return f"/hub_read url={hub[1]}/user/repos"


async def test_a_first_message_in_a_group_is_answered_after_its_sender_has_connected(
    channel: ChannelDriver, question: str
) -> None:
    """Two people who ask at once each get a private link; connecting yields the answer, declining a reply saying so."""
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
    """Two people who ask an MCP server who they are each get the name of the account that they connected."""
    ada, grace = pair()
    group = f"office{ada.name}"
    await asyncio.gather(*(channel.say(sender, WHO, group=group) for sender in (ada, grace)))
    links = [_link(await channel.next(sender)) for sender in (ada, grace)]
    for sender, link, account in ((grace, links[1], "grace"), (ada, links[0], "ada")):
        await channel.say(sender, f"confirm {code_on(await consent(link, account))}", group=group)
        connected, answer = await channel.next(sender), await channel.next(sender)

        assert (connected, f"{account} called with m" in answer) == (f"Connected: {account}.", True)
    await channel.say(grace, question, group=group)
    assert "read and change your repositories" in await channel.next(grace)  # the toolkit's scopes are not granted yet
    assert channel.public(group) == []


async def test_an_mcp_server_that_needs_more_of_its_people_is_granted_it_in_private(
    channel: ChannelDriver, library: GuardedOffice
) -> None:
    """Two people who ask in a group each get a second link for the scope that the tool needs, and then an answer."""
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
