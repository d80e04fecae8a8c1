"""Consent links at rest: the one-time invitations to connect a Google account, and their states.

    issued ─► opened ─► granted ─► active
       └─────────┴─────────┴──► expired | refused

A link that is granted waits for the proof that its person signed in; until then its tokens are quarantined. A link is
superseded (expired) when the same person is sent another one for the same account that asks for more. Every step is a
compare-and-set on the state, so of several callbacks that arrive together exactly one goes on.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.consent.link import ANYWHERE, Link, LinkState, OpenedLink, Purpose, link_of
from app.consent.link_queries import BEFORE_GOOGLE, open_links, waited_for
from app.consent.lock import take_consent_turn
from app.database.database import Database
from app.database.tables import consent_links, owned_by, owner, principal_of
from app.errors import CallbackRefusedError, LinkExpiredError, SealError
from app.keys.ring import KeyRing
from app.principal import Principal
from app.users import is_offboarded

log = logging.getLogger(__name__)

_OVER = "this sign-in is unknown, used or expired; ask the assistant for a new link"


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
        """A link by which this person can grant these scopes, and its token.

        A link for the same account that is still open and covers them is given again. Else, or when a fresh one is
        wanted, a new one takes the place of those that are open, and asks for what they asked for as well, and for
        what parked runs wait for: a fresh one for all that waits, as its person has lost the others. All in one
        transaction, so that runs which ask at the same time end with the same link. What Google has granted by an
        older link already can still be confirmed.
        """
        same_widening = consent_links.c.widens.is_not_distinct_from(purpose.widens)
        same_account = sa.and_(same_widening, consent_links.c.alias.is_not_distinct_from(purpose.alias))
        async with self._database.writing() as connection:
            await take_consent_turn(connection, principal)
            rows = list(await connection.execute(open_links(principal, self._now()).where(same_account)))
            for row in rows:
                token = self._token(row) if not fresh and oauth_scopes <= link_of(row).oauth_scopes else None
                if token is not None:
                    return link_of(row), token
            await connection.execute(
                consent_links.update()
                .where(owned_by(consent_links, principal), same_account, BEFORE_GOOGLE)
                .values(state=LinkState.EXPIRED)
            )
            rows += await connection.execute(waited_for(principal).where(sa.true() if fresh else same_widening))
            wanted = oauth_scopes.union(*(link_of(row).oauth_scopes for row in rows))
            return await self._insert(connection, principal, wanted, purpose)

    async def _insert(
        self, connection: AsyncConnection, principal: Principal, oauth_scopes: frozenset[str], purpose: Purpose
    ) -> tuple[Link, str]:
        now = self._now()
        expires_at = now + self._lifetime_seconds
        link = Link(uuid.uuid4().hex, principal, oauth_scopes, LinkState.ISSUED, purpose, expires_at)
        token = secrets.token_urlsafe(32)
        await connection.execute(
            consent_links.insert().values(
                id=link.link_id,
                **owner(principal),
                token_hash=_hash(token),
                sealed_secrets=self._seal(link, {"token": token}),
                oauth_scopes=" ".join(sorted(oauth_scopes)),
                state=link.state,
                place=purpose.place,
                widens=purpose.widens,
                alias=purpose.alias,
                created_at=now,
                expires_at=expires_at,
            )
        )
        return link, token

    async def open_links(self, principal: Principal) -> list[Link]:
        """This person's links that may still lead to a grant, the newest first."""
        async with self._database.reading() as connection:
            return [link_of(row) for row in await connection.execute(open_links(principal, self._now()))]

    async def find(self, principal: Principal, link_id: str) -> Link | None:
        """This person's link, `expired` also where only its time is over; None when there is none."""
        query = sa.select(consent_links).where(owned_by(consent_links, principal), consent_links.c.id == link_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        link = link_of(row)
        over = link.expires_at <= self._now() and link.state not in (LinkState.ACTIVE, LinkState.REFUSED)
        return replace(link, state=LinkState.EXPIRED) if over else link

    async def find_granted(self, link_id: str) -> Link | None:
        """The link that waits for its proof, whoever's it is; what comes back with a proof has to show more."""
        query = sa.select(consent_links).where(
            consent_links.c.id == link_id, consent_links.c.state == LinkState.GRANTED
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return link_of(row) if row is not None else None

    async def activate(self, connection: AsyncConnection, principal: Principal, link_id: str) -> Link | None:
        """Say in the caller's transaction that this person's consent by this link is proven; None if it has ended."""
        mine = sa.and_(owned_by(consent_links, principal), consent_links.c.id == link_id)
        proven = (
            consent_links.update()
            .where(mine, consent_links.c.state == LinkState.GRANTED)
            .values(state=LinkState.ACTIVE)
            .returning(*consent_links.c)
        )
        row = (await connection.execute(proven)).one_or_none()
        return link_of(row) if row is not None else None

    async def find_issued(self, principal: Principal, link_id: str) -> str | None:
        """The token of a link that this person may still open, or None; to show it to them once more."""
        query = sa.select(consent_links).where(
            owned_by(consent_links, principal),
            consent_links.c.id == link_id,
            consent_links.c.state == LinkState.ISSUED,
            consent_links.c.expires_at > self._now(),
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return self._token(row) if row is not None else None

    async def look_at(self, token: str) -> Link:
        """The link behind a token, untouched.

        Raises:
            LinkExpiredError: It cannot be opened: unknown, opened already, expired or superseded.
            SealError: The row is not what was issued: its person, or its token, was changed.
        """
        query = sa.select(consent_links).where(*self._may_be_opened(token))
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise LinkExpiredError("this link is used or expired; ask the assistant again for a new one")
        if not hmac.compare_digest(self._open(row)["token"].encode(), token.encode()):
            raise SealError("a consent link does not have the token that it was issued with; it is not opened")
        return link_of(row)

    async def open(self, token: str) -> OpenedLink:
        """Open the link, once, for the browser that presents its token.

        Raises:
            LinkExpiredError: As for `look_at`.
            SealError: As for `look_at`.
        """
        link = await self.look_at(token)
        state, nonce, code_verifier, cookie = (secrets.token_urlsafe(32) for _ in range(4))
        sealed = self._seal(link, {"token": token, "nonce": nonce, "code_verifier": code_verifier})
        async with self._database.writing() as connection:
            opened = await connection.execute(
                consent_links.update()
                .where(*self._may_be_opened(token))
                .values(
                    state=LinkState.OPENED,
                    state_hash=_hash(state),
                    cookie_hash=_hash(cookie),
                    sealed_secrets=sealed,
                    expires_at=self._now() + self._lifetime_seconds,
                )
            )
        if opened.rowcount != 1:
            raise LinkExpiredError("this link was opened a moment ago; go on in that window, or ask for a new one")
        return OpenedLink(link, state, nonce, code_verifier, cookie)

    async def come_back(self, state: str, cookie: str | None, *, granted: bool) -> OpenedLink:
        """Take the callback for an opened link, once; it is `granted` or `refused` afterwards.

        Raises:
            CallbackRefusedError: As for `find_opened` and `take`.
            SealError: As for `find_opened`.
        """
        opened = await self.find_opened(state, cookie)
        async with self._database.writing() as connection:
            await self.take(connection, opened.link, granted=granted)
        return opened

    async def find_opened(self, state: str, cookie: str | None) -> OpenedLink:
        """The opened link that a callback belongs to, untouched.

        Raises:
            CallbackRefusedError: The state is unknown, used or expired, or another browser opened the link.
            SealError: The row is not the one that was opened.
        """
        query = sa.select(consent_links).where(
            consent_links.c.state_hash == _hash(state),
            consent_links.c.state == LinkState.OPENED,
            consent_links.c.expires_at > self._now(),
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise CallbackRefusedError(_OVER)
        if cookie is None or not hmac.compare_digest(_hash(cookie), row.cookie_hash):
            raise CallbackRefusedError("this browser did not open the link; open it again where you want to sign in")
        opened = self._open(row)
        return OpenedLink(link_of(row), state, opened["nonce"], opened["code_verifier"], cookie)

    async def take(self, connection: AsyncConnection, link: Link, *, granted: bool) -> None:
        """Say in the caller's transaction that an opened link is `granted` or `refused`.

        Raises:
            CallbackRefusedError: It was taken or ended in the meantime, or its person was offboarded.
        """
        taken = LinkState.GRANTED if granted else LinkState.REFUSED
        if await is_offboarded(connection, link.principal):
            raise CallbackRefusedError(_OVER)
        if not await self.advance(connection, link.link_id, LinkState.OPENED, taken):
            raise CallbackRefusedError("this sign-in was used a moment ago; look into the chat")

    async def advance(
        self,
        connection: AsyncConnection,
        link_id: str,
        before: LinkState,
        after: LinkState,
        *,
        expires_at: float | None = None,
    ) -> bool:
        """Move a link from one state to the next in the caller's transaction; False when it is not there any more.

        With `expires_at` it stays open until then.
        """
        later = {} if expires_at is None else {"expires_at": expires_at}
        result = await connection.execute(
            consent_links.update()
            .where(consent_links.c.id == link_id, consent_links.c.state == before)
            .values(state=after, **later)
        )
        return result.rowcount == 1

    def _may_be_opened(self, token: str) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            consent_links.c.token_hash == _hash(token),
            consent_links.c.state == LinkState.ISSUED,
            consent_links.c.expires_at > self._now(),
        )

    def _seal(self, link: Link, values: dict[str, str]) -> str:
        return self._key_ring.seal(json.dumps(values), *secrets_bindings(link.principal, link.link_id))

    def _token(self, row: sa.Row[tuple[object, ...]]) -> str | None:
        """The token of a link; None where it does not open, as nobody can use that one any more."""
        try:
            return self._open(row)["token"]
        except SealError as error:
            log.error("link %s is given to nobody: %s", row.id, error)
            return None

    def _open(self, row: sa.Row[tuple[object, ...]]) -> dict[str, str]:
        opened: dict[str, str] = json.loads(
            self._key_ring.open(row.sealed_secrets, *secrets_bindings(principal_of(row), row.id))
        )
        return opened


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()  # enough for 256 random bits


def secrets_bindings(principal: Principal, link_id: str) -> tuple[str, ...]:
    """What the secrets of a link are bound to."""
    return ("consent_links", principal.platform, principal.tenant, principal.user, link_id)
