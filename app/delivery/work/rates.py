"""Rates: how many messages of one person are answered within a time."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from app.database.database import Database, take_turns
from app.database.tables import owned_by, owner, person_rates
from app.principal import Principal


class PersonRates:
    """Counts the messages of each person. Lives as long as the process and holds no person.

    A person may send a number of messages at once; each is free again after its share of the time. The count is a row,
    so several processes share it, and nobody starts afresh after a restart. Without a limit nothing is stored.

    Args:
        database: Holds the rows.
        messages: How many messages within the time; None for no limit.
        seconds: The time.
        now: The time, POSIX seconds.
    """

    def __init__(
        self, database: Database, messages: int | None, seconds: float, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._messages = messages
        self._seconds = seconds
        self._now = now

    async def take(self, principal: Principal) -> float:
        """Count a message of this person. Return 0, or the seconds to wait if they have reached the limit.

        A message over the limit is not counted.
        """
        if self._messages is None:
            return 0.0
        share, now = self._seconds / self._messages, self._now()
        async with self._database.writing() as connection:
            await take_turns(connection, "person_rates", *owner(principal).values())
            query = sa.select(person_rates.c.free_at).where(owned_by(person_rates, principal))
            known: float | None = (await connection.execute(query)).scalar_one_or_none()
            free_at = max(known or 0.0, now) + share
            if free_at - now > self._seconds + share / 2:
                return free_at - now - self._seconds
            if known is None:
                await connection.execute(person_rates.insert().values(**owner(principal), free_at=free_at))
            else:
                change = person_rates.update().where(owned_by(person_rates, principal))
                await connection.execute(change.values(free_at=free_at))
        return 0.0

    def in_words(self, duration: str, wait: str) -> str:
        """Return the reply for a person who has reached the limit.

        Args:
            duration: The time of the limit, in words.
            wait: How long to wait, in words.
        """
        return (
            f"You have reached your limit of {self._messages} messages within {duration}, so I have not read this one. "
            f"Please send it again in {wait}."
        )

    @property
    def seconds(self) -> float:
        """Return the time of the limit."""
        return self._seconds
