"""Backoff: which faults pass by themselves, and how long to wait before another try."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from app.errors import GoogleError
from app.llm.faults import ModelFault, model_fault


class Fault(StrEnum):
    """A fault that passes, by its class; those of models are `ModelFault`s."""

    GOOGLE_BUSY = "google_busy"  # a quota
    DATABASE = "database"  # it was away, or its disk is full


PassingFault = Fault | ModelFault

# What the database says of a statement, not of itself.
_OUR_MISTAKES = (sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.DataError, sa.exc.NotSupportedError)
_PACE: dict[PassingFault, float] = {ModelFault.BUSY: 2.0, Fault.GOOGLE_BUSY: 4.0}  # the others: 1.0


def passing_fault(error: BaseException) -> PassingFault | None:
    """Return the passing fault that an error arose from; None when another try would meet the same again."""
    cause: BaseException | None = error
    while cause is not None:
        if fault := _fault(cause):
            return fault
        cause = cause.__cause__
    return None


def _fault(error: BaseException) -> PassingFault | None:
    fault = model_fault(error)
    if fault is not None:
        return fault if fault.passes else None
    if isinstance(error, _OUR_MISTAKES):
        return None
    # The second is that no connection became free; the third is what asyncpg raises when there is no server.
    if isinstance(error, (sa.exc.DBAPIError, sa.exc.TimeoutError, ConnectionError)):
        return Fault.DATABASE
    return Fault.GOOGLE_BUSY if isinstance(error, GoogleError) and error.is_busy else None


@dataclass(frozen=True, slots=True)
class Backoff:
    """How patient delivery is.

    Attributes:
        tries: After so many passing faults in a row it is given up.
        first_seconds: The wait after the first fault, about; it doubles with each one.
        most_seconds: No wait is longer.
        at_least_seconds: And not before so long has passed since it was first to be done.
        draw: A number between 0 and 1, so that those who failed together do not come back together.
    """

    tries: int
    first_seconds: float
    most_seconds: float
    at_least_seconds: float = 0.0
    draw: Callable[[], float] = random.random

    def seconds(
        self, earlier_faults: int, fault: PassingFault = Fault.DATABASE, *, passed: float = 0.0
    ) -> float | None:
        """Return how long to wait, after so many earlier faults and this one; None when it is time to give up.

        Args:
            earlier_faults: How many.
            fault: This one; some pass more slowly than others.
            passed: Seconds since it was first to be done.
        """
        if earlier_faults + 1 >= self.tries and passed >= self.at_least_seconds:
            return None
        longest = min(self.first_seconds * _PACE.get(fault, 1.0) * 2.0 ** min(earlier_faults, 30), self.most_seconds)
        return longest * (0.5 + self.draw() / 2)
