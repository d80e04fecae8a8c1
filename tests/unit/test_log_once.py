"""Operators' log lines do not flood the log."""

from __future__ import annotations

import logging

import pytest

from app.log_once import REPEAT_SECONDS, LogOnce

log = logging.getLogger(__name__)


def test_a_cause_is_logged_once_a_minute_and_another_one_beside_it(caplog: pytest.LogCaptureFixture) -> None:
    """A repetition within the minute is dropped, but another cause, and the same cause later, are logged."""
    clock = [100.0]
    once = LogOnce(log, now=lambda: clock[0])

    for _ in range(3):
        once.warning("slow", "slow since %s", "noon")
    once.error("gone", "gone")
    clock[0] += REPEAT_SECONDS
    once.warning("slow", "slow again")

    assert [record.getMessage() for record in caplog.records] == ["slow since noon", "gone", "slow again"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR, logging.WARNING]
