"""The sandbox's Slack hides what Slack hides, and refuses what Slack refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from app.sandbox.server import serve_loopback
from app.sandbox.slack.rates import ReadLimits
from app.sandbox.slack.sandbox import SlackSandbox
from tests.fakes.sandbox import Clock

TOKEN, THREAD = "xoxb-sandbox", "1700000000.000001"


@pytest.fixture
def slack() -> SlackSandbox:
    """Return a workspace where Ada has mentioned the bot in a channel that Grace is in too."""
    slack = SlackSandbox(signing_secret="secret", bot_token=TOKEN)
    slack.places.invite("C0ALL", "U0GRACE")
    slack.event(user="U0ADA", text="<@U0BOT> hello", channel="C0ALL", ts=THREAD, kind="app_mention")
    return slack


@pytest.fixture
async def client(slack: SlackSandbox) -> AsyncIterator[AsyncWebClient]:
    """Yield the bot's client."""
    async with serve_loopback(slack.app) as base_url:
        yield AsyncWebClient(TOKEN, base_url=f"{base_url}/api/")


@pytest.mark.parametrize(
    ("online", "thread", "replied", "seen"),
    [
        (True, None, False, True),
        (True, THREAD, True, True),
        (True, THREAD, False, False),  # the mention is not a thread yet
        (False, None, False, False),
        (False, THREAD, True, False),
    ],
)
async def test_an_ephemeral_post_is_seen_by_whom_slack_shows_it(
    slack: SlackSandbox, client: AsyncWebClient, online: bool, thread: str | None, replied: bool, seen: bool
) -> None:
    """An ephemeral post is seen only by its person while online, in a thread only if it has replies, until a reload."""
    slack.places.online = {"U0ADA", "U0GRACE"} if online else {"U0GRACE"}
    if replied:
        await client.chat_postMessage(channel="C0ALL", text="a reply", thread_ts=THREAD)
    await client.chat_postEphemeral(channel="C0ALL", user="U0ADA", text="for Ada", thread_ts=thread)
    on_screen = [post.text for post in slack.on_screen("U0ADA")]
    slack.reload("U0ADA")

    assert ("for Ada" in on_screen) == seen
    assert "for Ada" not in [post.text for post in slack.on_screen("U0ADA")]
    assert "for Ada" not in [post.text for post in slack.readable("U0ADA") + slack.on_screen("U0GRACE")]


async def test_people_read_their_own_chats_and_their_channels(slack: SlackSandbox, client: AsyncWebClient) -> None:
    """A direct message is readable by one person, and a post in a channel by its members."""
    for user in ("U0ADA", "U0GRACE"):
        channel = (await client.conversations_open(users=user))["channel"]["id"]
        await client.chat_postMessage(channel=channel, text=f"for {user}")
    await client.chat_postMessage(channel="C0ALL", text="for all")

    assert [post.text for post in slack.readable("U0ADA")] == ["for U0ADA", "for all"]
    assert [post.text for post in slack.readable("U0GRACE")] == ["for U0GRACE", "for all"]
    assert [post.text for post in slack.readable("U0MALLORY")] == []


def _archive(slack: SlackSandbox) -> None:
    slack.places["C0ALL"].is_archived = True


def _remove_bot(slack: SlackSandbox) -> None:
    slack.places["C0ALL"].members.discard("U0BOT")


def _delete_mention(slack: SlackSandbox) -> None:
    slack.places["C0ALL"].messages.discard(THREAD)


def _deactivate(slack: SlackSandbox) -> None:
    slack.members["U0ADA"] = {"deleted": True}


def _close_tab(slack: SlackSandbox) -> None:
    slack.places.refusals["chat.postMessage", "D0ADA"] = "messages_tab_disabled"


POST, SHOW, OPEN = "chat.postMessage", "chat.postEphemeral", "conversations.open"
REPLY = {"channel": "C0ALL", "thread_ts": THREAD, "text": "x"}


@pytest.mark.parametrize(
    ("before", "method", "arguments", "error"),
    [
        (_archive, POST, REPLY, "is_archived"),
        (_remove_bot, POST, REPLY, "not_in_channel"),
        (_remove_bot, "conversations.history", {"channel": "C0ALL"}, "not_in_channel"),
        (_delete_mention, POST, REPLY, "thread_not_found"),
        (_delete_mention, "conversations.replies", {"channel": "C0ALL", "ts": THREAD}, "thread_not_found"),
        (None, POST, {**REPLY, "thread_ts": "1.000002"}, "thread_not_found"),
        (None, POST, {**REPLY, "channel": "C0NOWHERE"}, "channel_not_found"),
        (None, SHOW, {**REPLY, "user": "U0MALLORY"}, "user_not_in_channel"),
        (None, POST, {"channel": "C0ALL", "text": "x" * 40_001}, "msg_too_long"),
        (_deactivate, OPEN, {"users": "U0ADA"}, "user_disabled"),
        (_close_tab, POST, {"channel": "D0ADA", "text": "x"}, "messages_tab_disabled"),
    ],
)
async def test_slack_says_why_it_refuses(
    slack: SlackSandbox,
    client: AsyncWebClient,
    before: Callable[[SlackSandbox], None] | None,
    method: str,
    arguments: dict[str, Any],
    error: str,
) -> None:
    """A call that is not allowed or no longer possible is refused with Slack's own error code, and posts nothing."""
    if before is not None:
        before(slack)
    with pytest.raises(SlackApiError) as caught:
        await client.api_call(method, json=arguments)

    assert caught.value.response["error"] == error
    assert slack.posts == []


@pytest.mark.parametrize("thread", [None, THREAD])
async def test_conversations_are_read_slowly_outside_the_marketplace(
    slack: SlackSandbox, client: AsyncWebClient, thread: str | None
) -> None:
    """A page of a conversation has 15 messages, and the next one can be read a minute later, as Retry-After says."""
    clock = Clock()
    for number in range(20):
        await client.chat_postMessage(channel="C0ALL", text=str(number), thread_ts=thread)
    slack.limit_reads(ReadLimits(now=clock))

    async def read(cursor: str) -> Any:
        arguments: dict[str, Any] = {"channel": "C0ALL", "limit": 200, "cursor": cursor}
        if thread:
            return await client.conversations_replies(ts=thread, **arguments)
        return await client.conversations_history(**arguments)

    first = await read("")
    with pytest.raises(SlackApiError) as caught:
        await read(first["response_metadata"]["next_cursor"])
    clock.now += 60
    second = await read(first["response_metadata"]["next_cursor"])

    assert (caught.value.response.status_code, caught.value.response["error"]) == (429, "ratelimited")
    assert caught.value.response.headers["Retry-After"] == "60"
    texts = [message["text"] for page in (first, second) for message in page["messages"]]
    assert len(first["messages"]) == 15
    assert sorted(map(int, texts)) == list(range(20))
    assert second["response_metadata"]["next_cursor"] == ""
