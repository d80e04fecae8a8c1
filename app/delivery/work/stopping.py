"""Stopping: the owner of a run, and nobody else, ends it."""

from __future__ import annotations

from collections.abc import Sequence

from app.delivery.engines.engine import Wakeups
from app.delivery.replies.sender import Sender
from app.delivery.store.inbox import Inbox
from app.delivery.store.stops import Stop, Stops
from app.delivery.work.runs import Runs
from app.messages import ConversationKey, StoredMessage
from app.principal import Principal


class Stopping:
    """Stops messages for the person whose they are; lives as long as the process and holds none.

    A run in this process is cancelled at once. One in another process is superseded at once, so nothing more of it is
    written, stored or sent, and is cancelled when that process next renews its lease.
    """

    def __init__(self, stops: Stops, inbox: Inbox, runs: Runs, wakeups: Wakeups, sender: Sender) -> None:
        self._stops = stops
        self._inbox = inbox
        self._runs = runs
        self._wakeups = wakeups
        self._sender = sender

    async def stop(self, principal: Principal, message_id: str) -> StoredMessage:
        """Stop one message of this person and queue a reply about it; return the message as it is then.

        A message that has ended stays as it is.

        Raises:
            NotFoundError: No message has this id, or it is somebody else's.
        """
        message = await self._inbox.get(principal, message_id)
        await self._go_on(message, await self._stops.one(principal, message_id))
        return await self._inbox.get(principal, message_id)

    async def stop_all(self, principal: Principal, conversation: ConversationKey) -> int:
        """Stop all messages of this person in a conversation, and return how many; each that was begun gets a reply.

        For a channel's own way to stop, such as Slack's button, which is no message.
        """
        if (principal.platform, principal.tenant) != (conversation.platform, conversation.tenant):
            return 0
        stopped = await self._stops.all_in(principal, conversation.conversation)
        for stop in stopped[:1]:
            await self._go_on(stop.message, stopped)
        return len(stopped)

    async def stop_before(self, stop: StoredMessage) -> Sequence[Stop]:
        """Stop what the sender of a message wrote before it in its conversation, and answer the message itself."""
        stopped = await self._stops.before(stop)
        await self._go_on(stop, stopped)
        return stopped

    async def _go_on(self, message: StoredMessage, stopped: Sequence[Stop]) -> None:
        for stop in stopped:
            self._runs.interrupt(stop.message.message_id)
        conversation = ConversationKey.of(message)
        self._sender.look(conversation, message.principal)
        if stopped:
            await self._wakeups.wake(conversation)  # whatever waited behind them
