"""The outcome of a revocation: the grants that have ended, and those that have not yet."""

from __future__ import annotations

from dataclasses import dataclass

from app.oauth.provider import GOOGLE


@dataclass(frozen=True, slots=True)
class EndedGrant:
    """A grant that is erased.

    Attributes:
        at_provider: It was ended at its provider too; False where somebody else holds a grant of the same account,
            which would have ended with it, or where the provider ends none.
        shared: Somebody else holds a grant of the same account.
        provider: Whose account it was.
    """

    grant_id: str
    email: str
    at_provider: bool
    shared: bool = False
    provider: str = GOOGLE


@dataclass(frozen=True, slots=True)
class WaitingGrant:
    """A grant that is used no more, and whose provider has not answered yet."""

    email: str
    provider: str = GOOGLE


@dataclass(frozen=True, slots=True)
class Ended:
    """The outcome of a revocation.

    Attributes:
        erased: The grants that are gone.
        waiting: The grants that are given out no more, but for which their provider gave no answer yet.
        links: How many open consent links were ended.
        runs: How many messages that waited for consent were given up.
    """

    erased: tuple[EndedGrant, ...] = ()
    waiting: tuple[WaitingGrant, ...] = ()
    links: int = 0
    runs: int = 0
