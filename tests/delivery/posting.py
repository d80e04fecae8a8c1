"""Slack's side of the webhook: every event is posted until it is acknowledged, in the order of its conversation."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx2

from app.sandbox.slack.sandbox import SlackSandbox
from tests.delivery.script import Line, Script

_AT_ONCE = 12  # posts in progress
_ACKNOWLEDGE_SECONDS = 10.0  # Slack gives three; a busy machine must not be flooded with retries
_TRIES = 400
_AGAIN_SECONDS = (0.1, 0.5)  # Slack waits a minute or more


class NeverAcknowledgedError(AssertionError):
    """An event was refused each time it was posted, or with a status after which Slack would not post it again."""


@dataclass
class Posting:
    """Posts a script's events to the servers in turn.

    Attributes:
        acknowledged: The names of the messages that the webhook answered with 200, in that order.
        outcomes: The number of posts by status or by kind of error.
    """

    slack: SlackSandbox
    urls: Sequence[str]
    client: httpx2.AsyncClient
    random: random.Random
    acknowledged: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    async def post(self, script: Script, allowed: asyncio.Semaphore) -> None:
        """Post everything: each conversation in order, all of them concurrently, each message once it is allowed.

        Repeated messages are posted twice concurrently, so that the two race; the second one may arrive after the
        message that was written next.
        """
        slots = asyncio.Semaphore(_AT_ONCE)

        async def write(conversation: Sequence[Line]) -> None:
            for line in conversation:
                await allowed.acquire()
                async with slots:
                    await self._deliver(line, twice=line.name in script.repeated)

        async with asyncio.TaskGroup() as tasks:
            for conversation in script.conversations:
                tasks.create_task(write(conversation))

    async def _deliver(self, line: Line, *, twice: bool) -> None:
        event = line.event(self.slack)
        if twice:
            await asyncio.gather(self._until_acknowledged(event), self._until_acknowledged(event))
        else:
            await self._until_acknowledged(event)
        self.acknowledged.append(line.name)

    async def _until_acknowledged(self, event: dict[str, object]) -> None:
        first = self.random.randrange(len(self.urls))
        for number in range(_TRIES):
            outcome = await self._once(self.urls[(first + number) % len(self.urls)], event, number)
            self.outcomes[outcome] += 1
            if outcome == "200":
                return
            if outcome.startswith("4"):
                break
            await asyncio.sleep(self.random.uniform(*_AGAIN_SECONDS))
        raise NeverAcknowledgedError(f"{event['event_id']} was not acknowledged: {self.outcomes}")

    async def _once(self, url: str, event: dict[str, object], number: int) -> str:
        try:
            async with asyncio.timeout(_ACKNOWLEDGE_SECONDS):
                posted = await self.slack.post_event(self.client, f"{url}/slack/events", event, number or None)
        except (httpx2.TransportError, TimeoutError) as error:
            return type(error).__name__
        return str(posted.status_code)
