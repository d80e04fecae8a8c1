"""The sender's own credentials, for the length of one request."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import weakref
from datetime import UTC, datetime

from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials as GoogleCredentials

from app.credentials.grants import Grant
from app.credentials.refresh import Refresher
from app.deadline import Deadline
from app.errors import ConsentRequiredError, CredentialsError, DeputyError, GrantRevokedError
from app.principal import Principal


class Credentials:
    """Gives the toolkits of one request Google credentials of its principal; lives for that request.

    Built without I/O. Whoever needs a token awaits `ensure` first. What it hands out holds an access token and a way
    back to the refresher, never a refresh token or the client's secret, and is emptied when the request ends.
    """

    def __init__(self, principal: Principal, refresher: Refresher, deadline: Deadline) -> None:
        self._principal = principal
        self._refresher = refresher
        self._deadline = deadline
        self._grant: Grant | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handed_out: weakref.WeakSet[GoogleCredentials] = weakref.WeakSet()
        self._handing_out = threading.Lock()  # credentials are made in threads as well

    async def ensure(self, oauth_scopes: frozenset[str]) -> None:
        """Return once the principal's grant covers these OAuth scopes and its access token is fresh.

        Raises:
            ConsentRequiredError: There is no grant, or it lacks one of the scopes.
            GrantRevokedError: Google no longer honours the grant.
            GoogleError: The token could not be refreshed.
        """
        if not oauth_scopes:
            return
        grant = await self._refresher.fresh(self._principal)
        missing = oauth_scopes - (grant.granted_scopes if grant else frozenset())
        if missing:
            raise ConsentRequiredError(self._principal, missing)
        self._loop = asyncio.get_running_loop()
        self._grant = grant

    def for_google(self) -> GoogleCredentials:
        """New google-auth credentials for one call; expiry and a 401 both lead back to the refresher.

        Raises:
            CredentialsError: `ensure` was not awaited before, or the request is over.
        """
        with self._handing_out:
            grant = self._current()
            token = grant.access_token

            def renew(request: object, scopes: object) -> tuple[str, datetime]:
                nonlocal token
                renewed = self._renew_from_thread(rejected=token)
                token = renewed.access_token
                return token, _naive_utc(renewed.expires_at)

            handed = GoogleCredentials(token, expiry=_naive_utc(grant.expires_at), refresh_handler=renew)
            self._handed_out.add(handed)
            return handed

    def _renew_from_thread(self, rejected: str) -> Grant:
        """Refresh on the event loop, called from the thread of a Google call, and wait for it.

        Raises:
            google.auth.exceptions.RefreshError: It failed; the Deputy error is its cause.
        """
        loop = self._loop
        if loop is None:
            raise RefreshError("the request is over")
        renewal = asyncio.run_coroutine_threadsafe(self._renew(rejected), loop)
        try:
            return renewal.result(timeout=self._deadline.remaining())
        except DeputyError as error:
            raise RefreshError(type(error).__name__) from error
        except TimeoutError as error:
            renewal.cancel()
            raise RefreshError("the message's time was over before the token was refreshed") from error
        except concurrent.futures.CancelledError as error:
            raise RefreshError("the server stopped before the token was refreshed") from error
        finally:
            del renewal  # its error leads to this frame, and with it to this object: no cycle

    async def _renew(self, rejected: str) -> Grant:
        renewed = await self._refresher.fresh(self._principal, rejected=rejected)
        self._current()
        if renewed is None:
            raise GrantRevokedError(self._principal)
        self._grant = renewed  # later calls begin with this token
        return renewed

    def _current(self) -> Grant:
        if self._grant is None:
            raise CredentialsError(
                f"the credentials of {self._principal} were used before ensure() was awaited, or after their request"
            )
        return self._grant

    async def aclose(self) -> None:
        """Empty every google-auth object that was handed out, whoever still holds it."""
        with self._handing_out:
            self._grant = self._loop = None
            for handed in self._handed_out:
                handed.token = None
                handed.refresh_handler = None


def _naive_utc(posix_seconds: float) -> datetime:
    """The form in which google-auth wants an expiry: UTC without a time zone."""
    return datetime.fromtimestamp(posix_seconds, UTC).replace(tzinfo=None)
