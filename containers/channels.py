"""The list of all channels, and how the container gets those that the settings serve."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx2

from app.api_tokens import ApiTokens
from app.consent.revocation import Revocation
from app.database.database import Database
from app.delivery.replies.files import ReplyFiles
from app.delivery.replies.status import Statuses
from app.delivery.replies.streams import Streams
from app.delivery.replies.waiters import Waiters
from app.delivery.store.inbox import Inbox
from app.delivery.store.notes import ChannelNotes
from app.delivery.store.polls import PollLeases
from app.delivery.store.transcript import Transcript
from app.delivery.work.answering import OpenAgent
from app.delivery.work.intake import Intake
from app.delivery.work.stopping import Stopping
from app.errors import SettingsError
from app.grants.accounts import Accounts
from app.keys.ring import KeyRing
from app.oauth.provider import Providers
from app.offboarding import Offboarding
from app.sections.section import Section
from app.settings import Settings
from app.supervisor import Supervisor
from containers.application import Application, Once
from containers.offers import AnyProvider, NotOfferedError, Offers
from interfaces.channel import ChannelDescription, ServedChannel
from interfaces.slack.installations import Installations
from interfaces.web.cookies import Cookies

# By platform, the module whose function `describe(section, settings)` returns a ChannelDescription. It is imported only
# where the channel is served, and so is the platform's SDK.
CHANNELS = {
    "http": "interfaces.http.channel",
    "slack": "interfaces.slack.channel",
    "telegram": "interfaces.telegram.channel",
    "whatsapp": "interfaces.whatsapp.channel",
}


def add_channels(container: Application, settings: Settings) -> None:
    """Give the container every channel that has a section in the settings: its parts, routes and receivers.

    Raises:
        SettingsError: A channel lacks a part, or a part asks for something that is not offered.
    """
    parts: dict[str, AnyProvider] = {}
    for platform, section in settings.interfaces.served().items():
        description = _describe(platform, section, settings)
        made = _Parts(platform, _offers(container))
        for kind, part in description.shares.items():
            made.add(part, offered_as=kind)
        served = {
            name: made.add(part)
            for name in ("sends", "people", "directory", "login", "checkup", "opens")
            if (part := getattr(description, name)) is not None
        }
        container.routes.add_args(*map(made.add, description.routes))
        if description.receives is not None:
            container.receivers.add_args(made.add(description.receives))
        container.channels.add_kwargs(
            {platform: Once(ServedChannel, description.title, load=description.load, **served)}
        )
        parts |= made.named
    container.channel_parts.set_providers(parts)


def _describe(platform: str, section: Section, settings: Settings) -> ChannelDescription:
    if platform not in CHANNELS:
        raise SettingsError(f"interfaces.{platform}: containers/channels.py lists no channel of this name")
    try:
        description = importlib.import_module(CHANNELS[platform]).describe(section, settings)
    except (ImportError, AttributeError, TypeError) as error:
        raise SettingsError(f"interfaces.{platform}: {CHANNELS[platform]} does not describe it: {error}") from error
    if not isinstance(description, ChannelDescription):
        raise SettingsError(f"interfaces.{platform}: {CHANNELS[platform]} returns no ChannelDescription")
    for names in (("sends",), ("routes", "receives")):
        if not any(getattr(description, name) for name in names):
            missing = " nor ".join(f"`{name}`" for name in names)
            raise SettingsError(
                f"interfaces.{platform}: its description has {'neither' if names[1:] else 'no'} {missing}"
            )
    return description


def _offers(container: Application) -> Offers:
    """Return everything that the parts of a channel can ask for."""
    return Offers(
        {
            Accounts: container.accounts,
            Providers: container.account_providers,
            ApiTokens: container.api_tokens,
            ChannelNotes: Once(ChannelNotes, container.database),
            Cookies: container.cookies,
            Database: container.database,
            Inbox: container.inbox,
            Installations: container.slack_installations,
            Intake: container.intake,
            KeyRing: container.key_ring,
            Offboarding: container.offboarding,
            Revocation: container.revocation,
            OpenAgent: container.request_scopes.provided.open_agent,
            PollLeases: Once(PollLeases, container.database, container.message_lease),
            Statuses: container.statuses,
            Stopping: container.stopping,
            Streams: container.streams,
            Supervisor: container.supervisor,
            Transcript: container.transcript,
            ReplyFiles: container.reply_files,
            Waiters: container.waiters,
            httpx2.AsyncClient: container.http,
        }
    )


class _Parts:
    """Makes the providers of one channel's parts, one for each class. Lives while a channel is added."""

    def __init__(self, platform: str, offers: Offers) -> None:
        self.named: dict[str, AnyProvider] = {}
        self._platform = platform
        self._offers = offers

    def add(self, part: Callable[..., Any], offered_as: type | None = None) -> AnyProvider:
        makes, given = (part.func, part.keywords) if isinstance(part, partial) else (part, {})
        provider = self._offers.find(makes)
        if provider is None:
            try:
                arguments = self._offers.arguments(makes, given)
            except NotOfferedError as error:
                name = f"{makes.__module__}.{makes.__qualname__}"
                raise SettingsError(f"interfaces.{self._platform}: the constructor of {name} {error}") from error
            provider = Once(makes, **arguments, **given)
            self._offers.add(makes, provider)
            self.named[f"{self._platform}.{makes.__name__}"] = provider
        if offered_as is not None:
            self._offers.add(offered_as, provider)
        return provider
