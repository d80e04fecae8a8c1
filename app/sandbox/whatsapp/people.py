"""The people of the sandbox's WhatsApp, and how often they may be written to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.sandbox.whatsapp.errors import WhatsAppError

WINDOW_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class WhatsAppPerson:
    """Somebody with WhatsApp.

    Attributes:
        name: The name in their profile.
        number: Their phone number (wa_id); None for one who goes by a username.
        bsuid: Their id within the business portfolio; None as in webhooks before April 2026.
    """

    name: str
    number: str | None
    bsuid: str | None


@dataclass
class PairRates:
    """How often one person may be written to: a burst, and then one message in six seconds. Lives for the process.

    Attributes:
        burst: How many messages may follow each other at once.
        seconds: How long one of them takes to be free again.
        now: A clock, in seconds.
    """

    burst: int = 45
    seconds: float = 6.0
    now: Callable[[], float] = time.monotonic
    _spent: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, recipient: str) -> None:
        """Count a message.

        Raises:
            WhatsAppError: 131056, too many messages for this person.
        """
        now = self.now()
        spent, at = self._spent.get(recipient, (0.0, now))
        spent = max(0.0, spent - (now - at) / self.seconds)
        if spent + 1 > self.burst:
            raise WhatsAppError(131056, "too many messages to this person; wait and try again", status=400)
        self._spent[recipient] = (spent + 1, now)


@dataclass
class Windows:
    """When each person, or group, last wrote to the business. Lives for the process.

    Attributes:
        now: The time, POSIX seconds.
    """

    now: Callable[[], float] = time.time
    _written_at: dict[str, float] = field(default_factory=dict)

    def open(self, recipient: str, at: float) -> None:
        """Note that somebody wrote."""
        self._written_at[recipient] = max(at, self._written_at.get(recipient, 0.0))

    def check(self, recipient: str) -> None:
        """Check that this recipient may be answered freely.

        Raises:
            WhatsAppError: 131047, they wrote more than 24 hours ago, or never.
        """
        if self.now() - self._written_at.get(recipient, 0.0) >= WINDOW_SECONDS:
            raise WhatsAppError(131047, "more than 24 hours have passed since the person last wrote")
