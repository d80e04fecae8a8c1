"""The app of the sandbox's Slack as its manifest declares it, held to the documented limits.

https://docs.slack.dev/reference/app-manifest; the limits are those of github.com/slackapi/manifest-schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema

_BOOLEAN = {"type": "boolean"}


def _text(at_most: int, pattern: str = "") -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": at_most, "pattern": pattern}


def _list(items: Mapping[str, Any], at_most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": at_most}


def _closed(required: tuple[str, ...] = (), **properties: object) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


_URL = _text(3000, "^https?://")
_SCHEMA = _closed(
    ("display_information",),
    _metadata=_closed(major_version={"const": 2}, minor_version={"type": "integer"}),
    display_information=_closed(("name",), name=_text(35), description=_text(140)),
    features=_closed(
        app_home=_closed(
            home_tab_enabled=_BOOLEAN, messages_tab_enabled=_BOOLEAN, messages_tab_read_only_enabled=_BOOLEAN
        ),
        bot_user=_closed(("display_name",), display_name=_text(80), always_online=_BOOLEAN),
        agent_view=_closed(
            agent_description=_text(300),
            suggested_prompts=_list(
                _closed(("title", "message"), title={"type": "string"}, message={"type": "string"}), 4
            ),
        ),
        slash_commands=_list(
            _closed(
                ("command", "description"),
                command=_text(32, "^/"),
                description=_text(2000),
                usage_hint=_text(1000),
                should_escape=_BOOLEAN,
                url=_URL,
            ),
            50,
        ),
    ),
    oauth_config=_closed(
        scopes=_closed(bot=_list(_text(50), 255)), redirect_urls={**_list(_text(2500), 1000), "uniqueItems": True}
    ),
    settings=_closed(
        event_subscriptions=_closed(request_url=_URL, bot_events={**_list(_text(50), 100), "uniqueItems": True}),
        interactivity=_closed(("is_enabled",), is_enabled=_BOOLEAN, request_url=_URL),
        org_deploy_enabled=_BOOLEAN,
        socket_mode_enabled=_BOOLEAN,
        token_rotation_enabled=_BOOLEAN,
    ),
)
# By event, the scopes of which an app needs one to subscribe to it: https://docs.slack.dev/reference/events.
_SCOPES_OF_EVENTS = {
    "agent_session_stopped": "assistant:write",
    "agent_session_title_changed": "assistant:write",
    "app_mention": "app_mentions:read",
    "message.im": "im:history",
    "user_change": "users:read",
}


@dataclass(frozen=True, slots=True)
class SlackDeclaration:
    """An app as its manifest declares it.

    Attributes:
        scopes: The bot scopes that a workspace grants when the app is installed.
        events: The kinds of event that Slack sends to the app.
        is_agent: Whether the app can have agent sessions.
        socket_mode: Whether Slack sends over WebSockets, and to no URL.
    """

    scopes: frozenset[str]
    events: frozenset[str]
    is_agent: bool = True
    socket_mode: bool = False

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> SlackDeclaration:
        """Return the app of a manifest.

        Raises:
            ValueError: Slack would refuse the manifest.
        """
        try:
            jsonschema.validate(manifest, _SCHEMA)
        except jsonschema.ValidationError as error:
            raise ValueError(f"{error.json_path}: {error.message}") from None
        settings, features = manifest.get("settings", {}), manifest.get("features", {})
        scopes = frozenset(manifest.get("oauth_config", {}).get("scopes", {}).get("bot", ()))
        events = frozenset(settings.get("event_subscriptions", {}).get("bot_events", ()))
        declared = cls(scopes, events, "agent_view" in features, settings.get("socket_mode_enabled", False))
        declared._check(settings, features)
        return declared

    def _check(self, settings: Mapping[str, Any], features: Mapping[str, Any]) -> None:
        """Check the rules that Slack has beside the schema."""
        for event, scope in _SCOPES_OF_EVENTS.items():
            if event in self.events and scope not in self.scopes:
                raise ValueError(f"the event {event} needs the scope {scope}")
        if features.get("slash_commands") and "commands" not in self.scopes:
            raise ValueError("slash commands need the scope commands")
        if self.is_agent and "assistant:write" not in self.scopes:
            raise ValueError("an agent needs the scope assistant:write")
        if self.socket_mode:
            return
        addresses = [settings.get("event_subscriptions"), settings.get("interactivity")]
        if not all("request_url" in each for each in addresses if each):
            raise ValueError("without Socket Mode, events and interactivity need a request_url")
        if not all("url" in command for command in features.get("slash_commands", ())):
            raise ValueError("without Socket Mode, a slash command needs a url")


EVERYTHING = SlackDeclaration(
    scopes=frozenset(
        {
            "app_mentions:read",
            "assistant:write",
            "channels:history",
            "chat:write",
            "commands",
            "files:read",
            "files:write",
            "groups:history",
            "im:history",
            "im:write",
            "users:read",
            "users:read.email",
        }
    ),
    events=frozenset({*_SCOPES_OF_EVENTS, "app_home_opened", "app_uninstalled", "tokens_revoked"}),
)
