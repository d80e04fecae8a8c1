"""How a sign-in at Google stands, as the browser that made it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.consent.link import Link
from app.google.scopes import missing_scopes


@dataclass(frozen=True, slots=True)
class Consented:
    """What Google granted by a link."""

    link: Link
    subject: str
    email: str
    granted_scopes: frozenset[str]

    @property
    def missing_scopes(self) -> frozenset[str]:
        """The requested OAuth scopes that the granted ones do not cover."""
        return missing_scopes(self.link.oauth_scopes, self.granted_scopes)


@dataclass(frozen=True, slots=True)
class Connected(Consented):
    """A finished consent: the link's person is now connected to that Google account."""


@dataclass(frozen=True, slots=True)
class Disconnected(Consented):
    """A consent that connected an account which has been disconnected since."""


@dataclass(frozen=True, slots=True)
class WaitsForCode(Consented):
    """A consent that counts once its code is written in the right chat; only the browser is shown the code."""

    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WaitsForLogin:
    """A consent that counts once its person has signed in at their channel, to which the browser is sent."""

    link: Link
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class InProgress:
    """Google's answer is being fetched and checked at this moment."""

    link: Link


@dataclass(frozen=True, slots=True)
class NotConnected:
    """A sign-in that connected nothing.

    Attributes:
        why: The text for the person: the outcome and the next step.
        status: The HTTP status that says so.
    """

    link: Link
    why: str
    status: int


SignedIn = Connected | Disconnected | WaitsForCode | WaitsForLogin | InProgress | NotConnected
