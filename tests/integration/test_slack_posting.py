"""Posts on Slack when a process does not know what it, or another process, has already posted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from app.errors import UnavailableError, UnclearError
from app.messages import MessageState, StoredMessage
from app.principal import Principal
from app.reply import ReplyContent
from app.sandbox.server import serve_loopback
from app.sandbox.slack.places import SlackError
from app.sandbox.slack.sandbox import SlackSandbox
from interfaces.slack.client import SlackChannel
from tests.fakes.slack_channel import slack_channel

TOKEN, THREAD = "xoxb-sandbox", "1700000000.000001"
LONG = "\n".join(f"line {number:04}" for number in range(2000))  # three posts


@dataclass
class TwoChannels:
    """A Slack, and the channels of two processes that post to it."""

    slack: SlackSandbox
    one: SlackChannel
    other: SlackChannel

    @property
    def shown(self) -> list[tuple[str, int, str]]:
        """Return what is on Slack, in order: the channel, the part and the reply's id of each post."""
        payloads = [(post, (post.metadata or {})["event_payload"]) for post in self.slack.posts]
        return [(post.channel, payload["part"], payload["reply_id"]) for post, payload in payloads]


@pytest.fixture
async def channels() -> AsyncIterator[TwoChannels]:
    """Yield a Slack without posts, and two channels that post to it."""
    slack = SlackSandbox(signing_secret="secret", bot_token=TOKEN)
    slack.event(user="U0ADA", text="<@U0BOT> hello", channel="C0ALL", ts=THREAD, kind="app_mention")
    async with serve_loopback(slack.app) as url:
        one, other = (slack_channel(TOKEN, url) for _ in range(2))
        yield TwoChannels(slack, one, other)


def _message(name: str, *, thread: str | None = None) -> StoredMessage:
    """Return a message in a direct chat, or in the thread of a channel."""
    channel = "C0ALL" if thread else f"D0{name}"
    return StoredMessage(
        message_id=name * 8,
        principal=Principal("slack", "T0SANDBOX", f"U0{name}"),
        conversation=f"{channel}:{thread or ''}",
        sequence=1,
        text="hello",
        address={"channel": channel, "thread_ts": thread, "direct": thread is None, "workspace": "T0SANDBOX"},
        state=MessageState.DONE,
        attempt=1,
        interruptions=0,
        failures=0,
        answer=LONG,
        link_id=None,
        private=False,
        created_at=0.0,
    )


async def _send(channel: SlackChannel, message: StoredMessage, *, again: bool = False, text: str = LONG) -> None:
    await channel.send(message, ReplyContent(text), private=False, reply_id=message.message_id, again=again)


@pytest.mark.parametrize("thread", [None, THREAD])
async def test_two_who_look_for_copies_at_once_keep_the_same(channels: TwoChannels, thread: str | None) -> None:
    """Two processes that remove duplicates at once keep the first post of each part, and no other reply changes."""
    ada, grace = _message("ADA", thread=thread), _message("GRACE", thread=thread)
    for channel in (channels.one, channels.other):
        await _send(channel, ada)
    first = channels.slack.posts[:3]
    await _send(channels.one, grace)
    await asyncio.gather(channels.one.keep_one(ada, "ADA" * 8), channels.other.keep_one(ada, "ADA" * 8))

    assert channels.slack.posts[:3] == first
    assert [(part, reply_id) for _, part, reply_id in channels.shown] == [
        *[(part, "ADA" * 8) for part in range(3)],
        *[(part, "GRACE" * 8) for part in range(3)],
    ]


async def test_who_tries_again_sees_what_was_posted_since_the_look(
    channels: TwoChannels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another process posts the reply during the look-up, the new copy is deleted and the earlier one stays."""
    ada, grace = _message("ADA"), _message("GRACE")
    history = channels.slack._methods["conversations.history"]
    late = [ada, grace]

    def look(arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        page = history(arguments, workspace)
        if late:
            message = late.pop(0)
            metadata = {"event_type": "deputy_reply", "event_payload": {"reply_id": message.message_id, "part": 0}}
            post = {"channel": message.address["channel"], "text": "late", "metadata": metadata}
            channels.slack._methods["chat.postMessage"](post, workspace)
        return page

    monkeypatch.setitem(channels.slack._methods, "conversations.history", look)
    for message in (ada, grace):
        await _send(channels.other, message, again=True, text="in time")

    assert [(post.channel, post.text) for post in channels.slack.posts] == [("D0ADA", "late"), ("D0GRACE", "late")]


@pytest.mark.parametrize("reason", ["compliance_exports_prevent_deletion", "ratelimited"])
async def test_a_copy_that_cannot_be_deleted(
    channels: TwoChannels, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """A duplicate that Slack forbids deleting stays; if Slack is busy, the removal can be retried."""
    ada, grace = _message("ADA"), _message("GRACE")
    for channel in (channels.one, channels.other):
        for message in (ada, grace):
            await _send(channel, message, text="hello")

    def refuse(arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
        raise SlackError(reason)

    with monkeypatch.context() as patch:
        patch.setitem(channels.slack._methods, "chat.delete", refuse)
        if reason == "ratelimited":
            with pytest.raises(UnavailableError):
                await channels.one.keep_one(ada, ada.message_id)
        else:
            await channels.one.keep_one(ada, ada.message_id)
    await channels.one.keep_one(grace, grace.message_id)

    assert [channel for channel, _, _ in channels.shown] == ["D0ADA", "D0GRACE", "D0ADA"]


async def test_a_connection_that_breaks_after_the_post_is_not_used_again() -> None:
    """After a connection that breaks during a post, Slack's client does not post again, and the result is unclear."""
    asked: list[str] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        body = await reader.readexactly(int(head.lower().partition("content-length: ")[2].partition("\r\n")[0]))
        asked.append(json.loads(body)["channel"])
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as listener:
        channel = slack_channel(TOKEN, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
        for message in (_message("ADA"), _message("GRACE")):
            with pytest.raises(UnclearError):
                await _send(channel, message, text="hello")

    assert asked == ["D0ADA", "D0GRACE"]
