"""What came of a sign-in at Google: a grant, or one that still waits for its proof."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.consent.link import Link


@dataclass(frozen=True, slots=True)
class Consented:
    """What Google granted by a link."""

    link: Link
    subject: str
    email: str
    granted_scopes: frozenset[str]

    @property
    def missing_scopes(self) -> frozenset[str]:
        """What was asked for and not granted."""
        return self.link.oauth_scopes - self.granted_scopes


@dataclass(frozen=True, slots=True)
class Connected(Consented):
    """A finished consent: the link's person is now connected to that Google account."""


@dataclass(frozen=True, slots=True)
class WaitsForCode(Consented):
    """A consent that counts once its code is written in the right chat; only the browser is shown the code."""

    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WaitsForLogin:
    """A consent that counts once its person has signed in at their channel: where, and what the browser must keep."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    cookie: str = field(repr=False)


SignedIn = Connected | WaitsForCode | WaitsForLogin
