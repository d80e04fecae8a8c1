"""Ending grants: nobody is given one any more, then it ends at its provider, then it is erased.

    active ─► ending ─► (ended at its provider) ─► erased

The first step is one transaction. A process that is killed after it leaves a grant that is ending; the same command,
or the server's next look, finishes it. To end one at Google that has ended there already is no error, so nothing has
to remember how far it had come.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.audit import AuditEntry, AuditEvent, record
from app.consent.ended import Ended, EndedGrant, WaitingGrant
from app.consent.link import LinkState
from app.consent.lock import take_consent_turn
from app.consent.quarantine import ALIVE, QuarantineState
from app.consent.unconfirmed import RevocationEndpoints, UnconfirmedConsents
from app.database.database import Database, take_turns
from app.database.tables import account_choices, consent_links, grants, owned_by, quarantined_grants
from app.database.transition import changing
from app.errors import ProviderError, SealError
from app.grants.grant import Grant, GrantState
from app.grants.grants import Grants
from app.grants.refresh_leases import RefreshLease, RefreshLeases
from app.principal import Principal
from app.users import stays_offboarded

DISCONNECTED = "You disconnected {}, so I stopped waiting for your permission."
_UNFINISHED = (LinkState.ISSUED, LinkState.OPENED, LinkState.CONSENTED)


class WaitingRuns(Protocol):
    """The runs that wait for a consent."""

    async def stop_waiting_for_consent(
        self, connection: AsyncConnection, principal: Principal, apology: str, *, provider: str | None = None
    ) -> int:
        """Give up what waits for this person's consent, in the caller's transaction; return how many.

        Args:
            connection: The caller's.
            principal: The person.
            apology: The words to them.
            provider: Only what waits for a consent at this one.
        """
        ...


class Revocation:
    """Ends grants; lives as long as the process and holds none."""

    def __init__(
        self,
        database: Database,
        grants: Grants,
        leases: RefreshLeases,
        unconfirmed: UnconfirmedConsents,
        providers: RevocationEndpoints,
        waiting: WaitingRuns,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._grants = grants
        self._leases = leases
        self._unconfirmed = unconfirmed
        self._providers = providers
        self._waiting = waiting
        self._now = now

    async def end(
        self, principal: Principal, *, grant_id: str | None = None, provider: str | None = None, leaver: bool = False
    ) -> Ended:
        """End this person's grants with all that waits for one, or a single grant; also what an earlier end left.

        Args:
            principal: Whose.
            grant_id: This grant alone.
            provider: Only what is this provider's.
            leaver: Only if they are offboarded, also in that very moment.

        Raises:
            SealError: A grant does not open with this key ring, so it is not revoked at Google and stays unused.
        """
        mine = owned_by(grants, principal)
        links = runs = 0
        async with self._database.writing() as connection:
            await take_consent_turn(connection, principal)
            if leaver and not await stays_offboarded(connection, principal):
                return Ended()
            if provider is not None:
                mine = sa.and_(mine, grants.c.provider == provider)
            if grant_id is not None:
                mine = sa.and_(mine, grants.c.id == grant_id)
            else:
                links = (await connection.execute(_end_links(principal, provider))).rowcount
                title = self._providers[provider].title if provider is not None else "your accounts"
                runs = await self._waiting.stop_waiting_for_consent(
                    connection, principal, DISCONNECTED.format(title), provider=provider
                )
                unproven = sa.and_(owned_by(quarantined_grants, principal), _of_provider(quarantined_grants, provider))
                await connection.execute(changing(quarantined_grants, unproven, ALIVE, QuarantineState.ENDING))
            now = self._now()
            ending = changing(grants, mine, GrantState.ACTIVE, GrantState.ENDING, changed_at=now).returning(
                grants.c.id, grants.c.provider
            )
            ended = [
                AuditEntry(principal, AuditEvent.REVOKE, now, credential=row.id, provider=row.provider)
                for row in await connection.execute(ending)
            ]
            await record(connection, *ended)
        erased, waiting = await self._finish(principal)
        return Ended(tuple(erased), tuple(waiting), links, runs)

    async def finish(self, principal: Principal) -> Ended:
        """Go on with what an earlier end of this person's grants left.

        Raises:
            SealError: As for `end`.
        """
        erased, waiting = await self._finish(principal)
        return Ended(tuple(erased), tuple(waiting))

    async def unfinished(self, *, older_than_seconds: float) -> list[Principal]:
        """Return the people who have had a grant in the state `ending` for longer than this."""
        ending = sa.and_(grants.c.state == GrantState.ENDING, grants.c.changed_at <= self._now() - older_than_seconds)
        query = sa.select(grants.c.platform, grants.c.tenant, grants.c.user_id).where(ending).distinct()
        async with self._database.reading() as connection:
            return [Principal(*row) for row in await connection.execute(query)]

    async def _finish(self, principal: Principal) -> tuple[list[EndedGrant], list[WaitingGrant]]:
        query = sa.select(grants.c.id, grants.c.email, grants.c.provider).where(
            owned_by(grants, principal), grants.c.state == GrantState.ENDING
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        erased: list[EndedGrant] = []
        waiting: list[WaitingGrant] = []
        sealed: list[SealError] = []  # a list, so that no variable keeps the error that is raised
        for row in rows:
            try:
                erased += await self._end_one(principal, row.id)
            except ProviderError:
                waiting.append(WaitingGrant(row.email, row.provider))
            except SealError as error:
                sealed.append(error)
        waiting += await self._drop_unconfirmed(principal)
        await self._forget(principal)
        if sealed:
            raise sealed.pop()
        return erased, waiting

    async def _drop_unconfirmed(self, principal: Principal) -> list[WaitingGrant]:
        """Drop what is ending in quarantine; the accounts for which Google gave no answer."""
        dropped = sa.and_(owned_by(quarantined_grants, principal), quarantined_grants.c.state == QuarantineState.ENDING)
        query = sa.select(
            quarantined_grants.c.link_id, quarantined_grants.c.email, quarantined_grants.c.provider
        ).where(dropped)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        for row in rows:
            await self._unconfirmed.drop(principal, row.link_id)
        async with self._database.reading() as connection:
            return [WaitingGrant(row.email, row.provider) for row in await connection.execute(query)]

    async def _end_one(self, principal: Principal, grant_id: str) -> list[EndedGrant]:
        """End it at Google and erase it, under the lease, as a refresh would rotate its tokens; [] if it is gone."""
        while (grant := await self._grants.find_ending(principal, grant_id)) is not None:
            lease = await self._leases.take(grant)
            if lease is None:
                await self._leases.wait(grant)  # 15 seconds at most, when its holder has died
                continue
            try:
                return await self._end_under(lease)
            finally:
                await self._leases.release(lease)
        return []

    async def _end_under(self, lease: RefreshLease) -> list[EndedGrant]:
        grant = await self._grants.find_ending(lease.principal, lease.grant_id)
        if grant is None:
            return []  # somebody else was faster
        async with self._database.reading() as connection:
            shared = await _is_held_elsewhere(connection, grant)
        provider = self._providers[grant.provider]
        shared = shared and provider.ends_all
        ended = not shared and await provider.revoke(
            grant.refresh_token or grant.access_token, is_refresh_token=bool(grant.refresh_token)
        )
        await self._erase(grant)
        return [EndedGrant(grant.grant_id, grant.email, at_provider=ended, shared=shared, provider=grant.provider)]

    async def _erase(self, grant: Grant) -> None:
        """Erase its tokens, unless the person has consented again in the meantime."""
        mine = sa.and_(owned_by(grants, grant.principal), grants.c.id == grant.grant_id)
        over: dict[str, Any] = {"sealed_tokens": "", "version": grants.c.version + 1, "changed_at": self._now()}
        async with self._database.writing() as connection:
            await connection.execute(changing(grants, mine, GrantState.ENDING, GrantState.REVOKED, **over))

    async def _forget(self, principal: Principal) -> None:
        """Delete what is left of a person who has no grant any more: grants, aliases, choices and ids of accounts.

        As long as one is left the others' rows stay without tokens: no other account steps in where one was chosen.
        """
        mine = owned_by(grants, principal)
        left = sa.select(grants.c.id).where(mine, grants.c.state.in_((GrantState.ACTIVE, GrantState.ENDING))).limit(1)
        async with self._database.writing() as connection:
            await take_turns(connection, "grants", principal.platform, principal.tenant, principal.user)
            if (await connection.execute(left)).first() is None:
                await self._grants.erase(connection, principal)
                await connection.execute(account_choices.delete().where(owned_by(account_choices, principal)))
                await connection.execute(_name_no_account(principal, self._now()))


async def _is_held_elsewhere(connection: AsyncConnection, grant: Grant) -> bool:
    """Return whether another grant of the same account is in use or in quarantine, this person's or another one's.

    Google, for one, ends all that an account granted to Deputy at once:
    https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke
    """
    in_use = sa.exists().where(
        grants.c.provider == grant.provider,
        grants.c.subject == grant.subject,
        grants.c.id != grant.grant_id,
        grants.c.state == GrantState.ACTIVE,
    )
    unproven = sa.exists().where(
        quarantined_grants.c.provider == grant.provider,
        quarantined_grants.c.subject == grant.subject,
        quarantined_grants.c.state.in_(ALIVE),
    )
    return bool((await connection.execute(sa.select(sa.or_(in_use, unproven)))).scalar_one())


def _of_provider(table: sa.Table, provider: str | None) -> sa.ColumnElement[bool]:
    return sa.true() if provider is None else table.c.provider == provider


def _end_links(principal: Principal, provider: str | None) -> sa.Update:
    """Expire all links of this person, even one whose code is being exchanged at the moment."""
    mine = sa.and_(owned_by(consent_links, principal), _of_provider(consent_links, provider))
    return changing(consent_links, mine, _UNFINISHED, LinkState.EXPIRED)


def _name_no_account(principal: Principal, now: float) -> sa.Update:
    """Return the update that removes the account from this person's finished and expired links."""
    over = sa.or_(consent_links.c.state.not_in(_UNFINISHED), consent_links.c.expires_at <= now)
    return (
        consent_links.update()
        .where(owned_by(consent_links, principal), over)
        .values(widens=None, alias=None, sealed_secrets="")
    )
