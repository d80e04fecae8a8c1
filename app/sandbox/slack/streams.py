"""Streamed messages in the sandbox's Slack, and the words about the work on a thread.

https://docs.slack.dev/reference/methods/chat.startStream and https://docs.slack.dev/reference/methods/assistant.threads.setStatus
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from app.sandbox.slack.blocks import MAX_MARKDOWN, check_blocks
from app.sandbox.slack.places import SlackError, SlackPlaces
from app.sandbox.slack.posts import Post, SlackPosts, check_metadata

STREAM_SECONDS = 300.0  # then Slack ends a stream; not documented: github.com/slackapi/python-slack-sdk/issues/1859
_STATUSES_AT_ONCE = 10


class SlackStreams:
    """The methods that write a message piece by piece. Lives for the process.

    Args:
        posting: The bot's posts.
        places: The channels and direct chats.

    Attributes:
        now: A monotonic clock, in seconds.
    """

    def __init__(self, posting: SlackPosts, places: SlackPlaces) -> None:
        self._posting = posting
        self._places = places
        self._began: dict[str, float] = {}  # open streams, by timestamp
        self.now: Callable[[], float] = time.monotonic
        posting.is_streaming = self.is_open

    def is_open(self, ts: str) -> bool:
        """Return whether a message is being streamed; Slack ends a stream that takes too long."""
        return self.now() - self._began.get(ts, float("-inf")) < STREAM_SECONDS

    def start(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Begin a message; a channel has to say for whom: https://docs.slack.dev/reference/methods/chat.startStream."""
        if not isinstance(arguments.get("thread_ts"), str):
            raise SlackError("invalid_arguments")
        if not str(arguments.get("channel")).startswith("D"):
            for name in ("recipient_team_id", "recipient_user_id"):
                if not arguments.get(name):
                    raise SlackError(f"missing_{name}")
        text = _markdown(arguments)
        post = self._posting.create("chat.startStream", {**arguments, "text": text}, workspace, may_be_empty=True)
        self._began[post.ts] = self.now()
        return {"channel": post.channel, "ts": post.ts}

    def append(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Add text to a message: https://docs.slack.dev/reference/methods/chat.appendStream."""
        post, text = self._open(arguments, workspace), _markdown(arguments)
        if not text:
            raise SlackError("no_text")
        self._posting.change(post, replace(post, text=_joined(post, text)))
        return {"channel": post.channel, "ts": post.ts}

    def stop(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Finish a message: https://docs.slack.dev/reference/methods/chat.stopStream."""
        post = self._open(arguments, workspace)
        changed = replace(
            post,
            text=_joined(post, _markdown(arguments)),
            blocks=tuple(check_blocks(arguments["blocks"])) if arguments.get("blocks") else (),
            metadata=check_metadata(arguments.get("metadata")),
        )
        self._posting.change(post, changed)
        del self._began[post.ts]
        return {"channel": post.channel, "ts": post.ts, "message": {"text": changed.text, "ts": post.ts}}

    def set_status(self, arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        """Set a status, or clear it: https://docs.slack.dev/reference/methods/assistant.threads.setStatus."""
        _, place = self._places.find(arguments.get("channel_id"), workspace)
        thread, status = arguments.get("thread_ts"), arguments.get("status")
        if not isinstance(thread, str) or thread not in place.messages:
            raise SlackError("invalid_thread_ts")
        if not isinstance(status, str) or len(arguments.get("loading_messages") or ()) > _STATUSES_AT_ONCE:
            raise SlackError("invalid_arguments")
        place.statuses.setdefault(thread, []).append(status)
        return {}

    def _open(self, arguments: Mapping[str, Any], workspace: str) -> Post:
        post = self._posting.find(arguments, workspace)
        if post is None:
            raise SlackError("message_not_found")
        if post.workspace != workspace:
            raise SlackError("message_not_owned_by_app")
        if not self.is_open(post.ts):
            raise SlackError("message_not_in_streaming_state")
        return post


def _markdown(arguments: Mapping[str, Any]) -> str:
    text = arguments.get("markdown_text") or ""
    if not isinstance(text, str):
        raise SlackError("invalid_arguments")
    return text


def _joined(post: Post, text: str) -> str:
    """Return what a message says after this text; a message has at most 12,000 characters of Markdown."""
    joined = post.text + text
    if len(joined) > MAX_MARKDOWN:
        raise SlackError("msg_too_long")
    return joined
