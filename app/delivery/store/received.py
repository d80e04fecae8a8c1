"""The files that people sent, found again by reference and fetched from where they wrote."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Mapping

import sqlalchemy as sa

from app.attachments.reading import Fetches
from app.database.database import Database
from app.database.tables import messages, owned_by
from app.delivery.store.queries import stored
from app.errors import AttachmentError, AttachmentTooLargeError, ToolError, UnavailableError
from app.messages import REFERENCE, Attachment, StoredMessage
from app.principal import Principal
from app.toolkits.input_file import FileTooLargeError, InputFile, cleaned_name, cleaned_type


class SentFiles:
    """Fetches the files of earlier messages for tool calls. Lives as long as the process and keeps no contents.

    Args:
        channels: Fetch the contents, by platform.
        seconds: How long one file may take.
    """

    def __init__(self, database: Database, channels: Mapping[str, Fetches], *, seconds: float = 60.0) -> None:
        self._database = database
        self._channels = channels
        self._seconds = seconds

    async def fetch(self, principal: Principal, conversation: str, reference: str, *, limit: int) -> InputFile:
        """Return a file that this person sent in this conversation.

        Raises:
            ToolError: They sent none with this reference here, it is too large, or it cannot be fetched.
        """
        found = await self._find(principal, conversation, reference)
        if found is None:
            raise ToolError(f"nobody but you can use your files, and you sent me no {reference} in this conversation")
        message, attachment = found
        name, kind = _name(attachment), cleaned_type(attachment.mime_type)
        if attachment.size is not None and attachment.size > limit:
            raise FileTooLargeError(name)
        try:
            async with asyncio.timeout(self._seconds):
                contents = await self._channels[principal.platform].fetch(message, attachment, limit=limit)
        except AttachmentTooLargeError:
            raise FileTooLargeError(name) from None
        except AttachmentError as error:
            raise ToolError(f"I cannot use {name}: {error}") from None
        except (UnavailableError, TimeoutError):
            raise ToolError(f"I cannot fetch {name} for now; please try again later") from None
        return InputFile(reference, name, kind, contents)

    async def _find(
        self, principal: Principal, conversation: str, reference: str
    ) -> tuple[StoredMessage, Attachment] | None:
        """Return the message and the file that a reference names, or None."""
        if (parts := REFERENCE.fullmatch(reference)) is None:
            return None
        mine = sa.and_(
            owned_by(messages, principal),
            messages.c.conversation == conversation,
            messages.c.id.startswith(parts["message"], autoescape=True),
        )
        query = sa.select(messages).where(mine).order_by(messages.c.sequence.desc()).limit(1)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        message = stored(row) if row is not None else None
        number = int(parts["number"])
        if message is None or not 1 <= number <= len(message.attachments):
            return None
        return message, message.attachments[number - 1]


def _name(attachment: Attachment) -> str:
    """Return a file's name; one without a name is called after its kind, such as ``image.jpg``."""
    ending = mimetypes.guess_extension(cleaned_type(attachment.mime_type)) or ""
    return cleaned_name(attachment.name or f"{attachment.kind}{ending}")
