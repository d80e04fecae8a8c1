"""The bot's posts in the sandbox's Slack: posting, reading and deleting them.

https://docs.slack.dev/reference/methods/chat.postMessage and https://docs.slack.dev/messaging/message-metadata
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from app.sandbox.slack.blocks import check_blocks, shown_text
from app.sandbox.slack.places import SandboxPlace, SlackError, SlackPlaces, direct_channel, user_id
from app.sandbox.slack.rates import ReadLimits

MAX_TEXT_LENGTH = 40_000  # characters
MAX_CHANGED_TEXT_LENGTH = 4_000  # of a post that is changed


@dataclass(frozen=True, slots=True)
class Post:
    """A message that the bot posted.

    Attributes:
        method: ``chat.postMessage``, ``chat.postEphemeral``, ``chat.startStream`` or ``files.completeUploadExternal``.
        channel: The channel, "C…", or "D…" for a direct message, even if it was addressed to a user.
        user: The only person who sees it, for an ephemeral message; otherwise None.
        thread_ts: The thread that it is in, or None.
        text: Its text, or its markdown.
        ts: Its timestamp, which is Slack's id of a message in a channel.
        workspace: The workspace whose bot token it was posted with.
        metadata: Data that the bot attached for its own use; people do not see it.
        blocks: Its blocks, which people see instead of the text if there are any.
        files: The ids of the files that were shared with it.
    """

    method: str
    channel: str
    user: str | None
    thread_ts: str | None
    text: str
    ts: str
    workspace: str
    metadata: Mapping[str, Any] | None = None
    blocks: tuple[Mapping[str, Any], ...] = ()
    files: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Return the text that people read."""
        return shown_text(self.blocks) if self.blocks else self.text


class SlackPosts:
    """The methods of the Web API that create, read and delete posts. Lives for the process.

    Args:
        bot_user: The bot's user id.
        places: The channels and direct chats.
        new_ts: Returns a post's timestamp.
        posts: The posts, oldest first.

    Attributes:
        limits: How often the bot may read conversations; None for no limit.
        is_streaming: Returns whether a post is being written piece by piece, so that it cannot be changed.
    """

    def __init__(self, bot_user: str, places: SlackPlaces, new_ts: Callable[[], str], posts: list[Post]) -> None:
        self._bot_user = bot_user
        self._places = places
        self._new_ts = new_ts
        self._posts = posts
        self._on_screen: defaultdict[str, list[Post]] = defaultdict(list)
        self.limits: ReadLimits | None = None
        self.is_streaming: Callable[[str], bool] = lambda _: False

    def post_message(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Post a message that everybody there can see; a user's id instead of a channel's means their direct chat."""
        channel = arguments.get("channel")
        if isinstance(channel, str) and channel[:1] in {"U", "W"}:
            channel = self._places.open_direct(user_id(channel), workspace)
        post = self.create("chat.postMessage", {**arguments, "channel": channel}, workspace)
        return {"channel": post.channel, "ts": post.ts, "message": self._message(post, with_metadata=True)}

    def post_ephemeral(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Post for one person alone, who sees it if they are online now, and never again after a reload.

        In a thread it shows only if somebody has replied before:
        https://docs.slack.dev/reference/methods/chat.postEphemeral.
        """
        user = user_id(arguments.get("user"))
        channel, place = self._places.find(arguments.get("channel"), workspace)
        if not channel.startswith("D") and user not in place.members:
            raise SlackError("user_not_in_channel")
        post = self.create("chat.postEphemeral", arguments, workspace, user=user)
        if user in self._places.online and (post.thread_ts is None or post.thread_ts in place.active):
            self._on_screen[user].append(post)
        return {"message_ts": post.ts}

    def readable(self, user: str) -> list[Post]:
        """Return the posts that a person can read at any time, oldest first: no ephemeral ones."""
        return [
            post
            for post in self._posts
            if post.user is None and (post.channel == direct_channel(user) or self._is_in(user, post.channel))
        ]

    def on_screen(self, user: str) -> list[Post]:
        """Return the posts that a person can read now, with the ephemeral ones since they last loaded Slack."""
        return sorted(self.readable(user) + self._on_screen[user], key=self._posts.index)

    def reload(self, user: str) -> None:
        """Reload Slack for a person, which removes their ephemeral posts."""
        self._on_screen.pop(user, None)

    def delete(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Delete a post of this workspace's bot: https://docs.slack.dev/reference/methods/chat.delete."""
        post = self.find(arguments, workspace)
        if post is None:
            raise SlackError("message_not_found")
        if post.workspace != workspace or self.is_streaming(post.ts):
            raise SlackError("cant_delete_message")
        self._posts.remove(post)
        self._places[post.channel].messages.discard(post.ts)
        return {"channel": post.channel, "ts": post.ts}

    def update(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Change a post of this workspace's bot: https://docs.slack.dev/reference/methods/chat.update.

        Blocks are kept if neither text nor blocks are given, and metadata if it is not given.
        """
        post = self.find(arguments, workspace)
        if post is None:
            raise SlackError("message_not_found")
        self._places.check("chat.update", post.channel)
        if post.workspace != workspace:
            raise SlackError("cant_update_message")
        if self.is_streaming(post.ts):
            raise SlackError("streaming_state_conflict")
        text, blocks = arguments.get("text"), arguments.get("blocks")
        if not text and not blocks:
            raise SlackError("no_text")
        if len(str(text or "")) > MAX_CHANGED_TEXT_LENGTH:
            raise SlackError("msg_too_long")
        changed = replace(
            post,
            text=str(text or post.text),
            blocks=tuple(check_blocks(blocks)) if blocks else (),
            metadata=check_metadata(arguments.get("metadata")) or post.metadata,
        )
        self.change(post, changed)
        return {"channel": post.channel, "ts": changed.ts, "text": changed.text}

    def find(self, arguments: Mapping[str, Any], workspace: str) -> Post | None:
        """Return the post that ``channel`` and ``ts`` name; Slack keeps no ephemeral ones."""
        channel, _ = self._places.find(arguments.get("channel"), workspace)
        found = (post for post in self._posts if post.ts == arguments.get("ts") and post.channel == channel)
        return next((post for post in found if post.user is None), None)

    def change(self, post: Post, changed: Post) -> None:
        """Put a changed post in the place of one."""
        self._posts[self._posts.index(post)] = changed

    def conversations_history(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Return the bot's posts outside of threads, newest first; people's messages are not kept here."""
        self._count("conversations.history", workspace)
        self._places.find(arguments.get("channel"), workspace)
        newest_first = [post for post in self._kept(arguments, workspace) if post.thread_ts is None][::-1]
        return self._page(newest_first, arguments, order=-1)

    def conversations_replies(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Return the bot's posts in a thread, oldest first."""
        self._count("conversations.replies", workspace)
        _, place = self._places.find(arguments.get("channel"), workspace)
        thread = arguments.get("ts")
        if thread not in place.messages:
            raise SlackError("thread_not_found")
        in_thread = [post for post in self._kept(arguments, workspace) if post.thread_ts == thread]
        return self._page(in_thread, arguments, order=1)

    def _count(self, method: str, workspace: str) -> None:
        if self.limits is not None:
            self.limits.take(method, workspace)

    def _is_in(self, user: str, channel: str) -> bool:
        return user in self._places[channel].members

    def _message(self, post: Post, *, with_metadata: bool) -> dict[str, Any]:
        message: dict[str, Any] = {"type": "message", "user": self._bot_user, "bot_id": "B0SANDBOX"}
        message |= {"team": post.workspace}
        message |= {"text": post.text, "ts": post.ts}
        if post.thread_ts is not None:
            message["thread_ts"] = post.thread_ts
        if with_metadata and post.metadata is not None:
            message["metadata"] = post.metadata
        return message

    def _kept(self, arguments: Mapping[str, Any], workspace: str) -> list[Post]:
        """Return the posts of a channel that Slack keeps, so no ephemeral ones."""
        oldest = float(arguments.get("oldest") or 0)
        return [
            post
            for post in self._posts
            if post.channel == arguments.get("channel")
            and post.workspace == workspace
            and post.user is None
            and float(post.ts) > oldest
        ]

    def _page(self, posts: list[Post], arguments: Mapping[str, Any], order: Literal[1, -1]) -> dict[str, Any]:
        """Return one page; a cursor is the timestamp of the last post on it, so that new posts shift nothing."""
        cursor, limit = arguments.get("cursor") or "", int(arguments.get("limit") or 100)
        if self.limits is not None:
            limit = min(limit, self.limits.page)
        seen = [post for post in posts if cursor and (float(post.ts) - float(cursor)) * order <= 0]
        start = len(seen)
        end = start + limit
        with_metadata = str(arguments.get("include_all_metadata", "")).lower() in {"1", "true"}
        return {
            "messages": [self._message(post, with_metadata=with_metadata) for post in posts[start:end]],
            "has_more": end < len(posts),
            "response_metadata": {"next_cursor": posts[end - 1].ts if end < len(posts) else ""},
        }

    def create(
        self,
        method: str,
        arguments: Mapping[str, Any],
        workspace: str,
        *,
        user: str | None = None,
        files: tuple[str, ...] = (),
        may_be_empty: bool = False,
    ) -> Post:
        """Add a post and return it.

        Args:
            method: The method that creates it.
            arguments: Its arguments.
            workspace: The workspace whose bot posts.
            user: The only person who sees it; None for everybody there.
            files: The ids of the files that are shared with it.
            may_be_empty: Whether it may have neither text nor blocks.
        """
        channel, place = self._places.find(arguments.get("channel"), workspace)
        text, thread = arguments.get("text") or arguments.get("markdown_text"), arguments.get("thread_ts")
        self._check(method, channel, place, thread)
        if not text and not arguments.get("blocks") and not may_be_empty:
            raise SlackError("no_text")
        if len(str(text or "")) > MAX_TEXT_LENGTH:
            raise SlackError("msg_too_long")
        metadata = check_metadata(arguments.get("metadata"))
        blocks = tuple(check_blocks(arguments["blocks"])) if arguments.get("blocks") else ()
        post = Post(method, channel, user, thread, str(text or ""), self._new_ts(), workspace, metadata, blocks, files)
        self._posts.append(post)
        if user is None:
            place.keep(post.ts, thread)
        return post

    def _check(self, method: str, channel: str, place: SandboxPlace, thread: object) -> None:
        self._places.check(method, channel)
        if place.is_archived:
            raise SlackError("is_archived")
        if thread is not None and thread not in place.messages:
            raise SlackError("thread_not_found")


def check_metadata(metadata: object) -> Mapping[str, Any] | None:
    """Return metadata that Slack accepts: https://docs.slack.dev/messaging/message-metadata.

    Raises:
        SlackError: Slack would refuse it.
    """
    if metadata is None:
        return None
    if not (isinstance(metadata, dict) and {"event_type", "event_payload"} <= set(metadata)):
        raise SlackError("invalid_metadata_format")
    return metadata
