"""The commands by which a person connects, names and chooses their accounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.chat.words import pieces_of, words_of
from app.consent.codes import is_given_out, read_code
from app.consent.confirmation import Confirmation
from app.consent.flow import Consent
from app.consent.outcome import Connected, Disconnected
from app.delivery.replies.channel import Channel, place_of
from app.grants.accounts import Account, Accounts, is_alias
from app.messages import StoredMessage
from app.oauth.provider import GOOGLE, Providers
from app.reply import LinkReply

_UNKNOWN_CODE = (
    "I don't know this code: it has expired, was used, or belongs to somebody else's link. Write {connect} for a new "
    "link. If somebody sent you the link, close the page and give the code to nobody."
)
_HOW_TO_CONFIRM = "To finish connecting, send me only `confirm` and the code from the page, and nothing else."
_NO_SIGN_IN = "No sign-in of yours waits for a code. Write {connect} to begin one."
_LAST_CODE = "That was the last wrong code I accept, so nothing was connected. Write {connect} to try again."
_NO_ALIAS = "An account's name is a short word of letters, digits and hyphens, such as work."
_NONE = "You have no {title} account connected. Write `connect {name}` to connect one."


@dataclass(frozen=True, slots=True)
class TypedCode:
    """A code that a message holds.

    Attributes:
        certain: The message can mean nothing else; otherwise it counts only while a sign-in waits for a code.
    """

    code: str = field(repr=False)
    certain: bool


def find_code(text: str) -> TypedCode | None:
    """Return the code of ``confirm K7P2QX9M``, of the code alone, or of a text that speaks of a code and holds one."""
    words = words_of(text)
    if words[:1] == ("confirm",) and (code := read_code("".join(words[1:]))):
        return TypedCode(code, certain=True)
    if words and (code := read_code("".join(words))) and is_given_out(code):
        return TypedCode(code, certain=False)
    if {"confirm", "code"} & set(words):
        found = [code for word in words if (code := read_code(word)) and is_given_out(code)]
        return TypedCode(found[0], certain=False) if len(found) == 1 else None
    return None


def _may_hold_code(text: str) -> bool:
    return any(code is not None and is_given_out(code) for code in map(read_code, pieces_of(text)))


class ConfirmCommand:
    """Takes the code of a sign-in, ``confirm K7P2QX9M``; lives as long as the process and holds none."""

    def __init__(self, confirmation: Confirmation, providers: Providers) -> None:
        self._confirmation = confirmation
        self._providers = providers

    async def reply(self, message: StoredMessage) -> str | None:
        """Confirm the sign-in whose code a message holds, and return the reply; None when it is anything else."""
        typed = find_code(message.text)
        if typed is None:
            return await self._ask(message)
        outcome = await self._confirmation.confirm(message.principal, typed.code, message_id=message.message_id)
        if isinstance(outcome, Connected):
            return self._connected(outcome)
        if isinstance(outcome, Disconnected):
            return (
                f"That code connected {outcome.email}, which has been disconnected since. Write "
                f"`connect {outcome.link.provider}` to "
                "connect it again."
            )
        if outcome is None:
            return self._again(_UNKNOWN_CODE) if typed.certain else None
        if not outcome.tries_left:
            return self._again(_LAST_CODE)
        tries = "one more try" if outcome.tries_left == 1 else f"{outcome.tries_left} more tries"
        return f"That is not the code. Look at the page where you signed in; you have {tries}."

    async def _ask(self, message: StoredMessage) -> str | None:
        """Return how to confirm, if a message means it or holds what may be the code: no model is to see it."""
        alone = words_of(message.text) in (("confirm",), ("code",))
        if not alone and not _may_hold_code(message.text):
            return None
        if await self._confirmation.is_awaited(message.principal):
            return _HOW_TO_CONFIRM
        return self._again(_NO_SIGN_IN) if alone else None

    def _connected(self, connected: Connected) -> str:
        text = f"Connected: {connected.email}."
        if connected.missing_scopes:
            permission = self._providers[connected.link.provider].permission
            missing = "; ".join(map(permission, sorted(connected.missing_scopes)))
            text += f" You did not allow the following, so I cannot do what needs it: {missing}"
        return text

    def _again(self, text: str) -> str:
        return text.format(connect=self._providers.connect_words)


class AccountsCommand:
    """Connects, lists, names and chooses a person's accounts; lives as long as the process and holds none.

    The choice is the person's word. No tool takes an account, so nothing that a mail says can choose one.

    Args:
        channels: By platform; they know where others read along.
        providers: Those at which accounts can be connected.
    """

    def __init__(
        self,
        consent: Consent,
        accounts: Accounts,
        channels: Mapping[str, Channel],
        providers: Providers,
    ) -> None:
        self._consent = consent
        self._providers = providers
        self._accounts = accounts
        self._channels = channels

    async def reply(self, message: StoredMessage) -> str | LinkReply | None:
        """Do what the message says about accounts, and return the reply; None when it is anything else.

        ``rename`` is this command's only where it names an account of the sender's, and ``use`` with one more word only
        for senders who have accounts.
        """
        match words_of(message.text):
            case ("connections" | "accounts",) | ("my", "connections" | "accounts"):
                return await self._list_all(message)
            case (typed, "accounts" | "account") if provider := self._providers.find(typed):
                return await self._list(message, provider)
            case ("connect",) | ("connect", "gmail"):
                return await self._connect(message, GOOGLE, None)
            case ("connect", typed) | ("connect" | "add", typed, "account"):
                return await self._connect_typed(message, typed, None)
            case ("connect", typed, "as", alias) | ("connect" | "add", typed, "account", "as", alias):
                return await self._connect_typed(message, typed, alias)
            case ("use", alias):
                return await self._use(message, alias, here=False)
            case ("use", alias, "for", "this") | ("use", alias, "for", "this", "conversation"):
                return await self._use(message, alias, here=True)
            case ("rename", alias, "to", new):
                return await self._rename(message, alias, new)
            case _:
                return None

    async def _list_all(self, message: StoredMessage) -> str:
        """Return the person's accounts at every provider, and how to connect one where they have none."""
        return "\n".join([await self._list(message, name) for name in self._providers.names])

    async def _list(self, message: StoredMessage, provider: str) -> str:
        lines = await self._lines(message, provider)
        title = self._providers[provider].title
        return "\n".join([f"Your {title} accounts:", *lines]) if lines else _NONE.format(title=title, name=provider)

    async def _lines(self, message: StoredMessage, provider: str) -> list[str]:
        accounts = await self._accounts.list(message.principal)
        here = await self._accounts.chosen_here(message.principal, message.conversation, provider)
        return [
            self._line(account, here=account.grant_id == here) for account in accounts if account.provider == provider
        ]

    def _line(self, account: Account, *, here: bool) -> str:
        marks = [name for name, holds in (("default", account.is_default), ("used here", here)) if holds]
        marked = f" ({', '.join(marks)})" if marks else ""
        granted = self._providers.in_words(account.granted_scopes, account.provider) or "I only know who you are"
        return f"- {account.alias}: {account.email}{marked}. You allowed: {granted}"

    async def _connect_typed(self, message: StoredMessage, typed: str, alias: str | None) -> str | LinkReply | None:
        """Connect an account at the provider that was typed; None, for the agent, where there is none of that name."""
        provider = self._providers.find(typed)
        return await self._connect(message, provider, alias) if provider is not None else None

    async def _connect(self, message: StoredMessage, provider: str, alias: str | None) -> str | LinkReply:
        accounts = await self._accounts.list(message.principal)
        if alias is not None and not is_alias(alias):
            return _NO_ALIAS
        taken = next((account for account in accounts if account.alias == alias), None)
        if taken is not None:
            return f"You already call {taken.email} {alias}. Use another name, or write `rename {alias} to …` first."
        place = place_of(message, self._channels)
        link_id, oauth_scopes = await self._consent.ask_to_add(
            message.principal, alias=alias, place=place, provider=provider
        )
        wanted = self._providers.in_words(oauth_scopes, provider)
        if not wanted:
            return LinkReply(link_id, "For now it only tells me who you are; I'll ask for more when you need it.")
        return LinkReply(link_id, f"It asks for your permission to: {wanted}")

    async def _use(self, message: StoredMessage, alias: str, *, here: bool) -> str | None:
        conversation = message.conversation if here else None
        account = await self._accounts.use(message.principal, alias, conversation=conversation)
        if account is None:
            return None if here else await self._unknown(message, alias)
        if here:
            return f"In this conversation I now use {account.alias} ({account.email})."
        await self._accounts.forget_choice(message.principal, message.conversation, account.provider)
        return f"I now use {account.alias} ({account.email}) everywhere, except where you chose another account."

    async def _unknown(self, message: StoredMessage, alias: str) -> str | None:
        """Return which accounts there are instead; None for a person without accounts, who means something else."""
        accounts = [f"`{account.alias}`" for account in await self._accounts.list(message.principal)]
        return f"You have no account called {alias}. Your accounts are {', '.join(accounts)}." if accounts else None

    async def _rename(self, message: StoredMessage, alias: str, new: str) -> str | None:
        accounts = {account.alias for account in await self._accounts.list(message.principal)}
        if alias not in accounts:
            return None
        if not is_alias(new):
            return _NO_ALIAS
        if not await self._accounts.rename(message.principal, alias, new):
            return f"You already call another account {new}."
        return f"I now call {alias} {new}."
