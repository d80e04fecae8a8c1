"""The agent sessions of the sandbox's Slack (https://docs.slack.dev/ai/agent-sessions)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.sandbox.slack.declaration import SlackDeclaration
from app.sandbox.slack.places import SlackError, SlackPlaces

MAX_TITLE = 200  # characters
_STATUSES = frozenset({"active", "closed", "processing", "suspended"})
_STOP = "agent_session_stopped"


@dataclass
class AgentSession:
    """A session: its title, and every status that it has had, oldest first."""

    title: str
    statuses: list[str]


class AgentSessions:
    """The method that sets statuses. Lives for the process.

    Args:
        places: The channels and direct chats.
        declaration: The app; only an agent has sessions.

    Attributes:
        by_thread: Every session, by channel and thread.
    """

    def __init__(self, places: SlackPlaces, declaration: SlackDeclaration) -> None:
        self._places = places
        self._declaration = declaration
        self.by_thread: dict[tuple[str, str], AgentSession] = {}

    def set_status(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Set a status as https://docs.slack.dev/reference/methods/agents.sessions.setStatus does."""
        if not self._declaration.is_agent:
            raise SlackError("no_permission")
        channel, place = self._places.find(arguments.get("channel_id"), workspace)
        thread, status, title = arguments.get("thread_ts"), arguments.get("status"), arguments.get("title") or ""
        if not isinstance(thread, str) or thread not in place.messages:
            raise SlackError("thread_not_found")
        if status not in _STATUSES or not isinstance(title, str) or len(title) > MAX_TITLE:
            raise SlackError("invalid_arguments")
        initiator = arguments.get("initiator_user_id")
        if initiator is not None and not channel.startswith("D") and initiator not in place.members:
            raise SlackError("user_not_in_channel")
        session = self.by_thread.setdefault((channel, thread), AgentSession(title, []))  # a title counts once
        session.statuses.append(str(status))
        warns = status == "processing" and _STOP not in self._declaration.events
        warning = {"warning": f"missing_{_STOP}_event_subscription"} if warns else {}
        return {"status": status, "title": session.title, **warning}


def session_stopped(user: str, channel: str, thread_ts: str, event_ts: str) -> dict[str, Any]:
    """Return the inner event that a person pressed Stop: https://docs.slack.dev/reference/events/agent_session_stopped."""
    return {
        "type": _STOP,
        "channel": channel,
        "thread_ts": thread_ts,
        "user": user,
        "streaming_message_ts": [],
        "event_ts": event_ts,
    }
