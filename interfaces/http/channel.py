"""The parts of the HTTP channel."""

from __future__ import annotations

from functools import partial

from app.api_tokens import ApiTokens
from app.sections.interfaces import HttpSettings
from app.settings import Settings
from interfaces.channel import ChannelDescription
from interfaces.http.client import HttpChannel
from interfaces.http.interface import HttpRoutes
from interfaces.http.waits import Waits


def describe(http: HttpSettings, settings: Settings) -> ChannelDescription:
    """Return the parts that these settings ask for; the address of a token is its person's verified address."""
    return ChannelDescription(
        title="HTTP",
        sends=HttpChannel,
        directory=ApiTokens,
        shares={Waits: partial(Waits, most=http.waits_per_person)},
        routes=[
            partial(HttpRoutes, wait_seconds=http.wait_seconds, deadline_seconds=settings.delivery.deadline_seconds)
        ],
    )
