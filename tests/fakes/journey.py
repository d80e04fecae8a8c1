"""A person's whole journey with Deputy: consent, reading, sending with approval, a refresh, and errors."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.log import fingerprint
from app.sandbox.visitor import code_on
from app.toolkits.gmail import GmailToolkit
from app.toolkits.toolkit import tool
from containers.application import Application
from containers.scopes import Scoped
from tests.contract.channels import ChannelDriver, HttpDriver, Sender, SlackDriver
from tests.fakes.server import APPROVAL_CODE, CONSENT_LINK, QUESTION, Server

UNKNOWN_MAIL = "0123456789abcdef"


class PryingGmail(GmailToolkit):
    """Gmail with a tool that fails with a mail's text in its error. Lives for one request.

    Attributes:
        meanwhile: Called while the tool runs and holds a mail.
    """

    meanwhile: Callable[[], Awaitable[None]]

    @tool(oauth_scopes=GmailToolkit.tools()["gmail_search"].oauth_scopes)
    async def crash(self) -> str:
        """Read a mail, and fail in a way that nobody foresaw."""
        found = await self.unread(limit=1)
        await type(self).meanwhile()
        raise LookupError(f"no shelf for {found}")


def prying(container: Application, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Replace Gmail by the prying toolkit."""
    toolkit = type("PryingGmail", (PryingGmail,), {"meanwhile": staticmethod(meanwhile)})
    for provider in container.toolkits.providers.values():
        if isinstance(provider, Scoped) and provider.cls is GmailToolkit:
            provider.override(Scoped(toolkit, *provider.args, **provider.kwargs))


@dataclass(frozen=True)
class Traveller:
    """One person on one channel.

    Attributes:
        word: Appears in everything that this person writes, and nowhere else.
        bearers: The fingerprints of all access tokens that they ever had.
    """

    driver: ChannelDriver
    sender: Sender
    word: str = field(default_factory=lambda: f"word{secrets.token_hex(6)}")
    bearers: set[str] = field(default_factory=set, compare=False)

    async def ask(self, text: str) -> str:
        """Send a message, and return the next reply."""
        (await self.driver.say(self.sender, text)).raise_for_status()
        return await self.driver.next(self.sender)


def travellers(server: Server, *people: Sender) -> list[Traveller]:
    """Return every person on each channel."""
    drivers: list[ChannelDriver] = [HttpDriver(server), SlackDriver(server)]
    return [Traveller(driver, person) for driver in drivers for person in people]


async def journey(server: Server, who: Traveller) -> None:
    """Make one person's whole journey; each step is answered before the next one."""
    await consent(server, who, await who.ask(QUESTION))
    await note_bearer(server, who)
    shortest = min(server.google.mailbox(who.sender.email), key=lambda mail: len(mail.raw))  # fits into one post
    await who.ask(f"/gmail_read message_id={shortest.id}")

    asked = await who.ask(f'/gmail_send to=nobody@example.com subject="{who.word}" body="{who.word}"')
    code = APPROVAL_CODE.search(await consent(server, who, asked))
    assert code is not None
    await who.ask(f"approve {code[1]}")
    await who.driver.next(who.sender)

    assert CONSENT_LINK.search(await who.ask("connect google as other"))
    await expire_access(server, who)
    await who.ask("show my last 2 mails")
    await who.ask(f"/gmail_read message_id={UNKNOWN_MAIL}")
    await who.ask("/gmail_crash")
    await who.ask(f"what do you make of {who.word}?")
    await note_bearer(server, who)


async def consent(server: Server, who: Traveller, asked: str) -> str:
    """Consent by the link in a message, confirm with the code in the chat, and return all replies."""
    link = CONSENT_LINK.search(asked)
    assert link is not None, asked
    code = code_on((await server.consent(link[0], who.sender.email)).raise_for_status())
    told = await who.ask(f"confirm {code}")
    while not ("Connected" in told and (APPROVAL_CODE.search(told) or MARKER.search(told))):  # in either order
        told += await who.driver.next(who.sender)
    return told


async def note_bearer(server: Server, who: Traveller) -> str:
    """Note and return the access token that this person's grant has now."""
    grant = await server.container.grants().find(who.driver.principal(who.sender))
    assert grant is not None
    who.bearers.add(str(fingerprint(grant.access_token)))
    return grant.access_token


async def expire_access(server: Server, who: Traveller) -> None:
    """Let Google expire this person's access token early; the grant stays valid."""
    token = await note_bearer(server, who)
    access = server.google._grants._access
    access[token] = replace(access[token], expires_at=0.0)


async def all_travel(server: Server, *people: Sender) -> list[Traveller]:
    """Make everybody's whole journey, on every channel at once."""
    who = travellers(server, *people)
    await asyncio.gather(*(journey(server, each) for each in who))
    return who
