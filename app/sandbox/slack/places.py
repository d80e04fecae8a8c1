"""The channels and direct chats of the sandbox's Slack: their members and their messages."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


class SlackError(Exception):
    """A method refuses a call, with Slack's error code; the HTTP status is 200, except for ``ratelimited``.

    Attributes:
        retry_after: Whole seconds until the method is allowed again, for ``ratelimited``.
    """

    def __init__(self, reason: str, *, retry_after: int | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(reason)


@dataclass
class SandboxPlace:
    """A channel, "C…", or a direct chat, "D…".

    Attributes:
        homes: The workspaces that it is part of; if empty, any workspace may use it.
        members: The user ids of its members.
        messages: The timestamps of the messages in it.
        active: The timestamps of the messages that have replies, which are threads.
        is_archived: Whether nobody can write in it any more.
        statuses: By thread, the words about the work there, oldest first; an empty one clears them.
    """

    homes: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    active: set[str] = field(default_factory=set)
    is_archived: bool = False
    statuses: dict[str, list[str]] = field(default_factory=dict)

    def keep(self, ts: str, thread_ts: str | None) -> None:
        """Add a message; a reply makes its thread active."""
        self.messages.add(ts)
        if thread_ts is not None:
            self.active.add(thread_ts)


class SlackPlaces:
    """Knows every place of a sandbox. Lives for the process.

    Args:
        bot_user: The bot's user id.

    Attributes:
        online: The user ids of people who have Slack open.
        unreachable: Slack's error code, by user id, for people with whom the bot cannot open a direct chat, such as
            ``user_disabled``.
        refusals: The error, or its code such as ``messages_tab_disabled``, that every such call gets, by method and
            channel.
    """

    def __init__(self, bot_user: str) -> None:
        self._bot_user = bot_user
        self._places: defaultdict[str, SandboxPlace] = defaultdict(SandboxPlace)
        self.online: set[str] = set()
        self.unreachable: dict[str, str] = {}
        self.refusals: dict[tuple[str, str], str | SlackError] = {}

    def __getitem__(self, channel: str) -> SandboxPlace:
        return self._places[channel]

    def check(self, method: str, channel: str) -> None:
        """Check that a method may be called for a channel.

        Raises:
            SlackError: All such calls are refused.
        """
        if refusal := self.refusals.get((method, channel)):
            raise refusal if isinstance(refusal, SlackError) else SlackError(refusal)

    def hear(self, channel: str, user: str, home: str, *, ts: str, thread_ts: str | None) -> None:
        """Record that a person wrote where the bot could hear it, so both are members and the thread exists."""
        place = self._places[channel]
        place.homes.add(home)
        place.members |= {user, self._bot_user}
        if thread_ts is not None:
            place.messages.add(thread_ts)
        place.keep(ts, thread_ts)

    def invite(self, channel: str, *users: str) -> None:
        """Add the bot and these people to a channel."""
        self._places[channel].members |= {self._bot_user, *users}

    def open_direct(self, user: str, home: str) -> str:
        """Return the id of the bot's direct chat with this person, which is derived from theirs.

        Raises:
            SlackError: The bot cannot write to this person.
        """
        if reason := self.unreachable.get(user):
            raise SlackError(reason)
        channel = direct_channel(user)
        self._places[channel].members |= {user, self._bot_user}
        if self._places[channel].homes:
            self._places[channel].homes.add(home)
        return channel

    def find(self, channel: object, workspace: str) -> tuple[str, SandboxPlace]:
        """Return the place that an argument names, with its id, if this workspace's bot is in it.

        A direct chat exists for everyone, because the person may have opened it.

        Raises:
            SlackError: It does not exist in this workspace, or the bot is not in it.
        """
        if not isinstance(channel, str) or channel[:1] not in {"C", "D", "G"}:
            raise SlackError("channel_not_found")
        if channel not in self._places and not channel.startswith("D"):
            raise SlackError("channel_not_found")
        place = self._places[channel]
        if place.homes and workspace not in place.homes:
            raise SlackError("channel_not_found")
        if not channel.startswith("D") and self._bot_user not in place.members:
            raise SlackError("not_in_channel")
        return channel, place


def user_id(user: object) -> str:
    """Return the user id that an argument names.

    Raises:
        SlackError: The argument is not a user id.
    """
    if not isinstance(user, str) or user[:1] not in {"U", "W"} or not user.isalnum():
        raise SlackError("user_not_found")
    return user


def direct_channel(user: str) -> str:
    """Return the id of the direct chat with a user."""
    return f"D{user[1:]}"
