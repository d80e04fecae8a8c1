"""Finds earlier posts of a reply in a conversation (https://docs.slack.dev/messaging/message-metadata)."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slack_sdk.errors import SlackApiError

from app.errors import UnavailableError
from interfaces.slack.lost import begun_on
from interfaces.slack.refusals import IS_DELETED, MAY_NOT_DELETE, reason_of, translated

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)

EVENT_TYPE = "deputy_reply"
_LOOKS_AT_MOST = 10_000  # replies whose search results are kept
_PAGES_AT_MOST = 100  # of one search
_PAGE_LENGTH = 200  # messages; apps outside the Marketplace get 15
_INVALID_CURSOR = "invalid_cursor"
_MAY_NOT_LOOK = frozenset({"missing_scope", "no_permission", "not_allowed_token_type"})


@dataclass(frozen=True, slots=True)
class Where:
    """A place in Slack as one workspace's bot sees it: a channel or a direct chat, or a thread in one."""

    workspace: str | None
    channel: str
    thread_ts: str | None


@dataclass
class Copies:
    """The posts of one reply found in one place. Kept between attempts, so that a search resumes where it stopped.

    Attributes:
        found: The timestamps of each part's posts, such as "1700000000.000001", by the part's number.
        oldest: Everything before this time has been read; POSIX seconds as Slack writes them.
        newest: The latest post that this search has seen; the next search begins there.
        cursor: Where this search continues; empty at its beginning.
        begun: The posts that were begun for answers, as `begun_on` yields them.
    """

    oldest: str
    found: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    newest: str = ""
    cursor: str = ""
    begun: dict[str, str | None] = field(default_factory=dict)


class CopyFinder:
    """Finds and removes copies of replies; lives as long as the process and holds timestamps, never a text.

    Apps that are distributed outside Slack's Marketplace may read one page of 15 messages a minute. So a search resumes
    where it was refused, and once Slack asks to wait, no search asks again until the time has passed.

    Args:
        now: A monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._looks: OrderedDict[str, dict[Where, Copies]] = OrderedDict()
        self._rests_until: dict[tuple[str | None, str], float] = {}

    def of(self, reply_id: str, where: Where, *, since: float) -> Copies:
        """Return the posts of a reply that have been found in a place so far.

        Args:
            reply_id: The reply.
            where: The place.
            since: The reply cannot be older than this, POSIX seconds.
        """
        known = self._looks.setdefault(reply_id, {})
        self._looks.move_to_end(reply_id)
        if len(self._looks) > _LOOKS_AT_MOST:
            self._looks.popitem(last=False)
        return known.setdefault(where, Copies(oldest=f"{since:.6f}"))

    def forget(self, reply_id: str) -> None:
        """Forget a reply that has arrived."""
        self._looks.pop(reply_id, None)

    async def look(self, client: AsyncWebClient, reply_id: str, where: Where, copies: Copies) -> None:
        """Read the posts since the last search, and add those of this reply.

        Raises:
            UnavailableError: Slack refuses it for now; the next search resumes here.
        """
        for _ in range(_PAGES_AT_MOST):
            page = await self._read(client, reply_id, where, copies)
            for part, ts in _parts(page, reply_id):
                copies.found[part].add(ts)
            copies.begun.update(begun_on(page))
            stamps = [str(post["ts"]) for post in page["messages"]]
            copies.newest = max((copies.newest or copies.oldest, *stamps), key=float)
            copies.cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not copies.cursor:
                break
        copies.oldest, copies.newest, copies.cursor = copies.newest, "", ""

    async def keep_first(self, client: AsyncWebClient, where: Where, copies: Copies) -> None:
        """Delete every copy of each part except the first; processes that do this at once keep the same copy.

        Raises:
            UnavailableError: Slack refuses it for now.
        """
        for posted in copies.found.values():
            for ts in sorted(posted, key=float)[1:]:
                log.warning("an answer was posted twice, and is deleted once")
                try:  # https://docs.slack.dev/reference/methods/chat.delete
                    await client.chat_delete(channel=where.channel, ts=ts)
                except SlackApiError as error:
                    if reason_of(error) in MAY_NOT_DELETE:
                        log.warning("Slack does not let it be deleted (%s)", reason_of(error))
                    elif reason_of(error) != IS_DELETED:
                        raise
                posted.discard(ts)

    async def _read(self, client: AsyncWebClient, reply_id: str, where: Where, copies: Copies) -> Mapping[str, Any]:
        """Read and return the next page; an empty one if the bot may not read."""
        method = "conversations.replies" if where.thread_ts else "conversations.history"
        rest = self._rests_until.get((where.workspace, method), 0.0) - self._now()
        if rest > 0:
            raise UnavailableError(f"Slack asked to wait with {method}", reason="ratelimited", retry_after=rest)
        arguments: dict[str, Any] = {"channel": where.channel, "oldest": copies.oldest, "cursor": copies.cursor}
        arguments |= {"include_all_metadata": True, "limit": _PAGE_LENGTH}
        arguments |= {"ts": where.thread_ts} if where.thread_ts else {}
        try:
            page = await client.api_call(method, http_verb="GET", params=arguments)
        except SlackApiError as error:
            if reason_of(error) in _MAY_NOT_LOOK:
                log.warning(
                    "reply %s may be posted twice: the bot may not look for it (%s)", reply_id, reason_of(error)
                )
                return {"messages": []}
            if reason_of(error) == _INVALID_CURSOR:
                copies.cursor = ""
            refusal = translated(error)
            if isinstance(refusal, UnavailableError):
                self._rests_until[where.workspace, method] = self._now() + refusal.retry_after
            try:
                raise refusal from None
            finally:
                del refusal  # its traceback holds this frame: avoid the cycle
        assert isinstance(page.data, dict)
        return page.data


def _parts(page: Mapping[str, Any], reply_id: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the timestamp of each post of a reply on a page."""
    for post in page["messages"]:
        metadata: Mapping[str, Any] = post.get("metadata") or {}
        payload: Mapping[str, Any] = metadata.get("event_payload") or {}
        if metadata.get("event_type") == EVENT_TYPE and payload.get("reply_id") == reply_id:
            yield int(payload["part"]), str(post["ts"])
