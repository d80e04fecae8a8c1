"""Google fails for longer than one request waits: the message is retried, and its person does not notice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.oauth.retrying import MAX_TRIES
from app.principal import Principal
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.google.outages import Outage
from app.sections.delivery import DeliverySettings
from tests.fakes.environment import open_environment
from tests.fakes.server import ADA, GRACE, QUESTION, own_markers

OFTEN = 2 * MAX_TRIES + 1  # more than both of them try within their first requests


@pytest.mark.parametrize(
    "outage", [Outage(), Outage(500), Outage(429, 0, "rateLimitExceeded")], ids=["503", "500", "rate"]
)
async def test_a_message_outlasts_an_outage(outage: Outage, tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """Two people who ask while Google refuses everything are both answered later, each from their own mail."""
    async with open_environment(tmp_path) as environment:
        hasty = DeliverySettings(scan_seconds=0.05, backoff_seconds=0.01)
        async with environment.server(delivery=hasty) as server:
            await server.connect(ada, ADA)
            await server.connect(grace, GRACE)
            server.google.outages.extend([outage] * OFTEN)
            answers = await asyncio.gather(server.ask(ada, QUESTION), server.ask(grace, QUESTION))
            markers = own_markers(server.google, (ADA, GRACE))

    assert not server.google.outages
    for answer, email in zip(answers, (ADA, GRACE), strict=True):
        shown = {marker.lower() for marker in MARKER.findall(answer.text)}
        assert answer.json()["state"] == "done"
        assert shown
        assert shown <= markers[email]
