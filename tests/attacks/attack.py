"""Mallory, her victim, and the server that both write to, with checks of what an attack gained."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import sqlalchemy as sa

from app.database.tables import grants, owned_by, quarantined_grants
from app.principal import Principal
from app.sandbox.log import Call, fingerprint
from app.sandbox.people import Person
from app.sandbox.visitor import code_on
from tests.fakes.consent import Browser
from tests.fakes.server import CONSENT_LINK, QUESTION, Server, own_markers

EXCHANGE, REVOKE = "oauth.token.authorization_code", "oauth.revoke"
CALLBACK = "/oauth/google/callback"
_numbers = itertools.count()


def accounts() -> list[Person]:
    """Return the Google accounts of a server's people: the victim's two, and Mallory's."""
    return [Person.named(name.title(), f"{name}@sandbox.example") for name in ("victim", "work", "mallory")]


@dataclass
class Attack:
    """Two people who are new to a server, each with a chat over HTTP and a browser.

    Attributes:
        victims: The address of the victim's Google account.
        work: The address of the victim's second Google account.
        mallorys: The address of Mallory's Google account.
        browser: The victim's browser.
        own_browser: Mallory's browser.
        said: The ids of each person's messages, oldest first.
        calls_before: The number of calls that Google had received before the attack began.
    """

    server: Server
    victim: Principal
    mallory: Principal
    victims: str
    work: str
    mallorys: str
    browser: Browser = field(default_factory=Browser)
    own_browser: Browser = field(default_factory=Browser)
    said: defaultdict[Principal, list[str]] = field(default_factory=lambda: defaultdict(list))
    calls_before: int = 0
    _bearers: set[str | None] = field(default_factory=set)

    async def ask(self, person: Principal, text: str = QUESTION, **body: Any) -> dict[str, Any]:
        """Send this person's message, and return its status once it is answered or waits for them."""
        response = await self.server.ask(person, text, **body)
        status: dict[str, Any] = response.raise_for_status().json()
        self.said[person].append(status["message"])
        return status

    async def link(self, person: Principal, text: str = QUESTION) -> str:
        """Return the consent link that this person is sent in reply to a message."""
        status = await self.ask(person, text)
        found = CONSENT_LINK.search(status.get("consent_url") or status.get("answer", ""))
        assert found is not None, status
        return found[0]

    async def connect(self, person: Principal, email: str) -> None:
        """Connect an account of this person in the usual way: ask, consent, confirm; their message is answered."""
        link = await self.link(person)
        question = self.said[person][-1]
        code = code_on(await self.server.consent(link, email))
        assert "Connected" in (await self.ask(person, f"confirm {code}"))["answer"]
        await self.server.told(person, question)
        await self.note_bearer(person)

    async def note_bearer(self, person: Principal) -> None:
        """Note this person's own access token, so that calls under it do not count as Mallory's gain."""
        grant = await self.server.container.grants().find(person)
        assert grant is not None
        self._bearers.add(fingerprint(grant.access_token))

    def calls(self, method_id: str) -> int:
        """Return how often Google was asked for this method since the attack began."""
        return len(self.statuses(method_id))

    def statuses(self, method_id: str) -> list[int]:
        """Return the status of each of these calls."""
        return [call.status for call in self._calls() if call.method_id == method_id]

    async def account_of(self, person: Principal) -> str | None:
        """Return the address of the account that this person's assistant uses."""
        grant = await self.server.container.grants().find(person)
        return grant.email if grant else None

    async def waiting(self, person: Principal) -> int:
        """Return the number of this person's sign-ins that wait for confirmation."""
        query = sa.select(sa.func.count()).where(owned_by(quarantined_grants, person))
        async with self.server.container.database().reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def assert_reads_her_mail(self) -> None:
        """Assert that the victim's own assistant still works, with her own account."""
        answer = (await self.ask(self.victim))["answer"]

        assert self._markers(answer, self.victims)

    async def assert_nothing_gained(self) -> None:
        """Let Mallory ask for mail again, and assert that nothing of the victim's was shown to her, kept or fetched."""
        await self.ask(self.mallory)
        told = [await self.server.told(self.mallory, each, wait=0) for each in self.said[self.mallory]]
        fetched = [
            call
            for call in self._calls()
            if call.method_id.startswith("gmail.") and call.email in (self.victims, self.work)
        ]

        assert not self._markers(json.dumps(told), self.victims)
        assert await self.account_of(self.mallory) in (None, self.mallorys)
        assert {call.bearer_sha256 for call in fetched} <= self._bearers

    def _calls(self) -> list[Call]:
        return self.server.google.calls[self.calls_before :]

    def _markers(self, text: str, email: str) -> set[str]:
        return {marker for marker in own_markers(self.server.google, (email,))[email] if marker in text.lower()}


@asynccontextmanager
async def attack_on(server: Server) -> AsyncIterator[Attack]:
    """Yield a victim and a Mallory who are new to the server; only they use their Google accounts meanwhile."""
    number = next(_numbers)
    victim, mallory = (Principal("http", "demo", f"{who}{number}") for who in ("victim", "mallory"))
    hers, work, mallorys = (account.email for account in accounts())
    attack = Attack(server, victim, mallory, hers, work, mallorys)
    attack.calls_before = len(server.google.calls)
    try:
        yield attack
    finally:
        async with server.container.database().writing() as connection:
            for table in (grants, quarantined_grants):
                await connection.execute(table.delete())
        await attack.browser.http.aclose()
        await attack.own_browser.http.aclose()


def shown(response: httpx2.Response) -> str:
    """Return everything that a response contains: headers and body."""
    return "\n".join(f"{name}: {value}" for name, value in response.headers.items()) + response.text
