"""From quarantine to a grant: by the code that the person writes in their own chat, or by the channel's own word."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from app.consent.code_tries import CODE, CodeTries, WrongCode
from app.consent.codes import new_code
from app.consent.link import Link, LinkState
from app.consent.linking import Linking, same_address
from app.consent.links import ConsentLinks
from app.consent.lock import take_consent_turn
from app.consent.outcome import Connected, Disconnected, WaitsForCode, WaitsForLogin
from app.consent.quarantine import Quarantine
from app.consent.unconfirmed import UnconfirmedConsents
from app.consent.used_codes import UsedCodes
from app.database.database import Database
from app.errors import CallbackRefusedError, SealError, UnavailableError
from app.grants.grants import Grants
from app.oauth.provider import GOOGLE
from app.oauth.tokens import ProviderTokens
from app.principal import Principal
from app.users import is_offboarded

T = TypeVar("T")
Wake = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)

_SUPERSEDED = "this link ended while you signed in. Write `connect {0}` in the chat for a new one"
_OTHER_ACCOUNT = (
    "this link is for the account that is already connected, and you chose another one. To connect one more, "
    "write `connect {0}` in the chat"
)
_OTHER_ADDRESS = "this account has a different address from the one that your chat has for you"
_OTHER_PERSON = "the person who signed in just now is not the one who asked for this link"
_NO_ANSWER = (
    "your chat did not answer, so I could not check whose link this is. Write `connect {0}` in the chat for a new one"
)
_WRONG_CODES = "five wrong codes were sent. Write `connect {0}` in the chat to try again"
_UNKNOWN = "this sign-in has ended, or I don't know it. Write `connect {0}` in the chat for a new link"


class ConsentWaiters(Protocol):
    """The messages that wait for a consent."""

    async def consent_ends(
        self,
        connection: AsyncConnection,
        principal: Principal,
        *,
        granted: bool,
        accounts: Collection[str | None] = (None,),
        provider: str = GOOGLE,
    ) -> Wake:
        """Resume the messages that waited for this person's consent, whether it was granted or refused.

        Args:
            connection: The transaction in which the consent ends, in its person's turn.
            principal: The person who consented or refused.
            granted: Whether they consented.
            accounts: Resume the messages that wait for these accounts; None stands for those that accept any account.
            provider: Resume only what waits for an account at this one.

        Returns:
            A function to await after the commit. It is only a hint: resumed messages are found without it too.
        """
        ...

    async def sign_in_changed(self, principal: Principal, link_id: str) -> None:
        """Tell this person again how the sign-in stands that their messages wait for."""
        ...


class Confirmation:
    """Holds consents until they are proven; lives as long as the process and holds nothing of a person.

    Args:
        linking: Which proof is asked for, and the channels that can give it.
        code_seconds: How long a consent waits for its proof.
    """

    def __init__(
        self,
        database: Database,
        links: ConsentLinks,
        grants: Grants,
        quarantine: Quarantine,
        code_tries: CodeTries,
        unconfirmed: UnconfirmedConsents,
        used_codes: UsedCodes,
        waiting: ConsentWaiters,
        *,
        linking: Linking,
        code_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._links = links
        self._grants = grants
        self._quarantine = quarantine
        self._code_tries = code_tries
        self._unconfirmed = unconfirmed
        self._used_codes = used_codes
        self._waiting = waiting
        self._linking = linking
        self._code_seconds = code_seconds
        self._now = now

    async def begin(self, link: Link, tokens: ProviderTokens) -> None:
        """Quarantine what Google granted by a link until its proof, or activate it where the channel vouches for it.

        Raises:
            CallbackRefusedError: The link has expired or is not for this account; drop the grant.
        """
        account = tokens.account
        assert account is not None
        login, directory = self._linking.login(link.principal), self._linking.directory(link.principal)
        state, nonce = f"{link.link_id}.{secrets.token_urlsafe(32)}", secrets.token_urlsafe(32)
        await self._hold(link, tokens, {"state": state, "nonce": nonce} if login else {CODE: new_code()})
        if link.purpose.widens not in (None, account.subject):
            raise CallbackRefusedError(_OTHER_ACCOUNT.format(link.provider))
        if login is not None:
            return
        if directory is not None and link.provider == GOOGLE:  # others name accounts by no verified address
            known = await self._answer_of(link, directory.find_email(link.principal))
            if known is not None:
                await self._judge(link, same_address(known, account.email), _OTHER_ADDRESS)
                return
        await self._waiting.sign_in_changed(link.principal, link.link_id)

    async def awaited(self, link: Link) -> WaitsForCode | WaitsForLogin | None:
        """Return the proof that a consent waits for, in the form its browser shows, or None."""
        waits = await self._quarantine.find(link.principal, link.link_id)
        login = self._linking.login(link.principal)
        if waits is None:
            return None
        if CODE in waits.proof:
            account = waits.account
            return WaitsForCode(link, account.subject, account.email, waits.granted_scopes, waits.proof[CODE])
        if waits.claimed or login is None:  # the channel is being asked, or the settings have changed meanwhile
            return None
        state, nonce = waits.proof["state"], waits.proof["nonce"]
        return WaitsForLogin(link, login.login_url(link.principal, state=state, nonce=nonce))

    async def is_awaited(self, principal: Principal) -> bool:
        """Return whether a sign-in of this person waits for a code."""
        async with self._database.reading() as connection:
            return bool(await self._quarantine.waiting(connection, principal))

    async def connected_by(self, link: Link) -> Connected | Disconnected | None:
        """Return what an active link has connected; None when that is not known any more."""
        async with self._database.reading() as connection:
            return await self._used_codes.of_link(connection, link)

    async def confirm(
        self, principal: Principal, typed: str, *, message_id: str | None = None
    ) -> Connected | Disconnected | WrongCode | None:
        """Activate the consent of this person that waits for this code; return None if they have no such consent.

        If several callers confirm at once, one activates it. A repeated code gets the first answer again, unless the
        connection has ended since. After the last try nothing is left to activate.

        Args:
            principal: The person in whose chat the code was sent.
            typed: The code as they wrote it.
            message_id: The message that contains it, which counts as one try even if it is processed again; None
                counts each time.
        """
        async with self._database.writing() as connection:
            await take_consent_turn(connection, principal)
            if (used := await self._used_codes.find(connection, principal, typed)) is not None:
                return used
            found = await self._code_tries.find(connection, principal, typed, message_id=message_id)
        if isinstance(found, str):
            connected = await self._connect(principal, found, code=typed)
            return connected or await self._used_before(principal, typed)
        for link_id in found.ended if found else ():
            await self.drop(principal, link_id, await self._named(principal, link_id, _WRONG_CODES))
        return found

    async def _used_before(self, principal: Principal, typed: str) -> Connected | Disconnected | None:
        async with self._database.reading() as connection:
            return await self._used_codes.find(connection, principal, typed)

    async def prove_by_login(self, *, state: str, cookie: str | None, answer: Mapping[str, str]) -> Link:
        """Activate the consent whose person has signed in at their channel; anybody else's sign-in drops it.

        An answer that comes again changes nothing.

        Args:
            state: As it came back from the channel.
            cookie: The browser's cookie.
            answer: All that the browser brought back.

        Returns:
            The link, whose page says what came of it.

        Raises:
            CallbackRefusedError: It does not belong to a sign-in of this browser.
        """
        link = await self._links.of_browser(state.partition(".")[0], cookie)
        awaited = await self._quarantine.find(link.principal, link.link_id)
        login = self._linking.login(link.principal)
        if link.state is not LinkState.CONSENTED or awaited is None or login is None:
            return link
        if not _same(state, awaited.proof.get("state", "")):
            raise CallbackRefusedError(_UNKNOWN.format(link.provider))
        if not await self._quarantine.claim_try(link.principal, link.link_id):
            return link
        try:
            proves = login.proves(link.principal, answer, nonce=awaited.proof["nonce"])
            await self._judge(link, await self._answer_of(link, proves), _OTHER_PERSON)
        except CallbackRefusedError as refusal:
            await self.drop(link.principal, link.link_id, str(refusal))
        return link

    async def _hold(self, link: Link, tokens: ProviderTokens, proof: dict[str, str]) -> None:
        """Quarantine it; what was granted by a link that has ended meanwhile goes the same way, to be dropped."""
        expires_at = self._now() + self._code_seconds
        async with self._database.writing() as connection:
            await take_consent_turn(connection, link.principal)
            await self._quarantine.hold(connection, link, tokens, proof, expires_at=expires_at)
            consented = await self._links.hold_until(connection, link.link_id, expires_at)
        if not consented:
            raise CallbackRefusedError(_SUPERSEDED.format(link.provider))

    async def _judge(self, link: Link, proven: bool, objection: str) -> None:
        if not proven:
            raise CallbackRefusedError(objection)
        if await self._connect(link.principal, link.link_id) is None:
            raise CallbackRefusedError(_SUPERSEDED.format(link.provider))

    async def _connect(self, principal: Principal, link_id: str, *, code: str | None = None) -> Connected | None:
        """Make a grant of what waits by this link, and let what waited for it go on; None, and dropped, if it ended."""
        try:
            async with self._database.writing() as connection:
                await take_consent_turn(connection, principal)
                connected = await self._activate(connection, principal, link_id)
                await self._used_codes.remember(connection, connected, code)
                accounts = {connected.subject, connected.link.purpose.widens}
                wake = await self._waiting.consent_ends(
                    connection, principal, granted=True, accounts=accounts, provider=connected.link.provider
                )
        except (_EndedError, SealError) as error:
            log.warning("the sign-in by link %s is not confirmed: %s", link_id, error)
            await self.drop(principal, link_id, await self._named(principal, link_id, _SUPERSEDED))
            return None
        await wake()
        return connected

    async def _activate(self, connection: AsyncConnection, principal: Principal, link_id: str) -> Connected:
        link = await self._links.activate(connection, principal, link_id)
        held = await self._quarantine.take(connection, principal, link_id)
        if link is None or held is None or await is_offboarded(connection, principal):
            raise _EndedError("it has ended, or its person was offboarded")  # which takes back what was changed
        if held.provider != link.provider:
            raise _EndedError("it is for another provider than its link")
        await self._grants.activate(
            connection, principal, held.tokens, alias=link.purpose.alias, provider=link.provider
        )
        return Connected(link, held.account.subject, held.account.email, held.tokens.granted_scopes)

    async def _named(self, principal: Principal, link_id: str, words: str) -> str:
        """Return words that name the provider of a link."""
        link = await self._links.find(principal, link_id)
        return words.format(link.provider if link is not None else GOOGLE)

    async def _answer_of(self, link: Link, channel: Awaitable[T]) -> T:
        """Return what a channel says.

        Raises:
            CallbackRefusedError: It says nothing that counts.
        """
        try:
            return await channel
        except UnavailableError:
            pass
        raise CallbackRefusedError(_NO_ANSWER.format(link.provider))

    async def drop(self, principal: Principal, link_id: str, why: str) -> None:
        """End a consent that is not to be proven any more, here and at Google, and keep why for its browser's page."""
        await self._unconfirmed.drop(principal, link_id, why=why)
        await self._waiting.sign_in_changed(principal, link_id)


class _EndedError(Exception):
    """The consent no longer waits for a proof, or its person was offboarded."""


def _same(given: str, kept: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), kept.encode())
