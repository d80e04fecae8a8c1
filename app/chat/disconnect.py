"""The commands ``disconnect google`` and ``disconnect github``, which end Deputy's access to a person's accounts."""

from __future__ import annotations

import logging

from app.chat.words import words_of
from app.consent.ended import Ended, EndedGrant
from app.consent.revocation import Revocation
from app.errors import SealError
from app.messages import StoredMessage
from app.oauth.provider import GOOGLE, Provider, Providers

log = logging.getLogger(__name__)


class DisconnectCommand:
    """Ends all grants at one provider of the person who says so; lives as long as the process and holds none."""

    def __init__(self, revocation: Revocation, providers: Providers) -> None:
        self._revocation = revocation
        self._providers = providers

    async def reply(self, message: StoredMessage) -> str | None:
        """End the sender's grants and links there, and return the reply; None when the message is anything else."""
        match words_of(message.text):
            case ("disconnect",):
                return self._which()
            case ("disconnect", typed) | ("disconnect", typed, "account"):
                name = self._providers.find(typed)
            case _:
                return None
        if name is None:
            return None
        provider = self._providers[name]
        try:
            ended = await self._revocation.end(message.principal, provider=name)
        except SealError as error:
            log.error("a grant of %s is not ended at %s: %s", message.principal, name, error)
            return (
                f"Disconnected: I no longer use your {provider.title} accounts. I could not revoke one of them at "
                f"{provider.title}, because I can no longer read its tokens; remove it yourself{_where(provider)}."
            )
        return in_words(ended, provider)

    def _which(self) -> str:
        first, *others = (f"`disconnect {name}`" for name in self._providers.names)
        beside = f" For other accounts, send {' or '.join(others)}." if others else ""
        return f"To end my access to all your {self._providers[GOOGLE].title} accounts, send me {first}.{beside}"


def in_words(ended: Ended, provider: Provider) -> str:
    """Return a text that tells the person what was ended at a provider."""
    told = [f"Disconnected {grant.email}: {_ended(grant, provider)}" for grant in ended.erased]
    told += [
        f"Disconnected {grant.email}: I no longer use the access. {provider.title} did not answer, so I keep trying to "
        f"end it there; you can also end it yourself{_where(provider)}."
        for grant in ended.waiting
    ]
    if ended.links:
        told.append("The links I sent you no longer work.")
    if ended.runs:
        told.append(f"I stopped waiting for your consent to {_messages(ended.runs)}.")
    return "\n".join(told) or f"You have no {provider.title} account connected, and no open link."


def _ended(grant: EndedGrant, provider: Provider) -> str:
    if grant.at_provider:
        return f"I ended the access at {provider.title} and erased it here."
    if grant.shared:
        return (
            f"I erased the access here. At {provider.title} it stays, because another connection uses the same account."
        )
    return f"I erased the access here. {provider.title} lets nobody but you end it there: do so{_where(provider)}."


def _where(provider: Provider) -> str:
    return f" at {provider.manage_url}" if provider.manage_url else " in your settings there"


def _messages(count: int) -> str:
    return "one message" if count == 1 else f"{count} messages"
