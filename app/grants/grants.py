"""Grants at rest: what one person's consent yielded for one Google account."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.audit import AuditEntry, AuditEvent, record
from app.database.database import Database, take_turns
from app.database.prepared import Columns, Prepared
from app.database.tables import grants, of_person, owned_by, owner, whose
from app.database.transition import changing
from app.grants.accounts import OF_PROVIDER, alias_for, choose, choosing, chosen, has_default
from app.grants.former_accounts import keep_addresses
from app.grants.grant import Grant, GrantState
from app.keys.ring import KeyRing
from app.keys.sealed_columns import seal, unseal
from app.oauth.provider import GOOGLE
from app.oauth.tokens import ProviderTokens
from app.principal import Principal
from app.users import IS_OFFBOARDED

_OF_ACCOUNT_OF_PERSON = sa.and_(
    of_person(grants), grants.c.provider == OF_PROVIDER, grants.c.subject == sa.bindparam("of_subject")
)
_OF_GRANT = sa.and_(of_person(grants), grants.c.id == sa.bindparam("of_grant"))
_KNOWN = Prepared(
    sa.select(grants.c.id, grants.c.version, grants.c.alias, grants.c.state)
    .where(_OF_ACCOUNT_OF_PERSON)
    .with_for_update()
)
_ENDING = Prepared(sa.select(grants).where(_OF_GRANT, grants.c.state == GrantState.ENDING))


def _usable(which: sa.ColumnElement[bool]) -> Prepared:
    """Return a query for the active grant of a person among these; an offboarded person has none."""
    return Prepared(
        sa.select(grants).where(of_person(grants), grants.c.state == GrantState.ACTIVE, which, ~IS_OFFBOARDED)
    )


_BY_ID = _usable(_OF_GRANT)
_OF_ACCOUNT = _usable(_OF_ACCOUNT_OF_PERSON)
_IN_USE = _usable(sa.and_(grants.c.provider == OF_PROVIDER, grants.c.id == chosen(OF_PROVIDER)))


class Grants:
    """Stores grants with their tokens sealed; lives as long as the process and holds none of them."""

    def __init__(self, database: Database, key_ring: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._key_ring = key_ring
        self._now = now

    async def find(
        self, principal: Principal, conversation: str | None = None, *, provider: str = GOOGLE
    ) -> Grant | None:
        """Return the active grant of the account that the person uses in this conversation or by default, or None.

        Raises:
            SealError: The row was sealed for somebody else, or with a key that is gone.
        """
        return await self._find(_IN_USE, principal, **choosing(conversation), of_provider=provider)

    async def get(self, principal: Principal, grant_id: str) -> Grant | None:
        """Return this active grant of the person, or None; raises as `find`."""
        return await self._find(_BY_ID, principal, of_grant=grant_id)

    async def of_account(self, principal: Principal, subject: str, *, provider: str = GOOGLE) -> Grant | None:
        """Return the person's active grant for this account, or None; raises as `find`."""
        return await self._find(_OF_ACCOUNT, principal, of_provider=provider, of_subject=subject)

    async def granted_scopes(
        self, connection: AsyncConnection, principal: Principal, conversation: str | None, *, provider: str = GOOGLE
    ) -> frozenset[str] | None:
        """Return the scopes of the grant that `find` would return, in the caller's transaction, or None."""
        given = {**whose(principal), **choosing(conversation), "of_provider": provider}
        row = (await _IN_USE.execute(connection, given)).one_or_none()
        return frozenset(row.granted_scopes.split()) if row is not None else None

    async def _find(self, query: Prepared, principal: Principal, **which: str) -> Grant | None:
        row = (await self._database.fetch(query, {**whose(principal), **which})).one_or_none()
        return self._open(principal, row) if row is not None else None

    async def find_ending(self, principal: Principal, grant_id: str) -> Grant | None:
        """Return this grant of the person if it is being ended, or None; use it only to end it at Google.

        Raises:
            SealError: As for `find`.
        """
        return await self._find(_ENDING, principal, of_grant=grant_id)

    async def activate(
        self,
        connection: AsyncConnection,
        principal: Principal,
        tokens: ProviderTokens,
        *,
        alias: str | None = None,
        provider: str = GOOGLE,
    ) -> str:
        """Make this an active grant of the person, and return its id; the caller's transaction commits it.

        A grant for the same account is renewed, and those for others stay as they are. It is the person's default if
        they have none. Only the person chooses which of several is used; connecting another one does not change it.

        Args:
            connection: The caller's.
            principal: The person whose grant it is.
            tokens: The provider's answer, with the verified account.
            alias: The name that the person wants for the account.
            provider: By its name in the settings.
        """
        assert tokens.account is not None
        await take_turns(connection, "grants", principal.platform, principal.tenant, principal.user)
        same_account = {**whose(principal), "of_provider": provider, "of_subject": tokens.account.subject}
        known = (await _KNOWN.execute(connection, same_account)).one_or_none()
        now = self._now()
        grant = Grant(
            grant_id=known.id if known else uuid.uuid4().hex,
            principal=principal,
            subject=tokens.account.subject,
            email=tokens.account.email,
            granted_scopes=tokens.granted_scopes,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            expires_at=tokens.expires_at,
            version=known.version + 1 if known else 1,
            provider=provider,
        )
        values = {
            "email": grant.email,
            "granted_scopes": " ".join(sorted(grant.granted_scopes)),
            "sealed_tokens": self._seal(grant),
            "version": grant.version,
            "state": GrantState.ACTIVE,
            "alias": await alias_for(
                connection, principal, grant.grant_id, grant.email, alias or (known.alias if known else None)
            ),
            "changed_at": now,
        }
        if known:
            await connection.execute(grants.update().where(grants.c.id == grant.grant_id).values(**values))
        else:
            await connection.execute(
                grants.insert().values(
                    id=grant.grant_id,
                    **owner(principal),
                    provider=provider,
                    subject=grant.subject,
                    created_at=now,
                    **values,
                )
            )
        if not await has_default(connection, principal, provider):
            await choose(connection, principal, grant.grant_id, provider=provider)
        event = AuditEvent.WIDEN if known and known.state == GrantState.ACTIVE else AuditEvent.CONFIRM
        await record(connection, AuditEntry(principal, event, now, credential=grant.grant_id, provider=provider))
        return grant.grant_id

    async def replace_tokens(self, grant: Grant, tokens: ProviderTokens) -> Grant | None:
        """Keep what a refresh yielded, if the stored version is still the one that was refreshed; else None.

        None too for a grant that is being ended; what Google rotated is kept all the same, to end it with.
        """
        fresh = replace(
            grant,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token or grant.refresh_token,  # there is one only when it rotates
            expires_at=tokens.expires_at,
            granted_scopes=tokens.granted_scopes or grant.granted_scopes,
            version=grant.version + 1,
        )
        values = {
            "sealed_tokens": self._seal(fresh),
            "granted_scopes": " ".join(sorted(fresh.granted_scopes)),
            "version": fresh.version,
        }
        still = sa.and_(_as_read(grant), grants.c.state.in_((GrantState.ACTIVE, GrantState.ENDING)))
        change = grants.update().where(still).values(**values, changed_at=self._now())
        changed = await self._change(grant, AuditEvent.REFRESH, change)
        return fresh if changed == GrantState.ACTIVE else None

    async def mark_revoked(self, grant: Grant) -> bool:
        """Say that Google no longer honours the grant, and erase its tokens; return whether it was done.

        It is not done where somebody has renewed the grant since it was read.
        """
        return await self._end(grant, GrantState.REVOKED, sealed_tokens="", version=grant.version + 1)

    async def mark_ending(self, grant: Grant) -> bool:
        """Give the grant out no more, so that `Revocation` ends it at Google; return whether it was done.

        It is not done where somebody has renewed the grant since it was read.
        """
        return await self._end(grant, GrantState.ENDING)

    async def erase(self, connection: AsyncConnection, principal: Principal) -> None:
        """Delete this person's grants in the caller's transaction, and keep their addresses sealed for the audit."""
        await keep_addresses(connection, self._key_ring, principal, self._now())
        await connection.execute(grants.delete().where(owned_by(grants, principal)))

    async def _end(self, grant: Grant, state: GrantState, **values: Any) -> bool:
        change = changing(grants, _as_read(grant), GrantState.ACTIVE, state, changed_at=self._now(), **values)
        return await self._change(grant, AuditEvent.REVOKE, change) is not None

    async def _change(self, grant: Grant, event: AuditEvent, change: sa.Update) -> str | None:
        """Make a change and record it; return the state that the grant has then, or None if nothing was changed."""
        async with self._database.writing() as connection:
            state: str | None = (await connection.execute(change.returning(grants.c.state))).scalar_one_or_none()
            if state is not None:
                entry = AuditEntry(
                    grant.principal, event, self._now(), credential=grant.grant_id, provider=grant.provider
                )
                await record(connection, entry)
        return state

    def _seal(self, grant: Grant) -> str:
        tokens = {"access": grant.access_token, "refresh": grant.refresh_token, "expires_at": grant.expires_at}
        row = {**owner(grant.principal), "provider": grant.provider, "subject": grant.subject, "id": grant.grant_id}
        return seal(self._key_ring, grants.c.sealed_tokens, json.dumps(tokens), row)

    def _open(self, principal: Principal, row: Columns) -> Grant:
        tokens = json.loads(unseal(self._key_ring, grants.c.sealed_tokens, row))
        return Grant(
            grant_id=row.id,
            principal=principal,
            subject=row.subject,
            email=row.email,
            granted_scopes=frozenset(row.granted_scopes.split()),
            access_token=tokens["access"],
            refresh_token=tokens["refresh"],
            expires_at=tokens["expires_at"],
            version=row.version,
            provider=row.provider,
        )


def _as_read(grant: Grant) -> sa.ColumnElement[bool]:
    """Return the condition that nobody has changed this grant's tokens since it was read."""
    return sa.and_(owned_by(grants, grant.principal), grants.c.id == grant.grant_id, grants.c.version == grant.version)
