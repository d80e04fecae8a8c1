"""Lines for operators do not flood the log."""

from __future__ import annotations

import logging

import pytest

from app.log_once import REPEAT_SECONDS, LogOnce

log = logging.getLogger(__name__)


def test_a_cause_is_logged_once_a_minute_and_another_one_beside_it(caplog: pytest.LogCaptureFixture) -> None:
    """Repetitions within the minute are dropped; another cause, and the same one later, are logged."""
    clock = [100.0]
    once = LogOnce(log, now=lambda: clock[0])

    for _ in range(3):
        once.warning("slow", "slow since %s", "noon")
    once.error("gone", "gone")
    clock[0] += REPEAT_SECONDS
    once.warning("slow", "slow again")

    assert [record.getMessage() for record in caplog.records] == ["slow since noon", "gone", "slow again"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR, logging.WARNING]
