"""A Slack on loopback: the Web API methods that Deputy calls (https://docs.slack.dev/reference/methods)."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.log import bearer_of
from app.sandbox.slack.blocks import check_blocks
from app.sandbox.slack.declaration import EVERYTHING, SlackDeclaration
from app.sandbox.slack.events import SlackEventSource
from app.sandbox.slack.files import SlackFiles
from app.sandbox.slack.openid import SlackOpenId
from app.sandbox.slack.places import SlackError, user_id
from app.sandbox.slack.posts import Post, SlackPosts
from app.sandbox.slack.rates import MethodLimits, ReadLimits
from app.sandbox.slack.scopes import MissingScopeError, check_scope
from app.sandbox.slack.sessions import AgentSessions
from app.sandbox.slack.streams import SlackStreams
from app.sandbox.slack.uploads import SlackUploads

if TYPE_CHECKING:
    from app.sandbox.slack.sockets import SlackSockets  # imports aiohttp's server, which is rarely needed

Method = Callable[[Mapping[str, Any], str], dict[str, Any]]


class SlackSandbox(SlackEventSource):
    """A Slack with one app, in one workspace or more. Lives for the process; serve `app`, its URL is ``…/api/``.

    Once events have named a channel, it accepts posts only from the workspaces where they named it.

    Args:
        signing_secret: The app's signing secret, for its events.
        bot_token: The bot's token in the first workspace.
        team: The first workspace's id.
        bot_user: The bot's user id.
        openid: Lets people sign in with a browser; None if they cannot.
        posts: The list that the bot's posts are added to; by default a new one.
        declaration: The app, as its manifest declares it; by default one with everything that Deputy can use.
        sockets: Its WebSockets, served elsewhere; None without Socket Mode.

    Attributes:
        app: The ASGI application.
        posts: The bot's posts, except deleted ones, oldest first.
        members: The fields that ``users.info`` adds to the names, such as ``is_email_confirmed``, by user id; everyone
            else is a full member without an address.
        sessions: The agent sessions of threads.
        files: The files that people and the bot have uploaded.
        streams: The messages that the bot writes piece by piece.
        uploads: The bot's uploads.
        limits: How often the bot may call methods; None for no limit.
        calls: The methods that were called, oldest first.
        homes: The blocks of people's App Home, by user id.
    """

    def __init__(
        self,
        *,
        signing_secret: str,
        bot_token: str,
        team: str = "T0SANDBOX",
        bot_user: str = "U0BOT",
        openid: SlackOpenId | None = None,
        posts: list[Post] | None = None,
        declaration: SlackDeclaration = EVERYTHING,
        sockets: SlackSockets | None = None,
    ) -> None:
        super().__init__(signing_secret=signing_secret, team=team, bot_user=bot_user)
        self._workspaces = {bot_token: team}
        self._granted = {bot_token: declaration.scopes}
        self._organisations: dict[str, str] = {}  # by workspace
        self.posts: list[Post] = [] if posts is None else posts
        self._posting = posting = SlackPosts(bot_user, self.places, self.new_ts, self.posts)
        self.sessions = AgentSessions(self.places, declaration)
        self.files = SlackFiles(lambda bearer: "files:read" in self._granted.get(bearer, ()))
        self.streams = SlackStreams(posting, self.places)
        self.uploads = SlackUploads(self.files, posting)
        self.limits: MethodLimits | None = MethodLimits()
        self.calls: list[str] = []
        self._methods: Mapping[str, Method] = {
            "agents.sessions.setStatus": self.sessions.set_status,
            "assistant.threads.setStatus": self.streams.set_status,
            "auth.revoke": self._auth_revoke,
            "auth.test": self._auth_test,
            "chat.appendStream": self.streams.append,
            "chat.delete": posting.delete,
            "chat.postEphemeral": posting.post_ephemeral,
            "chat.postMessage": posting.post_message,
            "chat.startStream": self.streams.start,
            "chat.stopStream": self.streams.stop,
            "chat.update": posting.update,
            "conversations.history": posting.conversations_history,
            "conversations.open": self._conversations_open,
            "conversations.replies": posting.conversations_replies,
            "files.completeUploadExternal": self.uploads.complete,
            "files.getUploadURLExternal": self.uploads.get_url,
            "files.info": lambda arguments, _: self.files.info(arguments, arguments["root"]),
            "users.info": self._users_info,
            "views.publish": self._views_publish,
        }
        self.homes: dict[str, list[dict[str, Any]]] = {}
        self.members: dict[str, dict[str, Any]] = {}
        methods = Route("/api/{method}", self._call, methods=["GET", "POST"])
        served = [
            *(openid.routes if openid else ()),
            *((sockets.route,) if sockets else ()),
            self.files.route,
            self.uploads.route,
        ]
        self.app = Starlette(routes=[*served, methods])

    def admit(
        self,
        place: str,
        bot_token: str,
        *,
        organisation: str | None = None,
        scopes: Collection[str] = EVERYTHING.scopes,
    ) -> None:
        """Accept this bot token from now on, for an organisation or a workspace, which may be part of one."""
        self._workspaces[bot_token] = place
        self._granted[bot_token] = frozenset(scopes)
        if organisation is not None:
            self._organisations[place] = organisation

    def takes(self, bot_token: str) -> bool:
        """Return whether this bot token is valid."""
        return bot_token in self._workspaces

    def forget(self, bot_token: str) -> None:
        """Stop accepting this bot token."""
        del self._workspaces[bot_token], self._granted[bot_token]

    def limit_reads(self, limits: ReadLimits | None) -> None:
        """Limit how often the bot may read conversations, as Slack does for apps outside its Marketplace."""
        self._posting.limits = limits

    def readable(self, user: str) -> list[Post]:
        """Return the posts that a person can read at any time, oldest first: no ephemeral ones."""
        return self._posting.readable(user)

    def on_screen(self, user: str) -> list[Post]:
        """Return the posts that a person can read now, ephemeral ones included."""
        return self._posting.on_screen(user)

    def reload(self, user: str) -> None:
        """Reload Slack for a person, which removes their ephemeral posts."""
        self._posting.reload(user)

    async def _call(self, request: Request) -> Response:
        bearer = bearer_of(request.headers.get("authorization"))
        granted = self._granted.get(bearer or "", frozenset())
        scopes = {"X-OAuth-Scopes": ",".join(sorted(granted))}
        try:
            if bearer is None:
                raise SlackError("not_authed")
            workspace = self._workspaces.get(bearer)
            if workspace is None:
                raise SlackError("invalid_auth")
            method = self._methods.get(request.path_params["method"])
            if method is None:
                raise SlackError("unknown_method")
            arguments = {**await _arguments(request), "token": bearer, "root": str(request.base_url).rstrip("/")}
            check_scope(request.path_params["method"], arguments, granted)
            self.calls.append(request.path_params["method"])
            if self.limits is not None:
                self.limits.take(request.path_params["method"], workspace)
            return JSONResponse({"ok": True, **method(arguments, workspace)}, headers=scopes)
        except MissingScopeError as error:
            refusal = {"ok": False, "error": str(error), "needed": error.needed, "provided": scopes["X-OAuth-Scopes"]}
            return JSONResponse(refusal, headers=scopes)
        except SlackError as error:
            refusal = {"ok": False, "error": str(error)}
            if error.retry_after is None:
                return JSONResponse(refusal)
            return JSONResponse(refusal, 429, headers={"Retry-After": str(error.retry_after)})

    def _auth_revoke(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        trial = str(arguments.get("test", "")) in ("1", "true", "True")
        if not trial:
            self.forget(arguments["token"])
        return {"revoked": not trial}

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

    def _conversations_open(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        users = arguments.get("users") or ""
        user = user_id(users if isinstance(users, str) else ",".join(users))
        if self.members.get(user, {}).get("deleted"):
            raise SlackError("user_disabled")
        return {"channel": {"id": self.places.open_direct(user, workspace)}}

    def _users_info(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        user = user_id(arguments.get("user"))
        name = user.lower()
        profile = {"real_name": name, "display_name": name}
        user_object = {"id": user, "team_id": workspace, "name": name, "real_name": name, "profile": profile}
        flags: dict[str, Any] = {"deleted": False, "is_bot": user == self._bot_user}
        member = self.members.get(user, {})
        if workspace in self._organisations:
            flags["enterprise_user"] = {"id": user, "enterprise_id": self._organisations[workspace]}
        profile |= member.get("profile", {})
        if "users:read.email" not in self._granted[arguments["token"]]:
            profile.pop("email", None)
        return {"user": {**user_object, **flags, **member, "profile": profile}}

    def _views_publish(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Show a person's App Home: https://docs.slack.dev/reference/methods/views.publish."""
        view = arguments.get("view")
        view = json.loads(view) if isinstance(view, str) else view
        if not isinstance(view, dict) or view.get("type") != "home":
            raise SlackError("invalid_arguments")
        self.homes[user_id(arguments.get("user_id"))] = check_blocks(view.get("blocks"), "home")
        return {"view": {"id": "V0HOME", **view}}


async def _arguments(request: Request) -> dict[str, Any]:
    """Return a method's arguments from the query, the form or the JSON, as Slack does."""
    arguments: dict[str, Any] = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            body = json.loads(await request.body() or b"{}")
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        return {**arguments, **body}
    async with request.form() as form:
        return arguments | dict(form)
