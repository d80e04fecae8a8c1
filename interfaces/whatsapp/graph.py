"""Meta's Graph API, as far as one business number needs it.

There is no SDK in between: pywa, the only one in use, dispatches one message of a batch, and its client brings an HTTP
library of its own that knows nothing of `app.network`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx2

from app.errors import AttachmentGoneError, AttachmentTooLargeError, UnavailableError, UnclearError, UndeliverableError
from interfaces.whatsapp.refusals import translated

_SECONDS = 20.0
_MEDIA_HOSTS = ("fbsbx.com", "facebook.com", "whatsapp.net", "fbcdn.net")


class GraphApi:
    """Calls the Graph API for one business number. Lives as long as the process.

    Args:
        http: The client that all people share; it keeps no cookie.
        base_url: Where the Graph API is, with its version; ends with a slash.
        phone_number_id: The business number.
        access_token: The system user's token.
    """

    def __init__(self, http: httpx2.AsyncClient, *, base_url: str, phone_number_id: str, access_token: str) -> None:
        self._http = http
        self._base_url = base_url if base_url.endswith("/") else f"{base_url}/"
        self._phone_number_id = phone_number_id
        self._headers = {"Authorization": f"Bearer {access_token}"}

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message, or mark one as read.

        Raises:
            UnclearError: There was no answer, or a fault of Meta's own; it may have been sent.
            UnavailableError: Meta refuses it for now.
            UndeliverableError: Meta refuses it for good.
        """
        await self._call("POST", f"{self._phone_number_id}/messages", json={"messaging_product": "whatsapp", **message})

    async def quality(self) -> str:
        """Return how Meta rates the business number: ``GREEN``, ``YELLOW``, ``RED`` or ``UNKNOWN``.

        Raises:
            UnavailableError: Meta does not say for now.
            UndeliverableError: Meta refuses the token or the number.
        """
        answer = await self._call("GET", self._phone_number_id, params={"fields": "quality_rating"})
        return str(answer.get("quality_rating"))

    async def upload(self, name: str, mime_type: str, contents: bytes) -> str:
        """Upload a file, which nobody sees yet, and return its id.

        Raises:
            UnavailableError: Meta refuses it for now, or gave no answer.
            UndeliverableError: Meta refuses it for good.
        """
        answer = await self._call(
            "POST",
            f"{self._phone_number_id}/media",
            data={"messaging_product": "whatsapp", "type": mime_type},
            files={"file": (name, contents, mime_type)},
        )
        media_id = answer.get("id")
        if not isinstance(media_id, str):
            raise UnavailableError("WhatsApp took a file and gave no id", reason="no_media_id")
        return media_id

    async def download(self, media_id: str, *, limit: int) -> bytes:
        """Return the contents of a file that somebody sent.

        Raises:
            AttachmentTooLargeError: It exceeds the limit.
            AttachmentGoneError: Meta does not have it any more, or does not give it.
            UnavailableError: Meta does not give it for now.
        """
        try:
            media = await self._call("GET", media_id, params={"phone_number_id": self._phone_number_id})
        except UndeliverableError as error:
            raise AttachmentGoneError(f"WhatsApp no longer has it ({error.reason})") from None
        size, url = media.get("file_size"), media.get("url")
        if isinstance(size, int) and size > limit:
            raise AttachmentTooLargeError(limit)
        if not isinstance(url, str) or not self._is_metas(url):
            raise AttachmentGoneError("WhatsApp gives no address for it")
        return await self._read(url, limit)

    async def _read(self, url: str, limit: int) -> bytes:
        contents = bytearray()
        try:
            async with self._http.stream("GET", url, headers=self._headers, timeout=_SECONDS) as response:
                if response.status_code in (httpx2.codes.NOT_FOUND, httpx2.codes.GONE):
                    raise AttachmentGoneError("WhatsApp no longer has it")
                if not response.is_success:
                    raise UnavailableError(f"WhatsApp gave no file (HTTP {response.status_code})")
                async for chunk in response.aiter_bytes():
                    contents += chunk
                    if len(contents) > limit:
                        raise AttachmentTooLargeError(limit)
        except httpx2.TransportError as error:
            raise UnavailableError(f"WhatsApp gave no file ({type(error).__name__})") from None
        return bytes(contents)

    def _is_metas(self, url: str) -> bool:
        """Return whether a file's address is Meta's: the token goes there, and must go nowhere else."""
        there, here = urlsplit(url), urlsplit(self._base_url)
        if (there.scheme, there.netloc) == (here.scheme, here.netloc):
            return True
        host = there.hostname or ""
        return there.scheme == "https" and any(host == each or host.endswith(f".{each}") for each in _MEDIA_HOSTS)

    async def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            response = await self._http.request(
                method, self._base_url + path, headers=self._headers, timeout=_SECONDS, **arguments
            )
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise UnavailableError(f"WhatsApp cannot be reached ({type(error).__name__})", reason="network") from None
        except httpx2.TransportError as error:
            raise UnclearError(f"WhatsApp gave no answer ({type(error).__name__})", reason="network") from None
        try:
            body = response.json()
        except ValueError:
            body = None
        if not response.is_success:
            raise translated(response.status_code, body, response.headers)
        return body if isinstance(body, dict) else {}
