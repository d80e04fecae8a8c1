"""A Slack on loopback: the Web API methods that Deputy calls, and signed events to send to it.

https://docs.slack.dev/reference/methods and https://docs.slack.dev/authentication/verifying-requests-from-slack

It has more than 300 lines, as every method of the Web API looks at the same posts and workspaces.
"""

from __future__ import annotations

import hmac
import itertools
import json
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.log import bearer_of
from app.sandbox.slack_openid import SlackOpenId

Method = Callable[[Mapping[str, Any], str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Post:
    """A message that the bot posted.

    Attributes:
        method: ``chat.postMessage`` or ``chat.postEphemeral``.
        channel: Where, such as "C…", or "D…" for a direct message, also when it was addressed to a user.
        user: Who alone sees it, for an ephemeral message; otherwise None.
        thread_ts: The thread that it is in, or None.
        text: Its text, or its markdown.
        ts: Its own timestamp, Slack's id of a message in a channel.
        workspace: Whose bot token it was posted with.
        metadata: What the bot attached for itself; nobody sees it.
    """

    method: str
    channel: str
    user: str | None
    thread_ts: str | None
    text: str
    ts: str
    workspace: str
    metadata: Mapping[str, Any] | None = None


class _SlackError(Exception):
    """A method refuses, in Slack's words; the HTTP status is 200 all the same."""


class SlackSandbox:
    """A Slack with one app, in one workspace or more. Lives for the process; serve `app`, its URL is ``…/api/``.

    A channel that an event has named takes posts of the workspaces alone that it was named in.

    Args:
        signing_secret: What its events are signed with.
        bot_token: The bot's token in the first workspace.
        team: The first workspace's id.
        bot_user: The bot's user id.
        openid: Where people sign in with a browser, if they can.

    Attributes:
        app: The ASGI application.
        posts: What the bot posted, oldest first.
        members: By user id, what ``users.info`` says beside the names, such as ``is_email_confirmed``; others are
            full members without an address.
    """

    def __init__(
        self,
        *,
        signing_secret: str,
        bot_token: str,
        team: str = "T0SANDBOX",
        bot_user: str = "U0BOT",
        openid: SlackOpenId | None = None,
    ) -> None:
        self._signing_secret = signing_secret.encode()
        self._workspaces = {bot_token: team}
        self._organisations: dict[str, str] = {}  # of which one a workspace is part
        self._homes: defaultdict[str, set[str]] = defaultdict(set)  # of a channel: whose events have named it
        self._team = team
        self._bot_user = bot_user
        self._count = itertools.count(1)
        self._methods: Mapping[str, Method] = {
            "auth.test": self._auth_test,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.postMessage": self._post_message,
            "conversations.history": self._conversations_history,
            "conversations.open": self._conversations_open,
            "conversations.replies": self._conversations_replies,
            "users.info": self._users_info,
        }
        self.posts: list[Post] = []
        self.members: dict[str, dict[str, Any]] = {}
        methods = Route("/api/{method}", self._call, methods=["GET", "POST"])
        self.app = Starlette(routes=[*(openid.routes if openid else ()), methods])

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
        """What Slack sends when somebody writes to the bot: https://docs.slack.dev/apis/events-api#callback-field.

        Args:
            user: Who writes, such as "U0ADA".
            text: What they write, as it is; a mention starts with ``<@U0BOT>``.
            channel: Where: "D…" for a direct message, "C…" for a channel.
            ts: The message's timestamp; a fresh one if None.
            thread_ts: The thread that it is in, or None.
            event_id: The event's id, which a retry repeats; a fresh one if None.
            kind: A direct message, or a mention in a channel.
            team: The workspace, of the sender as well; the first one if None.
            enterprise: The organisation that the workspace is part of.
            whole_organisation: The app is installed for all of the organisation.
        """
        team = team or self._team
        ts = ts or self._new_ts()
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
        self._homes[channel].add(place)
        payload = self.notice(event, place, team=team, enterprise=enterprise)
        return payload | ({"event_id": event_id} if event_id else {}) | {"event_time": int(float(ts))}

    def notice(
        self, event: dict[str, Any], place: str, *, team: str | None = None, enterprise: str | None = None
    ) -> dict[str, Any]:
        """What Slack sends of any event: https://docs.slack.dev/apis/events-api#callback-field.

        Args:
            event: The inner event.
            place: Where the app is installed that it is sent to: a workspace, "T…", or an organisation, "E…".
            team: The workspace in which it happened; `place` if None.
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

    def admit(self, place: str, bot_token: str, *, organisation: str | None = None) -> None:
        """Take this bot token from now on, for one workspace, which may be an organisation's, or organisation."""
        self._workspaces[bot_token] = place
        if organisation is not None:
            self._organisations[place] = organisation

    def forget(self, bot_token: str) -> None:
        """Take this bot token no more."""
        del self._workspaces[bot_token]

    def sign(self, body: bytes, now: float) -> dict[str, str]:
        """The headers that prove that this body is Slack's, sent at `now`, in seconds since the epoch."""
        timestamp = str(int(now))
        digest = hmac.new(self._signing_secret, b"v0:" + timestamp.encode() + b":" + body, sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}

    async def post_event(
        self, client: httpx2.AsyncClient, url: str, payload: Mapping[str, Any], retry_num: int | None = None
    ) -> httpx2.Response:
        """Send an event as Slack does, signed now; `retry_num` counts the times that it was sent before."""
        body = json.dumps(payload).encode()
        headers = {"Content-Type": "application/json", **self.sign(body, time.time())}
        if retry_num is not None:
            headers |= {"X-Slack-Retry-Num": str(retry_num), "X-Slack-Retry-Reason": "http_timeout"}
        return await client.post(url, content=body, headers=headers)

    async def _call(self, request: Request) -> Response:
        try:
            bearer = bearer_of(request.headers.get("authorization"))
            if bearer is None:
                raise _SlackError("not_authed")
            workspace = self._workspaces.get(bearer)
            if workspace is None:
                raise _SlackError("invalid_auth")
            method = self._methods.get(request.path_params["method"])
            if method is None:
                raise _SlackError("unknown_method")
            return JSONResponse({"ok": True, **method(await _arguments(request), workspace)})
        except _SlackError as error:
            return JSONResponse({"ok": False, "error": str(error)})

    def _auth_test(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        return {
            "url": "https://sandbox.slack.example/",
            "team": "Sandbox",
            "user": "deputy",
            "team_id": workspace,
            "enterprise_id": self._organisations.get(workspace),
            "user_id": self._bot_user,
            "bot_id": "B0SANDBOX",
            "is_enterprise_install": False,
        }

    def _post_message(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        post = self._post("chat.postMessage", arguments, workspace, user=None)
        return {"channel": post.channel, "ts": post.ts, "message": self._message(post, with_metadata=True)}

    def _message(self, post: Post, *, with_metadata: bool) -> dict[str, Any]:
        message: dict[str, Any] = {"type": "message", "user": self._bot_user, "team": post.workspace}
        message |= {"text": post.text, "ts": post.ts}
        if post.thread_ts is not None:
            message["thread_ts"] = post.thread_ts
        if with_metadata and post.metadata is not None:
            message["metadata"] = post.metadata
        return message

    def _conversations_history(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """The bot's posts outside of threads, newest first: what people wrote is not kept here."""
        return self._page(
            [post for post in self._kept(arguments, workspace) if post.thread_ts is None][::-1], arguments
        )

    def _conversations_replies(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """The bot's posts in a thread, oldest first."""
        thread = arguments.get("ts")
        if not thread:
            raise _SlackError("thread_not_found")
        return self._page([post for post in self._kept(arguments, workspace) if post.thread_ts == thread], arguments)

    def _kept(self, arguments: Mapping[str, Any], workspace: str) -> list[Post]:
        """The posts of a channel that Slack keeps, which ephemeral ones are not."""
        oldest = float(arguments.get("oldest") or 0)
        return [
            post
            for post in self.posts
            if post.channel == arguments.get("channel")
            and post.workspace == workspace
            and post.user is None
            and float(post.ts) > oldest
        ]

    def _page(self, posts: list[Post], arguments: Mapping[str, Any]) -> dict[str, Any]:
        start, limit = int(arguments.get("cursor") or 0), int(arguments.get("limit") or 100)
        end = start + limit
        with_metadata = str(arguments.get("include_all_metadata", "")).lower() in {"1", "true"}
        return {
            "messages": [self._message(post, with_metadata=with_metadata) for post in posts[start:end]],
            "has_more": end < len(posts),
            "response_metadata": {"next_cursor": str(end) if end < len(posts) else ""},
        }

    def _post_ephemeral(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        post = self._post("chat.postEphemeral", arguments, workspace, user=_user(arguments.get("user")))
        return {"message_ts": post.ts}

    def _post(self, method: str, arguments: Mapping[str, Any], workspace: str, user: str | None) -> Post:
        channel, text = arguments.get("channel"), arguments.get("text") or arguments.get("markdown_text")
        if not isinstance(channel, str) or channel[:1] not in {"C", "D", "G", "U", "W"}:
            raise _SlackError("channel_not_found")
        if workspace not in self._homes.get(_direct(channel), {workspace}):
            raise _SlackError("channel_not_found")  # it is another workspace's
        if not text and not arguments.get("blocks"):
            raise _SlackError("no_text")
        metadata = arguments.get("metadata")
        if metadata is not None and not (
            isinstance(metadata, dict) and {"event_type", "event_payload"} <= set(metadata)
        ):
            raise _SlackError("invalid_metadata_format")
        thread = arguments.get("thread_ts")
        post = Post(method, _direct(channel), user, thread, str(text or ""), self._new_ts(), workspace, metadata)
        self.posts.append(post)
        return post

    def _conversations_open(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        users = arguments.get("users") or ""
        return {"channel": {"id": _direct(_user(users if isinstance(users, str) else ",".join(users)))}}

    def _users_info(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        user = _user(arguments.get("user"))
        name = user.lower()
        profile = {"real_name": name, "display_name": name}
        user_object = {"id": user, "team_id": workspace, "name": name, "real_name": name, "profile": profile}
        flags: dict[str, Any] = {"deleted": False, "is_bot": user == self._bot_user}
        member = self.members.get(user, {})
        if workspace in self._organisations:
            flags["enterprise_user"] = {"id": user, "enterprise_id": self._organisations[workspace]}
        return {"user": {**user_object, **flags, **member, "profile": profile | member.get("profile", {})}}

    def _new_ts(self) -> str:
        return f"{int(time.time())}.{next(self._count):06d}"


async def _arguments(request: Request) -> dict[str, Any]:
    """A method's arguments, wherever they are: Slack takes a query, a form or JSON."""
    arguments: dict[str, Any] = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            body = json.loads(await request.body() or b"{}")
        except ValueError:
            raise _SlackError("invalid_json") from None
        if not isinstance(body, dict):
            raise _SlackError("json_not_object")
        return {**arguments, **body}
    async with request.form() as form:
        return arguments | dict(form)


def _user(user: object) -> str:
    if not isinstance(user, str) or user[:1] not in {"U", "W"} or not user.isalnum():
        raise _SlackError("user_not_found")
    return user


def _direct(channel: str) -> str:
    """Where a message to a user goes: the direct conversation with them, whose id follows from theirs."""
    return f"D{channel[1:]}" if channel[:1] in {"U", "W"} else channel
