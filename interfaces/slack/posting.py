"""Posts a reply in one place, as often as it is tried, so that in the end each of its parts is there once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from app.delivery.store.notes import ChannelNotes
from app.errors import UnclearError
from app.messages import StoredMessage
from app.reply import NOT_ATTACHED, ReplyFile
from interfaces.slack.answers import SlackAnswers, become_reply
from interfaces.slack.copies import Copies, CopyFinder, Where
from interfaces.slack.drafts import Draft, withdraw
from interfaces.slack.formatting import escaped
from interfaces.slack.post import PostPart, metadata_of, post_part
from interfaces.slack.refusals import in_our_words
from interfaces.slack.uploads import FileRefusedError, share_once

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

_CLOCKS_DIFFER_SECONDS = 300.0  # between our clock and Slack's, at most
_FIRST_FILE_LINE = 100_000  # the part number of the first line about a file


@dataclass(frozen=True, slots=True)
class ReplyAttempt:
    """One attempt to send a reply.

    Attributes:
        parts: The posts by number.
        again: Whether an earlier attempt may have succeeded.
        files: The files that follow the posts.
        notes: The notes about the reply in the message's row.
    """

    message: StoredMessage
    reply_id: str
    parts: Mapping[int, PostPart] = field(repr=False)
    again: bool
    files: tuple[ReplyFile, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)


class ReplyPosting:
    """Posts replies; lives as long as the process and holds no text.

    Args:
        notes: Where it is noted what has been shown of a reply.
        answers: Shows answers while they are written.
        copies: Finds earlier posts of a reply.
    """

    def __init__(self, notes: ChannelNotes, answers: SlackAnswers, copies: CopyFinder) -> None:
        self._notes = notes
        self._answers = answers
        self._copies = copies

    async def post(self, client: AsyncWebClient, where: Where, reply: ReplyAttempt) -> Mapping[int, set[str]]:
        """Post the parts of a reply that are not there yet, and leave one copy of each; then share its files.

        If the answer was shown while it was written, that message becomes the first part. If one was begun for it, and
        the process died before its timestamp was noted, that message is looked for and deleted.

        Returns:
            The timestamps of each part's posts.

        Raises:
            UnclearError: Slack did not answer; or everything is posted, and what was begun may still appear, so that
                the next attempt has to look for it.
            UnavailableError: Slack refuses it for now.
            UndeliverableError: Slack refuses it permanently.
        """
        with in_our_words():
            copies = self._copies_of(where, reply)
            draft = await self._answers.end(reply.message) if where == where_of(reply.message) else None
            if draft is not None and draft.ts:
                await self._finish_written(client, reply, draft, copies)
            lost = draft is not None and not draft.ts
            if reply.again or lost:
                await self._copies.look(client, reply.reply_id, where, copies)
            if draft is not None and lost:
                await _withdraw_lost(client, reply.message, draft, copies)
            missing = await self._post_missing(client, where, reply, copies)
            for number, file in enumerate(reply.files):
                await self._share(client, where, reply, number, file, copies)
            if reply.again:
                if missing:  # another process may have posted since the look
                    await self._copies.look(client, reply.reply_id, where, copies)
                await self._copies.keep_first(client, where, copies)
            elif lost:
                raise _may_still_appear()
            return copies.found

    async def drop_written(
        self, client: AsyncWebClient, where: Where, reply: ReplyAttempt, *, besides: Collection[str]
    ) -> None:
        """Take away what was written of an answer, unless it has become one of these posts.

        Raises:
            UnclearError: As `post` raises it.
            UnavailableError: Slack refuses it for now.
        """
        draft = await self._answers.end(reply.message)
        if draft is None or draft.ts in besides:
            return
        if draft.ts:
            await withdraw(client, reply.message, draft)
            return
        copies = self._copies_of(where, reply)
        await self._copies.look(client, reply.reply_id, where, copies)
        await _withdraw_lost(client, reply.message, draft, copies)
        if not reply.again:
            raise _may_still_appear()

    async def keep_one(
        self, client: AsyncWebClient, places: Sequence[Where], message: StoredMessage, reply_id: str
    ) -> None:
        """Delete all posts of a reply in these places except the first copy of each part.

        Raises:
            SlackApiError: Slack refuses it for now, or permanently.
        """
        for where in places:
            copies = self._copies.of(reply_id, where, since=_since(message))
            await self._copies.look(client, reply_id, where, copies)
            await self._copies.keep_first(client, where, copies)
        self.forget(reply_id)

    def forget(self, reply_id: str) -> None:
        """Forget a reply that has arrived."""
        self._copies.forget(reply_id)

    def _copies_of(self, where: Where, reply: ReplyAttempt) -> Copies:
        return self._copies.of(reply.reply_id, where, since=_since(reply.message))

    async def _finish_written(self, client: AsyncWebClient, reply: ReplyAttempt, draft: Draft, copies: Copies) -> None:
        """Turn what was shown of an answer while it was written into the reply's first part there."""
        number = min(reply.parts)
        metadata = metadata_of(reply.reply_id, number)
        finished = await become_reply(client, reply.message, draft, reply.parts[number], metadata)
        if finished is not None:
            copies.found[number].add(finished.ts)
            reply.notes.update(finished.note())

    async def _post_missing(self, client: AsyncWebClient, where: Where, reply: ReplyAttempt, copies: Copies) -> bool:
        """Post the parts that have not been found; return whether there were any."""
        missing = {number: part for number, part in reply.parts.items() if not copies.found[number]}
        for number, part in missing.items():
            copies.found[number].add(await post_part(client, where, part, reply.reply_id, number))
        return bool(missing)

    async def _share(
        self, client: AsyncWebClient, where: Where, reply: ReplyAttempt, number: int, file: ReplyFile, copies: Copies
    ) -> None:
        """Share a file once, or say why it cannot be shared."""

        async def note() -> None:
            await self._notes.keep(reply.message, reply.notes, while_open=False)

        try:
            await share_once(client, where, file, f"file:{number}", reply.notes, note)
        except FileRefusedError as error:
            line = PostPart(escaped(NOT_ATTACHED.format(file.name, error)))
            await self._post_missing(client, where, replace(reply, parts={_FIRST_FILE_LINE + number: line}), copies)


def where_of(message: StoredMessage) -> Where:
    """Return the place that a message came from."""
    return Where(message.address.get("workspace"), message.address["channel"], message.address["thread_ts"])


def _since(message: StoredMessage) -> float:
    """Return the earliest time when the message's answer can have been posted, on Slack's clock."""
    return message.created_at - _CLOCKS_DIFFER_SECONDS


async def _withdraw_lost(client: AsyncWebClient, message: StoredMessage, draft: Draft, copies: Copies) -> None:
    """Delete the posts that were begun for a message's answer."""
    begun_for = None if draft.streaming else message.message_id
    for ts in [ts for ts, message_id in copies.begun.items() if message_id == begun_for]:
        await withdraw(client, message, replace(draft, ts=ts))
        del copies.begun[ts]


def _may_still_appear() -> UnclearError:
    return UnclearError("a message that was begun for it may still appear", reason="begun")
