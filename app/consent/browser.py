"""The consent flow as a browser sees it: from the link's page to Google, and back to the page with the outcome.

Whatever the browser repeats changes nothing and is answered by what is true now: a reload, a second delivery of the
callback, a double click, "back". The link's id names the sign-in and the browser's cookie proves whose it is, so that
its page needs neither Google's code nor the state in its address.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from app.consent.confirmation import Confirmation, ConsentWaiters
from app.consent.link import SUPERSEDED, Link, LinkState, OpenedLink
from app.consent.links import ConsentLinks, Kept, keeps_nothing
from app.consent.lock import take_consent_turn
from app.consent.outcome import InProgress, NotConnected, SignedIn
from app.consent.quarantine import Quarantine
from app.consent.unconfirmed import UnconfirmedConsents
from app.database.database import Database
from app.errors import CallbackRefusedError, ProviderError
from app.google.faults import cause_for_administrators
from app.grants.grants import Grants
from app.log_once import LogOnce
from app.oauth.authorization import AuthorizationRequest
from app.oauth.pkce import code_challenge
from app.oauth.provider import GOOGLE, Providers
from app.oauth.reasons import identifier
from app.oauth.tokens import RedeemedCode

log = logging.getLogger(__name__)

UNCHECKED_SECONDS = 60.0  # Google is asked for its certificates for 10 seconds at most

_OPEN_AGAIN = "Open the link in your chat again to try once more"
_NEW_LINK = "Write `connect {name}` in the chat for a new link"
_DECLINED = f"you did not allow the access, so nothing was connected. {_NEW_LINK} if you change your mind"
_AT_PROVIDER = f"you have not finished at {{title}} yet. {_OPEN_AGAIN}"
_OTHER_PROVIDER = f"this answer is not from the provider that this link is for, so nothing was connected. {_NEW_LINK}"
_OVER = f"this link expired, so nothing was connected. {_NEW_LINK}"
_DISCONNECTED = f"this account was connected and has been disconnected since. {_NEW_LINK}"
ASK_ADMINISTRATOR = "Please tell an administrator of this assistant: the server's log says what to do"
_PASSING_ERRORS = frozenset({"server_error", "temporarily_unavailable"})  # RFC 6749 section 4.1.2.1


class BrowserSignIn:
    """Takes browsers through a consent; lives as long as the process and holds nothing of a person."""

    def __init__(
        self,
        database: Database,
        links: ConsentLinks,
        grants: Grants,
        quarantine: Quarantine,
        unconfirmed: UnconfirmedConsents,
        confirmation: Confirmation,
        providers: Providers,
        waiting: ConsentWaiters,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._links = links
        self._grants = grants
        self._quarantine = quarantine
        self._unconfirmed = unconfirmed
        self._confirmation = confirmation
        self._providers = providers
        self._waiting = waiting
        self._now = now
        self._log_once = LogOnce(log)

    async def look_at(self, token: str, kept: Kept = keeps_nothing) -> Link:
        """Return the link behind a token; consumes nothing, so that a preview bot may fetch it.

        Args:
            token: The last part of the link's address.
            kept: The cookies of this browser, by link; it may look at a link again that it has opened.

        Raises:
            LinkExpiredError: It cannot be opened any more.
        """
        return await self._links.look_at(token, kept)

    async def open(self, token: str, kept: Kept = keeps_nothing) -> tuple[str, OpenedLink]:
        """Open the link for this browser; return Google's consent page for it, and what the browser must keep.

        The browser that has opened it is sent to the same page again.

        Args:
            token: The last part of the link's address.
            kept: The cookies that this browser had when it was shown the link's page.

        Raises:
            LinkExpiredError: It cannot be opened any more.
            ProviderError: The provider does not say where its consent page is.
        """
        provider = self._providers[(await self._links.look_at(token, kept)).provider]
        await provider.get_ready()
        opened = await self._links.open(token, kept)
        widens = opened.link.purpose.widens
        # Else a forwarded link would get all that its victim once granted to anybody's assistant.
        connected = widens is not None and (
            await self._grants.of_account(opened.link.principal, widens, provider=provider.name) is not None
        )
        asked = AuthorizationRequest(
            oauth_scopes=opened.link.oauth_scopes,
            state=opened.state,
            nonce=opened.nonce,
            code_challenge=code_challenge(opened.code_verifier),
            login_hint=widens,
            include_granted_scopes=connected,
        )
        return provider.authorization_url(asked), opened

    async def take_callback(
        self,
        *,
        state: str,
        cookie: str | None,
        code: str | None,
        error: str | None,
        provider: str = GOOGLE,
        issuer: str | None = None,
    ) -> Link:
        """Accept a provider's answer to a consent, once; repeating it changes nothing.

        Args:
            provider: The provider whose callback URL was called.
            issuer: The `iss` that came back, if there is one.
            state: The state that came back.
            cookie: The browser's cookie.
            code: The code to redeem, if the person consented.
            error: OAuth's error code, if they did not.

        Returns:
            The link; `page` says what came of it.

        Raises:
            CallbackRefusedError: The callback does not belong to a sign-in of this browser.
        """
        link = await self._links.of_browser(state.partition(".")[0], cookie)
        if link.provider != provider:  # mix-up: https://www.rfc-editor.org/rfc/rfc9700#section-4.4
            raise CallbackRefusedError(_OTHER_PROVIDER.format(name=link.provider))
        await self._check_callback(link, issuer)
        opened = await self._links.find_opened(state, cookie or "")
        if opened is None or opened.link.link_id != link.link_id:
            return link
        if error == "access_denied":
            await self._refuse(opened.link)
        elif error is not None or code is None:
            await self._fail(opened.link, identifier(error) or "no code")
        else:
            await self._finish(opened, code)
        return link

    async def _check_callback(self, link: Link, issuer: str | None) -> None:
        """Check a callback's `iss`, for which another process, or an earlier one, may have sent the browser away.

        Raises:
            CallbackRefusedError: It is another provider's, or this one does not say who it is now.
        """
        provider = self._providers[link.provider]
        try:
            await provider.get_ready()
        except ProviderError as error:
            log.warning("the sign-in by link %s is not finished: %s", link.link_id, error)
            raise CallbackRefusedError(_in_words(error, _OPEN_AGAIN)) from None
        provider.check_callback(issuer)

    async def page(self, link_id: str, cookie: str | None) -> SignedIn:
        """Return how the sign-in of this browser stands.

        Raises:
            CallbackRefusedError: This browser has begun no such sign-in.
        """
        link = await self._links.of_browser(link_id, cookie)
        if link.state is LinkState.CONSENTED:
            return await self._confirmation.awaited(link) or InProgress(link)
        if link.state is LinkState.ACTIVE:
            return await self._confirmation.connected_by(link) or NotConnected(
                link, self._worded(_DISCONNECTED, link), 200
            )
        if link.state is LinkState.REFUSED:
            return NotConnected(link, self._worded(_DECLINED, link), 200)
        if link.state is LinkState.SUPERSEDED:
            return NotConnected(link, SUPERSEDED, 400)
        why = await self._links.why(link)
        if why is not None:
            return NotConnected(link, *why)
        return (
            NotConnected(link, self._worded(_AT_PROVIDER, link), 200)
            if link.state is LinkState.OPENED
            else NotConnected(link, self._worded(_OVER, link), 400)
        )

    async def _refuse(self, link: Link) -> None:
        """End a link whose person said no, and with it what waited for it."""
        async with self._database.writing() as connection:
            await take_consent_turn(connection, link.principal)
            if not await self._links.take(connection, link, LinkState.REFUSED):
                return
            accounts = (link.purpose.widens,)
            wake = await self._waiting.consent_ends(
                connection, link.principal, granted=False, accounts=accounts, provider=link.provider
            )
        await wake()

    async def _fail(self, link: Link, reason: str) -> None:
        """Let the link be opened again after the provider ended the sign-in with an error, not with the person's no."""
        title = self._providers[link.provider].title
        self._log_once.error((link.provider, reason), "%s ended a sign-in with the error %s", title, reason)
        why = f"{title} had a fault, so nothing was connected. {_OPEN_AGAIN}"
        if reason not in _PASSING_ERRORS:
            why = f"{title} refused the sign-in ({reason}), so nothing was connected. {ASK_ADMINISTRATOR}"
        await self._give_back(link, LinkState.OPENED, why)

    async def _finish(self, opened: OpenedLink, code: str) -> None:
        link = opened.link
        async with self._database.writing() as connection:
            await take_consent_turn(connection, link.principal)
            if not await self._links.take(connection, link, LinkState.CONSENTED):
                return
        try:
            redeemed = await self._providers[link.provider].redeem(
                code=code, code_verifier=opened.code_verifier, oauth_scopes=link.oauth_scopes
            )
        except CallbackRefusedError as refusal:
            await self._confirmation.drop(link.principal, link.link_id, str(refusal))
            return
        except ProviderError as error:
            log.warning("the sign-in by link %s is not finished: %s", link.link_id, error)
            await self._give_back(link, LinkState.CONSENTED, _in_words(error, _OPEN_AGAIN))
            return
        await self._check(link, redeemed, opened.nonce)

    async def _check(self, link: Link, redeemed: RedeemedCode, nonce: str) -> None:
        """Store what Google granted before anything can fail, then verify it; what does not pass ends at Google."""
        until = self._now() + UNCHECKED_SECONDS
        async with self._database.writing() as connection:
            await take_consent_turn(connection, link.principal)
            await self._quarantine.hold_unchecked(connection, link, redeemed.tokens, redeemed.claimed, until=until)
        why, status = "", 400
        try:
            await self._confirmation.begin(link, await self._providers[link.provider].verify(redeemed, nonce=nonce))
        except CallbackRefusedError as refusal:
            why = str(refusal)
        except ProviderError as error:
            log.warning("the sign-in by link %s is not finished: %s", link.link_id, error)
            why, status = _in_words(error, self._worded(_NEW_LINK, link)), 502
        if why:
            await self._unconfirmed.drop(link.principal, link.link_id, why=why, status=status)
            await self._waiting.sign_in_changed(link.principal, link.link_id)

    def _worded(self, words: str, link: Link) -> str:
        """Return words that name a link's provider."""
        return words.format(name=link.provider, title=self._providers[link.provider].title)

    async def _give_back(self, link: Link, before: LinkState, why: str) -> None:
        await self._links.give_back(link, before, why, 502)
        await self._waiting.sign_in_changed(link.principal, link.link_id)


def _in_words(error: ProviderError, next_step: str) -> str:
    """Return the text that a person sees for an error of a provider's."""
    if cause_for_administrators(error) is not None:
        return (
            f"{error.provider} refuses this assistant ({error.reason}), so nothing was connected. {ASK_ADMINISTRATOR}"
        )
    return f"{error.provider} did not answer, so nothing was connected. {next_step}"
