"""Answers in Slack that are shown while they are written, in one message that becomes the reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from app.agents.listening import TextWritten, ToolState, ToolUsed
from app.errors import UnavailableError, UnclearError
from app.messages import MessageState, StoredMessage
from app.principal import Principal
from app.reply import Button, ReplyContent
from app.sandbox.server import serve_loopback
from app.sandbox.slack.places import SlackError
from app.sandbox.slack.posts import Post
from app.sandbox.slack.sandbox import SlackSandbox
from app.sandbox.slack.streams import STREAM_SECONDS
from interfaces.slack.answers import SlackAnswers
from interfaces.slack.client import ANSWERED_DIRECTLY, SlackChannel
from interfaces.slack.drafts import AnswerBeingWritten
from tests.fakes.notes import RememberedNotes
from tests.fakes.sandbox import Clock
from tests.fakes.server import eventually
from tests.fakes.slack_channel import slack_channel

TOKEN, THREAD, CHANNEL = "xoxb-1", "1700000000.000001", "C0ALL"
PLACES = pytest.mark.parametrize("thread", [None, THREAD], ids=["top", "thread"])


@dataclass
class Stage:
    """A Slack, and the channels of two processes that share their notes."""

    slack: SlackSandbox
    notes: RememberedNotes
    one: SlackChannel
    other: SlackChannel

    def follow(self, message: StoredMessage, channel: SlackChannel | None = None) -> AnswerBeingWritten:
        """Begin the run of a message."""
        return (channel or self.one).follow(self.noted(message))

    def noted(self, message: StoredMessage) -> StoredMessage:
        """Return the message as it is stored now."""
        return replace(message, notes=self.notes.kept.get(message.message_id))

    async def answer(
        self,
        message: StoredMessage,
        content: str | ReplyContent,
        channel: SlackChannel | None = None,
        *,
        private: bool = True,
        again: bool = False,
    ) -> None:
        """End a message and send its reply, again if a message that was begun may still appear."""
        self.notes.ended.add(message.message_id)
        content = content if isinstance(content, ReplyContent) else ReplyContent(content)
        message = self.noted(message)
        reply_id = f"{message.message_id[:31]}{message.attempt}"
        try:
            await (channel or self.one).send(message, content, private=private, reply_id=reply_id, again=again)
        except UnclearError as error:
            if error.reason != "begun" or again:
                raise
            await self.answer(message, content, channel, private=private, again=True)

    def posts(self, name: str) -> list[Post]:
        """Return the posts in a person's direct chat."""
        return [post for post in self.slack.posts if post.channel == f"D0{name}"]

    async def shows(self, name: str, text: str) -> Post:
        """Return the only message in a person's direct chat, once it has this text."""
        await eventually(lambda: [post.shown for post in self.posts(name)] == [text])
        return self.posts(name)[0]

    async def shown_in_channel(self, *texts: str) -> list[str]:
        """Return the timestamps of the channel's messages, once they have exactly these texts, in any order."""

        def found() -> list[Post]:
            return [post for post in self.slack.posts if post.channel == CHANNEL]

        await eventually(lambda: sorted(post.shown for post in found()) == sorted(texts))
        return [post.ts for text in texts for post in found() if post.shown == text]

    def refuse(self, method: str, *reasons: str) -> None:
        """Have the next calls of a method refused with these codes."""
        call, waiting = self.slack._methods[method], [*reasons]

        def refusing(arguments: Any, workspace: str) -> dict[str, Any]:
            if waiting:
                raise SlackError(waiting.pop(0))
            return call(arguments, workspace)

        self.slack._methods = {**self.slack._methods, method: refusing}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Yield a stage on which nothing is posted yet."""
    slack, notes = SlackSandbox(signing_secret="secret", bot_token=TOKEN), RememberedNotes()
    for name in ("ADA", "GRACE"):
        slack.event(user=f"U0{name}", text="hello", channel=f"D0{name}", ts=THREAD)
        slack.event(user=f"U0{name}", text="hello", channel=CHANNEL, ts=THREAD)
    async with serve_loopback(slack.app) as url:
        yield Stage(slack, notes, slack_channel(TOKEN, url, notes), slack_channel(TOKEN, url, notes))


def message_of(name: str, thread: str | None, **changes: Any) -> StoredMessage:
    """Return a message in a person's direct chat that is being answered."""
    fields: dict[str, Any] = {
        "message_id": (name * 32)[:32],
        "principal": Principal("slack", "T0SANDBOX", f"U0{name}"),
        "conversation": f"D0{name}:{thread or ''}",
        "sequence": 1,
        "text": "hello",
        "address": {"channel": f"D0{name}", "thread_ts": thread, "direct": True, "workspace": "T0SANDBOX"},
        "state": MessageState.RUNNING,
        "attempt": 1,
        "interruptions": 0,
        "failures": 0,
        "answer": None,
        "link_id": None,
        "private": False,
        "created_at": 0.0,
    }
    return StoredMessage(**{**fields, **changes})


def in_channel(name: str) -> StoredMessage:
    """Return a person's mention in a channel's thread that is being answered."""
    address = {"channel": CHANNEL, "thread_ts": THREAD, "direct": False, "workspace": "T0SANDBOX"}
    return message_of(name, THREAD, address=address)


def write(follower: AnswerBeingWritten, *texts: str) -> None:
    """Let a run write texts."""
    for text in texts:
        follower.tell(TextWritten(text))


@PLACES
async def test_each_answer_appears_while_it_is_written_in_one_message(stage: Stage, thread: str | None) -> None:
    """Two people each see their own answer grow in one message, which becomes the reply."""
    ada, grace = message_of("ADA", thread), message_of("GRACE", thread)
    mine, hers = stage.follow(ada), stage.follow(grace)
    write(mine, "You have")
    write(hers, "It is")
    begun = [await stage.shows("ADA", "You have"), await stage.shows("GRACE", "It is")]
    write(mine, " two **mails**")
    write(hers, " noon")
    await stage.shows("ADA", "You have two **mails**")
    await stage.shows("GRACE", "It is noon")
    await stage.answer(ada, "You have two **mails**.")
    await stage.answer(grace, "It is noon.")

    shown = [*stage.posts("ADA"), *stage.posts("GRACE")]
    assert [post.shown for post in shown] == ["You have two **mails**.", "It is noon."]
    assert [post.ts for post in shown] == [post.ts for post in begun]
    assert [(post.metadata or {})["event_payload"]["reply_id"][:31] for post in shown] == [
        each.message_id[:31] for each in (ada, grace)
    ]
    assert {post.thread_ts for post in shown} == {thread}
    assert stage.notes.kept == {ada.message_id: None, grace.message_id: None}
    assert not any(stage.slack.streams.is_open(post.ts) for post in shown)


@PLACES
async def test_an_answer_that_comes_at_once_is_posted_as_ever(thread: str | None) -> None:
    """An answer that is complete at once is posted without a stream, a change or a note."""
    slack, notes = SlackSandbox(signing_secret="secret", bot_token=TOKEN), RememberedNotes()
    slack.event(user="U0ADA", text="hello", channel="D0ADA", ts=THREAD)
    async with serve_loopback(slack.app) as url:
        channel, message = slack_channel(TOKEN, url, notes, first_seconds=3600.0), message_of("ADA", thread)
        follower = channel.follow(message)
        write(follower, "Hello")
        follower.end()
        await channel.send(message, ReplyContent("Hello"), private=True, reply_id="a" * 32, again=False)

    assert slack.calls == ["chat.postMessage"]
    assert notes.kept == {}


async def test_in_a_channel_public_answers_grow_and_private_ones_become_a_line(stage: Stage) -> None:
    """In a channel a public answer is finished in its growing message; a private one is replaced there by the line."""
    messages = {name: in_channel(name) for name in ("ADA", "GRACE")}
    for name, message in messages.items():
        write(stage.follow(message), f"Let me see, {name}")
    begun = await stage.shown_in_channel("Let me see, ADA", "Let me see, GRACE")
    await stage.answer(messages["ADA"], "the code is 4711")
    await stage.answer(messages["GRACE"], "Let me see, GRACE: it is noon.", private=False)

    assert await stage.shown_in_channel(f"<@U0ADA> {ANSWERED_DIRECTLY}", "Let me see, GRACE: it is noon.") == begun
    assert [[post.shown for post in stage.posts(name)] for name in messages] == [["the code is 4711"], []]
    assert not {"chat.startStream", "chat.delete"} & {*stage.slack.calls}
    assert set(stage.notes.kept.values()) == {None}


async def test_after_a_crash_the_line_takes_the_place_of_what_grew_in_a_channel(stage: Stage) -> None:
    """After a crash, another process puts each reply or line into the message that was begun, exactly once."""
    messages = {name: in_channel(name) for name in ("ADA", "GRACE")}
    for name, message in messages.items():
        write(stage.follow(message), f"Let me see, {name}")
    begun = await stage.shown_in_channel("Let me see, ADA", "Let me see, GRACE")
    for _ in range(2):
        await stage.answer(messages["ADA"], "the code is 4711", stage.other, again=True)
        await stage.answer(messages["GRACE"], "It is noon.", stage.other, private=False, again=True)

    assert await stage.shown_in_channel(f"<@U0ADA> {ANSWERED_DIRECTLY}", "It is noon.") == begun
    assert [[post.shown for post in stage.posts(name)] for name in messages] == [["the code is 4711"], []]


async def test_where_the_line_stands_already_what_grew_is_taken_away(stage: Stage) -> None:
    """If the thread has the line already, a message that grew for a private reply is deleted."""
    ada = in_channel("ADA")
    await stage.answer(ada, "Send this mail?")
    again = replace(ada, attempt=2)
    stage.notes.attempts[ada.message_id] = 2
    stage.notes.ended.clear()
    write(stage.follow(again), "Sending")
    await stage.shown_in_channel(f"<@U0ADA> {ANSWERED_DIRECTLY}", "Sending")
    await stage.answer(again, "the code is 4711")

    await stage.shown_in_channel(f"<@U0ADA> {ANSWERED_DIRECTLY}")
    assert [post.shown for post in stage.posts("ADA")] == ["Send this mail?", "the code is 4711"]


@PLACES
async def test_words_before_a_tool_are_no_part_of_the_answer(stage: Stage, thread: str | None) -> None:
    """Words before a tool call are replaced as soon as the answer itself begins."""
    ada = message_of("ADA", thread)
    follower = stage.follow(ada)
    write(follower, "Let me see …")
    await stage.shows("ADA", "Let me see …")
    follower.tell(ToolUsed("gmail_search", ToolState.DONE))
    write(follower, "You have")
    await stage.shows("ADA", "You have")
    await stage.answer(ada, "You have mail")

    assert [post.shown for post in stage.posts("ADA")] == ["You have mail"]


@PLACES
async def test_after_a_crash_the_same_message_is_finished(stage: Stage, thread: str | None) -> None:
    """After a crash another process finishes the answer in the message that was begun."""
    ada, grace = message_of("ADA", thread), message_of("GRACE", thread)
    write(stage.follow(ada), "You have tw")
    write(stage.follow(grace), "It is no")
    begun = [await stage.shows("ADA", "You have tw"), await stage.shows("GRACE", "It is no")]
    # The other process repeats Ada's run; for Grace, only the reply was left to send.
    again = replace(ada, attempt=2)
    stage.notes.attempts[ada.message_id] = 2
    write(stage.follow(again, stage.other), "Two mails")
    await stage.shows("ADA", "Two mails")
    await stage.answer(again, "Two mails.", stage.other)
    await stage.answer(grace, "It is noon.", stage.other, again=True)

    assert [(post.shown, post.ts) for name in ("ADA", "GRACE") for post in stage.posts(name)] == [
        ("Two mails.", begun[0].ts),
        ("It is noon.", begun[1].ts),
    ]


@PLACES
async def test_a_reply_that_is_sent_again_changes_the_same_message(stage: Stage, thread: str | None) -> None:
    """If Slack's confirmation of a reply was lost, the next try neither doubles the message nor loses a part."""
    ada, long = message_of("ADA", thread), "\n".join(f"line {number}" for number in range(2_000))
    write(stage.follow(ada), "line 0")
    begun = await stage.shows("ADA", "line 0")
    lost = stage.noted(ada)
    await stage.answer(ada, long)
    first = [post.shown for post in stage.posts("ADA")]
    stage.notes.kept[ada.message_id] = lost.notes
    await stage.answer(ada, long, stage.other, again=True)

    assert [post.shown for post in stage.posts("ADA")] == first
    assert stage.posts("ADA")[0].ts == begun.ts
    assert "".join(first).count("line 1999") == 1
    assert len(first) == 3


@PLACES
async def test_a_question_takes_the_place_of_what_was_written(stage: Stage, thread: str | None) -> None:
    """A question with its buttons replaces the words that were written before it."""
    ada = message_of("ADA", thread)
    write(stage.follow(ada), "I will send it")
    await stage.shows("ADA", "I will send it")
    await stage.answer(
        ada, ReplyContent("Send this mail?", (Button("Approve", command="approve 3f2a"),), verbatim=True)
    )
    (post,) = stage.posts("ADA")

    assert post.shown == "Send this mail?\n[Approve]"


async def test_a_stream_that_slack_has_ended_is_gone_on_with(stage: Stage) -> None:
    """After Slack ends a stream, the same message is updated instead."""
    clock = stage.slack.streams.now = Clock()
    ada = message_of("ADA", THREAD)
    follower = stage.follow(ada)
    write(follower, "One")
    begun = await stage.shows("ADA", "One")
    clock.now += STREAM_SECONDS
    write(follower, ", two")
    await eventually(lambda: stage.slack.calls.count("chat.appendStream") == 2)
    write(follower, ", three")
    await stage.shows("ADA", "One, two, three")
    await stage.answer(ada, "One, two, three, four")

    assert [(post.shown, post.ts) for post in stage.posts("ADA")] == [("One, two, three, four", begun.ts)]


@pytest.mark.parametrize("reason", ["cant_update_message", "edit_window_closed", "block_mismatch", "message_not_found"])
async def test_a_message_that_cannot_be_changed_is_replaced(stage: Stage, reason: str) -> None:
    """A message that cannot be changed is deleted and the reply is posted; another person's is changed as usual."""
    for name in ("ADA", "GRACE"):
        write(stage.follow(message_of(name, None)), "Half")
        await stage.shows(name, "Half")
    stage.refuse("chat.update", reason)
    await stage.answer(message_of("ADA", None), "Whole")
    await stage.answer(message_of("GRACE", None), "Whole")

    assert [post.shown for post in stage.posts("ADA") + stage.posts("GRACE")] == ["Whole", "Whole"]


async def test_slack_is_not_asked_more_often_than_it_allows(stage: Stage) -> None:
    """After a rate limit nothing more is shown, and the reply waits and then changes the same message."""
    ada = message_of("ADA", None)
    follower = stage.follow(ada)
    write(follower, "Half")
    begun = await stage.shows("ADA", "Half")
    assert stage.slack.limits is not None
    stage.slack.limits.per_minute["chat.update"] = 0
    write(follower, " of")
    await eventually(lambda: stage.slack.limits and stage.slack.limits.refused["chat.update"] == 1)
    write(follower, " it", " all")
    with pytest.raises(UnavailableError) as caught:
        await stage.answer(ada, "Whole")
    stage.slack.limits.per_minute["chat.update"] = 50
    await stage.answer(ada, "Whole", stage.other, again=True)

    assert caught.value.retry_after > 0
    assert stage.slack.limits.refused["chat.update"] == 2  # by a text, and by the reply
    assert [(post.shown, post.ts) for post in stage.posts("ADA")] == [("Whole", begun.ts)]


async def test_so_many_answers_at_once_are_not_all_streamed(stage: Stage) -> None:
    """With more answers at once than Slack's rates allow, the rest are shown only when they are complete."""
    messages = [message_of("ADA", THREAD, message_id=f"{number:032x}") for number in range(30)]
    for message in messages:
        write(stage.follow(message), f"half of {message.message_id}")
    await eventually(lambda: len([post for post in stage.posts("ADA") if post.text]) >= 12)
    for message in messages:
        await stage.answer(message, f"half of {message.message_id} and the rest")

    assert stage.slack.limits is not None
    assert not stage.slack.limits.refused
    assert sorted(post.shown for post in stage.posts("ADA")) == sorted(
        f"half of {message.message_id} and the rest" for message in messages
    )


@PLACES
async def test_nobody_is_called_by_half_a_word(stage: Stage, thread: str | None) -> None:
    """Quoted markup mentions nobody and hides no link, even if it is cut in the middle."""
    ada = message_of("ADA", thread)
    follower = stage.follow(ada)
    pieces = ["See <", "!chan", "nel> and [your bank", "](http", "s://evil.example) <@U0GR", "ACE>"]
    seen = []
    for number in range(len(pieces)):
        write(follower, pieces[number])
        await eventually(lambda: follower._task is not None and follower._task.done())
        seen.append(stage.posts("ADA")[0].shown)
    await stage.answer(ada, "".join(pieces))
    seen += [post.shown for post in stage.posts("ADA")]

    assert not any(bad in text for text in seen for bad in ("<!channel>", "](https:", "<@U0GRACE>"))
    assert "https://evil.example" in seen[-1]


@PLACES
async def test_an_overtaken_process_takes_back_what_it_began(stage: Stage, thread: str | None) -> None:
    """If a message ends just as its answer begins to be shown, only the answer remains."""
    ada, keep = message_of("ADA", thread), stage.notes.keep

    async def ending(message: StoredMessage, notes: Any, *, while_open: bool) -> bool:
        kept = await keep(message, notes, while_open=while_open)
        stage.notes.ended.add(ada.message_id)
        return kept

    stage.notes.keep = ending  # type: ignore[method-assign]
    write(stage.follow(ada), "late")
    await eventually(lambda: "chat.delete" in stage.slack.calls)
    stage.notes.keep = keep  # type: ignore[method-assign]
    await stage.answer(ada, "Answer", stage.other)

    assert [post.shown for post in stage.posts("ADA")] == ["Answer"]


async def test_words_are_not_kept_for_ever() -> None:
    """The words of a message that another process has answered are dropped within the hour; newer ones are kept."""
    clock = Clock()
    answers = SlackAnswers(RememberedNotes(), now=clock)
    old, new = message_of("ADA", None), message_of("GRACE", None)

    async def no_client() -> Any:
        raise UnavailableError("not asked for")

    answers.follow(old, no_client)
    clock.now += 3600.0
    following = answers.follow(new, no_client)

    assert (answers._written.find(old), answers._written.find(new)) == (None, following)


@PLACES
async def test_a_message_that_nobody_could_note_is_taken_away(stage: Stage, thread: str | None) -> None:
    """If a process dies before it notes a message that it began, that one is removed and the answer is posted."""
    for name in ("ADA", "GRACE"):
        write(stage.follow(message_of(name, thread)), "x")
        await stage.shows(name, "x")
    keep, ada, died = stage.notes.keep, message_of("ADA", thread, message_id="a" * 32), asyncio.Event()

    async def dying(message: StoredMessage, notes: Any, *, while_open: bool) -> bool:
        if notes["draft"]["ts"]:
            died.set()
            raise RuntimeError("killed")
        return await keep(message, notes, while_open=while_open)

    stage.notes.keep = dying  # type: ignore[method-assign]
    write(stage.follow(ada), "lost")
    await died.wait()  # Slack shows the message before its response arrives
    assert len(stage.posts("ADA")) == 2
    stage.notes.keep = keep  # type: ignore[method-assign]
    await stage.answer(ada, "Answer", stage.other, again=True)

    assert sorted(post.shown for post in stage.posts("ADA")) == ["Answer", "x"]
    assert [post.shown for post in stage.posts("GRACE")] == ["x"]


@PLACES
async def test_a_process_that_was_overtaken_shows_no_more(stage: Stage, thread: str | None) -> None:
    """A process that was overtaken does not change the other process's answer."""
    ada = message_of("ADA", thread)
    follower = stage.follow(ada)
    write(follower, "Half")
    await stage.shows("ADA", "Half")
    stage.notes.attempts[ada.message_id] = 2
    await stage.answer(replace(ada, attempt=2), "Whole", stage.other)
    write(follower, " of it")
    await eventually(lambda: follower._task is not None and follower._task.done())

    assert [post.shown for post in stage.posts("ADA")] == ["Whole"]


@PLACES
async def test_after_a_while_it_is_said_what_is_done(stage: Stage, thread: str | None) -> None:
    """Each person is shown what is being done: in a thread as Slack's status, otherwise in the growing message."""
    people = {"ADA": "searching your mail", "GRACE": "waiting for the model"}
    for name, doing in people.items():
        message = message_of(name, thread)
        stage.follow(message)
        for words in (None, doing, doing):
            await stage.one.show_working(message, words)
        if thread is None:
            await stage.shows(name, f"_I'm {doing}…_")
    statuses = {name: [*stage.slack.places[f"D0{name}"].statuses.get(THREAD, [])] for name in people}
    for name in people:
        await stage.answer(message_of(name, thread), f"Answer for {name}")
        await stage.one.show_idle(message_of(name, thread))

    assert statuses == {name: [f"is {doing}…"] if thread else [] for name, doing in people.items()}
    assert [post.shown for name in people for post in stage.posts(name)] == [f"Answer for {name}" for name in people]
    assert all(stage.slack.places[f"D0{name}"].statuses.get(THREAD, [""])[-1] == "" for name in people)
