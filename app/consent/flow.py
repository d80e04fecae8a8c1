"""The consent flow as the chat sees it: asking for a link, and how its sign-in stands; browser.py is the other side."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from app.consent.code_tries import CODE
from app.consent.link import LinkState, Place, Purpose
from app.consent.links import ConsentLinks
from app.consent.quarantine import Quarantine
from app.google.scopes import IDENTITY_SCOPES, missing_scopes
from app.grants.accounts import Accounts
from app.grants.grants import Grants
from app.principal import Principal


class SignInStage(StrEnum):
    """How far a sign-in is."""

    LINK = "link"  # the link waits to be opened
    WINDOW = "window"  # it was opened in a browser
    CODE = "code"  # Google's yes waits for the code to be written in the chat
    OVER = "over"  # it ended and connected nothing
    REPLACED = "replaced"  # its person was sent a newer link


@dataclass(frozen=True, slots=True)
class SignIn:
    """How the sign-in of one link stands.

    Attributes:
        url: The link, while it may be opened. Show it to its person alone.
    """

    stage: SignInStage
    place: Place
    url: str | None = field(default=None, repr=False)


class Consent:
    """Issues consent links and says how they stand; lives as long as the process and holds nothing of a person.

    Args:
        public_url: Where people reach this server; links start with it, never with what a request says.
    """

    def __init__(
        self,
        links: ConsentLinks,
        grants: Grants,
        accounts: Accounts,
        quarantine: Quarantine,
        *,
        public_url: str,
    ) -> None:
        self._links = links
        self._grants = grants
        self._accounts = accounts
        self._quarantine = quarantine
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
            oauth_scopes: The scopes that a tool needs.
            conversation: Where: there the person may use another account than by default.
            place: Whether others read along there.
        """
        grant = await self._grants.find(principal, conversation)
        granted, widens = (grant.granted_scopes, grant.subject) if grant else (frozenset(), None)
        missing = missing_scopes(oauth_scopes, granted)
        link, _ = await self._links.issue(principal, missing, Purpose(place, widens))
        return link.link_id

    async def ask_to_add(
        self, principal: Principal, *, alias: str | None, place: Place = Place.DIRECT
    ) -> tuple[str, frozenset[str]]:
        """A fresh link by which this person can connect any account; its id and the OAuth scopes it asks for.

        It asks for what their accounts have been granted, so that the new one can do the same and one that is
        connected again loses nothing, and for what their messages wait for.
        """
        accounts = await self._accounts.list(principal)
        # Without the identity scopes, which every consent asks for anyway and Google names in another way.
        wanted = frozenset().union(*(account.granted_scopes for account in accounts)) - IDENTITY_SCOPES
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
        return granted is not None and not missing_scopes(oauth_scopes, granted)

    async def sign_in(self, principal: Principal, link_id: str) -> SignIn:
        """How the sign-in by this link of this person stands."""
        link = await self._links.find(principal, link_id)
        if link is not None and link.state is LinkState.SUPERSEDED:
            return SignIn(SignInStage.REPLACED, link.purpose.place)
        if link is None or link.state not in _UNDER_WAY:
            return SignIn(SignInStage.OVER, link.purpose.place if link else Place.DIRECT)
        token = await self._links.find_issued(principal, link_id)
        if token is not None:
            return SignIn(SignInStage.LINK, link.purpose.place, self._url(token))
        waits = await self._quarantine.find(principal, link_id)
        return SignIn(SignInStage.CODE if waits and CODE in waits.proof else SignInStage.WINDOW, link.purpose.place)

    def _url(self, token: str) -> str:
        return f"{self._public_url}/connect/google/{token}"


_UNDER_WAY = (LinkState.ISSUED, LinkState.OPENED, LinkState.CONSENTED)
