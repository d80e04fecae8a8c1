"""The answers that are being written, and how each becomes the reply."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError

from app.delivery.replies.growing import GrowingAnswers
from app.delivery.store.notes import ChannelNotes
from app.errors import UndeliverableError
from app.log_once import LogOnce
from app.messages import StoredMessage
from interfaces.slack.budget import CallBudget
from interfaces.slack.drafts import (
    EVERY_SECONDS,
    FIRST_SECONDS,
    AnswerBeingWritten,
    Draft,
    DraftTools,
    OpenClient,
    StreamIsOverError,
    stop_stream,
    withdraw,
)
from interfaces.slack.formatting import MAX_POST_LENGTH
from interfaces.slack.post import BLOCKS_REFUSED, PostPart
from interfaces.slack.refusals import in_our_words, reason_of

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)

_CANNOT_CHANGE = frozenset(
    {"block_mismatch", "cant_update_message", "edit_window_closed", "message_not_found", "msg_too_long"}
)


class SlackAnswers:
    """Knows the answers that are being written here, with their words; lives as long as the process.

    An answer's message is noted in the database before it holds any words, so the process that sends the reply finishes
    that message. If Slack does not let it be changed, it is deleted, and the reply is posted.

    Args:
        notes: Where messages are noted.
        first_seconds: As in `DraftTools`.
        every_seconds: As in `DraftTools`.
        now: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        notes: ChannelNotes,
        *,
        first_seconds: float = FIRST_SECONDS,
        every_seconds: float = EVERY_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tools = DraftTools(notes, CallBudget(), LogOnce(log), first_seconds, every_seconds)
        self._written = GrowingAnswers[AnswerBeingWritten](now)

    def follow(self, message: StoredMessage, open_client: OpenClient) -> AnswerBeingWritten:
        """Return what shows the run of a message that begins."""
        return self._written.follow(message, partial(AnswerBeingWritten, self._tools, message, open_client))

    def show_work(self, message: StoredMessage, words: str) -> None:
        """Show what is being done for a message, where its answer will be."""
        if (written := self._written.find(message)) is not None:
            written.show_work(words)

    async def end(self, message: StoredMessage) -> Draft | None:
        """Return the message that was begun for an answer, once nothing here changes it any more."""
        written = await self._written.take(message)
        mine, noted = written.draft if written is not None else None, Draft.noted(message)
        # This process knows more than the notes do, unless another one has begun a message since.
        return mine if mine is not None and (noted is None or mine.ts == noted.ts) else noted


async def become_reply(
    client: AsyncWebClient, message: StoredMessage, draft: Draft, part: PostPart, metadata: Mapping[str, Any]
) -> Draft | None:
    """Turn what was written of an answer into the first part of the reply, as often as it is tried.

    Returns:
        The message; None if the reply has to be posted.

    Raises:
        UnclearError: Slack did not answer, or reported an internal error.
        UnavailableError: Slack refuses it for now.
    """
    try:
        if not (draft.streaming and await _end_stream(client, message, draft, part, metadata)):
            await _change(client, message, draft, part, metadata)
    except UndeliverableError as error:
        log.warning("message %s: its answer is posted anew: %s", message.message_id, error)
        await withdraw(client, message, draft)
        return None
    return replace(draft, streaming=False)


async def _end_stream(
    client: AsyncWebClient, message: StoredMessage, draft: Draft, part: PostPart, metadata: Mapping[str, Any]
) -> bool:
    """End a stream; return whether it now says what the reply says."""
    whole = part.markdown
    rest = whole[len(draft.sent) :] if whole and draft.sent and whole.startswith(draft.sent) else None
    last: dict[str, Any] = {} if rest is None else {"markdown_text": rest or None, "metadata": dict(metadata)}
    try:
        await stop_stream(client, message, draft, **last)
    except StreamIsOverError:
        return False
    return rest is not None


async def _change(
    client: AsyncWebClient, message: StoredMessage, draft: Draft, part: PostPart, metadata: Mapping[str, Any]
) -> None:
    """Replace the words of a message: https://docs.slack.dev/reference/methods/chat.update."""
    changed = {"channel": message.address["channel"], "ts": draft.ts, "metadata": dict(metadata)}
    text = part.text[:MAX_POST_LENGTH]
    with in_our_words():
        try:
            await client.chat_update(**changed, text=text, blocks=part.blocks or None)
        except SlackApiError as error:
            reason = reason_of(error)
            if reason in BLOCKS_REFUSED and part.blocks and text == part.text:
                log.warning(
                    "message %s: Slack refuses its blocks (%s), so its text is shown", message.message_id, reason
                )
                await client.chat_update(**changed, text=text)
            elif reason in _CANNOT_CHANGE | BLOCKS_REFUSED:
                raise UndeliverableError(f"Slack does not let it be changed: {reason}", reason=reason) from None
            else:
                raise
