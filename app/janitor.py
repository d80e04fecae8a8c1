"""The janitor: cancels offboarded people's runs in this process, and finishes revocations that others left unfinished.

The two run separately, because the second may have to wait for Google, and runs must be cancelled meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from app.consent.revocation import Revocation
from app.delivery.store.cancellation import Cancellation
from app.offboarding import Offboarding
from app.principal import Principal
from app.supervisor import Rounds, Supervisor, guarded
from app.users import Users

log = logging.getLogger(__name__)

_OTHERS_ARE_AT_IT_SECONDS = 20.0  # a revocation takes at most this long, including a lease that has to expire
_TRY_AGAIN_SECONDS = 30.0
# A look costs statements, also of a process that has nothing to do; these are multiples of `look_seconds`.
_WITHOUT_WORK = 10
_TO_FINISH = 20


class InWork(Protocol):
    """The part of the worker that the janitor needs."""

    @property
    def people_in_work(self) -> frozenset[Principal]:
        """Return the people whose messages are being answered in this process."""
        ...

    def interrupt_all(self, principal: Principal) -> int:
        """Cancel every run of this person; return how many."""
        ...


class Janitor:
    """Checks every second; lives as long as the process, and holds only whose access it tried to end, and when.

    Args:
        worker: Answers messages in this process.
        look_seconds: The interval between checks while messages are in work here. It is ten times as long without
            work, and 20 times for what others have left unfinished.
    """

    def __init__(
        self,
        worker: InWork,
        users: Users,
        cancellation: Cancellation,
        offboarding: Offboarding,
        revocation: Revocation,
        supervisor: Supervisor,
        *,
        look_seconds: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rounds = Rounds()
        self._worker = worker
        self._users = users
        self._withdrawal = cancellation
        self._offboarding = offboarding
        self._revocation = revocation
        self._supervisor = supervisor
        self._look_seconds = look_seconds
        self._now = now
        self._tried: dict[Principal, float] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Check until the context ends; the next janitor finishes anything that is left then."""
        async with self._supervisor.keeping(stopping_leavers=self._stop_for_ever, finishing_ends=self._finish_for_ever):
            yield

    async def _stop_for_ever(self) -> None:
        while True:
            await self._rounds.run("stopping offboarded people's work", self.stop_work())
            await asyncio.sleep(self._look_seconds * (1 if self._worker.people_in_work else _WITHOUT_WORK))

    async def _finish_for_ever(self) -> None:
        while True:
            await self._rounds.run("finishing offboardings and ends of grants", self.finish())
            await asyncio.sleep(self._look_seconds * _TO_FINISH)

    async def stop_work(self) -> None:
        """Cancel all runs of offboarded people in this process."""
        for principal in await self._withdrawal.undone_of_offboarded():
            await self._withdrawal.end_all(principal)
        for principal in await self._users.offboarded_among(self._worker.people_in_work):
            await self._withdrawal.end_all(principal)  # first, or a cancelled run would be put back and run again
            count = self._worker.interrupt_all(principal)
            log.info("%s was offboarded: %d runs cancelled", principal, count)

    async def finish(self) -> None:
        """Finish the offboardings and revocations that can be finished now."""
        offboarded = await self._users.not_ended()
        ending = await self._revocation.unfinished(older_than_seconds=_OTHERS_ARE_AT_IT_SECONDS)
        now = self._now()
        self._tried = {principal: at for principal, at in self._tried.items() if at > now - _TRY_AGAIN_SECONDS}
        for principal in dict.fromkeys([*offboarded, *ending]):
            if principal in self._tried:
                continue
            self._tried[principal] = now
            finish = self._offboarding.finish if principal in offboarded else self._revocation.finish
            await guarded(f"ending what {principal} had", finish(principal))
