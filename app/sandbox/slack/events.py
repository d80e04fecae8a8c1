"""The events that the sandbox's Slack sends when somebody writes or something happens, and their signatures.

https://docs.slack.dev/apis/events-api and https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import hmac
import itertools
import json
import secrets
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal

import httpx2

from app.sandbox.slack.places import SlackPlaces


class SlackEventSource:
    """Makes and sends the events of one app. Lives for the process.

    Args:
        signing_secret: The app's signing secret.
        team: The workspace where things happen unless another is given.
        bot_user: The bot's user id.

    Attributes:
        places: The channels and direct chats that events have named.
    """

    def __init__(self, *, signing_secret: str, team: str, bot_user: str) -> None:
        self._signing_secret = signing_secret.encode()
        self._team = team
        self._bot_user = bot_user
        self._count = itertools.count(1)
        self.places = SlackPlaces(bot_user)

    @property
    def team(self) -> str:
        """Return the id of the workspace where things happen unless another is given."""
        return self._team

    def event(
        self,
        *,
        user: str,
        text: str,
        channel: str,
        ts: str | None = None,
        thread_ts: str | None = None,
        event_id: str | None = None,
        kind: Literal["message.im", "app_mention"] = "message.im",
        team: str | None = None,
        enterprise: str | None = None,
        whole_organisation: bool = False,
    ) -> dict[str, Any]:
        """Return the event of a message to the bot: https://docs.slack.dev/apis/events-api#callback-field.

        Args:
            user: The sender, such as "U0ADA".
            text: The text in Slack's markup; a mention starts with ``<@U0BOT>``.
            channel: "D…" for a direct message, "C…" for a channel.
            ts: The message's timestamp; a new one if None.
            thread_ts: The thread that it is in, or None.
            event_id: The event's id, which a retry repeats; a new one if None.
            kind: A direct message, or a mention in a channel.
            team: The workspace, also the sender's; the first one if None.
            enterprise: The organisation that the workspace is part of.
            whole_organisation: Whether the app is installed for the whole organisation.
        """
        team = team or self._team
        ts = ts or self.new_ts()
        event: dict[str, Any] = {
            "type": "message" if kind == "message.im" else "app_mention",
            "user": user,
            "text": text,
            "ts": ts,
            "event_ts": ts,
            "channel": channel,
            "team": team,
            "client_msg_id": secrets.token_hex(16),
        }
        if kind == "message.im":
            event["channel_type"] = "im"
        if thread_ts is not None:
            event["thread_ts"] = thread_ts
        place = enterprise if whole_organisation and enterprise else team
        self.places.hear(channel, user, place, ts=ts, thread_ts=thread_ts)
        payload = self.notice(event, place, team=team, enterprise=enterprise)
        return payload | ({"event_id": event_id} if event_id else {}) | {"event_time": int(float(ts))}

    def notice(
        self, event: dict[str, Any], place: str, *, team: str | None = None, enterprise: str | None = None
    ) -> dict[str, Any]:
        """Return the payload of any event: https://docs.slack.dev/apis/events-api#callback-field.

        Args:
            event: The inner event.
            place: The installation that receives it: a workspace, "T…", or an organisation, "E…".
            team: The workspace where it happened; `place` if None.
            enterprise: The organisation that the workspace is part of.
        """
        whole_organisation = place.startswith("E")
        enterprise = place if whole_organisation else enterprise
        authorization = {
            "enterprise_id": enterprise,
            "team_id": None if whole_organisation else place,
            "user_id": self._bot_user,
            "is_bot": True,
            "is_enterprise_install": whole_organisation,
        }
        return {
            "type": "event_callback",
            "team_id": team or place,
            **({"enterprise_id": enterprise} if enterprise else {}),
            "api_app_id": "A0SANDBOX",
            "event": event,
            "event_id": f"Ev{secrets.token_hex(5).upper()}",
            "event_time": int(time.time()),
            "authorizations": [authorization],
            "is_ext_shared_channel": False,
        }

    def sign(self, body: bytes, now: float) -> dict[str, str]:
        """Return the headers that show that Slack sent this body at `now`, POSIX seconds."""
        timestamp = str(int(now))
        digest = hmac.new(self._signing_secret, b"v0:" + timestamp.encode() + b":" + body, sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}

    async def post_event(
        self, client: httpx2.AsyncClient, url: str, payload: Mapping[str, Any], retry_num: int | None = None
    ) -> httpx2.Response:
        """Send an event as Slack does, signed now; `retry_num` is the number of earlier attempts."""
        body = json.dumps(payload).encode()
        headers = {"Content-Type": "application/json", **self.sign(body, time.time())}
        if retry_num is not None:
            headers |= {"X-Slack-Retry-Num": str(retry_num), "X-Slack-Retry-Reason": "http_timeout"}
        return await client.post(url, content=body, headers=headers)

    def new_ts(self) -> str:
        """Return a new timestamp, which is Slack's id of a message in a channel."""
        return f"{int(time.time())}.{next(self._count):06d}"
