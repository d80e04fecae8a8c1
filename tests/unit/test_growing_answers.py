"""Answers that grow while they are written, on any channel."""

from __future__ import annotations

import asyncio
import logging

import pytest

from app.agents.listening import TextWritten
from app.delivery.replies.growing import GrowingAnswer
from app.log_once import LogOnce
from app.messages import StoredMessage
from tests.fakes.telegram import told


class Posted(GrowingAnswer):
    """An answer that posts its first words, and notes the post after the platform has answered."""

    def __init__(self, message: StoredMessage) -> None:
        super().__init__(message, LogOnce(logging.getLogger(__name__)), first_seconds=0.0, every_seconds=0.0)
        self.posted, self.answered = asyncio.Event(), asyncio.Event()
        self.noted = False

    def _is_begun(self) -> bool:
        return self.noted

    async def _show_now(self, words: str) -> None:
        self.posted.set()
        await self.answered.wait()
        self.noted = True


async def test_who_ends_it_and_is_cancelled_cuts_no_post_off() -> None:
    """Cancelling the end of an answer does not cut off its post, which would stay beside the reply unnoted."""
    answer = Posted(told(7))
    answer.tell(TextWritten("A word"))
    await answer.posted.wait()
    sender = asyncio.create_task(answer.close())
    await asyncio.sleep(0)
    sender.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sender
    answer.answered.set()
    await answer.close()

    assert answer.noted
