"""docs/slack.md is correct: its app has what Deputy uses, and its settings are accepted as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import load_settings
from interfaces.slack.channel import describe, scopes_for
from interfaces.slack.event import find_leaver, find_message
from interfaces.slack.pages import CALLBACK_PATH
from interfaces.slack.scopes import needed_scopes

PAGE = (Path(__file__).parents[2] / "docs/slack.md").read_text()
BLOCKS: list[dict[str, Any]] = [yaml.safe_load(code) for code in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
ENVIRON = {
    "SLACK_SIGNING_SECRET": "8f742231b10e8888abcd99yyyzzz85a5",
    "SLACK_APP_TOKEN": "xapp-1-2-abc",
    "SLACK_BOT_TOKEN": "xoxb-1-2-abc",
    "SLACK_CLIENT_ID": "1.2",
    "SLACK_CLIENT_SECRET": "client-secret",
}


def test_every_scope_is_explained() -> None:
    """The page explains each scope of the manifest, including the one for addresses."""
    assert all(f"`{scope}`" in PAGE for scope in needed_scopes(by_address=True))


def test_the_events_of_people_are_handled() -> None:
    """A mention, a direct message and a departure, which the manifest subscribes to, are each recognised."""
    base: dict[str, Any] = {
        "type": "event_callback",
        "team_id": "T1",
        "authorizations": [{"team_id": "T1", "user_id": "U0BOT"}],
    }
    message: dict[str, Any] = {"user": "U1", "ts": "1.1", "text": "help"}
    mention = {**base, "event": {**message, "type": "app_mention", "channel": "C1"}}
    direct = {**base, "event": {**message, "type": "message", "channel_type": "im", "channel": "D1"}}
    left = {**base, "event": {"type": "user_change", "user": {"id": "U1", "team_id": "T1", "deleted": True}}}

    assert find_message(mention) is not None
    assert find_message(direct) is not None
    assert len(find_leaver(left)) == 1


@pytest.mark.parametrize("block", BLOCKS, ids=["one workspace", "without a public address", "many workspaces"])
def test_the_settings_of_the_page_serve_its_addresses(tmp_path: Path, block: dict[str, Any]) -> None:
    """Each block of settings is accepted as it is, and the server has every route that the page names."""
    config = tmp_path / "config.yaml"
    tree = {
        "agents": {"assistant": {}}, "default_agent": "assistant", "key_ring": {"file": str(tmp_path / "keys.yaml")},
        "google": {"sandbox": {"port": 0}}, **block,
    }  # fmt: skip
    config.write_text(yaml.safe_dump(tree))
    settings = load_settings(config, ENVIRON)
    assert settings.interfaces.slack is not None
    description = describe(settings.interfaces.slack, settings)
    many = "client_id" in block["interfaces"]["slack"]
    socket = block["interfaces"]["slack"].get("mode") == "socket"
    paths = {"/slack/events"} | ({"/slack/install", CALLBACK_PATH} if many else set())

    assert all(f"https://deputy.example.com{path}" in PAGE for path in paths)
    assert len(description.routes) == (2 if many else 0 if socket else 1)
    assert (description.receives is not None) is socket
    assert scopes_for(settings) == needed_scopes(by_address=False)
