"""Consent links at rest: the one-time invitations to connect a Google account, and their states.

    issued ─► opened ─► granted ─► active
       └─────────┴──► expired | refused

A link is superseded (expired) when the same person is sent another one that asks for more. Every step is a
compare-and-set on the state, so of several callbacks that arrive together exactly one goes on.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.credentials.key_ring import KeyRing
from app.database.database import Database, take_turns
from app.database.tables import consent_links, owned_by, owner, principal_of
from app.errors import CallbackRefusedError, LinkExpiredError, SealError
from app.principal import Principal


class LinkState(StrEnum):
    """Where a consent link stands."""

    ISSUED = "issued"
    OPENED = "opened"
    GRANTED = "granted"
    ACTIVE = "active"
    EXPIRED = "expired"
    REFUSED = "refused"


_STILL_OPEN = consent_links.c.state.in_((LinkState.ISSUED, LinkState.OPENED))


@dataclass(frozen=True, slots=True)
class Link:
    """One consent link as stored; holds no secret."""

    link_id: str
    principal: Principal
    oauth_scopes: frozenset[str]
    state: LinkState


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """What a browser needs that opened a link: for Google the state, nonce and verifier, for itself the cookie."""

    link: Link
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    cookie: str = field(repr=False)


class ConsentLinks:
    """Stores links, their secrets hashed or sealed; lives as long as the process and holds none of them."""

    def __init__(
        self, database: Database, key_ring: KeyRing, *, lifetime_seconds: float, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._key_ring = key_ring
        self._lifetime_seconds = lifetime_seconds
        self._now = now

    async def issue(self, principal: Principal, oauth_scopes: frozenset[str]) -> tuple[Link, str]:
        """A link by which this person can grant these scopes, and its token.

        A link that is still open and covers them is given again. Else a new one takes the place of those that are
        open, and asks for what they asked for as well. Both in one transaction, so that runs which ask at the same
        time end with the same link.
        """
        async with self._database.writing() as connection:
            await take_turns(connection, "consent_links", principal.platform, principal.tenant, principal.user)
            rows = (await connection.execute(self._open_links(principal))).all()
            for row in rows:
                if oauth_scopes <= _link(row).oauth_scopes:
                    return _link(row), self._open(row)["token"]
            await connection.execute(
                consent_links.update()
                .where(owned_by(consent_links, principal), _STILL_OPEN)
                .values(state=LinkState.EXPIRED)
            )
            return await self._insert(
                connection, principal, oauth_scopes.union(*(_link(row).oauth_scopes for row in rows))
            )

    async def _insert(
        self, connection: AsyncConnection, principal: Principal, oauth_scopes: frozenset[str]
    ) -> tuple[Link, str]:
        link = Link(uuid.uuid4().hex, principal, oauth_scopes, LinkState.ISSUED)
        token = secrets.token_urlsafe(32)
        now = self._now()
        await connection.execute(
            consent_links.insert().values(
                id=link.link_id,
                **owner(principal),
                token_hash=_hash(token),
                sealed_secrets=self._seal(link, {"token": token}),
                oauth_scopes=" ".join(sorted(oauth_scopes)),
                state=link.state,
                created_at=now,
                expires_at=now + self._lifetime_seconds,
            )
        )
        return link, token

    async def open_links(self, principal: Principal) -> list[Link]:
        """This person's links that may still lead to a grant, the newest first."""
        async with self._database.reading() as connection:
            return [_link(row) for row in await connection.execute(self._open_links(principal))]

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
        return str(self._open(row)["token"]) if row is not None else None

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
        return _link(row)

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
            CallbackRefusedError: The state is unknown, used or expired, or another browser opened the link.
            SealError: The row is not the one that was opened; nothing is taken.
        """
        query = sa.select(consent_links).where(
            consent_links.c.state_hash == _hash(state),
            consent_links.c.state == LinkState.OPENED,
            consent_links.c.expires_at > self._now(),
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise CallbackRefusedError("this sign-in is unknown, used or expired; ask the assistant for a new link")
        if cookie is None or not hmac.compare_digest(_hash(cookie), row.cookie_hash):
            raise CallbackRefusedError("this browser did not open the link; open it again where you want to sign in")
        opened = self._open(row)
        taken = LinkState.GRANTED if granted else LinkState.REFUSED
        async with self._database.writing() as connection:
            if not await self.advance(connection, row.id, LinkState.OPENED, taken):
                raise CallbackRefusedError("this sign-in was used a moment ago; look into the chat")
        return OpenedLink(_link(row), state, opened["nonce"], opened["code_verifier"], cookie)

    async def advance(self, connection: AsyncConnection, link_id: str, before: LinkState, after: LinkState) -> bool:
        """Move a link from one state to the next in the caller's transaction; False when it is not there any more."""
        result = await connection.execute(
            consent_links.update()
            .where(consent_links.c.id == link_id, consent_links.c.state == before)
            .values(state=after)
        )
        return result.rowcount == 1

    def _open_links(self, principal: Principal) -> sa.Select[tuple[object, ...]]:
        return (
            sa.select(consent_links)
            .where(owned_by(consent_links, principal), _STILL_OPEN, consent_links.c.expires_at > self._now())
            .order_by(consent_links.c.created_at.desc())
        )

    def _may_be_opened(self, token: str) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            consent_links.c.token_hash == _hash(token),
            consent_links.c.state == LinkState.ISSUED,
            consent_links.c.expires_at > self._now(),
        )

    def _seal(self, link: Link, values: dict[str, str]) -> str:
        return self._key_ring.seal(json.dumps(values), *_bindings(link.principal, link.link_id))

    def _open(self, row: sa.Row[tuple[object, ...]]) -> dict[str, str]:
        opened: dict[str, str] = json.loads(
            self._key_ring.open(row.sealed_secrets, *_bindings(principal_of(row), row.id))
        )
        return opened


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()  # enough for 256 random bits


def _bindings(principal: Principal, link_id: str) -> tuple[str, ...]:
    return ("consent_links", principal.platform, principal.tenant, principal.user, link_id)


def _link(row: sa.Row[tuple[object, ...]]) -> Link:
    return Link(row.id, principal_of(row), frozenset(row.oauth_scopes.split()), LinkState(row.state))
