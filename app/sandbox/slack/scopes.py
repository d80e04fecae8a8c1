"""The scopes that the methods of the sandbox's Slack ask for (https://docs.slack.dev/reference/scopes)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from app.sandbox.slack.places import SlackError

_NEEDED = {
    "agents.sessions.rename": "chat:write",
    "agents.sessions.setStatus": "chat:write",
    "assistant.threads.setStatus": "chat:write",
    "conversations.open": "im:write",
    "files.completeUploadExternal": "files:write",
    "files.getUploadURLExternal": "files:write",
    "files.info": "files:read",
    "users.info": "users:read",
}
_HISTORY = {"C": "channels:history", "D": "im:history", "G": "groups:history"}  # by the first letter of the channel


class MissingScopeError(SlackError):
    """A method needs a scope that the token does not have.

    Attributes:
        needed: The scope.
    """

    def __init__(self, needed: str) -> None:
        self.needed = needed
        super().__init__("missing_scope")


def check_scope(method: str, arguments: Mapping[str, Any], granted: Collection[str]) -> None:
    """Check that a token may call a method.

    Raises:
        MissingScopeError: It may not.
    """
    needed = _NEEDED.get(method, "chat:write" if method.startswith("chat.") else "")
    if method in ("conversations.history", "conversations.replies"):
        needed = _HISTORY.get(str(arguments.get("channel"))[:1], "")
    if needed and needed not in granted:
        raise MissingScopeError(needed)
