"""One person's access at one provider, as toolkits use it: a token, or a client that signs with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import httpx2

from app.connections.client import TIMEOUT_SECONDS, CallRecorder, PersonsTransport
from app.credentials.credentials import Credentials
from app.deadline import Deadline
from app.network import no_cookies

Name = TypeVar("Name", bound=str)
Around = Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport]


class Connection(Generic[Name]):
    """One person's access at one provider. Lives for one request.

    A toolkit asks its constructor for ``Connection[Literal["github"]]``. The guard has ensured the access before a tool
    runs that declares ``connection="github"``; in any other tool, and in any other request, it gives nothing out.

    Args:
        credentials: The person's credentials at this provider.
        http: The connections that all people share; it keeps nothing of a person.
        recorder: Records every call of the client.
        deadline: The message's deadline; no call waits longer.
        origins: The only addresses that the client sends the token to, the API's own first.
    """

    def __init__(
        self,
        credentials: Credentials,
        http: httpx2.AsyncBaseTransport,
        recorder: CallRecorder,
        deadline: Deadline,
        *,
        origins: Sequence[str],
    ) -> None:
        self._credentials = credentials
        self._http = http
        self._recorder = recorder
        self._deadline = deadline
        self._origins = tuple(origins)
        self._clients: list[httpx2.AsyncClient] = []

    @property
    def name(self) -> str:
        """Return the connection's name in the settings."""
        return self._credentials.connection

    async def ensure(self, oauth_scopes: frozenset[str] = frozenset()) -> None:
        """Return once the person has access that covers these OAuth scopes, which may be none.

        The guard does this before a tool runs. Await it yourself for calls outside of a tool, in the task that makes
        them; a missing grant then cannot park the message.

        Raises:
            ConsentRequiredError: There is no grant, or it lacks one of the scopes.
            GrantRevokedError: The provider no longer honours the grant.
            AccessRefusedError: There is no access, and the person cannot grant it.
            ProviderError: The token could not be fetched.
            ForeignRunError: Another request than their own uses it.
        """
        await self._credentials.ensure(oauth_scopes)

    @property
    def access_token(self) -> str:
        """Return the person's access token, for one call; ask again for the next one.

        Raises:
            CredentialsError: The access was not ensured for the tool that runs, or the request has ended.
            ForeignRunError: Another request than their own uses it.
        """
        return self._credentials.access_token

    @property
    def credential_id(self) -> str:
        """Return the name of the access in the audit trail; not a secret.

        Raises:
            CredentialsError, ForeignRunError: As for `access_token`.
        """
        return self._credentials.credential_id

    def client(self, base_url: str = "", *, around: Around | None = None) -> httpx2.AsyncClient:
        """Return a new client that signs its calls as this person. It is closed when the request ends.

        It keeps no cookies and follows no redirects. It reaches the provider's own addresses only: a call to
        any other one raises `AccessRefusedError`. After a 401 it asks for another token and repeats the call once.

        Args:
            base_url: As for `httpx2.AsyncClient`; by default the address of the provider's API.
            around: Returns a transport over the one that signs the calls.
        """
        signing = PersonsTransport(self._credentials, self._http, self._recorder, self._deadline, self._origins)
        made = httpx2.AsyncClient(
            base_url=base_url or next(iter(self._origins), ""),
            transport=around(signing) if around is not None else signing,
            cookies=no_cookies(),
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
        )
        self._clients.append(made)
        return made

    async def aclose(self) -> None:
        """Close every client that was handed out, whoever still holds it."""
        while self._clients:
            await self._clients.pop().aclose()
