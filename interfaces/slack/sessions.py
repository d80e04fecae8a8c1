"""Agent sessions: Slack shows that the assistant is working in a thread, with a Stop button.

https://docs.slack.dev/ai/agent-sessions
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.messages import StoredMessage
from interfaces.slack.refusals import in_our_words

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

_TITLE_LENGTH = 200  # characters
_REMEMBERED_AT_MOST = 10_000  # messages
_EXPLAIN_AGAIN_SECONDS = 60.0
_WORKING, _IDLE = "processing", "active"


class SlackSessions:
    """Moves the sessions of threads on; lives as long as the process and remembers ids of messages only.

    A session belongs to a thread, so a message at the top of a direct chat has none.

    Args:
        now: A monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._working: OrderedDict[str, None] = OrderedDict()
        self._explained: OrderedDict[str, tuple[str, float]] = OrderedDict()  # by message, the words, and since when

    def has_one(self, message: StoredMessage) -> bool:
        """Return whether a message was written in a thread."""
        return bool(message.address.get("thread_ts"))

    async def begin(self, client: AsyncWebClient, message: StoredMessage) -> None:
        """Show that the assistant is working on a message, once.

        Raises:
            UnavailableError: Slack refuses it for now, or did not answer.
            UndeliverableError: Slack refuses it permanently, for example because the app is no agent.
        """
        if message.message_id in self._working:
            return
        self._working[message.message_id] = None
        if len(self._working) > _REMEMBERED_AT_MOST:
            self._working.popitem(last=False)
        with in_our_words():
            await client.agents_sessions_setStatus(
                channel_id=message.address["channel"],
                thread_ts=message.address["thread_ts"],
                status=_WORKING,
                title=_title(message),
                initiator_user_id=message.principal.user,
            )

    async def explain(self, client: AsyncWebClient, message: StoredMessage, status: str) -> None:
        """Show what the assistant is doing, unless that is shown already.

        Slack clears it after two minutes, and with each message of the bot in the thread:
        https://docs.slack.dev/reference/methods/assistant.threads.setStatus

        Raises:
            UnavailableError: Slack refuses it for now, or did not answer.
            UndeliverableError: Slack refuses it permanently.
        """
        shown, since = self._explained.get(message.message_id, ("", 0.0))
        if shown == status and self._now() - since < _EXPLAIN_AGAIN_SECONDS:
            return
        self._explained[message.message_id] = (status, self._now())
        if len(self._explained) > _REMEMBERED_AT_MOST:
            self._explained.popitem(last=False)
        await self._set_status(client, message, status)

    async def _set_status(self, client: AsyncWebClient, message: StoredMessage, status: str) -> None:
        with in_our_words():
            await client.assistant_threads_setStatus(
                channel_id=message.address["channel"], thread_ts=message.address["thread_ts"], status=status
            )

    async def end(self, client: AsyncWebClient, message: StoredMessage) -> None:
        """Show that the assistant is not working any more, if `begin` showed that it was.

        Raises:
            UnavailableError: Slack refuses it for now, or did not answer.
            UndeliverableError: Slack refuses it permanently.
        """
        if message.message_id not in self._working:
            return
        del self._working[message.message_id]
        if self._explained.pop(message.message_id, None) is not None:
            await self._set_status(client, message, "")
        with in_our_words():
            await client.agents_sessions_setStatus(
                channel_id=message.address["channel"], thread_ts=message.address["thread_ts"], status=_IDLE
            )


def _title(message: StoredMessage) -> str | None:
    """Return the title of a new session: the beginning of the message that others can read where they can see it."""
    line = " ".join("".join(filter(str.isprintable, message.text.replace("\n", " "))).split())
    return line[:_TITLE_LENGTH] or None
