"""A person's principals, name and verified address, according to their channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.principal import Principal


class People(Protocol):
    """Knows the people of a channel. One object, which lives as long as the process."""

    async def find_name(self, principal: Principal) -> str | None:
        """Return this person's display name there, or None if the channel does not know them.

        Raises:
            UnavailableError: The channel did not answer.
            SealError: The token to ask with cannot be opened.
        """
        ...

    async def identities(self, principal: Principal) -> tuple[Principal, ...]:
        """Return every principal of this person, according to the channel; empty if it does not know them.

        Raises:
            UnavailableError: The channel did not answer.
        """
        ...


class Directory(Protocol):
    """Knows the addresses of a channel's people. One object, which lives as long as the process."""

    async def find_email(self, principal: Principal) -> str | None:
        """Return this person's address, as verified by the channel, or None if it has not verified one.

        Raises:
            UnavailableError: The channel did not answer.
        """
        ...


class Identities:
    """Knows the identities of a person; lives as long as the process and holds none.

    Args:
        people: The channels where a person can have several principals, by platform; elsewhere everybody has one.
    """

    def __init__(self, people: Mapping[str, People]) -> None:
        self._people = people

    async def of(self, principal: Principal) -> tuple[Principal, ...]:
        """Return this principal, followed by every other principal of the same person.

        Raises:
            UnavailableError: Their channel did not answer.
        """
        channel = self._people.get(principal.platform)
        others = await channel.identities(principal) if channel is not None else ()
        return tuple(dict.fromkeys((principal, *others)))
