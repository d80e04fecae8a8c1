"""The transport that signs a client's calls as one person, and sends their token to one provider only."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

import httpx2

from app.credentials.credentials import Credentials
from app.deadline import Deadline
from app.errors import AccessRefusedError, ForeignRunError
from app.google.request_recorder import SentRequest

TIMEOUT_SECONDS = 30.0  # for each connect, read and write, within the time that the message has left


class CallRecorder(Protocol):
    """Records what is sent in the person's name."""

    async def sent(self, sent: SentRequest) -> None:
        """Record calls that were sent."""

    async def refused(self, method_ids: Sequence[str]) -> None:
        """Record that another request tried to make these calls and was refused."""


class PersonsTransport(httpx2.AsyncBaseTransport):
    """Sends each request with the person's token, over connections that all people share. Lives for one request.

    A call is recorded as its method and host, such as ``GET api.github.com``; its path may be personal.

    Args:
        credentials: The person's credentials at the provider.
        shared: The shared connections; closing this transport leaves them open.
        recorder: Records each call.
        deadline: The message's deadline.
        origins: The only addresses that the token is sent to, such as ``https://api.github.com``.
    """

    def __init__(
        self,
        credentials: Credentials,
        shared: httpx2.AsyncBaseTransport,
        recorder: CallRecorder,
        deadline: Deadline,
        origins: Collection[str],
    ) -> None:
        self._credentials = credentials
        self._shared = shared
        self._recorder = recorder
        self._deadline = deadline
        self._origins = frozenset(map(origin_of, map(httpx2.URL, origins)))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; after a 401, once more with another token.

        Raises:
            AccessRefusedError: The request is for an address that the token must not be sent to.
            CredentialsError: The access was not ensured for the tool that runs, or the token could not be renewed.
            ForeignRunError: The call came from another request.
            httpx2.TransportError: There was no answer.
        """
        call = f"{request.method} {request.url.host}"
        if origin_of(request.url) not in self._origins:
            raise AccessRefusedError(
                f"The connection {self._credentials.connection} reaches only {', '.join(sorted(self._origins))}, so "
                f"nothing was sent to {request.url.host}."
            )
        try:
            token, sent = self._credentials.access_token, SentRequest(self._credentials.credential_id)
        except ForeignRunError:
            await self._recorder.refused([call])
            raise
        try:
            response = await self._send(request, token, sent, call)
            if response.status_code != 401 or not isinstance(request.stream, httpx2.ByteStream):
                return response
            await response.aclose()
            token = await self._credentials.renew(rejected=token)
            response = await self._send(request, token, sent, call)
            if response.status_code == 401:
                await response.aread()
                await self._credentials.refused(token)  # raises, unless the token has been replaced since
            return response
        finally:
            sent.close()
            await self._recorder.sent(sent)

    async def aclose(self) -> None:
        """Leave the shared connections open."""

    async def _send(self, request: httpx2.Request, token: str, sent: SentRequest, call: str) -> httpx2.Response:
        seconds = self._deadline.clip(TIMEOUT_SECONDS)
        request.headers["Authorization"] = f"Bearer {token}"
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        place = sent.leave([call])
        try:
            async with asyncio.timeout(seconds):
                response = await self._shared.handle_async_request(request)
        except TimeoutError:
            raise httpx2.ReadTimeout("the message's time ran out", request=request) from None
        finally:
            del request.headers["Authorization"]  # errors carry the request
        sent.answered(place, [response.status_code])
        return response


def origin_of(url: httpx2.URL) -> str:
    """Return scheme, host and port of an address, the scheme's usual port left out."""
    return f"{url.scheme}://{url.netloc.decode()}".lower()
