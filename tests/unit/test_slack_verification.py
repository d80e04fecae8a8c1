"""Slack's signature: good for five minutes, to the second."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from app.errors import UnauthenticatedError
from app.sandbox.slack.sandbox import SlackSandbox
from interfaces.slack.verification import verify

SECRET = "0123456789abcdef" * 2
NOW = 1_700_000_000.0


def signed(now: float) -> Headers:
    """The headers of a body that Slack signed then."""
    return Headers(SlackSandbox(signing_secret=SECRET, bot_token="xoxb-1").sign(b"{}", now))


def refusal(signed_at: float) -> str | None:
    """Why what was signed then is refused now; None when it is taken."""
    try:
        verify(SECRET, b"{}", signed(signed_at), now=NOW)
    except UnauthenticatedError as error:
        return str(error)
    return None


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_signature_holds_for_five_minutes(seconds: int) -> None:
    """Clocks differ, so it may be from the past as well as from the future."""
    assert refusal(NOW + seconds) is None


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_second_more_is_a_replay(seconds: int) -> None:
    """What is older, or further ahead, is refused though it was signed with the secret."""
    assert "older than five minutes" in str(refusal(NOW + seconds))
