"""Slack's signature, which is valid for exactly five minutes."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from app.errors import UnauthenticatedError
from app.sandbox.slack.sandbox import SlackSandbox
from interfaces.slack.verification import verify

SECRET = "0123456789abcdef" * 2
NOW = 1_700_000_000.0


def signed(now: float) -> Headers:
    """Return the headers of a body that Slack signed at this time."""
    return Headers(SlackSandbox(signing_secret=SECRET, bot_token="xoxb-1").sign(b"{}", now))


def refusal(signed_at: float) -> str | None:
    """Return why a signature of this time is refused now, or None if it is accepted."""
    try:
        verify(SECRET, b"{}", signed(signed_at), now=NOW)
    except UnauthenticatedError as error:
        return str(error)
    return None


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_signature_holds_for_five_minutes(seconds: int) -> None:
    """A signature up to five minutes in the past or the future is accepted, because clocks differ."""
    assert refusal(NOW + seconds) is None


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_second_more_is_a_replay(seconds: int) -> None:
    """A signature that is older, or further ahead, is refused even though it was made with the secret."""
    assert "older than five minutes" in str(refusal(NOW + seconds))
