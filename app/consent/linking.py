"""The proofs that the person who signed in at Google is the one who asked in the chat, and their requirements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.identities import Directory
from app.principal import Principal


class LinkingMode(StrEnum):
    """The proof that the settings require; channels that do not support it use the code."""

    CODE = "code"
    EMAIL_MATCH = "email_match"
    CHANNEL_LOGIN = "channel_login"


class ChannelProof(Protocol):
    """A channel at which people can sign in with a browser; one object, as long as the process."""

    def login_url(self, principal: Principal, *, state: str, nonce: str) -> str:
        """Return the URL where a browser is sent to sign in as this person.

        Args:
            principal: Whom the sign-in has to be of.
            state: Comes back with the answer.
            nonce: Stands in what the channel signs, so that an answer counts for this sign-in alone.
        """
        ...

    async def proves(self, principal: Principal, answer: Mapping[str, str], *, nonce: str) -> bool:
        """Return whether, by what the browser brought back, the channel says that this person has signed in.

        Raises:
            CallbackRefusedError: The answer is not the channel's, or not to this sign-in.
            UnavailableError: The channel did not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Linking:
    """The required proof and the channels that support each. Lives as long as the process.

    Attributes:
        linking: The proof that the settings require.
        directories: By platform, the channels that know addresses.
        logins: By platform, the channels at which people can sign in.
    """

    linking: LinkingMode
    directories: Mapping[str, Directory]
    logins: Mapping[str, ChannelProof]

    def directory(self, principal: Principal) -> Directory | None:
        """Return the directory that must know this person's address, or None if addresses prove nothing."""
        return self.directories.get(principal.platform) if self.linking is LinkingMode.EMAIL_MATCH else None

    def login(self, principal: Principal) -> ChannelProof | None:
        """Return the channel at which this person has to sign in, or None if they need not or cannot."""
        return self.logins.get(principal.platform) if self.linking is LinkingMode.CHANNEL_LOGIN else None


def same_address(one: str, other: str) -> bool:
    """Return whether two verified addresses are the same, ignoring case as Google and Slack do."""
    return one.strip().casefold() == other.strip().casefold() != ""
