"""The consent flow: from a link in the chat to an active grant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.credentials.grants import Grants
from app.credentials.links import ConsentLinks, Link, LinkState, OpenedLink
from app.database.database import Database
from app.errors import CallbackRefusedError, DeputyError
from app.google.auth import GoogleAuth
from app.google.pkce import code_challenge
from app.principal import Principal


class Waiting(Protocol):
    """Whoever waits for consents to end."""

    async def consent_ended(self, principal: Principal, *, granted: bool) -> None:
        """Go on with what waited for this person's consent, whether it was granted or refused."""
        ...


@dataclass(frozen=True, slots=True)
class Connected:
    """A finished consent: whose chat identity is now connected to which Google account."""

    principal: Principal
    email: str
    granted_scopes: frozenset[str]
    missing_scopes: frozenset[str]


class Consent:
    """Issues consent links and takes Google's callback; lives as long as the process and holds nothing of a person.

    Args:
        public_url: Where people reach this server; links start with it, never with what a request says.
    """

    def __init__(
        self,
        database: Database,
        links: ConsentLinks,
        grants: Grants,
        google: GoogleAuth,
        waiting: Waiting,
        *,
        public_url: str,
    ) -> None:
        self._database = database
        self._links = links
        self._grants = grants
        self._google = google
        self._waiting = waiting
        self._public_url = public_url.rstrip("/")

    async def ask(self, principal: Principal, oauth_scopes: frozenset[str]) -> str:
        """A link by which this person can grant these scopes; returns its id.

        A link that is still open and covers them is given again. Else a new one is issued that asks for what older
        ones asked for and for what is granted already, so that nothing that waits or works loses by it.
        """
        grant = await self._grants.find(principal)
        granted = _tool_scopes(grant.granted_scopes) if grant else frozenset()
        link, _ = await self._links.issue(principal, oauth_scopes | granted)
        return link.link_id

    async def covers(self, principal: Principal, oauth_scopes: frozenset[str]) -> bool:
        """Whether this person's active grant has all of these scopes."""
        grant = await self._grants.find(principal)
        return grant is not None and oauth_scopes <= grant.granted_scopes

    async def find_url(self, principal: Principal, link_id: str) -> str | None:
        """The address of a link that may still be opened, or None. Show it to this person alone."""
        token = await self._links.find_issued(principal, link_id)
        return f"{self._public_url}/connect/google/{token}" if token else None

    async def look_at(self, token: str) -> Link:
        """The link behind a token; consumes nothing, so that a preview bot may fetch it.

        Raises:
            LinkExpiredError: It cannot be opened any more.
        """
        return await self._links.look_at(token)

    async def open(self, token: str) -> tuple[str, OpenedLink]:
        """Open the link for this browser: Google's consent page for it, and what the browser must keep.

        Raises:
            LinkExpiredError: It cannot be opened any more.
        """
        opened = await self._links.open(token)
        url = self._google.authorization_url(
            oauth_scopes=opened.link.oauth_scopes,
            state=opened.state,
            nonce=opened.nonce,
            code_challenge=code_challenge(opened.code_verifier),
        )
        return url, opened

    async def refuse(self, *, state: str, cookie: str | None) -> Principal:
        """Take the callback of a person who said no; what waited for them is told so.

        Raises:
            CallbackRefusedError: The callback does not belong to this browser's consent.
        """
        opened = await self._links.come_back(state, cookie, granted=False)
        await self._waiting.consent_ended(opened.link.principal, granted=False)
        return opened.link.principal

    async def finish(self, *, state: str, cookie: str | None, code: str) -> Connected:
        """Take the callback of a person who said yes: their grant is active, and what waited for it goes on.

        Raises:
            CallbackRefusedError: The callback does not belong to this browser's consent, or Google's answer to it.
            GoogleError: Google did not answer.
        """
        opened = await self._links.come_back(state, cookie, granted=True)
        link = opened.link
        try:
            tokens = await self._google.exchange(code=code, code_verifier=opened.code_verifier, nonce=opened.nonce)
        except DeputyError:
            async with self._database.writing() as connection:
                await self._links.advance(connection, link.link_id, LinkState.GRANTED, LinkState.EXPIRED)
            raise
        async with self._database.writing() as connection:
            if not await self._links.advance(connection, link.link_id, LinkState.GRANTED, LinkState.ACTIVE):
                raise CallbackRefusedError("a newer link took the place of this one; use that")
            await self._grants.activate(connection, link.principal, tokens)
        await self._waiting.consent_ended(link.principal, granted=True)
        assert tokens.account is not None
        return Connected(
            link.principal, tokens.account.email, tokens.granted_scopes, link.oauth_scopes - tokens.granted_scopes
        )


def _tool_scopes(oauth_scopes: frozenset[str]) -> frozenset[str]:
    """Without the identity scopes, which every consent asks for anyway and Google names in another way."""
    return oauth_scopes - {"openid", "email", "https://www.googleapis.com/auth/userinfo.email"}
