"""Consent links as values: what one is for, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.database.prepared import Columns
from app.database.tables import principal_of
from app.oauth.provider import GOOGLE
from app.principal import Principal


class LinkState(StrEnum):
    """Where a consent link stands."""

    ISSUED = "issued"
    OPENED = "opened"  # in a browser, which is at Google now
    CONSENTED = "consented"  # Google said yes; it is not proven yet that the link's person signed in
    ACTIVE = "active"  # proven: the account is connected
    EXPIRED = "expired"  # it ended without a connection
    SUPERSEDED = "superseded"  # its person was sent a newer one that asks for the same and more
    REFUSED = "refused"  # its person said no


ENDED = (LinkState.ACTIVE, LinkState.REFUSED, LinkState.SUPERSEDED)  # and stays so, whatever the time
SUPERSEDED = "I have sent you a newer link since, which replaces this one. Open that one; it is in your chat"


class Place(StrEnum):
    """Where a link was asked for: in a chat that its person has with the assistant alone, or with others."""

    DIRECT = "direct"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Purpose:
    """The purpose of a link, in addition to its OAuth scopes.

    Attributes:
        place: The kind of place where its person asked.
        widens: The subject of the account whose grant gets more scopes, and of no other; None lets the person choose.
        alias: The name that they want for the account that they choose.
        provider: The provider whose accounts it connects, and no other one's.
    """

    place: Place = Place.DIRECT
    widens: str | None = None
    alias: str | None = None
    provider: str = GOOGLE


@dataclass(frozen=True, slots=True)
class Link:
    """One consent link as stored; holds no secret."""

    link_id: str
    principal: Principal
    oauth_scopes: frozenset[str]
    state: LinkState
    purpose: Purpose
    expires_at: float

    @property
    def provider(self) -> str:
        """Return the provider whose accounts it connects."""
        return self.purpose.provider


ANYWHERE = Purpose()


def link_of(row: Columns) -> Link:
    """Return the link that a complete row describes."""
    purpose = Purpose(Place(row.place), row.widens, row.alias, row.provider)
    oauth_scopes = frozenset(row.oauth_scopes.split())
    return Link(row.id, principal_of(row), oauth_scopes, LinkState(row.state), purpose, row.expires_at)


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """A link that a browser has opened: what Google is given for it, and the cookie that this browser keeps."""

    link: Link
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    cookie: str = field(repr=False)
