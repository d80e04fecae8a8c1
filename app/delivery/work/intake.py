"""The intake: every message enters here."""

from __future__ import annotations

from collections.abc import Sequence

from app.delivery.engines.engine import Wakeups
from app.delivery.store.inbox import Inbox
from app.delivery.work.admission import Admission
from app.delivery.work.backlog import Backlog
from app.delivery.work.command import OvertakingCommand
from app.messages import ConversationKey, InboundMessage, StoredMessage
from app.users import Users


class Intake:
    """Stores a message and wakes its conversation; lives as long as the process.

    Args:
        overtaking: Commands that are carried out at once, in the order in which they are stored. They leave nothing to
            wait for, so they are accepted however many messages wait.
        admission: Knows who may write where; by default everybody everywhere.
    """

    def __init__(
        self,
        inbox: Inbox,
        wakeups: Wakeups,
        backlog: Backlog,
        users: Users,
        overtaking: Sequence[OvertakingCommand] = (),
        admission: Admission | None = None,
    ) -> None:
        self._inbox = inbox
        self._wakeups = wakeups
        self._backlog = backlog
        self._users = users
        self._overtaking = overtaking
        self._admission = admission or Admission({})

    async def accept(self, message: InboundMessage) -> StoredMessage:
        """Store a message and return its row; it may be acknowledged then. A repeated event id returns the first row.

        A duplicate wakes its conversation too: the process that stored the first may have ended before the wake-up.

        Raises:
            NotAllowedError: The settings do not list the sender or the chat; nothing is stored.
            OffboardedError: The sender was offboarded; nothing is stored.
            InvalidMessageError: There is no text, or it is too long.
            OverLimitError: Too many messages of this person wait; nothing is stored.
            UnavailableError: Too many messages wait in total; nothing is stored.
        """
        self._admission.check(message)
        await self._users.see(message.principal)
        command = next((each for each in self._overtaking if each.overtakes(message)), None)
        stored, _ = await self._inbox.accept(message, None if command else self._backlog.admit)
        if command is not None:
            await command.carry_out(stored)
        await self._wakeups.wake(ConversationKey.of(stored))
        return stored
