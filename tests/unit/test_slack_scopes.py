"""The scopes that Slack has granted."""

from __future__ import annotations

import pytest
from slack_sdk.errors import SlackApiError

from app.sandbox.server import serve_loopback
from app.sandbox.slack.declaration import SlackDeclaration
from app.sandbox.slack.sandbox import SlackSandbox
from interfaces.slack.scopes import BOT_SCOPES, granted_scopes
from interfaces.slack.web_api import new_client


async def test_slack_names_the_granted_scopes_and_refuses_the_rest() -> None:
    """The scopes that a workspace granted are found, and a method that needs another scope is refused."""
    granted = frozenset(BOT_SCOPES) - {"im:write", "users:read"}
    declaration = SlackDeclaration(scopes=granted, events=frozenset())
    slack = SlackSandbox(signing_secret="secret", bot_token="xoxb-1", declaration=declaration)
    async with serve_loopback(slack.app) as url:
        client = new_client("xoxb-1", f"{url}/api/")
        found = await granted_scopes(client)
        with pytest.raises(SlackApiError) as refused:
            await client.conversations_open(users="U0ADA")

    assert found == granted
    assert refused.value.response["needed"] == "im:write"
