"""The consent flow as the chat sees it: asking for a link, and how its sign-in stands; browser.py is the other side."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from app.consent.code_tries import CODE
from app.consent.link import Link, LinkState, Place, Purpose
from app.consent.links import ConsentLinks
from app.consent.quarantine import Quarantine
from app.google.scopes import missing_scopes
from app.grants.accounts import Accounts
from app.grants.grants import Grants
from app.oauth.provider import GOOGLE, Providers
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
        provider: The provider's name in the settings.
        title: The provider's name for people.
    """

    stage: SignInStage
    place: Place
    url: str | None = field(default=None, repr=False)
    provider: str = GOOGLE
    title: str = "Google"


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
        providers: Providers,
        *,
        public_url: str,
    ) -> None:
        self._links = links
        self._grants = grants
        self._accounts = accounts
        self._quarantine = quarantine
        self._providers = providers
        self._public_url = public_url.rstrip("/")

    async def ask(
        self,
        principal: Principal,
        oauth_scopes: frozenset[str],
        *,
        conversation: str | None = None,
        place: Place = Place.DIRECT,
        provider: str = GOOGLE,
    ) -> str:
        """Return the id of a link by which this person can grant these scopes.

        For an account that is connected the link asks for what it lacks only, and counts for that account only. A link
        that is still open and covers the scopes is given again.

        Args:
            principal: Whose grant.
            oauth_scopes: The scopes that a tool needs.
            conversation: Where: there the person may use another account than by default.
            place: Whether others read along there.
            provider: Whose account it connects.
        """
        grant = await self._grants.find(principal, conversation, provider=provider)
        granted, widens = (grant.granted_scopes, grant.subject) if grant else (frozenset(), None)
        missing = missing_scopes(oauth_scopes, granted)
        link, _ = await self._links.issue(principal, missing, Purpose(place, widens, provider=provider))
        return link.link_id

    async def ask_to_add(
        self, principal: Principal, *, alias: str | None, place: Place = Place.DIRECT, provider: str = GOOGLE
    ) -> tuple[str, frozenset[str]]:
        """Issue a link by which this person can connect any account; return its id and the OAuth scopes it asks for.

        It asks for what their accounts have been granted, so that the new one can do the same and one that is
        connected again loses nothing, and for what their messages wait for.
        """
        accounts = [each for each in await self._accounts.list(principal) if each.provider == provider]
        # Without the identity scopes, which every consent asks for anyway and Google names in another way.
        identity = self._providers[provider].identity_scopes
        wanted = frozenset().union(*(account.granted_scopes for account in accounts)) - identity
        purpose = Purpose(place, alias=alias, provider=provider)
        link, _ = await self._links.issue(principal, wanted, purpose, fresh=True)
        return link.link_id, link.oauth_scopes

    async def covers(
        self,
        connection: AsyncConnection,
        principal: Principal,
        oauth_scopes: frozenset[str],
        *,
        conversation: str | None = None,
        provider: str = GOOGLE,
    ) -> bool:
        """Return whether the grant that this person uses there has all of these scopes, in the caller's transaction."""
        granted = await self._grants.granted_scopes(connection, principal, conversation, provider=provider)
        return granted is not None and not missing_scopes(oauth_scopes, granted)

    async def sign_in(self, principal: Principal, link_id: str) -> SignIn:
        """Return how the sign-in by this link of this person stands."""
        link = await self._links.find(principal, link_id)
        if link is None:
            return SignIn(SignInStage.OVER, Place.DIRECT)
        stage, url = await self._stage(link)
        return SignIn(stage, link.purpose.place, url, link.provider, self._providers[link.provider].title)

    async def _stage(self, link: Link) -> tuple[SignInStage, str | None]:
        if link.state is LinkState.SUPERSEDED:
            return SignInStage.REPLACED, None
        if link.state not in _UNDER_WAY:
            return SignInStage.OVER, None
        token = await self._links.find_issued(link.principal, link.link_id)
        if token is not None:
            return SignInStage.LINK, f"{self._public_url}/connect/{link.provider}/{token}"
        waits = await self._quarantine.find(link.principal, link.link_id)
        return (SignInStage.CODE if waits and CODE in waits.proof else SignInStage.WINDOW), None


_UNDER_WAY = (LinkState.ISSUED, LinkState.OPENED, LinkState.CONSENTED)
