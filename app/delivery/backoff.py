"""Backoff: the faults that are temporary, and how long to wait before another try."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from app.errors import ProviderError, UnavailableError
from app.llm.faults import ModelFault, model_fault


class Fault(StrEnum):
    """The class of a temporary fault; those of models are `ModelFault`s."""

    GOOGLE_DOWN = "google_down"  # a fault of its own, or no answer
    GOOGLE_BUSY = "google_busy"  # a quota
    CHANNEL = "channel"  # it does not give an attachment for now
    DATABASE = "database"  # it cannot be reached, or its disk is full


PassingFault = Fault | ModelFault

# Errors about a statement, not about the database.
_OUR_MISTAKES = (sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.DataError, sa.exc.NotSupportedError)
_PACE: dict[PassingFault, float] = {ModelFault.BUSY: 2.0, Fault.GOOGLE_BUSY: 4.0}  # the others: 1.0


def passing_fault(error: BaseException) -> PassingFault | None:
    """Return the temporary fault that caused an error; None if another try would fail in the same way."""
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
    # The second: no connection became free in time; the third: asyncpg found no server.
    if isinstance(error, (sa.exc.DBAPIError, sa.exc.TimeoutError, ConnectionError)):
        return Fault.DATABASE
    if isinstance(error, UnavailableError):
        return Fault.CHANNEL
    if isinstance(error, ProviderError) and error.passes:
        return Fault.GOOGLE_BUSY if error.is_busy else Fault.GOOGLE_DOWN
    return None


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often and how long to try again.

    Attributes:
        tries: The number of temporary faults in a row after which to give up.
        first_seconds: The approximate wait after the first fault; it doubles with each further one.
        most_seconds: The longest wait.
        at_least_seconds: Keep trying for at least this long, even after that number of faults.
        draw: Returns a random number between 0 and 1, so that tries that failed together are spread out.
    """

    tries: int
    first_seconds: float
    most_seconds: float
    at_least_seconds: float = 0.0
    draw: Callable[[], float] = random.random

    def seconds(
        self, earlier_faults: int, fault: PassingFault = Fault.DATABASE, *, passed: float = 0.0
    ) -> float | None:
        """Return how long to wait after this fault, or None when it is time to give up.

        Args:
            earlier_faults: The number of faults before this one.
            fault: This fault; some need a longer wait than others.
            passed: Seconds since the work was first due.
        """
        if earlier_faults + 1 >= self.tries and passed >= self.at_least_seconds:
            return None
        longest = min(self.first_seconds * _PACE.get(fault, 1.0) * 2.0 ** min(earlier_faults, 30), self.most_seconds)
        return longest * (0.5 + self.draw() / 2)
