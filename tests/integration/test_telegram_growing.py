"""Answers in Telegram's groups that are shown while they are written, in one message that becomes the reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.agents.listening import TextWritten, ToolState, ToolUsed
from app.errors import UnavailableError
from app.messages import StoredMessage
from app.reply import Button, ReplyContent
from app.sandbox.telegram.rates import SendLimits
from app.sandbox.telegram.refusal import TelegramRefusedError
from interfaces.telegram.client import ANSWERED_DIRECTLY, CANNOT_WRITE_DIRECTLY, TelegramChannel
from interfaces.telegram.growing import GroupAnswer, GroupAnswers
from interfaces.telegram.pace import Pace
from interfaces.telegram.posting import BotMessages
from tests.fakes.notes import RememberedNotes
from tests.fakes.sandbox import Clock
from tests.fakes.server import eventually
from tests.fakes.telegram import ADA, GRACE, GROUP, TelegramStage, telegram_stage, told

SECRET = "the code is 4711"


class Stage:
    """A group in Telegram, and the channels of two processes that share their notes."""

    def __init__(self, telegram: TelegramStage, notes: RememberedNotes) -> None:
        self.telegram, self.notes, self.one = telegram.telegram, notes, telegram.channel
        self.followers: list[GroupAnswer] = []
        self.other = self.process()

    def process(self, pace: Pace | None = None, seconds: float = 0.0) -> TelegramChannel:
        """Return the channel of another process."""
        one, pace = self.one, pace or Pace(0.0, 0.0)
        posting = BotMessages(one._api, one._upgrades)
        answers = GroupAnswers(posting, self.notes, pace, seconds=seconds)
        return TelegramChannel(one._api, posting, one._drafts, answers, pace, one._upgrades)

    def noted(self, message: StoredMessage) -> StoredMessage:
        """Return the message as it is stored now."""
        return replace(message, notes=self.notes.kept.get(message.message_id))

    def write(self, message: StoredMessage, *texts: str, channel: TelegramChannel | None = None) -> GroupAnswer:
        """Let a run begin and write, and return its follower."""
        follower = (channel or self.one).follow(self.noted(message))
        assert follower is not None
        for text in texts:
            follower.tell(TextWritten(text, public=True))
        self.followers.append(follower)
        return follower

    async def answer(
        self,
        message: StoredMessage,
        content: ReplyContent | str,
        channel: TelegramChannel | None = None,
        *,
        private: bool,
        again: bool = False,
    ) -> None:
        """End a message, and send its reply."""
        self.notes.ended.add(message.message_id)
        content = content if isinstance(content, ReplyContent) else ReplyContent(content)
        reply_id = f"{message.message_id[:31]}{message.attempt}"
        await (channel or self.one).send(self.noted(message), content, private=private, reply_id=reply_id, again=again)

    async def shown(self, *texts: str) -> list[int]:
        """Return the ids of the group's messages, once they have exactly these texts, in any order.

        It also waits until each process has noted what it has shown.
        """
        await eventually(
            lambda: (
                sorted(self.texts(GROUP)) == sorted(texts)
                and all(each._task is None or each._task.done() for each in self.followers)
            )
        )
        return [each.message_id for text in texts for each in self.telegram.chats.in_chat(GROUP) if each.text == text]

    def texts(self, chat: int) -> list[str]:
        """Return the texts that the bot sent to a chat."""
        return [each.text for each in self.telegram.chats.in_chat(chat)]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Yield a stage on which nothing has been sent, without Telegram's rate limits."""
    notes = RememberedNotes()
    async with telegram_stage(notes=notes) as telegram:
        yield Stage(telegram, notes)


async def test_public_answers_grow_and_private_ones_become_a_line(stage: Stage) -> None:
    """A public answer is finished in its growing message; a private one is replaced there by the line."""
    ada, grace = told(ADA, group=GROUP), told(GRACE, group=GROUP)
    stage.write(ada, "Let me see")
    begun = await stage.shown("Let me see")
    following = stage.write(grace, "It is")
    begun = await stage.shown("Let me see", "It is")
    following.tell(TextWritten(" **noon**", public=True))
    await stage.shown("Let me see", "It is noon")
    await stage.answer(ada, SECRET, private=True)
    await stage.answer(grace, "It is **noon**.", private=False)

    assert await stage.shown(ANSWERED_DIRECTLY, "It is noon.") == begun
    assert (stage.texts(ADA), stage.texts(GRACE)) == ([SECRET], [])
    assert [each.reply_to for each in stage.telegram.chats.in_chat(GROUP)] == [5, 5]
    assert stage.telegram.chats.in_chat(GROUP)[1].entities[0]["type"] == "bold"


async def test_after_a_crash_another_process_finishes_the_same_messages(stage: Stage) -> None:
    """After a crash another process finishes each message exactly once, with private text only in the private chat."""
    ada, grace = told(ADA, group=GROUP), told(GRACE, group=GROUP)
    stage.write(ada, "Let me see")
    await stage.shown("Let me see")
    stage.write(grace, "It is")
    begun = await stage.shown("Let me see", "It is")
    for _ in range(2):
        await stage.answer(ada, SECRET, stage.other, private=True, again=True)
        await stage.answer(grace, "It is noon.", stage.other, private=False, again=True)

    assert await stage.shown(ANSWERED_DIRECTLY, "It is noon.") == begun
    assert (stage.texts(ADA), stage.texts(GRACE)) == ([SECRET], [])


async def test_a_run_that_another_process_does_again_goes_on_in_the_same_message(stage: Stage) -> None:
    """A run that another process repeats uses the same message, and the first process changes it no more."""
    ada = told(ADA, group=GROUP)
    overtaken = stage.write(ada, "Half of")
    begun = await stage.shown("Half of")
    again = replace(ada, attempt=2)
    stage.notes.attempts[ada.message_id] = 2
    stage.write(again, "Once more", channel=stage.other)
    await stage.shown("Once more")
    overtaken.tell(TextWritten(" it", public=True))
    await overtaken.close()
    await stage.answer(again, "Once more, whole.", stage.other, private=False)

    assert await stage.shown("Once more, whole.") == begun


async def test_a_message_whose_id_nobody_noted_holds_public_words_only(stage: Stage) -> None:
    """If a process dies before it noted a message's id, the reply is sent beside that message's public text."""
    ada, keep, died = told(ADA, group=GROUP), stage.notes.keep, asyncio.Event()

    async def dying(message: StoredMessage, notes: Mapping[str, Any] | None, *, while_open: bool) -> bool:
        if notes and notes["growing"]["message_id"]:
            died.set()
            raise RuntimeError("killed")
        return await keep(message, notes, while_open=while_open)

    stage.notes.keep = dying  # type: ignore[method-assign]
    stage.write(ada, "Let me see")
    await stage.shown("Let me see")
    await died.wait()  # Telegram shows the message before its response arrives
    stage.notes.keep = keep  # type: ignore[method-assign]
    await stage.answer(ada, SECRET, stage.other, private=True, again=True)

    await stage.shown("Let me see", ANSWERED_DIRECTLY)
    assert stage.texts(ADA) == [SECRET]


async def test_a_message_that_ends_while_its_answer_is_begun_is_answered_alone(stage: Stage) -> None:
    """If a message ends just as its answer begins to be shown, only the answer remains."""
    ada, keep = told(ADA, group=GROUP), stage.notes.keep

    async def ending(message: StoredMessage, notes: Mapping[str, Any] | None, *, while_open: bool) -> bool:
        kept = await keep(message, notes, while_open=while_open)
        stage.notes.ended.add(message.message_id)
        return kept

    stage.notes.keep = ending  # type: ignore[method-assign]
    stage.write(ada, "late")
    await eventually(lambda: "deleteMessage" in stage.telegram.calls)
    await stage.answer(ada, "Answer", stage.other, private=False)

    assert len(await stage.shown("Answer")) == 1


async def test_words_before_a_tool_are_no_part_of_the_answer(stage: Stage) -> None:
    """Words before a tool call are replaced when the answer itself begins, or by a question with its buttons."""
    ada = told(ADA, group=GROUP)
    following = stage.write(ada, "Let me see")
    begun = await stage.shown("Let me see")
    following.tell(ToolUsed("clock_now", ToolState.DONE))
    following.tell(TextWritten("It is", public=True))
    await stage.shown("It is")
    question = ReplyContent("Shall I?", (Button("Approve", command="approve 3f2a"),), verbatim=True)
    await stage.answer(ada, question, private=False)

    assert await stage.shown("Shall I?") == begun
    assert stage.telegram.chats.in_chat(GROUP)[0].button("Approve") == "approve 3f2a"


async def test_where_the_line_stands_already_what_grew_is_taken_away(stage: Stage) -> None:
    """If the group has the line already, a message that grew for a private reply is deleted."""
    ada = told(ADA, group=GROUP)
    await stage.answer(ada, "Shall I?", private=True)
    again = replace(ada, attempt=2)
    stage.notes.attempts[ada.message_id] = 2
    stage.notes.ended.clear()
    stage.write(again, "Doing it")
    await stage.shown(ANSWERED_DIRECTLY, "Doing it")
    await stage.answer(again, SECRET, private=True)

    await stage.shown(ANSWERED_DIRECTLY)
    assert stage.texts(ADA) == ["Shall I?", SECRET]


async def test_who_never_started_the_private_chat_is_told_so_in_place_of_what_grew(stage: Stage) -> None:
    """If a person has no private chat, the growing message is replaced by how to start one."""
    stage.telegram.chats.started.discard(ADA)
    ada = told(ADA, group=GROUP)
    stage.write(ada, "Let me see")
    begun = await stage.shown("Let me see")
    with pytest.raises(Exception, match="Telegram refused it"):
        await stage.answer(ada, SECRET, private=True)

    assert await stage.shown(CANNOT_WRITE_DIRECTLY.format(username="deputy_bot")) == begun


@pytest.mark.parametrize("refusal", ["message can't be edited", "message to edit not found"])
async def test_a_message_that_cannot_be_edited_is_replaced(stage: Stage, refusal: str) -> None:
    """A message that cannot be edited is replaced by a new one with the reply."""
    ada, edit = told(ADA, group=GROUP), stage.telegram._methods["editMessageText"]
    stage.write(ada, "Half of it")
    (begun,) = await stage.shown("Half of it")

    def refusing(_: object) -> None:
        raise TelegramRefusedError(400, f"Bad Request: {refusal}")

    stage.telegram._methods = {**stage.telegram._methods, "editMessageText": refusing}
    await stage.answer(ada, "Whole", private=False)
    stage.telegram._methods = {**stage.telegram._methods, "editMessageText": edit}

    assert await stage.shown("Whole") != [begun]


async def test_the_limits_of_a_group_are_kept(stage: Stage) -> None:
    """Edits keep to the group's rate limit like messages, so Telegram refuses nothing, and the reply is complete."""
    clock = Clock()
    limits = stage.telegram.limits = SendLimits(chat_seconds=0.0, group_per_minute=2, now=clock)
    channel = stage.process(Pace(0.0, 30.0, now=clock))
    ada = told(ADA, group=GROUP)
    following = stage.write(ada, "One", channel=channel)
    begun = await stage.shown("One")
    following.tell(TextWritten(", two", public=True))
    with pytest.raises(UnavailableError) as raised:
        await stage.answer(ada, "One, two, three", channel, private=False)
    clock.now += raised.value.retry_after
    await stage.answer(ada, "One, two, three", channel, private=False)

    assert raised.value.retry_after == 30.0
    assert await stage.shown("One, two, three") == begun
    assert (limits.refused, stage.telegram.calls.count("editMessageText")) == (0, 1)


async def test_a_group_that_asks_to_wait_is_obeyed(stage: Stage) -> None:
    """After a 429 the reply waits for the time that Telegram asked for, and then changes the same message."""
    clock, ada = Clock(), told(ADA, group=GROUP)
    channel = stage.process(Pace(0.0, 0.0, now=clock))
    following = stage.write(ada, "One", channel=channel)
    begun = await stage.shown("One")
    stage.telegram.chats.refusals[GROUP] = TelegramRefusedError(429, "Too Many Requests", retry_after=7)
    following.tell(TextWritten(", two", public=True))
    await eventually(lambda: stage.telegram.calls.count("editMessageText") == 1 and following._task)
    del stage.telegram.chats.refusals[GROUP]
    with pytest.raises(UnavailableError) as raised:
        await stage.answer(ada, "One, two, three", channel, private=False)
    clock.now += 7
    await stage.answer(ada, "One, two, three", channel, private=False)

    assert raised.value.retry_after == 7.0
    assert await stage.shown("One, two, three") == begun
    assert stage.telegram.calls.count("editMessageText") == 2
