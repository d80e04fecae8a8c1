"""The consent flow: from a link in the chat to Google's yes; what happens with that is `confirmation.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from app.consent.confirmation import Confirmation, Waiting
from app.consent.link import Link, LinkState, OpenedLink, Place, Purpose
from app.consent.links import ConsentLinks
from app.consent.lock import take_consent_turn
from app.consent.outcome import SignedIn
from app.consent.quarantine import CODE, Quarantine
from app.database.database import Database
from app.errors import DeputyError
from app.google.auth import GoogleAuth
from app.google.pkce import code_challenge
from app.grants.accounts import Accounts
from app.grants.grants import Grants
from app.principal import Principal


class Stage(StrEnum):
    """How far a sign-in is."""

    LINK = "link"  # the link waits to be opened
    WINDOW = "window"  # it was opened in a browser
    CODE = "code"  # Google's yes waits for the code to be written in the chat
    OVER = "over"  # it ended and connected nothing


@dataclass(frozen=True, slots=True)
class SignIn:
    """How the sign-in of one link stands.

    Attributes:
        url: The link, while it may be opened. Show it to its person alone.
    """

    stage: Stage
    place: Place
    url: str | None = field(default=None, repr=False)


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
        accounts: Accounts,
        quarantine: Quarantine,
        confirmation: Confirmation,
        google: GoogleAuth,
        waiting: Waiting,
        *,
        public_url: str,
    ) -> None:
        self._database = database
        self._links = links
        self._grants = grants
        self._accounts = accounts
        self._quarantine = quarantine
        self._confirmation = confirmation
        self._google = google
        self._waiting = waiting
        self._public_url = public_url.rstrip("/")

    async def ask(
        self,
        principal: Principal,
        oauth_scopes: frozenset[str],
        *,
        conversation: str | None = None,
        place: Place = Place.DIRECT,
    ) -> str:
        """A link by which this person can grant these scopes; returns its id.

        For an account that is connected the link asks for what it lacks only, and counts for that account only. A link
        that is still open and covers the scopes is given again.

        Args:
            principal: Whose grant.
            oauth_scopes: What a tool needs.
            conversation: Where: there the person may use another account than by default.
            place: Whether others read along there.
        """
        grant = await self._grants.find(principal, conversation)
        granted, widens = (grant.granted_scopes, grant.subject) if grant else (frozenset(), None)
        link, _ = await self._links.issue(principal, oauth_scopes - granted, Purpose(place, widens))
        return link.link_id

    async def ask_to_add(
        self, principal: Principal, *, alias: str | None, place: Place = Place.DIRECT
    ) -> tuple[str, frozenset[str]]:
        """A fresh link by which this person can connect any account; its id and the OAuth scopes it asks for.

        It asks for what their accounts have been granted, so that the new one can do the same and one that is
        connected again loses nothing, and for what their messages wait for.
        """
        accounts = await self._accounts.list(principal)
        wanted = _tool_scopes(frozenset().union(*(account.granted_scopes for account in accounts)))
        link, _ = await self._links.issue(principal, wanted, Purpose(place, alias=alias), fresh=True)
        return link.link_id, link.oauth_scopes

    async def covers(
        self,
        connection: AsyncConnection,
        principal: Principal,
        oauth_scopes: frozenset[str],
        *,
        conversation: str | None = None,
    ) -> bool:
        """Whether the grant that this person uses there has all of these scopes, in the caller's transaction."""
        granted = await self._grants.granted_scopes(connection, principal, conversation)
        return granted is not None and oauth_scopes <= granted

    async def sign_in(self, principal: Principal, link_id: str) -> SignIn:
        """How the sign-in by this link of this person stands."""
        link = await self._links.find(principal, link_id)
        if link is None or link.state not in _UNDER_WAY:
            return SignIn(Stage.OVER, link.purpose.place if link else Place.DIRECT)
        token = await self._links.find_issued(principal, link_id)
        if token is not None:
            return SignIn(Stage.LINK, link.purpose.place, self._url(token))
        proof = await self._quarantine.find_proof(principal, link_id)
        return SignIn(Stage.CODE if proof and CODE in proof else Stage.WINDOW, link.purpose.place)

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
        widens = opened.link.purpose.widens
        # Else a forwarded link would get all that its victim once granted to anybody's assistant.
        connected = widens is not None and await self._grants.of_account(opened.link.principal, widens) is not None
        url = self._google.authorization_url(
            oauth_scopes=opened.link.oauth_scopes,
            state=opened.state,
            nonce=opened.nonce,
            code_challenge=code_challenge(opened.code_verifier),
            login_hint=widens,
            include_granted_scopes=connected,
        )
        return url, opened

    async def refuse(self, *, state: str, cookie: str | None) -> Principal:
        """Take the callback of a person who said no; what waited for them is told so.

        Raises:
            CallbackRefusedError: The callback does not belong to this browser's consent.
        """
        link = (await self._links.find_opened(state, cookie)).link
        async with self._database.writing() as connection:
            await take_consent_turn(connection, link.principal)
            await self._links.take(connection, link, granted=False)
            accounts = (link.purpose.widens,)
            wake = await self._waiting.consent_ends(connection, link.principal, granted=False, accounts=accounts)
        await wake()
        return link.principal

    async def finish(self, *, state: str, cookie: str | None, code: str) -> SignedIn:
        """Take the callback of a person who said yes: what Google granted is in quarantine, or proven already.

        Raises:
            CallbackRefusedError: The callback does not belong to this browser's consent, or Google's answer to it.
            GoogleError: Google did not answer.
        """
        opened = await self._links.come_back(state, cookie, granted=True)
        try:
            tokens = await self._google.exchange(code=code, code_verifier=opened.code_verifier, nonce=opened.nonce)
        except DeputyError:
            async with self._database.writing() as connection:
                await self._links.advance(connection, opened.link.link_id, LinkState.GRANTED, LinkState.EXPIRED)
            raise
        return await self._confirmation.begin(opened.link, tokens)

    def _url(self, token: str) -> str:
        return f"{self._public_url}/connect/google/{token}"


_UNDER_WAY = (LinkState.ISSUED, LinkState.OPENED, LinkState.GRANTED)


def _tool_scopes(oauth_scopes: frozenset[str]) -> frozenset[str]:
    """Without the identity scopes, which every consent asks for anyway and Google names in another way."""
    return oauth_scopes - {"openid", "email", "https://www.googleapis.com/auth/userinfo.email"}
