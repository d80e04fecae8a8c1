"""From quarantine to a grant: by the code that the person writes in their own chat, or by the channel's own word."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from app.credentials.codes import new_code
from app.credentials.dropping import Dropping
from app.credentials.grants import Grants
from app.credentials.link import Link, LinkState
from app.credentials.links import ConsentLinks
from app.credentials.proofs import Proofs, same_address
from app.credentials.quarantine import CODE, Quarantine, QuarantinedGrant, WrongCode
from app.database.database import Database
from app.errors import CallbackRefusedError, UnavailableError
from app.google.tokens import GoogleTokens
from app.principal import Principal

T = TypeVar("T")

_OVER = "this sign-in is unknown, used or expired; ask the assistant for a new link"
_SUPERSEDED = "this link ended while you signed in; ask the assistant for a new one"
_OTHER_ACCOUNT = (
    "this link is for the Google account that is connected already, and another one was chosen; to connect one more, "
    "write `connect google` to the assistant"
)
_OTHER_ADDRESS = "this Google account has another address than the one by which your chat knows you"
_OTHER_PERSON = "whoever signed in just now is not who asked for this link"
_NO_ANSWER = "your chat did not answer, so it is not clear whose link this is; ask the assistant for a new one"


class Waiting(Protocol):
    """Whoever waits for consents to end."""

    async def consent_ended(
        self, principal: Principal, *, granted: bool, accounts: Collection[str | None] = (None,)
    ) -> None:
        """Go on with what waited for this person's consent, whether it was granted or refused.

        Args:
            principal: Whose consent.
            granted: How it ended.
            accounts: What waits for scopes of these accounts goes on; None is what waits for any account.
        """
        ...

    async def sign_in_changed(self, principal: Principal, link_id: str) -> None:
        """Tell this person anew how the sign-in stands that their messages wait for."""
        ...


@dataclass(frozen=True, slots=True)
class Granted:
    """What Google granted by a link."""

    link: Link
    subject: str
    email: str
    granted_scopes: frozenset[str]

    @property
    def missing_scopes(self) -> frozenset[str]:
        """What was asked for and not granted."""
        return self.link.oauth_scopes - self.granted_scopes


@dataclass(frozen=True, slots=True)
class Connected(Granted):
    """A finished consent: the link's person is now connected to that Google account."""


@dataclass(frozen=True, slots=True)
class WaitsForCode(Granted):
    """A consent that counts once its code is written in the right chat; only the browser is shown the code."""

    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WaitsForLogin:
    """A consent that counts once its person has signed in at their channel: where, and what the browser must keep."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    cookie: str = field(repr=False)


SignedIn = Connected | WaitsForCode | WaitsForLogin


class Confirmation:
    """Holds consents until they are proven; lives as long as the process and holds nothing of a person.

    Args:
        proofs: Which proof is asked for, and the channels that can give it.
        code_seconds: How long a consent waits for its proof.
    """

    def __init__(
        self,
        database: Database,
        links: ConsentLinks,
        grants: Grants,
        quarantine: Quarantine,
        dropping: Dropping,
        waiting: Waiting,
        *,
        proofs: Proofs,
        code_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._links = links
        self._grants = grants
        self._quarantine = quarantine
        self._dropping = dropping
        self._waiting = waiting
        self._proofs = proofs
        self._code_seconds = code_seconds
        self._now = now

    async def begin(self, link: Link, tokens: GoogleTokens) -> SignedIn:
        """Quarantine what Google granted by a link, and say what proves that its person signed in.

        Raises:
            CallbackRefusedError: The link is over, or not for this account: it is kept by nobody.
        """
        account = tokens.account
        assert account is not None
        login, directory = self._proofs.login(link.principal), self._proofs.directory(link.principal)
        token, cookie, nonce = (secrets.token_urlsafe(32) for _ in range(3))
        state, code = f"{link.link_id}.{token}", new_code()
        proof = {"state": state, "cookie": cookie, "nonce": nonce} if login else {CODE: code}
        await self._hold(link, tokens, proof)
        if link.purpose.widens not in (None, account.subject):
            await self._refuse(link, _OTHER_ACCOUNT)
        if login is not None:
            return WaitsForLogin(login.login_url(link.principal, state=state, nonce=nonce), state, cookie)
        if directory is not None:
            known = await self._or_refuse(link, directory.find_email(link.principal))
            if known is not None:
                return await self._judge(link, same_address(known, account.email), _OTHER_ADDRESS)
        await self._waiting.sign_in_changed(link.principal, link.link_id)
        return WaitsForCode(link, account.subject, account.email, tokens.granted_scopes, code)

    async def confirm(self, principal: Principal, typed: str) -> Connected | WrongCode | None:
        """Activate the consent of this person that waits for this code; None when none of theirs waits for one.

        Of several that confirm together one activates it. After the last try nothing is left to activate.
        """
        async with self._database.writing() as connection:
            outcome = await self._quarantine.take_by_code(connection, principal, typed)
            connected = await self._activate(connection, outcome) if isinstance(outcome, QuarantinedGrant) else None
        if connected is not None:
            await self._go_on(connected)
            return connected
        if isinstance(outcome, WrongCode):
            for link_id in outcome.ended:
                await self._drop(principal, link_id)
            return outcome
        return None

    async def prove_by_login(self, *, state: str, cookie: str | None, answer: Mapping[str, str]) -> Connected:
        """Activate the consent whose person has signed in at their channel; anybody else's sign-in drops it.

        Args:
            state: As it came back from the channel.
            cookie: What this browser kept.
            answer: All that the browser brought back.

        Raises:
            CallbackRefusedError: It does not belong to this browser's sign-in, or it is not the link's person.
        """
        link = await self._links.find_granted(state.partition(".")[0])
        proof = await self._quarantine.find_proof(link.principal, link.link_id) if link else None
        login = self._proofs.login(link.principal) if link else None
        if link is None or proof is None or login is None or not _same(state, proof.get("state", "")):
            raise CallbackRefusedError(_OVER)
        if cookie is None or not _same(cookie, proof["cookie"]):
            raise CallbackRefusedError(
                "this browser did not begin the sign-in; open the link where you want to sign in"
            )
        if not await self._quarantine.claim_try(link.principal, link.link_id):
            raise CallbackRefusedError(_OVER)
        proven = await self._or_refuse(link, login.proves(link.principal, answer, nonce=proof["nonce"]))
        return await self._judge(link, proven, _OTHER_PERSON)

    async def _hold(self, link: Link, tokens: GoogleTokens, proof: dict[str, str]) -> None:
        """Quarantine it; what was granted by a link that has ended meanwhile goes the same way, and is dropped."""
        expires_at = self._now() + self._code_seconds
        async with self._database.writing() as connection:
            await self._quarantine.hold(connection, link, tokens, proof, expires_at=expires_at)
            granted = await self._links.advance(
                connection, link.link_id, LinkState.GRANTED, LinkState.GRANTED, expires_at=expires_at
            )
        if not granted:
            await self._refuse(link, _SUPERSEDED)

    async def _judge(self, link: Link, proven: bool, objection: str) -> Connected:
        if not proven:
            await self._refuse(link, objection)
        async with self._database.writing() as connection:
            held = await self._quarantine.take(connection, link.principal, link.link_id)
            connected = await self._activate(connection, held) if held is not None else None
        if connected is None:
            raise CallbackRefusedError(_OVER)
        await self._go_on(connected)
        return connected

    async def _activate(self, connection: AsyncConnection, held: QuarantinedGrant) -> Connected:
        """Make a grant of it, in the transaction that took it out of quarantine."""
        link = await self._links.activate(connection, held.principal, held.link_id)
        await self._grants.activate(connection, held.principal, held.tokens, alias=link.purpose.alias)
        return Connected(link, held.account.subject, held.account.email, held.tokens.granted_scopes)

    async def _go_on(self, connected: Connected) -> None:
        accounts = {connected.subject, connected.link.purpose.widens}
        await self._waiting.consent_ended(connected.link.principal, granted=True, accounts=accounts)

    async def _or_refuse(self, link: Link, word: Awaitable[T]) -> T:
        """What a channel says; where it says nothing that counts, the consent is dropped."""
        try:
            return await word
        except CallbackRefusedError as error:
            objection = str(error)
        except UnavailableError:
            objection = _NO_ANSWER
        await self._drop(link.principal, link.link_id)
        raise CallbackRefusedError(objection)

    async def _refuse(self, link: Link, objection: str) -> NoReturn:
        await self._drop(link.principal, link.link_id)
        raise CallbackRefusedError(objection)

    async def _drop(self, principal: Principal, link_id: str) -> None:
        await self._dropping.drop(principal, link_id)
        await self._waiting.sign_in_changed(principal, link_id)


def _same(given: str, kept: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), kept.encode())
