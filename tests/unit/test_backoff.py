"""Faults that pass, and how long delivery waits for that."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from pydantic_ai.exceptions import FallbackExceptionGroup, ModelAPIError, ModelHTTPError, UnexpectedModelBehavior

from app.delivery.backoff import Backoff, Fault, PassingFault, passing_fault
from app.errors import AgentError, GoogleError
from app.llm.faults import ModelFault, OddAnswerError


@pytest.mark.parametrize(
    ("cause", "fault"),
    [
        (ModelHTTPError(429, "m"), ModelFault.BUSY),
        (ModelHTTPError(503, "m"), ModelFault.DOWN),
        (ModelHTTPError(401, "m"), None),
        (ModelAPIError("m", "connection refused"), ModelFault.NETWORK),
        (UnexpectedModelBehavior("nonsense"), None),
        (OddAnswerError("m", "no choices"), ModelFault.ODD),
        (ModelHTTPError(400, "m", {"message": "This model's maximum context length is 8192 tokens"}), None),
        (ModelHTTPError(429, "m", {"code": "insufficient_quota", "message": "You exceeded your quota"}), None),
        (ModelHTTPError(404, "m", {"code": "model_not_found"}), None),
        (FallbackExceptionGroup("all", [ModelHTTPError(401, "m"), ModelHTTPError(429, "n")]), ModelFault.BUSY),
        (GoogleError("no", status=429), Fault.GOOGLE_BUSY),
        (GoogleError("no", status=403, reason="userRateLimitExceeded"), Fault.GOOGLE_BUSY),
        (GoogleError("no", status=503), Fault.GOOGLE_DOWN),
        (GoogleError("no"), Fault.GOOGLE_DOWN),
        (GoogleError("no", status=429, reason="dailyLimitExceeded"), None),
        (GoogleError("no", status=404), None),
        (GoogleError("no", status=403, reason="insufficientPermissions"), None),
        (sa.exc.OperationalError("SELECT 1", None, Exception("disk full")), Fault.DATABASE),
        (sa.exc.DBAPIError("SELECT 1", None, Exception("deadlock detected")), Fault.DATABASE),
        (sa.exc.IntegrityError("INSERT", None, Exception("duplicate")), None),
        (ConnectionRefusedError(), Fault.DATABASE),
        (RuntimeError(), None),
    ],
)
def test_a_fault_is_known_by_its_cause(cause: Exception, fault: PassingFault | None) -> None:
    """A fault has the class of its cause, and a lasting one has none."""
    error = AgentError("Please try again.")
    error.__cause__ = cause

    assert passing_fault(error) is fault
    assert passing_fault(cause) is fault


def test_waits_grow_to_a_limit_and_end() -> None:
    """Each wait is about twice the last one up to the limit, and no wait follows the last try."""
    backoff = Backoff(tries=6, first_seconds=2.0, most_seconds=10.0, draw=lambda: 1.0)

    assert [backoff.seconds(earlier) for earlier in range(7)] == [2.0, 4.0, 8.0, 10.0, 10.0, None, None]
    assert backoff.seconds(0, Fault.GOOGLE_BUSY) == 8.0


def test_a_time_is_waited_however_many_tries_that_takes() -> None:
    """Retries end only when both the tries and the time are used up, so a machine that was off for a day retries."""
    backoff = Backoff(tries=3, first_seconds=2.0, most_seconds=10.0, at_least_seconds=100.0, draw=lambda: 1.0)

    assert [backoff.seconds(50, passed=passed) for passed in (0.0, 99.0, 100.0)] == [10.0, 10.0, None]
    assert [backoff.seconds(earlier, passed=1e6) for earlier in range(3)] == [2.0, 4.0, None]


def test_who_failed_together_does_not_come_back_together() -> None:
    """A wait is between half of its length and the whole, so that failed messages do not return together."""
    waits = [Backoff(9, 2.0, 99.0, draw=lambda draw=draw: draw).seconds(1) for draw in (0.0, 0.5, 1.0)]  # type: ignore[misc]

    assert waits == [2.0, 3.0, 4.0]
