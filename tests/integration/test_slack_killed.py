"""A process is killed at any step of showing and sending an answer: another one finishes, and nothing else remains."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from app.agents.listening import TextWritten
from app.errors import UnclearError
from app.messages import StoredMessage
from app.reply import ReplyContent
from app.sandbox.slack.places import SlackError
from app.sandbox.slack.sandbox import SlackSandbox
from interfaces.slack.client import ANSWERED_DIRECTLY, SlackChannel
from interfaces.slack.lost import begun_metadata
from tests.fakes.mortal import Life, MortalNotes
from tests.fakes.notes import RememberedNotes
from tests.fakes.slack_channel import slack_channel
from tests.integration.test_slack_written import CHANNEL, THREAD, TOKEN, in_channel, message_of

FOR_EVER = 1_000_000  # steps
LINE = f"<@U0ADA> {ANSWERED_DIRECTLY}"


@dataclass(frozen=True)
class Place:
    """The message that Ada wrote in a place, and whether her answer is private there."""

    message: StoredMessage
    private: bool = True


PLACES = {
    "top": Place(message_of("ADA", None)),
    "thread": Place(message_of("ADA", THREAD)),
    "channel": Place(in_channel("ADA"), private=False),
    "private": Place(in_channel("ADA")),
}
EVERYWHERE = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
ENDS = pytest.mark.parametrize("stopped", [False, True], ids=["done-again", "stopped"])


class Stage:
    """A Slack in which Ada asked, and which shows an empty message that was just begun for Grace."""

    def __init__(self, place: Place) -> None:
        self.slack, self.notes = SlackSandbox(signing_secret="secret", bot_token=TOKEN), RememberedNotes()
        self.slack.limits = None
        self.calls: list[str] = []
        self.place = place
        for name in ("ADA", "GRACE"):
            self.slack.event(user=f"U0{name}", text="hello", channel=f"D0{name}", ts=THREAD)
            self.slack.event(user=f"U0{name}", text="hello", channel=CHANNEL, ts=THREAD)
        metadata = begun_metadata(in_channel("GRACE"))
        self._call("chat.postMessage", {"channel": CHANNEL, "thread_ts": THREAD, "text": "…", "metadata": metadata})
        self._call("chat.startStream", {"channel": "D0GRACE", "thread_ts": THREAD})

    def process(self, life: Life) -> SlackChannel:
        """Return the channel of a process that lives for these steps."""
        return MortalChannel(self, life)

    async def call(self, life: Life, method: str, **given: Any) -> AsyncSlackResponse:
        """Let a process call a method."""
        await life.step()
        self.calls.append(method)
        arguments = {name: value for part in given.values() if isinstance(part, dict) for name, value in part.items()}
        return self._call(method, arguments)

    def _call(self, method: str, arguments: dict[str, Any]) -> AsyncSlackResponse:
        try:
            data = {"ok": True, **self.slack._methods[method](json.loads(json.dumps(arguments)), "T0SANDBOX")}
        except SlackError as error:
            data = {"ok": False, "error": str(error)}
        answer: Any = AsyncSlackResponse(
            client=None, http_verb="POST", api_url=method, req_args={}, data=data, headers={}, status_code=200
        )
        answer.validate()
        return cast(AsyncSlackResponse, answer)

    def now(self, attempt: int = 1) -> StoredMessage:
        """Return Ada's message as it is stored now."""
        message = self.place.message
        return replace(message, attempt=attempt, notes=self.notes.kept.get(message.message_id))

    async def run(self, channel: SlackChannel, attempt: int = 1) -> None:
        """Write an answer, and end the message."""
        following = channel.follow(self.now(attempt))
        for words in ("Half", " of it"):
            following.tell(TextWritten(words))
            if following._task is not None:
                await following._task
        following.end()
        self.notes.ended.add(self.place.message.message_id)

    async def send(self, channel: SlackChannel, text: str, attempt: int, *, again: bool = False) -> None:
        """Send a reply as delivery does, once."""
        reply_id = f"{attempt:032x}"
        await channel.send(
            self.now(attempt), ReplyContent(text), private=self.place.private, reply_id=reply_id, again=again
        )

    async def live(self, channel: SlackChannel) -> None:
        """Run and answer the message."""
        await self.run(channel)
        await self.send(channel, "Half of it.", 1)

    async def finish(self, channel: SlackChannel, *, stopped: bool) -> Coroutine[Any, Any, None] | None:
        """Let another process finish, and return the next attempt to send the reply, if there has to be one."""
        id_, text, attempt = self.place.message.message_id, "Half of it.", 1
        again = id_ in self.notes.ended
        if stopped and not again:
            self.notes.ended.add(id_)
            text = "Stopped."
        elif not again:
            attempt = self.notes.attempts[id_] = 2
            await self.run(channel, attempt)
        try:
            await self.send(channel, text, attempt, again=again)
        except UnclearError:
            assert not again
            return self.send(channel, text, attempt, again=True)
        return None

    def check(self) -> None:
        """Assert that only the reply is there, and what was begun for Grace."""
        shown = {id_: [post.shown for post in self.slack.posts if post.channel == id_] for id_ in (CHANNEL, "D0ADA")}
        (answer,) = shown["D0ADA"] if self.place.private else shown[CHANNEL][1:]
        assert answer in ("Half of it.", "Stopped.")
        in_the_channel = ["…"]
        if self.place.message.address["channel"] == CHANNEL:
            in_the_channel.append(LINE if self.place.private else answer)
        assert shown[CHANNEL] == in_the_channel
        assert [(post.shown, self.slack.streams.is_open(post.ts)) for post in self.slack.posts][1] == ("", True)


class MortalChannel(SlackChannel):
    """Slack's channel in a process that may die."""

    def __init__(self, stage: Stage, life: Life) -> None:
        self.__dict__.update(vars(slack_channel(TOKEN, "http://slack", MortalNotes(stage.notes, life))))
        self._call = partial(stage.call, life)

    async def _client(self, message: StoredMessage) -> AsyncWebClient:
        client = await super()._client(message)
        client.api_call = self._call  # type: ignore[method-assign]
        return client


@EVERYWHERE
@ENDS
async def test_whenever_it_is_killed_only_the_reply_stays(place: Place, stopped: bool) -> None:
    """Whichever call or note a process is killed at, another process leaves only the reply."""
    for steps in range(FOR_EVER):
        stage, life = Stage(place), Life(steps)
        async with life.lived(stage.live(stage.process(life))) as is_over:
            if not is_over:
                once_more = await stage.finish(stage.process(Life(FOR_EVER)), stopped=stopped)
                if once_more is not None:
                    await once_more
        stage.check()
        if is_over:
            assert steps >= 5  # the shortest of them has this many steps
            return


@EVERYWHERE
@ENDS
@pytest.mark.parametrize("steps", range(3))
async def test_what_it_begins_late_is_found(place: Place, stopped: bool, steps: int) -> None:
    """If a frozen process begins a message after another one sent the reply and then dies, only the reply remains."""
    stage, life = Stage(place), Life(steps)
    async with life.lived(stage.live(stage.process(life))):
        once_more = await stage.finish(stage.process(Life(FOR_EVER)), stopped=stopped)
        await life.one_more()
        if once_more is not None:
            await once_more

    stage.check()


@EVERYWHERE
@pytest.mark.parametrize("runs_again", [False, True], ids=["sends", "runs-again"])
async def test_what_another_process_has_begun_since_is_finished(place: Place, runs_again: bool) -> None:
    """If an overtaken process resumes, it finishes the message that another one has begun in the meantime."""
    stage = Stage(place)
    overtaken, other = stage.process(Life(FOR_EVER)), stage.process(Life(FOR_EVER))
    id_ = place.message.message_id
    overtaken.follow(stage.now())
    stage.notes.attempts[id_] = 2
    await stage.run(other, attempt=2)
    if runs_again:
        stage.notes.ended.clear()
        stage.notes.attempts[id_] = 3
        await stage.run(overtaken, attempt=3)
    await stage.send(overtaken, "Half of it.", stage.notes.attempts[id_])

    stage.check()
    assert "chat.delete" not in stage.calls
