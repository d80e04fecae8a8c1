"""The sender's own credentials, for the length of one request."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import weakref
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials as GoogleCredentials

from app.deadline import Deadline
from app.errors import CredentialsError, DeputyError
from app.oauth.provider import GOOGLE
from app.principal import Principal
from app.run import current_run


@dataclass(frozen=True, slots=True)
class _InUse:
    """The connection and OAuth scopes of the tool that runs in this context; not personal data."""

    connection: str
    oauth_scopes: frozenset[str]


# It may outlive the request.
_IN_USE: ContextVar[_InUse | None] = ContextVar("connection_in_use", default=None)


def use_no_connection() -> None:
    """Make no credentials usable in this context, before a tool runs that declares no connection."""
    _IN_USE.set(None)


class Access(Protocol):
    """Access to one account at a provider, for a while."""

    @property
    def credential_id(self) -> str:
        """The access's name in the audit trail; not a secret."""

    @property
    def access_token(self) -> str:
        """The token that authorises API calls."""

    @property
    def expires_at(self) -> float:
        """The time when the access token expires, POSIX seconds."""


class TokenSource(Protocol):
    """The source of a person's access: their consent, or an administrator's delegation."""

    async def fresh(
        self,
        principal: Principal,
        oauth_scopes: frozenset[str],
        *,
        conversation: str | None = None,
        credential_id: str | None = None,
        rejected: str | None = None,
    ) -> Access:
        """Return this person's access for these OAuth scopes, with at least 300 seconds left on its token.

        Args:
            principal: The person whose access is needed.
            oauth_scopes: The scopes that the access has to cover.
            conversation: The conversation it is used in, for which the person may have chosen one of their accounts.
            credential_id: The access to use, even if the person has chosen another one since.
            rejected: An access token that Google has just rejected; it is not returned again.
        """
        ...

    async def refused(self, principal: Principal, credential_id: str, access_token: str) -> None:
        """Record that an API rejects this token although it was just renewed.

        Raises:
            GrantRevokedError: The person has to consent again.
        """
        ...


class Credentials:
    """Gives the toolkits of one request their principal's credentials at one provider; lives for that request.

    Construction does no I/O. Await `ensure` before a token is needed, in the same task or in the task that started it:
    the credentials that a tool gets are valid for the OAuth scopes that this tool ensured, and for no other connection.
    They cannot be used in any other run. They hold an access token and a callback that renews it, never a refresh token
    or the client's secret, and they are emptied when the request ends.

    Args:
        principal: Whose credentials.
        tokens: The source of access tokens.
        deadline: The message's deadline; no refresh waits longer.
        connection: The name of the connection.
    """

    def __init__(self, principal: Principal, tokens: TokenSource, deadline: Deadline, connection: str = GOOGLE) -> None:
        self.connection = connection
        self._principal = principal
        self._tokens = tokens
        self._deadline = deadline
        self._run = current_run()
        self._held: dict[frozenset[str], Access] = {}
        self._conversation: str | None = None
        self._account: str | None = None  # the one of this request, once it is known
        self._choosing = asyncio.Lock()  # of several tools at once the first one finds the account, for all
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handed_out: weakref.WeakSet[GoogleCredentials] = weakref.WeakSet()
        self._handing_out = threading.Lock()  # credentials are made in threads as well

    def use_in(self, conversation: str, credential_id: str | None = None) -> None:
        """Take the account that the principal uses in this conversation; call it before the first `ensure`.

        Args:
            conversation: The conversation's id.
            credential_id: The access to use instead of the conversation's own.
        """
        self._conversation = conversation
        self._account = credential_id or self._account

    async def ensure(self, oauth_scopes: frozenset[str]) -> None:
        """Return once the principal has access that covers these OAuth scopes, which may be none, with a fresh token.

        The account is looked up only once, so a request keeps its account even if the person switches meanwhile.

        Raises:
            ConsentRequiredError: There is no grant, or it lacks one of the scopes.
            GrantRevokedError: Google no longer honours the grant.
            AccessRefusedError: There is no access, and the person cannot grant it.
            ProviderError: The token could not be fetched.
            ForeignRunError: Another request than their own uses them.
        """
        self._run.check("Credentials")
        async with self._choosing if self._account is None else nullcontext():
            access = await self._fresh(oauth_scopes)
            self._account = access.credential_id
        self._held[oauth_scopes] = access
        self._loop = asyncio.get_running_loop()
        _IN_USE.set(_InUse(self.connection, oauth_scopes))

    @property
    def credential_id(self) -> str:
        """The name in the audit trail of the access that is used here.

        Raises:
            CredentialsError: As `for_google`.
        """
        return self._current(self._ensured()).credential_id

    @property
    def access_token(self) -> str:
        """Return the access token, for one call; a later call must ask again.

        Raises:
            CredentialsError: As `for_google`.
        """
        return self._current(self._ensured()).access_token

    async def renew(self, rejected: str) -> str:
        """Return another access token than the one that an API has just rejected.

        Raises:
            GrantRevokedError: The provider no longer honours the grant.
            ProviderError: The token could not be fetched.
            CredentialsError: As `for_google`.
        """
        oauth_scopes = self._ensured()
        self._current(oauth_scopes)
        return (await self._renew(oauth_scopes, rejected)).access_token

    def for_google(self) -> GoogleCredentials:
        """Return new google-auth credentials for one call; after expiry or a 401 they ask the refresher.

        Raises:
            CredentialsError: `ensure` was not awaited before, or the request has ended.
        """
        with self._handing_out:
            oauth_scopes = self._ensured()
            access = self._current(oauth_scopes)
            token = access.access_token

            def renew(request: object, scopes: object) -> tuple[str, datetime]:
                nonlocal token
                renewed = self._renew_from_thread(oauth_scopes, rejected=token)
                token = renewed.access_token
                return token, _naive_utc(renewed.expires_at)

            handed = GoogleCredentials(token, expiry=_naive_utc(access.expires_at), refresh_handler=renew)
            self._handed_out.add(handed)
            return handed

    async def refused(self, access_token: str) -> None:
        """Record that an API of Google rejects a token that was just renewed.

        Raises:
            GrantRevokedError: The grant no longer works; the person has to consent again.
            ForeignRunError: Another request than their own uses them.
        """
        self._run.check("Credentials")
        if self._account is not None:
            await self._tokens.refused(self._principal, self._account, access_token)

    def _renew_from_thread(self, oauth_scopes: frozenset[str], rejected: str) -> Access:
        """Refresh on the event loop, called from the thread of a Google call, and wait for it.

        Raises:
            google.auth.exceptions.RefreshError: It failed; the Deputy error is its cause.
        """
        loop = self._loop
        if loop is None:
            raise RefreshError("the request has ended")
        renewal = asyncio.run_coroutine_threadsafe(self._renew(oauth_scopes, rejected), loop)
        try:
            return renewal.result(timeout=self._deadline.remaining())
        except DeputyError as error:
            raise RefreshError(type(error).__name__) from error
        except TimeoutError as error:
            renewal.cancel()
            raise RefreshError("the message's time ran out before the token was refreshed") from error
        except concurrent.futures.CancelledError as error:
            raise RefreshError("the server stopped before the token was refreshed") from error
        finally:
            del renewal  # its error leads to this frame, and with it to this object: no cycle

    async def _fresh(self, oauth_scopes: frozenset[str], rejected: str | None = None) -> Access:
        return await self._tokens.fresh(
            self._principal,
            oauth_scopes,
            conversation=self._conversation,
            credential_id=self._account,
            rejected=rejected,
        )

    async def _renew(self, oauth_scopes: frozenset[str], rejected: str) -> Access:
        renewed = await self._fresh(oauth_scopes, rejected=rejected)
        self._current(oauth_scopes)
        self._held[oauth_scopes] = renewed  # later calls begin with this token
        return renewed

    def _ensured(self) -> frozenset[str]:
        """Return the OAuth scopes that the tool in this context ensured here."""
        self._run.check("Credentials")
        in_use = _IN_USE.get()
        if in_use is None or in_use.connection != self.connection:
            raise self._unusable()
        return in_use.oauth_scopes

    def _current(self, oauth_scopes: frozenset[str]) -> Access:
        self._run.check("Credentials")
        access = self._held.get(oauth_scopes)
        if access is None:
            raise self._unusable()
        return access

    def _unusable(self) -> CredentialsError:
        return CredentialsError(
            f"the credentials of {self._principal} for {self.connection} were used before ensure() was awaited, in a "
            "tool that declares another connection, or after their request"
        )

    def at_scope_end(self) -> None:
        """Empty every google-auth object that was handed out, whoever still holds it."""
        with self._handing_out:
            self._held.clear()
            self._loop = None
            for handed in self._handed_out:
                handed.token = None
                handed.refresh_handler = None


def _naive_utc(posix_seconds: float) -> datetime:
    """Return an expiry as google-auth wants it: UTC without a time zone."""
    return datetime.fromtimestamp(posix_seconds, UTC).replace(tzinfo=None)
