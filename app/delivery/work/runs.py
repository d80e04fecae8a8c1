"""The messages that this process is answering."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.messages import StoredMessage
from app.principal import Principal


@dataclass(slots=True, eq=False)
class RunningMessage:
    """A running message: the task that answers it, and the timer that ends that task when the lease expires.

    Attributes:
        suspect: If the run is interrupted now, the message itself may be the cause.
        ending: The run has ended, and its end is being stored.
    """

    message: StoredMessage
    suspect: bool = True
    ending: bool = False
    task: asyncio.Task[None] = field(init=False, repr=False)  # its result may be an error that quotes a mail
    lease_over: asyncio.TimerHandle = field(init=False, repr=False)

    def cancel(self) -> bool:
        """Cancel the run; return False if it has ended: interrupting its end would leave the row running."""
        return not self.ending and self.task.cancel()


class Runs:
    """Lists the running messages of this process, and cancels them; lives as long as the process.

    If its row still says that it is running, the message of a cancelled run becomes undone again.
    """

    def __init__(self) -> None:
        self._by_message: dict[str, RunningMessage] = {}

    def __iter__(self) -> Iterator[RunningMessage]:
        return iter([*self._by_message.values()])

    @property
    def message_ids(self) -> frozenset[str]:
        """Return the ids of the messages that are being answered."""
        return frozenset(self._by_message)

    @property
    def people(self) -> frozenset[Principal]:
        """Return the people whose messages are being answered."""
        return frozenset(run.message.principal for run in self)

    def add(self, run: RunningMessage) -> None:
        """List a message whose task has begun."""
        self._by_message[run.message.message_id] = run

    def remove(self, run: RunningMessage) -> None:
        """Remove a message, because its task is ending."""
        del self._by_message[run.message.message_id]

    def interrupt(self, message_id: str) -> bool:
        """Cancel the run of a message; return False if it is not running here."""
        run = self._by_message.get(message_id)
        return run.cancel() if run is not None else False

    def interrupt_all(self, principal: Principal) -> int:
        """Cancel every run of this person and return how many."""
        return sum(run.cancel() for run in self if run.message.principal == principal)
