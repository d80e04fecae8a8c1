"""From quarantine to a grant: by the code that the person writes in their own chat, or by the channel's own word."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NoReturn, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from app.consent.codes import new_code
from app.consent.link import Link, LinkState
from app.consent.linking import Linking, same_address
from app.consent.links import ConsentLinks
from app.consent.lock import take_consent_turn
from app.consent.outcome import Connected, SignedIn, WaitsForCode, WaitsForLogin
from app.consent.quarantine import CODE, Quarantine, WrongCode
from app.consent.unconfirmed import UnconfirmedConsents
from app.consent.used_codes import UsedCodes
from app.database.database import Database
from app.errors import CallbackRefusedError, SealError, UnavailableError
from app.google.tokens import GoogleTokens
from app.grants.grants import Grants
from app.principal import Principal
from app.users import is_offboarded

T = TypeVar("T")
Wake = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)

_STATE = re.compile(r"([0-9a-f]{32})\.[\w-]+", re.ASCII)  # the link's id, and what nobody guesses

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

    async def consent_ends(
        self,
        connection: AsyncConnection,
        principal: Principal,
        *,
        granted: bool,
        accounts: Collection[str | None] = (None,),
    ) -> Wake:
        """Let what waited for this person's consent go on, whether it was granted or refused.

        Args:
            connection: The transaction in which the consent ends, in its person's turn.
            principal: Whose consent.
            granted: How it ended.
            accounts: What waits for scopes of these accounts goes on; None is what waits for any account.

        Returns:
            What to await once the transaction is committed. It is a hint: what goes on is found without it too.
        """
        ...

    async def sign_in_changed(self, principal: Principal, link_id: str) -> None:
        """Tell this person anew how the sign-in stands that their messages wait for."""
        ...


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
        dropping: UnconfirmedConsents,
        confirmed: UsedCodes,
        waiting: Waiting,
        *,
        proofs: Linking,
        code_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._links = links
        self._grants = grants
        self._quarantine = quarantine
        self._dropping = dropping
        self._confirmed = confirmed
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

    async def confirm(
        self, principal: Principal, typed: str, *, message_id: str | None = None
    ) -> Connected | WrongCode | None:
        """Activate the consent of this person that waits for this code; None when none of theirs waits for one.

        Of several that confirm together one activates it, and a code that comes again is answered as at first. After
        the last try nothing is left to activate.

        Args:
            principal: Whose chat.
            typed: What they wrote.
            message_id: The message that holds it, which counts as one try though it is taken again; None is counted
                each time.
        """
        async with self._database.writing() as connection:
            await take_consent_turn(connection, principal)
            if (connected := await self._confirmed.find(connection, principal, typed)) is not None:
                return connected
            found = await self._quarantine.find_by_code(connection, principal, typed, message_id=message_id)
        if isinstance(found, str):
            connected = await self._connect(principal, found, code=typed)
            return connected or await self._confirmed_before(principal, typed)
        for link_id in found.ended if found else ():
            await self._drop(principal, link_id)
        return found

    async def _confirmed_before(self, principal: Principal, typed: str) -> Connected | None:
        async with self._database.reading() as connection:
            return await self._confirmed.find(connection, principal, typed)

    async def prove_by_login(self, *, state: str, cookie: str | None, answer: Mapping[str, str]) -> Connected:
        """Activate the consent whose person has signed in at their channel; anybody else's sign-in drops it.

        Args:
            state: As it came back from the channel.
            cookie: What this browser kept.
            answer: All that the browser brought back.

        Raises:
            CallbackRefusedError: It does not belong to this browser's sign-in, or it is not the link's person.
        """
        well_formed = _STATE.fullmatch(state)
        link = await self._links.find_granted(well_formed[1]) if well_formed else None
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
            await take_consent_turn(connection, link.principal)
            await self._quarantine.hold(connection, link, tokens, proof, expires_at=expires_at)
            granted = await self._links.advance(
                connection, link.link_id, LinkState.GRANTED, LinkState.GRANTED, expires_at=expires_at
            )
        if not granted:
            await self._refuse(link, _SUPERSEDED)

    async def _judge(self, link: Link, proven: bool, objection: str) -> Connected:
        if not proven:
            await self._refuse(link, objection)
        connected = await self._connect(link.principal, link.link_id)
        if connected is None:
            raise CallbackRefusedError(_OVER)
        return connected

    async def _connect(self, principal: Principal, link_id: str, *, code: str | None = None) -> Connected | None:
        """Make a grant of what waits by this link, and let what waited for it go on; None, and dropped, if it ended."""
        try:
            async with self._database.writing() as connection:
                await take_consent_turn(connection, principal)
                connected = await self._activate(connection, principal, link_id)
                if code is not None:
                    await self._confirmed.remember(connection, connected, code)
                accounts = {connected.subject, connected.link.purpose.widens}
                wake = await self._waiting.consent_ends(connection, principal, granted=True, accounts=accounts)
        except (_EndedError, SealError) as error:
            log.warning("the sign-in by link %s is not confirmed: %s", link_id, error)
            await self._drop(principal, link_id)
            return None
        await wake()
        return connected

    async def _activate(self, connection: AsyncConnection, principal: Principal, link_id: str) -> Connected:
        link = await self._links.activate(connection, principal, link_id)
        held = await self._quarantine.take(connection, principal, link_id)
        if link is None or held is None or await is_offboarded(connection, principal):
            raise _EndedError("it has ended, or its person was offboarded")  # which takes back what was changed
        await self._grants.activate(connection, principal, held.tokens, alias=link.purpose.alias)
        return Connected(link, held.account.subject, held.account.email, held.tokens.granted_scopes)

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


class _EndedError(Exception):
    """What waited by a link waits no more, or its person was offboarded."""


def _same(given: str, kept: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), kept.encode())
