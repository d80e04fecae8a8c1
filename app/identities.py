"""Which principals are one person: who is of an organisation may be of one of its workspaces elsewhere."""

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
        """Every principal that is this person, by what the channel says; empty if it does not know them.

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
        """This principal, and then every other one that is the same person.

        Raises:
            UnavailableError: Their channel did not answer.
        """
        channel = self._people.get(principal.platform)
        others = await channel.identities(principal) if channel is not None else ()
        return tuple(dict.fromkeys((principal, *others)))
