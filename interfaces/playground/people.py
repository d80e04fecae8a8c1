"""The two people of the playground; `deputy serve` prints tokens for the same two."""

from __future__ import annotations

from dataclasses import dataclass

from app.principal import Principal


@dataclass(frozen=True, slots=True)
class Player:
    """Somebody who can be played.

    Attributes:
        key: Their name in addresses of the playground.
        name: Their name on the page.
    """

    key: str
    name: str

    @property
    def principal(self) -> Principal:
        """Return the principal by which the assistant knows them."""
        return Principal("http", "demo", self.key)


PLAYERS = (Player("ada", "Ada"), Player("grace", "Grace"))


def player_of(principal: Principal) -> Player | None:
    """Return the player with this principal, or None."""
    return next((player for player in PLAYERS if player.principal == principal), None)
