"""A process is killed at any step of answering in a Telegram group: another one finishes, and little else remains."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from app.agents.listening import TextWritten
from app.messages import StoredMessage
from app.reply import ReplyContent
from interfaces.telegram.client import ANSWERED_DIRECTLY, TelegramChannel
from interfaces.telegram.growing import GroupAnswers, GrowingMessage
from interfaces.telegram.pace import Pace
from interfaces.telegram.posting import BotMessages
from tests.fakes.mortal import Life, MortalNotes
from tests.fakes.notes import RememberedNotes
from tests.fakes.telegram import ADA, GRACE, GROUP, TelegramStage, telegram_stage, told

FOR_EVER = 1_000_000  # steps


class MortalMessages(BotMessages):
    """The messages of one process, in which each call is a step of its life."""

    def __init__(self, channel: TelegramChannel, life: Life) -> None:
        super().__init__(channel._api, channel._upgrades)
        self._life = life

    async def send(self, *arguments: Any) -> int:
        """Send a message."""
        await self._life.step()
        return await super().send(*arguments)

    async def edit(self, *arguments: Any) -> None:
        """Edit a message."""
        await self._life.step()
        await super().edit(*arguments)

    async def delete(self, *arguments: Any) -> None:
        """Delete a message."""
        await self._life.step()
        await super().delete(*arguments)


class Stage:
    """A group in which Ada has asked something."""

    def __init__(self, telegram: TelegramStage, *, private: bool) -> None:
        self.telegram, self.notes, self.private = telegram, RememberedNotes(), private
        self.message = told(ADA, group=GROUP)
        telegram.telegram.chats.sent.clear()

    def process(self, life: Life) -> TelegramChannel:
        """Return the channel of a process that lives for these steps."""
        one, pace = self.telegram.channel, Pace(0.0, 0.0)
        posting = MortalMessages(one, life)
        answers = GroupAnswers(posting, MortalNotes(self.notes, life), pace, seconds=0.0)
        return TelegramChannel(one._api, posting, one._drafts, answers, pace, one._upgrades)

    def now(self, attempt: int = 1) -> StoredMessage:
        """Return Ada's message as it is stored now."""
        return replace(self.message, attempt=attempt, notes=self.notes.kept.get(self.message.message_id))

    async def run(self, channel: TelegramChannel, attempt: int = 1) -> None:
        """Write an answer, and end the message."""
        following = channel.follow(self.now(attempt))
        assert following is not None
        for words in ("Half", " of it"):
            following.tell(TextWritten(words, public=True))
            if following._task is not None:
                await following._task
        following.end()
        self.notes.ended.add(self.message.message_id)

    async def send(self, channel: TelegramChannel, text: str, attempt: int, *, again: bool = False) -> None:
        """Send a reply as delivery does, once."""
        reply_id = f"{attempt:032x}"
        await channel.send(self.now(attempt), ReplyContent(text), private=self.private, reply_id=reply_id, again=again)

    async def live(self, channel: TelegramChannel) -> None:
        """Run and answer the message."""
        await self.run(channel)
        await self.send(channel, "Half of it.", 1)

    async def finish(self, channel: TelegramChannel, *, stopped: bool) -> None:
        """Let another process finish."""
        id_ = self.message.message_id
        if id_ in self.notes.ended:
            await self.send(channel, "Half of it.", 1, again=True)
        elif stopped:
            self.notes.ended.add(id_)
            await self.send(channel, "Stopped.", 1)
        else:
            self.notes.attempts[id_] = 2
            await self.run(channel, 2)
            await self.send(channel, "Half of it.", 2)

    def is_lost(self) -> bool:
        """Return whether a message may exist whose id was not noted."""
        noted = GrowingMessage.noted(self.now())
        return noted is not None and not noted.message_id

    def check(self, *, lost: bool) -> None:
        """Assert that only the reply is there, and at most a public beginning whose id was lost."""
        group = [each.text for each in self.telegram.telegram.chats.in_chat(GROUP)]
        private = {each.text for each in self.telegram.telegram.chats.in_chat(ADA)}
        if lost and group[0] == "Half":
            del group[0]
        (answer,) = private if self.private else group
        assert answer in ("Half of it.", "Stopped.")
        assert group == [ANSWERED_DIRECTLY if self.private else answer]
        assert self.telegram.telegram.chats.in_chat(GRACE) == []


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStage]:
    """Yield a Telegram without messages and without rate limits."""
    async with telegram_stage() as telegram:
        yield telegram


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize("stopped", [False, True], ids=["done-again", "stopped"])
async def test_whenever_it_is_killed_only_the_reply_stays(
    telegram: TelegramStage, private: bool, stopped: bool
) -> None:
    """Whichever call or note a process is killed at, only the reply remains, or a message whose id was not noted."""
    losses = 0
    for steps in range(FOR_EVER):
        stage, life = Stage(telegram, private=private), Life(steps)
        lost = False
        async with life.lived(stage.live(stage.process(life))) as is_over:
            if not is_over:
                lost = stage.is_lost()
                await stage.finish(stage.process(Life(FOR_EVER)), stopped=stopped)
        stage.check(lost=lost)
        losses += lost
        if is_over:
            assert losses == 2  # right before and right after the message is sent
            return


async def test_what_another_process_has_begun_since_is_finished(telegram: TelegramStage) -> None:
    """If an overtaken process resumes, it finishes the message that another one has begun in the meantime."""
    stage = Stage(telegram, private=False)
    overtaken, other = stage.process(Life(FOR_EVER)), stage.process(Life(FOR_EVER))
    id_ = stage.message.message_id
    overtaken.follow(stage.now())
    for attempt, process in ((2, other), (3, overtaken)):
        stage.notes.ended.clear()
        stage.notes.attempts[id_] = attempt
        await stage.run(process, attempt)
    await stage.send(overtaken, "Half of it.", 3)

    stage.check(lost=False)
    assert [each.text for each in telegram.telegram.chats.in_chat(GROUP)] == ["Half of it."]
