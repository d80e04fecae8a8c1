"""Consent links at rest: the one-time invitations to connect an account, and their states.

    issued ─► opened ─► consented ─► active
       └─────────┴──────────┴──► expired | superseded | refused

A link that is consented waits for the proof that its person signed in; until then its tokens are quarantined. A link
is superseded when the same person is sent another one for the same account that asks for more. A sign-in
that failed at Google without anybody's fault leaves its link issued, to be opened again.
"""

from __future__ import annotations

import hmac
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.consent.link import ANYWHERE, ENDED, SUPERSEDED, Link, LinkState, OpenedLink, Purpose, link_of
from app.consent.link_queries import (
    BEFORE_GOOGLE,
    ISSUED_TO_PERSON,
    OF_ANYBODY,
    OF_PERSON,
    OF_STATE,
    OF_TOKEN,
    OPENED,
    open_links,
    waited_for,
)
from app.consent.link_secrets import hashed, open_values, seal_values, try_values
from app.consent.lock import take_consent_turn
from app.database.database import Database
from app.database.prepared import Columns, Prepared, inserting
from app.database.tables import consent_links, owned_by, owner, whose
from app.database.transition import changed, changing
from app.errors import CallbackRefusedError, LinkExpiredError, SealError
from app.google.scopes import missing_scopes
from app.keys.ring import KeyRing
from app.oauth.provider import GOOGLE
from app.principal import Principal
from app.users import is_offboarded

_OPEN_AT_MOST = 10  # links of one person; a further one takes the place of the oldest
_USED = "this link has been used or has expired. Write `connect {}` in the chat for a new one"
_OTHER_BROWSER = "this browser did not open the link. Open it where it was opened, or write `connect {}` in the chat"

Kept = Callable[[str], str | None]
"""A function from a link's id to the browser's cookie for that sign-in, or None."""


def keeps_nothing(_: str) -> None:
    """Return None, as for a browser that has no cookie."""


class ConsentLinks:
    """Stores links, their secrets hashed or sealed; lives as long as the process and holds none of them."""

    def __init__(
        self, database: Database, key_ring: KeyRing, *, lifetime_seconds: float, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._key_ring = key_ring
        self._lifetime_seconds = lifetime_seconds
        self._now = now

    async def issue(
        self, principal: Principal, oauth_scopes: frozenset[str], purpose: Purpose = ANYWHERE, *, fresh: bool = False
    ) -> tuple[Link, str]:
        """Return a link by which this person can grant these scopes, and its token.

        An open link for the same account that covers the scopes is reused. Otherwise, or if a fresh one is wanted, a
        new link replaces the open ones. It also asks for their scopes and for those that parked runs wait for; a fresh
        one asks for everything that waits, because its person has lost the others. All of this is one transaction, so
        runs that ask at the same time get the same link. Grants from an older link can still be confirmed.
        """
        same_widening = consent_links.c.widens.is_not_distinct_from(purpose.widens)
        same_provider = consent_links.c.provider == purpose.provider
        same_account = sa.and_(same_provider, same_widening, consent_links.c.alias.is_not_distinct_from(purpose.alias))
        async with self._database.writing() as connection:
            await take_consent_turn(connection, principal)
            rows = list(await connection.execute(open_links(principal, self._now()).where(same_account)))
            for row in rows:
                covers = not fresh and not missing_scopes(oauth_scopes, link_of(row).oauth_scopes)
                if covers and (token := self._token(row)):
                    return link_of(row), token
            mine = owned_by(consent_links, principal)
            newest = open_links(principal, self._now()).with_only_columns(consent_links.c.id).limit(_OPEN_AT_MOST - 1)
            superseded = sa.or_(same_account, consent_links.c.id.not_in(newest.scalar_subquery()))
            await connection.execute(
                changing(consent_links, sa.and_(mine, superseded), BEFORE_GOOGLE, LinkState.SUPERSEDED)
            )
            same = sa.and_(same_provider, sa.true() if fresh else same_widening)
            rows += await connection.execute(waited_for(principal).where(same))
            wanted = oauth_scopes.union(*(link_of(row).oauth_scopes for row in rows))
            return await self._insert(connection, principal, wanted, purpose)

    async def _insert(
        self, connection: AsyncConnection, principal: Principal, oauth_scopes: frozenset[str], purpose: Purpose
    ) -> tuple[Link, str]:
        expires_at = (now := self._now()) + self._lifetime_seconds
        link = Link(uuid.uuid4().hex, principal, oauth_scopes, LinkState.ISSUED, purpose, expires_at)
        token = secrets.token_urlsafe(32)
        row = {
            "id": link.link_id,
            **owner(principal),
            "token_hash": hashed(token),
            "sealed_secrets": seal_values(self._key_ring, link, {"token": token}),
            "oauth_scopes": " ".join(sorted(oauth_scopes)),
            "state": link.state,
            "place": purpose.place,
            "widens": purpose.widens,
            "alias": purpose.alias,
            "provider": purpose.provider,
            "created_at": now,
            "expires_at": expires_at,
        }
        await inserting(consent_links, *row).execute(connection, row)
        return link, token

    async def find(self, principal: Principal, link_id: str) -> Link | None:
        """Return this person's link, or None; it counts as `expired` as soon as its time has passed."""
        row = await self._row(OF_PERSON, **whose(principal), of_link=link_id)
        return self._as_it_stands(row) if row is not None else None

    async def find_issued(self, principal: Principal, link_id: str) -> str | None:
        """Return the token of a link that this person may still open, to show it once more; None when they may not."""
        row = await self._row(ISSUED_TO_PERSON, **whose(principal), of_link=link_id, now=self._now())
        return self._token(row) if row is not None else None

    async def look_at(self, token: str, kept: Kept = keeps_nothing) -> Link:
        """Return the link behind a token, untouched: one that may be opened, or that this browser has opened.

        Args:
            token: The last part of the link's address.
            kept: The cookies of this browser, by link.

        Raises:
            LinkExpiredError: It is unknown, expired or superseded, or was opened in another browser.
            SealError: The row is not what was issued: its person, or its token, was changed.
        """
        row = await self._row(OF_TOKEN, of_hash=hashed(token))
        link = self._as_it_stands(row) if row is not None else None
        if row is None or link is None:
            raise LinkExpiredError(_USED.format(GOOGLE))  # no link says which provider
        if link.state is LinkState.SUPERSEDED:
            raise LinkExpiredError(SUPERSEDED)
        if link.state is not LinkState.ISSUED and not _is_kept_by(row, kept(link.link_id)):
            raise LinkExpiredError(_USED.format(link.provider))
        if link.state in BEFORE_GOOGLE:
            issued_with = open_values(self._key_ring, row)["token"]
            if not hmac.compare_digest(issued_with.encode(), token.encode(errors="replace")):
                raise SealError("a consent link does not have the token that it was issued with; it is not opened")
        return link

    async def open(self, token: str, kept: Kept = keeps_nothing) -> OpenedLink:
        """Open the link for the browser that presents its token; for the same browser again, as at first.

        Args:
            token: The last part of the link's address.
            kept: The cookies that this browser had when it was shown the link's page; nothing gives it a new cookie.

        Raises:
            LinkExpiredError: As for `look_at`.
            SealError: As for `look_at`.
        """
        link = await self.look_at(token, kept)
        cookie = kept(link.link_id) or secrets.token_urlsafe(32)
        if link.state is LinkState.ISSUED:
            secret, nonce, code_verifier = (secrets.token_urlsafe(32) for _ in range(3))
            opened = OpenedLink(link, f"{link.link_id}.{secret}", nonce, code_verifier, cookie)
            if await self._open(opened, token):
                return opened
        row = await self._row(OPENED, of_link=link.link_id)
        if row is None or not _is_kept_by(row, cookie):
            raise LinkExpiredError(_USED.format(link.provider))
        return self._opened(row, cookie)

    async def _open(self, opened: OpenedLink, token: str) -> bool:
        values = {
            "token": token,
            "state": opened.state,
            "nonce": opened.nonce,
            "code_verifier": opened.code_verifier,
        }
        now = self._now()
        async with self._database.writing() as connection:
            return await changed(
                connection,
                consent_links,
                consent_links.c.id == opened.link.link_id,
                LinkState.ISSUED,
                LinkState.OPENED,
                fence=consent_links.c.expires_at > now,
                state_hash=hashed(opened.state),
                cookie_hash=hashed(opened.cookie),
                sealed_secrets=seal_values(self._key_ring, opened.link, values),
                expires_at=now + self._lifetime_seconds,
            )

    async def of_browser(self, link_id: str, cookie: str | None) -> Link:
        """Return the link that this browser has opened, in any state.

        Raises:
            CallbackRefusedError: The link does not exist, or another browser has opened it.
        """
        row = await self._row(OF_ANYBODY, of_link=link_id) if link_id.isalnum() and link_id.isascii() else None
        if row is None:
            raise CallbackRefusedError(_USED.format(GOOGLE).replace("link", "sign-in", 1))
        if not _is_kept_by(row, cookie):
            raise CallbackRefusedError(_OTHER_BROWSER.format(row.provider))
        return self._as_it_stands(row)

    async def find_opened(self, state: str, cookie: str) -> OpenedLink | None:
        """Return the opened link that a callback belongs to, untouched; None when it waits for none any more.

        Args:
            state: As it came back from Google.
            cookie: Of the browser, which `of_browser` has compared.

        Raises:
            SealError: The row is not the one that was opened.
        """
        row = await self._row(OF_STATE, of_hash=hashed(state), now=self._now())
        return self._opened(row, cookie) if row is not None else None

    async def take(self, connection: AsyncConnection, link: Link, state: LinkState) -> bool:
        """Say in the caller's transaction that an opened link is `consented` or `refused`; return whether it was open.

        An offboarded person's link ends instead.
        """
        offboarded = await is_offboarded(connection, link.principal)
        mine, after = consent_links.c.id == link.link_id, LinkState.EXPIRED if offboarded else state
        return await changed(connection, consent_links, mine, LinkState.OPENED, after) and not offboarded

    async def activate(self, connection: AsyncConnection, principal: Principal, link_id: str) -> Link | None:
        """Say in the caller's transaction that this person's consent by this link is proven; None if it has ended."""
        mine = sa.and_(owned_by(consent_links, principal), consent_links.c.id == link_id)
        proven = changing(consent_links, mine, LinkState.CONSENTED, LinkState.ACTIVE).returning(*consent_links.c)
        row = (await connection.execute(proven)).one_or_none()
        return link_of(row) if row is not None else None

    async def hold_until(self, connection: AsyncConnection, link_id: str, expires_at: float) -> bool:
        """Let a consented link wait for its proof until then; return whether it was still consented."""
        mine, same = consent_links.c.id == link_id, LinkState.CONSENTED
        return await changed(connection, consent_links, mine, same, same, expires_at=expires_at)

    async def give_back(self, link: Link, before: LinkState, why: str, status: int) -> None:
        """Let a link be opened again whose sign-in failed through nobody's fault, and keep why for its browser."""
        mine = sa.and_(owned_by(consent_links, link.principal), consent_links.c.id == link.link_id)
        async with self._database.writing() as connection:
            await take_consent_turn(connection, link.principal)
            row = (await connection.execute(sa.select(consent_links).where(mine))).one_or_none()
            token = try_values(self._key_ring, row).get("token") if row is not None else None
            if token:
                values = {"token": token, "why": why, "status": str(status)}
                sealed = seal_values(self._key_ring, link, values)
                await changed(connection, consent_links, mine, before, LinkState.ISSUED, sealed_secrets=sealed)

    async def end(self, connection: AsyncConnection, principal: Principal, link_id: str, why: tuple[str, int]) -> None:
        """End a consented link in the caller's transaction, and keep why, and its HTTP status, for its browser."""
        mine = sa.and_(owned_by(consent_links, principal), consent_links.c.id == link_id)
        ended = changing(consent_links, mine, LinkState.CONSENTED, LinkState.EXPIRED).returning(*consent_links.c)
        row = (await connection.execute(ended)).one_or_none()
        if row is not None and why[0]:
            values = {"why": why[0], "status": str(why[1])}
            sealed = seal_values(self._key_ring, link_of(row), values)
            await connection.execute(consent_links.update().where(mine).values(sealed_secrets=sealed))

    async def why(self, link: Link) -> tuple[str, int] | None:
        """Return why the last sign-in by this link connected nothing, and its HTTP status; None where none is kept."""
        row = await self._row(OF_PERSON, **whose(link.principal), of_link=link.link_id)
        values = try_values(self._key_ring, row) if row is not None else {}
        return (values["why"], int(values["status"])) if "why" in values else None

    async def _row(self, query: Prepared, **given: object) -> Columns | None:
        return (await self._database.fetch(query, given)).one_or_none()

    def _as_it_stands(self, row: Columns) -> Link:
        link = link_of(row)
        over = link.expires_at <= self._now() and link.state not in ENDED
        return replace(link, state=LinkState.EXPIRED) if over else link

    def _opened(self, row: Columns, cookie: str) -> OpenedLink:
        values = open_values(self._key_ring, row)
        return OpenedLink(link_of(row), values["state"], values["nonce"], values["code_verifier"], cookie)

    def _token(self, row: Columns) -> str | None:
        """Return the token of a link, or None if it does not open, because nobody can use that link any more."""
        return try_values(self._key_ring, row).get("token")


def _is_kept_by(row: Columns, cookie: str | None) -> bool:
    """Return whether the browser with this cookie is the one that opened the link."""
    return bool(cookie and row.cookie_hash and hmac.compare_digest(hashed(cookie), row.cookie_hash))
