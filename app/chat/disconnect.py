"""The command ``disconnect google``, which ends Deputy's access to a person's Google accounts."""

from __future__ import annotations

import logging

from app.chat.words import words_of
from app.consent.revocation import Ended, Revocation
from app.errors import SealError
from app.messages import StoredMessage

log = logging.getLogger(__name__)

_SEALED = (
    "Disconnected: I no longer use your Google accounts. I could not revoke one of them at Google, because "
    "I can no longer read its tokens; remove it yourself at https://myaccount.google.com/connections."
)
_NOTHING = "You have no Google account connected, and no open link."


class DisconnectCommand:
    """Ends all grants of the person who says so; lives as long as the process and holds none."""

    def __init__(self, revocation: Revocation) -> None:
        self._revocation = revocation

    async def reply(self, message: StoredMessage) -> str | None:
        """End the sender's grants and links, and return the reply; None when the message is anything else."""
        words = words_of(message.text)
        if words == ("disconnect",):
            return "To end my access to all your Google accounts, send me `disconnect google`."
        if words not in (("disconnect", "google"), ("disconnect", "google", "account")):
            return None
        try:
            return in_words(await self._revocation.end(message.principal))
        except SealError as error:
            log.error("a grant of %s is not ended at Google: %s", message.principal, error)
            return _SEALED


def in_words(ended: Ended) -> str:
    """Return a text that tells the person what was ended."""
    told = []
    for grant in ended.erased:
        at_google = (
            "I ended the access at Google and erased it here."
            if grant.at_google
            else "I erased the access here. At Google it stays, because another connection uses the same account."
        )
        told.append(f"Disconnected {grant.email}: {at_google}")
    told += [
        f"Disconnected {email}: I no longer use the access. Google did not answer, so I keep trying to end it there; "
        "you can also end it yourself at https://myaccount.google.com/connections."
        for email in ended.waiting
    ]
    if ended.links:
        told.append("The links I sent you no longer work.")
    if ended.runs:
        told.append(f"I stopped waiting for your consent to {_messages(ended.runs)}.")
    return "\n".join(told) or _NOTHING


def _messages(count: int) -> str:
    return "one message" if count == 1 else f"{count} messages"
