"""Presses of buttons in the sandbox's Slack, commands, and the opened App Home: what people do besides writing.

https://docs.slack.dev/reference/interaction-payloads/block_actions-payload and
https://docs.slack.dev/interactivity/implementing-slash-commands
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import httpx2

from app.sandbox.slack.blocks import buttons_in
from app.sandbox.slack.events import SlackEventSource
from app.sandbox.slack.places import direct_channel
from app.sandbox.slack.posts import Post

_APP_ID = "A0SANDBOX"
_count = itertools.count(1)


def press(
    slack: SlackEventSource,
    post: Post,
    label: str,
    *,
    user: str,
    team: str | None = None,
    home_team: str | None = None,
    enterprise: str | None = None,
) -> dict[str, Any]:
    """Return the payload of a press on a post's button.

    Args:
        slack: The Slack that the post is in.
        post: The post.
        label: The words on the button.
        user: The person who presses it.
        team: The workspace where they do; that of the post if None.
        home_team: Their own workspace, if it is another one.
        enterprise: The organisation of the workspace where they do.
    """
    team = team or post.workspace
    container = {"type": "message", "message_ts": post.ts, "channel_id": post.channel, "is_ephemeral": False}
    message = {"type": "message", "ts": post.ts, "text": post.text, "blocks": [*post.blocks], "user": "U0BOT"}
    if post.thread_ts is not None:
        container["thread_ts"] = message["thread_ts"] = post.thread_ts
    return {
        **_payload(post.blocks, label, user=user, team=team, home_team=home_team, enterprise=enterprise),
        "container": container,
        "channel": {"id": post.channel, "name": "directmessage" if post.channel.startswith("D") else "general"},
        "message": message,
        "response_url": "https://hooks.slack.example/actions/1",
    }


def press_at_home(blocks: Sequence[Mapping[str, Any]], label: str, *, user: str, team: str) -> dict[str, Any]:
    """Return the payload of a press on a button in a person's App Home."""
    view = {"id": "V0HOME", "type": "home", "blocks": [*blocks], "app_id": _APP_ID}
    return {
        **_payload(blocks, label, user=user, team=team, home_team=None, enterprise=None),
        "container": {"type": "view", "view_id": "V0HOME"},
        "view": view,
    }


def slash(text: str, *, user: str, channel: str, team: str, enterprise: str | None = None) -> dict[str, str]:
    """Return the form of a slash command."""
    organisation = {"enterprise_id": enterprise, "enterprise_name": "Group"} if enterprise else {}
    return {
        "team_id": team,
        "team_domain": "sandbox",
        **organisation,
        "channel_id": channel,
        "channel_name": "directmessage" if channel.startswith("D") else "general",
        "user_id": user,
        "user_name": user.lower(),
        "command": "/deputy",
        "text": text,
        "api_app_id": _APP_ID,
        "is_enterprise_install": "false",
        "response_url": "https://hooks.slack.example/commands/1",
        "trigger_id": f"{next(_count)}.{secrets.token_hex(8)}",
    }


def home_opened(slack: SlackEventSource, *, user: str, team: str, tab: str = "home") -> dict[str, Any]:
    """Return the event that a person opened a tab of the app: https://docs.slack.dev/reference/events/app_home_opened."""
    event = {"type": "app_home_opened", "user": user, "channel": direct_channel(user), "tab": tab}
    return slack.notice({**event, "event_ts": slack.new_ts()}, team)


async def post_form(
    slack: SlackEventSource, client: httpx2.AsyncClient, url: str, form: Mapping[str, str]
) -> httpx2.Response:
    """Send a signed form, as Slack sends slash commands and, in the field ``payload``, interactions."""
    body = urlencode(form).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", **slack.sign(body, time.time())}
    return await client.post(url, content=body, headers=headers)


async def post_interaction(
    slack: SlackEventSource, client: httpx2.AsyncClient, url: str, payload: Mapping[str, Any]
) -> httpx2.Response:
    """Send an interaction as Slack does."""
    return await post_form(slack, client, url, {"payload": json.dumps(payload)})


def _payload(
    blocks: Sequence[Mapping[str, Any]],
    label: str,
    *,
    user: str,
    team: str,
    home_team: str | None,
    enterprise: str | None,
) -> dict[str, Any]:
    button = next(each for each in buttons_in(blocks) if each["text"]["text"] == label)
    action = {key: button[key] for key in ("type", "action_id", "block_id", "text", "value", "style") if key in button}
    return {
        "type": "block_actions",
        "user": {"id": user, "username": user.lower(), "team_id": home_team or team},
        "api_app_id": _APP_ID,
        "team": {"id": team, "domain": "sandbox"},
        "enterprise": {"id": enterprise, "name": "Group"} if enterprise else None,
        "is_enterprise_install": False,
        "trigger_id": f"{next(_count)}.{secrets.token_hex(8)}",
        "actions": [{**action, "action_ts": f"{int(time.time())}.{next(_count):06d}"}],
    }
