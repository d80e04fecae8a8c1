"""A private answer is posted in its person's direct chat, where they can read it at any time."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from app.errors import UnavailableError, UndeliverableError
from app.messages import MessageState, StoredMessage
from app.principal import Principal
from app.reply import ReplyContent
from app.sandbox.server import serve_loopback
from app.sandbox.slack.places import SlackError
from app.sandbox.slack.rates import ReadLimits
from app.sandbox.slack.sandbox import SlackSandbox
from interfaces.slack.client import ANSWERED_DIRECTLY, CANNOT_WRITE_DIRECTLY, SlackChannel
from interfaces.slack.copies import CopyFinder
from tests.fakes.sandbox import Clock
from tests.fakes.slack_channel import slack_channel

TOKEN, CHANNEL = "xoxb-sandbox", "C0ALL"
MENTIONS = {"ADA": "1700000000.000001", "GRACE": "1700000000.000002"}
SECRET = "the code is 4711"


@dataclass
class Team:
    """A Slack in which Ada and Grace have each mentioned the bot in one channel, and the channel adapter.

    Attributes:
        clock: The clock for the rate limits and the look-ups.
    """

    slack: SlackSandbox
    channel: SlackChannel
    clock: Clock

    async def answer(self, name: str, *, private: bool = True, again: bool = False, text: str | None = None) -> None:
        """Answer what this person wrote in the channel."""
        text = text or f"{SECRET} for {name}"
        await self.channel.send(mention(name), ReplyContent(text), private=private, reply_id=name * 8, again=again)

    def read_by(self, name: str) -> list[str]:
        """Return what this person finds when they look later."""
        return [post.text for post in self.slack.readable(f"U0{name}")]

    def in_channel(self) -> list[tuple[str | None, str]]:
        """Return what everybody in the channel can read: the thread and the text of each post."""
        return [(post.thread_ts, post.text) for post in self.slack.posts if post.channel == CHANNEL]

    def refuse(self, method: str, where: str, reason: str) -> None:
        """Have every such call refused from now on."""
        call = self.slack._methods[method]

        def refusing(arguments: Mapping[str, Any], workspace: str) -> dict[str, Any]:
            if where in (arguments.get("channel"), arguments.get("users")):
                raise SlackError(reason)
            return call(arguments, workspace)

        self.slack._methods = {**self.slack._methods, method: refusing}


@pytest.fixture
async def team() -> AsyncIterator[Team]:
    """Yield a team in which nobody is online and no mention has a thread yet."""
    slack, clock = SlackSandbox(signing_secret="secret", bot_token=TOKEN), Clock()
    for name, ts in MENTIONS.items():
        slack.event(user=f"U0{name}", text="<@U0BOT> hello", channel=CHANNEL, ts=ts, kind="app_mention")
    async with serve_loopback(slack.app) as url:
        yield Team(slack, slack_channel(TOKEN, url, copies=CopyFinder(clock)), clock)


def mention(name: str) -> StoredMessage:
    """Return this person's message at the top level of the channel."""
    thread = MENTIONS[name]
    return StoredMessage(
        message_id=name * 8,
        principal=Principal("slack", "T0SANDBOX", f"U0{name}"),
        conversation=f"{CHANNEL}:{thread}",
        sequence=1,
        text="hello",
        address={"channel": CHANNEL, "thread_ts": thread, "direct": False, "workspace": "T0SANDBOX"},
        state=MessageState.DONE,
        attempt=1,
        interruptions=0,
        failures=0,
        answer=SECRET,
        link_id=None,
        private=True,
        created_at=0.0,
    )


async def test_a_private_word_is_in_the_direct_chat_and_the_thread_says_so(team: Team) -> None:
    """Each private answer is in its person's direct chat, and the thread gets only one line that says so."""
    for name in MENTIONS:
        await team.answer(name)

    for name, thread in MENTIONS.items():
        assert f"{SECRET} for {name}" in team.read_by(name)
        assert (thread, f"<@U0{name}> {ANSWERED_DIRECTLY}") in team.in_channel()
    assert len(team.in_channel()) == 2
    assert not any(SECRET in text for _, text in team.in_channel())
    assert f"{SECRET} for ADA" not in team.read_by("GRACE")


async def test_a_thread_is_told_once_a_message(team: Team) -> None:
    """Three private replies to one message are three direct messages, but one public line."""
    for reply_id in ("a" * 32, "b" * 32, "c" * 32):
        await team.channel.send(
            mention("ADA"), ReplyContent(reply_id[:3]), private=True, reply_id=reply_id, again=False
        )

    assert [text for text in team.read_by("ADA") if len(text) == 3] == ["aaa", "bbb", "ccc"]
    assert len(team.in_channel()) == 1


@pytest.mark.parametrize(
    ("method", "where", "reason"),
    [
        ("conversations.open", "U0ADA", "user_disabled"),
        ("conversations.open", "U0ADA", "user_not_visible"),
        ("conversations.open", "U0ADA", "missing_scope"),
        ("conversations.open", "U0ADA", "cannot_dm_bot"),
        ("chat.postMessage", "D0ADA", "messages_tab_disabled"),
        ("chat.postMessage", "D0ADA", "restricted_action"),
    ],
)
async def test_where_no_direct_chat_opens_that_is_said_in_public(
    team: Team, method: str, where: str, reason: str
) -> None:
    """If the direct chat cannot be used, the thread says so without the answer, and Slack's error is reported."""
    team.refuse(method, where, reason)
    with pytest.raises(UndeliverableError) as caught:
        await team.answer("ADA")
    await team.answer("GRACE")

    assert caught.value.reason == reason
    assert team.in_channel() == [
        (MENTIONS["ADA"], f"<@U0ADA> {CANNOT_WRITE_DIRECTLY}"),
        (MENTIONS["GRACE"], f"<@U0GRACE> {ANSWERED_DIRECTLY}"),
    ]
    assert f"{SECRET} for GRACE" in team.read_by("GRACE")


@pytest.mark.parametrize("reason", ["thread_not_found", "is_archived", "not_in_channel"])
async def test_a_private_word_arrives_though_its_thread_is_gone(team: Team, reason: str) -> None:
    """If its thread is gone, a private answer still arrives, without the public line."""
    team.slack.places.refusals["chat.postMessage", CHANNEL] = reason
    await team.answer("ADA")

    assert team.read_by("ADA") == [f"{SECRET} for ADA"]


def _archive(slack: SlackSandbox) -> None:
    slack.places[CHANNEL].is_archived = True


def _remove_bot(slack: SlackSandbox) -> None:
    slack.places[CHANNEL].members.discard("U0BOT")


def _delete_mention(slack: SlackSandbox) -> None:
    slack.places[CHANNEL].messages.discard(MENTIONS["ADA"])


def _lock(slack: SlackSandbox) -> None:
    slack.places.refusals["chat.postMessage", CHANNEL] = "restricted_action_thread_locked"


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("close", [_archive, _remove_bot, _delete_mention, _lock])
async def test_an_answer_goes_where_its_person_can_still_be_reached(
    team: Team, caplog: pytest.LogCaptureFixture, close: Callable[[SlackSandbox], None], again: bool
) -> None:
    """If a place is closed for good, a public answer goes to the direct chat at once, and the reason is logged."""
    close(team.slack)
    with caplog.at_level(logging.WARNING):
        await team.answer("ADA", private=False, again=again)

    assert [post.channel for post in team.slack.posts] == ["D0ADA"]
    assert team.read_by("ADA")[-1] == f"{SECRET} for ADA"
    assert "Slack refused it: " in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "reason", ["account_inactive", "token_revoked", "invalid_auth", "missing_scope", "msg_too_long"]
)
async def test_what_is_refused_everywhere_is_given_up(team: Team, reason: str) -> None:
    """An answer that Slack would refuse everywhere is given up with Slack's error, and is not tried elsewhere."""
    team.refuse("chat.postMessage", CHANNEL, reason)
    with pytest.raises(UndeliverableError) as caught:
        await team.answer("ADA", private=False)

    assert caught.value.reason == reason
    assert team.slack.posts == []


async def test_what_passes_is_tried_later_where_it_was(team: Team) -> None:
    """After a temporary or an unknown error, a public answer is kept to be retried in the same place."""
    for reason in ("service_unavailable", "some_new_word"):
        team.refuse("chat.postMessage", CHANNEL, reason)
        with pytest.raises(UnavailableError) as caught:
            await team.answer("ADA", private=False)
        assert (caught.value.reason, team.slack.posts) == (reason, [])


@pytest.mark.parametrize("private", [False, True])
async def test_a_look_goes_on_where_it_was_refused(team: Team, private: bool) -> None:
    """With Slack's limit of one page a minute, the look-up for a posted reply resumes at its last page."""
    for name in ("ADA", "GRACE"):
        await team.answer(name, private=private)
    texts = [post.text for post in team.slack.posts]
    channel, thread = ("D0ADA", None) if private else (CHANNEL, MENTIONS["ADA"])
    for number in range(40):
        later = {"channel": channel, "thread_ts": thread, "text": f"later {number}"}
        team.slack._methods["chat.postMessage"](later, "T0SANDBOX")
    limits = ReadLimits(now=team.clock)
    team.slack.limit_reads(limits)
    waits = []
    for _ in range(20):
        try:
            await team.answer("ADA", private=private, again=True)
            break
        except UnavailableError as error:
            waits.append(error.retry_after)
            team.clock.now += error.retry_after

    assert [post.text for post in team.slack.posts if not post.text.startswith("later")] == texts
    assert waits == [pytest.approx(60)] * 2
    assert limits.refused == 2


async def test_nobody_asks_while_slack_has_asked_to_wait(team: Team) -> None:
    """While Slack has asked to wait, further look-ups in the same workspace wait without calling Slack."""
    limits = ReadLimits(now=team.clock)
    team.slack.limit_reads(limits)
    limits.take("conversations.replies", "T0SANDBOX")
    refusals = []
    for name in ("ADA", "GRACE", "ADA"):
        with pytest.raises(UnavailableError) as caught:
            await team.answer(name, private=False, again=True)
        refusals.append(caught.value.retry_after)
        team.clock.now += 10

    assert refusals == [60, 50, 40]
    assert limits.refused == 1
    assert team.slack.posts == []
