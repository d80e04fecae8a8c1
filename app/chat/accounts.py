"""What a person says in the chat about their Google accounts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from app.consent.codes import find_typed
from app.consent.confirmation import Confirmation
from app.consent.flow import Consent
from app.consent.outcome import Connected
from app.delivery.replies.channel import Channel, place_of
from app.google.auth import SIGN_IN_SCOPES
from app.grants.accounts import Account, Accounts, is_alias
from app.messages import StoredMessage
from app.reply import LinkReply

_NOTHING = (
    "No sign-in of yours waits for this code. It may be used already, or over, or of a link that somebody else asked "
    "for: then close the page, and give the code to nobody."
)
_NO_ALIAS = "Call an account by a short word of letters, digits and hyphens, such as work."
_NONE = "No Google account of yours is connected. Write `connect google` to connect one."

_ALIAS = r"(?P<alias>[\w-]+)"
_END = r"\s*[.!]?\s*"
_LIST = re.compile(rf"\s*google\s+accounts{_END}", re.IGNORECASE)
_CONNECT = re.compile(
    rf"\s*(?:connect\s+google(?:\s+account)?|add\s+google\s+account)(?:\s+as\s+{_ALIAS})?{_END}", re.IGNORECASE
)
_USE = re.compile(rf"\s*use\s+{_ALIAS}(?P<here>\s+for\s+this(?:\s+conversation)?)?{_END}", re.IGNORECASE)
_RENAME = re.compile(rf"\s*rename\s+{_ALIAS}\s+to\s+(?P<new>[\w-]+){_END}", re.IGNORECASE)


class ConfirmCommand:
    """Takes the code of a sign-in, ``confirm K7P2QX9M``; lives as long as the process and holds none.

    Args:
        permission: What an OAuth scope permits, in words.
    """

    def __init__(self, confirmation: Confirmation, permission: Callable[[str], str] = str) -> None:
        self._confirmation = confirmation
        self._permission = permission

    async def reply(self, message: StoredMessage) -> str | None:
        """Confirm the sign-in whose code a message is, and say so; None when it is anything else."""
        typed = find_typed(message.text)
        if typed is None:
            return None
        outcome = await self._confirmation.confirm(message.principal, typed, message_id=message.message_id)
        if isinstance(outcome, Connected):
            return self._connected(outcome)
        if outcome is None:
            return _NOTHING
        if not outcome.tries_left:
            return "That is not the code either, so nothing was connected. Write `connect google` for a new link."
        tries = "one more try" if outcome.tries_left == 1 else f"{outcome.tries_left} more tries"
        return f"That is not the code. Look at the page where you signed in; you have {tries}."

    def _connected(self, connected: Connected) -> str:
        text = f"Connected: {connected.email}."
        if connected.missing_scopes:
            missing = "; ".join(map(self._permission, sorted(connected.missing_scopes)))
            text += f" You did not allow this, so what needs it will not work: {missing}"
        return text


class AccountsCommand:
    """Connects, lists, names and chooses a person's Google accounts; lives as long as the process and holds none.

    The choice is the person's word. No tool takes an account, so nothing that a mail says can choose one.

    Args:
        channels: By platform; they know where others read along.
        permission: What an OAuth scope permits, in words.
    """

    def __init__(
        self,
        consent: Consent,
        accounts: Accounts,
        channels: Mapping[str, Channel],
        permission: Callable[[str], str] = str,
    ) -> None:
        self._consent = consent
        self._accounts = accounts
        self._channels = channels
        self._permission = permission

    async def reply(self, message: StoredMessage) -> str | LinkReply | None:
        """Do what a message says about accounts, and say so; None when it is anything else.

        ``use`` and ``rename`` are this command's only where they name an account of the sender's.
        """
        if _LIST.fullmatch(message.text):
            return await self._list(message)
        if match := _CONNECT.fullmatch(message.text):
            return await self._connect(message, match["alias"])
        if match := _USE.fullmatch(message.text):
            return await self._use(message, match["alias"].lower(), here=match["here"] is not None)
        if match := _RENAME.fullmatch(message.text):
            return await self._rename(message, match["alias"].lower(), match["new"].lower())
        return None

    async def _list(self, message: StoredMessage) -> str:
        accounts = await self._accounts.list(message.principal)
        if not accounts:
            return _NONE
        here = await self._accounts.chosen_here(message.principal, message.conversation)
        lines = [self._line(account, here=account.grant_id == here) for account in accounts]
        return "\n".join(["Your Google accounts:", *lines])

    def _line(self, account: Account, *, here: bool) -> str:
        marks = [name for name, holds in (("default", account.is_default), ("used here", here)) if holds]
        marked = f" ({', '.join(marks)})" if marks else ""
        granted = self._in_words(account.granted_scopes) or "only to know who you are"
        return f"- {account.alias}: {account.email}{marked}; granted: {granted}"

    async def _connect(self, message: StoredMessage, alias: str | None) -> str | LinkReply:
        alias = alias.lower() if alias else None
        accounts = await self._accounts.list(message.principal)
        if alias is not None and not is_alias(alias):
            return _NO_ALIAS
        taken = next((account for account in accounts if account.alias == alias), None)
        if taken is not None:
            return f"You call {taken.email} {alias} already. Take another name, or write `rename {alias} to …` first."
        place = place_of(message, self._channels)
        link_id, oauth_scopes = await self._consent.ask_to_add(message.principal, alias=alias, place=place)
        wanted = self._in_words(oauth_scopes) or "only to know who you are; the rest when you need it"
        return LinkReply(link_id, f"It asks for: {wanted}")

    async def _use(self, message: StoredMessage, alias: str, *, here: bool) -> str | None:
        conversation = message.conversation if here else None
        account = await self._accounts.use(message.principal, alias, conversation=conversation)
        if account is None:
            return None
        if here:
            return f"In this conversation I use {account.alias}: {account.email}."
        await self._accounts.forget_choice(message.principal, message.conversation)
        return f"From now on I use {account.alias}: {account.email}, here and wherever you did not say otherwise."

    async def _rename(self, message: StoredMessage, alias: str, new: str) -> str | None:
        accounts = {account.alias for account in await self._accounts.list(message.principal)}
        if alias not in accounts:
            return None
        if not is_alias(new):
            return _NO_ALIAS
        if not await self._accounts.rename(message.principal, alias, new):
            return f"You call another account {new} already."
        return f"{alias} is called {new} now."

    def _in_words(self, oauth_scopes: Iterable[str]) -> str:
        return "; ".join(self._permission(scope) for scope in sorted(oauth_scopes) if scope not in _IDENTITY)


_IDENTITY = frozenset({*SIGN_IN_SCOPES, "https://www.googleapis.com/auth/userinfo.email"})
