"""The parts of a channel: as its folder describes them, and as they are served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import APIRouter

from app.consent.linking import ChannelProof
from app.delivery.replies.channel import Channel
from app.diagnosis import Checkup
from app.identities import Directory, People


class Routes(Protocol):
    """Handles HTTP requests. One object, which lives as long as the process."""

    def router(self) -> APIRouter:
        """Return the routes, ready to be included in the application."""
        ...


class Receiver(Protocol):
    """Receives messages over connections that this process opens. One object, which lives as long as the process."""

    def receiving(self) -> AbstractAsyncContextManager[None]:
        """Receive until the context ends, and finish what is being stored then.

        Raises:
            SettingsError: The platform refuses the connection for good, so the start must fail.
        """
        ...


class Openable(Protocol):
    """Holds what stays open, such as connections. One object, which lives as long as the process."""

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Open it for as long as the context lasts, and close it when nothing is sent any more."""
        ...


@dataclass(frozen=True, slots=True)
class ChannelDescription:
    """All parts of a channel, each a class, or a `functools.partial` of one with values from the settings.

    The container instantiates each class once. It fills in the remaining parameters by type, from the container
    (`containers/channels.py` lists what is offered) or with another part of the same channel. If the container already
    has a class, it is taken from there.

    Attributes:
        title: The name of the platform on pages that people read.
        sends: Sends replies.
        routes: Handle the requests of the platform and of browsers; none if messages are received otherwise.
        receives: Receives messages without requests, in the server alone; None if they come as requests.
        checkup: Asks the platform about the app's set-up, for `deputy doctor`; None if there is nothing to ask.
        people: Knows people's display names, and which principals are the same person; None if the channel cannot tell.
        directory: Knows addresses that the platform has verified; None if the channel cannot tell.
        login: Lets people sign in with a browser; None if the channel cannot, or if the settings do not ask for it.
        shares: Objects that several parts need, by the type that they ask for; each can use those before it.
        load: Imports modules that the first reply needs but an acknowledgement does not, such as the platform's SDK. It
            is called in a thread once the process accepts messages, and must be safe to call again.
        opens: Is opened before the first reply is sent and closed after the last one; None if nothing stays open.
    """

    title: str
    sends: Callable[..., Channel]
    routes: Sequence[Callable[..., Routes]]
    people: Callable[..., People] | None = None
    directory: Callable[..., Directory] | None = None
    login: Callable[..., ChannelProof] | None = None
    receives: Callable[..., Receiver] | None = None
    checkup: Callable[..., Checkup] | None = None
    shares: Mapping[type, Callable[..., Any]] = field(default_factory=dict)
    load: Callable[[], None] | None = None
    opens: Callable[..., Openable] | None = None


@dataclass(frozen=True, slots=True)
class ServedChannel:
    """A channel that is served, without its routes. Lives as long as the process; attributes as in the description."""

    title: str
    sends: Channel
    people: People | None = None
    directory: Directory | None = None
    login: ChannelProof | None = None
    checkup: Checkup | None = None
    load: Callable[[], None] | None = None
    opens: Openable | None = None


ServedChannels = Mapping[str, ServedChannel]  # by platform


def senders_of(channels: ServedChannels) -> dict[str, Channel]:
    """Return the objects that send replies, by platform."""
    return {platform: channel.sends for platform, channel in channels.items()}


def people_of(channels: ServedChannels) -> dict[str, People]:
    """Return the objects that know people, by platform; platforms without one are left out."""
    return {platform: channel.people for platform, channel in channels.items() if channel.people is not None}


def directories_of(channels: ServedChannels) -> dict[str, Directory]:
    """Return the directories of verified addresses, by platform; platforms without one are left out."""
    return {platform: channel.directory for platform, channel in channels.items() if channel.directory is not None}


def logins_of(channels: ServedChannels) -> dict[str, ChannelProof]:
    """Return the logins, by platform; platforms without one are left out."""
    return {platform: channel.login for platform, channel in channels.items() if channel.login is not None}
