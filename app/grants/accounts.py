"""A person's accounts: what they call each, which one they use, and where."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database, take_turns
from app.database.prepared import Executed, Prepared, inserting
from app.database.tables import account_choices, grants, of_person, owned_by, owner, whose
from app.grants.grant import GrantState
from app.oauth.provider import GOOGLE
from app.principal import Principal

EVERYWHERE = ""  # as a conversation: the choice that counts where none was made

_ALIAS = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_NO_ALIASES = frozenset({"this", "google", "account", "accounts", "default", "it"})


@dataclass(frozen=True, slots=True)
class Account:
    """An account that a person has connected.

    Attributes:
        alias: The person's name for it, unique among their accounts.
        is_default: Whether it is used wherever they chose no other of the same provider.
        provider: By its name in the settings.
    """

    grant_id: str
    alias: str
    email: str
    granted_scopes: frozenset[str]
    is_default: bool
    provider: str = GOOGLE


def is_alias(text: str) -> bool:
    """Return whether this can name an account: a short word of lower-case letters, digits and hyphens."""
    return bool(_ALIAS.fullmatch(text)) and text not in _NO_ALIASES


def choosing(conversation: str | None) -> dict[str, str]:
    """Return the parameters of a statement with `chosen` in it, besides those of `whose`."""
    return {"of_place": conversation or EVERYWHERE}


def chosen(provider: sa.ColumnElement[str]) -> sa.ScalarSelect[str]:
    """Return a query for the id of the grant that a person uses in a conversation or by default, active or not.

    Each provider has a choice of its own.

    An account that has ended is not replaced by another one behind its person's back.
    """
    places = (sa.literal(EVERYWHERE), sa.bindparam("of_place", type_=sa.String))
    return (
        sa.select(account_choices.c.grant_id)
        .where(
            of_person(account_choices),
            account_choices.c.provider == provider,
            account_choices.c.conversation.in_(places),
        )
        .order_by(account_choices.c.conversation.desc())  # the conversation's own choice before the empty name's
        .limit(1)
        .scalar_subquery()
    )


OF_PROVIDER = sa.bindparam("of_provider", type_=sa.String)
_CHOSEN = Prepared(sa.select(chosen(OF_PROVIDER).label("grant_id")))
_LIST = Prepared(
    sa.select(grants, (grants.c.id == chosen(grants.c.provider)).label("is_default"))
    .where(of_person(grants), grants.c.state == GrantState.ACTIVE)
    .order_by(grants.c.alias)
)


class Accounts:
    """Stores people's names and choices of accounts; lives as long as the process and holds none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, principal: Principal) -> list[Account]:
        """Return this person's connected accounts at all providers, by alias."""
        return _accounts(await self._database.fetch(_LIST, _listing(principal)))

    async def chosen_here(self, principal: Principal, conversation: str, provider: str = GOOGLE) -> str | None:
        """Return the id of the grant that this person uses in this conversation, active or not, or None."""
        given = {**whose(principal), **choosing(conversation), "of_provider": provider}
        row = (await self._database.fetch(_CHOSEN, given)).one_or_none()
        return row.grant_id if row is not None else None

    async def use(self, principal: Principal, alias: str, *, conversation: str | None) -> Account | None:
        """Make this person use one of their accounts from now on; return None if none has this name.

        Args:
            principal: The person whose account it is.
            alias: Their name for it.
            conversation: The conversation to use it in; None means everywhere that they did not choose another one.
        """
        async with self._database.writing() as connection:
            await _take_turns(connection, principal)
            account = _named(await _list(connection, principal), alias)
            if account is not None:
                place = conversation or EVERYWHERE
                await choose(connection, principal, account.grant_id, conversation=place, provider=account.provider)
        return account

    async def forget_choice(self, principal: Principal, conversation: str, provider: str = GOOGLE) -> None:
        """Use the provider's default account again in this person's conversation."""
        mine = _choice(principal, conversation, provider)
        async with self._database.writing() as connection:
            await connection.execute(account_choices.delete().where(mine))

    async def rename(self, principal: Principal, alias: str, new: str) -> bool:
        """Rename an account of this person; return False if none has the old name or another has the new one."""
        async with self._database.writing() as connection:
            await _take_turns(connection, principal)
            accounts = await _list(connection, principal)
            account = _named(accounts, alias)
            if account is None or _named(accounts, new) is not None or not is_alias(new):
                return False
            mine = sa.and_(owned_by(grants, principal), grants.c.id == account.grant_id)
            await connection.execute(grants.update().where(mine).values(alias=new))
        return True


async def alias_for(
    connection: AsyncConnection, principal: Principal, grant_id: str, email: str, wanted: str | None
) -> str:
    """Return a name for an account, unique for its person: the one that they want, or one made from its address."""
    taken = {account.alias for account in await _list(connection, principal) if account.grant_id != grant_id}
    if wanted and is_alias(wanted) and wanted not in taken:
        return wanted
    name = re.sub(r"[^a-z0-9]+", "-", email.partition("@")[0].lower()).strip("-")[:24] or "account"
    stem = name if is_alias(name) else "account"
    number = 1
    while (alias := stem if number == 1 else f"{stem}-{number}") in taken:
        number += 1
    return alias


async def choose(
    connection: AsyncConnection,
    principal: Principal,
    grant_id: str,
    *,
    conversation: str = EVERYWHERE,
    provider: str = GOOGLE,
) -> None:
    """Make an account the one of its provider that this person uses there, in the caller's transaction."""
    await connection.execute(account_choices.delete().where(_choice(principal, conversation, provider)))
    chosen = {**owner(principal), "conversation": conversation, "provider": provider, "grant_id": grant_id}
    await inserting(account_choices, *chosen).execute(connection, chosen)


async def has_default(connection: AsyncConnection, principal: Principal, provider: str = GOOGLE) -> bool:
    """Return whether this person has an account of the provider that is used where they chose none."""
    accounts = await _list(connection, principal)
    return any(account.is_default for account in accounts if account.provider == provider)


def _choice(principal: Principal, conversation: str, provider: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        owned_by(account_choices, principal),
        account_choices.c.conversation == conversation,
        account_choices.c.provider == provider,
    )


async def _take_turns(connection: AsyncConnection, principal: Principal) -> None:
    """Take turns with those who activate this person's grants."""
    await take_turns(connection, "grants", principal.platform, principal.tenant, principal.user)


async def _list(connection: AsyncConnection, principal: Principal) -> list[Account]:
    return _accounts(await _LIST.execute(connection, _listing(principal)))


def _listing(principal: Principal) -> dict[str, str]:
    return {**whose(principal), **choosing(None)}


def _accounts(found: Executed) -> list[Account]:
    return [
        Account(row.id, row.alias, row.email, frozenset(row.granted_scopes.split()), bool(row.is_default), row.provider)
        for row in found.rows
    ]


def _named(accounts: list[Account], alias: str) -> Account | None:
    return next((account for account in accounts if account.alias == alias), None)
