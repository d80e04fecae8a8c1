"""What the bot posts in a Slack on loopback, and how it reads what it has posted.

https://docs.slack.dev/reference/methods/chat.postMessage and https://docs.slack.dev/messaging/message-metadata
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class SlackError(Exception):
    """A method refuses, in Slack's words; the HTTP status is 200 all the same."""


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


class SlackPosts:
    """The methods of the Web API that post, and that read and delete posts. Lives for the process.

    Args:
        bot_user: Whose posts they are.
        homes: By channel, the workspaces that alone may post in it; in any other one everybody may.
        new_ts: Gives a post its timestamp.
        posts: The posts, oldest first.
    """

    def __init__(
        self, bot_user: str, homes: Mapping[str, set[str]], new_ts: Callable[[], str], posts: list[Post]
    ) -> None:
        self._bot_user = bot_user
        self._homes = homes
        self._new_ts = new_ts
        self._posts = posts

    def post_message(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Post for all to see."""
        post = self._post("chat.postMessage", arguments, workspace, user=None)
        return {"channel": post.channel, "ts": post.ts, "message": self._message(post, with_metadata=True)}

    def delete(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Delete what this workspace's bot has posted: https://docs.slack.dev/reference/methods/chat.delete."""
        channel = self._place(arguments, workspace)
        found = [post for post in self._posts if post.ts == arguments.get("ts") and post.channel == channel]
        if not found or found[0].user is not None:  # an ephemeral post is none that Slack keeps
            raise SlackError("message_not_found")
        if found[0].workspace != workspace:
            raise SlackError("cant_delete_message")
        self._posts.remove(found[0])
        return {"channel": channel, "ts": found[0].ts}

    def _message(self, post: Post, *, with_metadata: bool) -> dict[str, Any]:
        message: dict[str, Any] = {"type": "message", "user": self._bot_user, "team": post.workspace}
        message |= {"text": post.text, "ts": post.ts}
        if post.thread_ts is not None:
            message["thread_ts"] = post.thread_ts
        if with_metadata and post.metadata is not None:
            message["metadata"] = post.metadata
        return message

    def conversations_history(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """The bot's posts outside of threads, newest first: what people wrote is not kept here."""
        return self._page(
            [post for post in self._kept(arguments, workspace) if post.thread_ts is None][::-1], arguments
        )

    def conversations_replies(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """The bot's posts in a thread, oldest first."""
        thread = arguments.get("ts")
        if not thread:
            raise SlackError("thread_not_found")
        return self._page([post for post in self._kept(arguments, workspace) if post.thread_ts == thread], arguments)

    def _kept(self, arguments: Mapping[str, Any], workspace: str) -> list[Post]:
        """The posts of a channel that Slack keeps, which ephemeral ones are not."""
        oldest = float(arguments.get("oldest") or 0)
        return [
            post
            for post in self._posts
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

    def post_ephemeral(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Post for one person alone."""
        post = self._post("chat.postEphemeral", arguments, workspace, user=user_id(arguments.get("user")))
        return {"message_ts": post.ts}

    def _post(self, method: str, arguments: Mapping[str, Any], workspace: str, user: str | None) -> Post:
        channel, text = self._place(arguments, workspace), arguments.get("text") or arguments.get("markdown_text")
        if not text and not arguments.get("blocks"):
            raise SlackError("no_text")
        metadata = arguments.get("metadata")
        if metadata is not None and not (
            isinstance(metadata, dict) and {"event_type", "event_payload"} <= set(metadata)
        ):
            raise SlackError("invalid_metadata_format")
        thread = arguments.get("thread_ts")
        post = Post(method, channel, user, thread, str(text or ""), self._new_ts(), workspace, metadata)
        self._posts.append(post)
        return post

    def _place(self, arguments: Mapping[str, Any], workspace: str) -> str:
        """The channel that is meant, which is this workspace's."""
        channel = arguments.get("channel")
        if not isinstance(channel, str) or channel[:1] not in {"C", "D", "G", "U", "W"}:
            raise SlackError("channel_not_found")
        place = direct_channel(channel)
        if workspace not in self._homes.get(place, {workspace}):
            raise SlackError("channel_not_found")  # it is another workspace's
        return place


def user_id(user: object) -> str:
    """A user's id, as an argument gives it."""
    if not isinstance(user, str) or user[:1] not in {"U", "W"} or not user.isalnum():
        raise SlackError("user_not_found")
    return user


def direct_channel(channel: str) -> str:
    """Where a message to a user goes: the direct conversation with them, whose id follows from theirs."""
    return f"D{channel[1:]}" if channel[:1] in {"U", "W"} else channel
