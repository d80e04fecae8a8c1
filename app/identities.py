"""Which principals are one person, how they are called and which address is theirs, by what their channel says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.principal import Principal


class People(Protocol):
    """Knows the people of a channel. One object, which lives as long as the process."""

    async def find_name(self, principal: Principal) -> str | None:
        """Return what this person calls themselves there, or None if the channel does not know them.

        Raises:
            UnavailableError: The channel did not answer.
            SealError: The token to ask with cannot be opened.
        """
        ...

    async def identities(self, principal: Principal) -> tuple[Principal, ...]:
        """Return every principal that is this person, by what the channel says; empty if it does not know them.

        Raises:
            UnavailableError: The channel did not answer.
        """
        ...


class Directory(Protocol):
    """Knows the addresses of a channel's people. One object, which lives as long as the process."""

    async def find_email(self, principal: Principal) -> str | None:
        """Return the address that the channel has verified to be this person's; None when it has verified none.

        Raises:
            UnavailableError: The channel did not answer.
        """
        ...


class Identities:
    """Knows the identities of a person; lives as long as the process and holds none.

    Args:
        people: By platform, the channels of which a person can have several; elsewhere everybody has one.
    """

    def __init__(self, people: Mapping[str, People]) -> None:
        self._people = people

    async def of(self, principal: Principal) -> tuple[Principal, ...]:
        """Return this principal, and then every other one that is the same person.

        Raises:
            UnavailableError: Their channel did not answer.
        """
        channel = self._people.get(principal.platform)
        others = await channel.identities(principal) if channel is not None else ()
        return tuple(dict.fromkeys((principal, *others)))
