"""Fetching the files that tool calls name, from where they are, as one person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.errors import ToolError
from app.google.client import GoogleClient
from app.messages import REFERENCE
from app.principal import Principal
from app.sizes import in_units
from app.toolkits.input_file import FileTooLargeError, InputFile


class ReceivedFiles(Protocol):
    """Fetches the files that people sent with their messages."""

    async def fetch(self, principal: Principal, conversation: str, reference: str, *, limit: int) -> InputFile:
        """Return a file that this person sent in this conversation.

        Raises:
            ToolError: They sent none with this reference here, it is too large, or it cannot be fetched.
        """
        ...


class InputFiles:
    """Fetches files for one person's tool calls, and keeps none. Lives for one request.

    Args:
        received: Fetches what they sent.
        google: Google's APIs as that person.
        max_bytes: Maximum size of the files of one call together; a tool may allow less.
    """

    def __init__(self, principal: Principal, received: ReceivedFiles, google: GoogleClient, *, max_bytes: int) -> None:
        self._principal = principal
        self._received = received
        self._google = google
        self._max_bytes = max_bytes

    def oauth_scopes(self, references: Sequence[str]) -> frozenset[str]:
        """Return the OAuth scopes at Google that it takes to fetch these files."""
        elsewhere = [each for each in references if not REFERENCE.fullmatch(each)]
        if not elsewhere:
            return frozenset()
        from app.toolkits.drive.oauth_scopes import READ_FILES  # a start does not import toolkits that no agent has
        from app.toolkits.gmail.oauth_scopes import READ_MAIL

        return frozenset(READ_MAIL if "/" in each else READ_FILES for each in elsewhere)

    async def fetch(self, references: Sequence[str], conversation: str, *, limit: int) -> dict[str, InputFile]:
        """Return these files by their references.

        Args:
            references: The references, once each.
            conversation: The conversation in which they are used; what was sent in another one is not found.
            limit: Maximum bytes of all of them together; nothing beyond it is read.

        Raises:
            ToolError: One is not there, is not this person's, or is too large.
            ProviderError, CredentialsError: Google did not give it.
        """
        at_most = left = min(limit, self._max_bytes)
        fetched: dict[str, InputFile] = {}
        for reference in references:
            try:
                file = await self._fetch(reference, conversation, left)
            except FileTooLargeError as error:
                raise ToolError(
                    f"{error.name} is too large: the files of one call may have {in_units(at_most)} together"
                ) from None
            left -= len(file.contents)
            fetched[reference] = file
        return fetched

    async def _fetch(self, reference: str, conversation: str, limit: int) -> InputFile:
        if REFERENCE.fullmatch(reference):
            return await self._received.fetch(self._principal, conversation, reference, limit=limit)
        if "/" in reference:
            from app.toolkits.gmail.attached import fetch_attachment

            return await fetch_attachment(self._google, reference, limit=limit)
        from app.toolkits.drive.contents import fetch_file

        return await fetch_file(self._google, reference, limit=limit)
