"""The manifest of the Slack app, to paste into Slack (https://docs.slack.dev/reference/app-manifest)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from app.consent.linking import LinkingMode
from interfaces.slack.pages import callback_url
from interfaces.slack.scopes import needed_scopes
from interfaces.web.interface import login_url

COMMAND = "/deputy"
_CREATE = "https://api.slack.com/apps?new_app=1&manifest_json="
_EVENTS = (
    "agent_session_stopped",
    "agent_session_title_changed",
    "app_home_opened",
    "app_mention",
    "message.im",
    "user_change",
)
_INSTALLATION_EVENTS = ("app_uninstalled", "tokens_revoked")


@dataclass(frozen=True, slots=True)
class SlackApp:
    """The properties of the Slack app that depend on the configuration.

    Attributes:
        by_address: People are identified by the addresses that Slack has confirmed.
        installed: Workspaces install the app themselves.
        logs_in: People sign in at Slack too, after Google.
    """

    by_address: bool = False
    installed: bool = False
    logs_in: bool = False

    @classmethod
    def of_tree(cls, tree: Mapping[str, Any]) -> SlackApp:
        """Return the app that a configuration file asks for, even if its secrets are not set yet."""
        google = _section(tree, "google")
        slack = _section(_section(tree, "interfaces"), "slack")
        linking = google.get("linking")
        return cls(
            by_address=linking == LinkingMode.EMAIL_MATCH or google.get("mode") == "workspace",
            installed="client_id" in slack and "bot_token" not in slack,
            logs_in=linking == LinkingMode.CHANNEL_LOGIN,
        )


def app_manifest(app: SlackApp, url: str | None, *, socket: bool) -> dict[str, Any]:
    """Return the manifest, ready to be written as YAML or JSON.

    Args:
        app: The parts that the configuration asks for.
        url: The address at which Slack and browsers reach the server, such as ``https://deputy.example.com``; None if
            they cannot, which works only with `socket`.
        socket: Whether the server connects to Slack (Socket Mode), instead of Slack to the server.
    """
    pages = ((callback_url, app.installed), (login_url, app.logs_in))
    redirects = [page(url) for page, is_used in pages if is_used and url]
    slacks_way_in = None if socket else url
    events = sorted((*_EVENTS, *_INSTALLATION_EVENTS) if app.installed else _EVENTS)
    return {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {
            "name": "Deputy",
            "description": "An assistant that works with your own Google account, and nobody else's.",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": "Deputy", "always_online": True},
            "agent_view": {
                "agent_description": "Reads and writes your mail, and asks you before it sends anything.",
                "suggested_prompts": [
                    {"title": "What can you do?", "message": "help"},
                    {"title": "Connect my Google account", "message": "connect google"},
                    {"title": "Show my unread mail", "message": "show my unread mail"},
                ],
            },
            "slash_commands": [
                {
                    "command": COMMAND,
                    "description": "Connect your accounts, and see what I am doing for you.",
                    "usage_hint": "connect | disconnect | accounts | status | new | help",
                    "should_escape": False,
                    **_at(slacks_way_in, "url", "/slack/commands"),
                }
            ],
        },
        "oauth_config": {
            "scopes": {"bot": list(needed_scopes(by_address=app.by_address))},
            **({"redirect_urls": redirects} if redirects else {}),
        },
        "settings": {
            "event_subscriptions": {"bot_events": events, **_at(slacks_way_in, "request_url", "/slack/events")},
            "interactivity": {"is_enabled": True, **_at(slacks_way_in, "request_url", "/slack/interactions")},
            "org_deploy_enabled": app.installed,
            "socket_mode_enabled": socket,
            "token_rotation_enabled": False,
        },
    }


def creation_url(manifest: Mapping[str, Any]) -> str:
    """Return the page at Slack that creates an app from a manifest."""
    return _CREATE + quote(json.dumps(manifest, separators=(",", ":")), safe="")


def _at(url: str | None, key: str, path: str) -> dict[str, str]:
    return {} if url is None else {key: url.rstrip("/") + path}


def _section(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = tree.get(name)
    return section if isinstance(section, dict) else {}
