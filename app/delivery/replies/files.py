"""The files of answers, read in a request scope of their person when the answer is sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from app.agents.agent import Agent
from app.deadline import Deadline
from app.errors import (
    AccessRefusedError,
    AttachmentError,
    AttachmentGoneError,
    AttachmentTooLargeError,
    ConsentRequiredError,
    CredentialsError,
    DeputyError,
    GrantRevokedError,
    ToolError,
)
from app.messages import StoredMessage
from app.principal import Principal
from app.reply import NOT_ATTACHED, ReplyContent, ReplyFile
from app.sent_files import MAX_FILE_BYTES, FileReference
from app.toolkits.asides import without_asides

log = logging.getLogger(__name__)

_NO_ACCESS = "I no longer have access to the account that it is in. Write `connect google`, and ask again"
_NOT_NOW = "it could not be read for now. Ask for it again later"


class ReplyFiles:
    """Reads the files of answers; lives as long as the process and keeps no contents.

    Args:
        open_agent: Opens a request scope.
        read_seconds: How long reading one file may take.
    """

    def __init__(
        self,
        open_agent: Callable[[Principal, Deadline], AbstractAsyncContextManager[Agent]],
        *,
        read_seconds: float,
        max_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self._open_agent = open_agent
        self._read_seconds = read_seconds
        self._max_bytes = max_bytes

    async def read(self, message: StoredMessage, file: FileReference) -> bytes:
        """Return the contents of a file that goes with the answer to a message, in its sender's name.

        Raises:
            AttachmentError: It cannot be read, or is too large; the text completes "I could not attach it: …".
        """
        if file.size is not None and file.size > self._max_bytes:
            raise AttachmentTooLargeError(self._max_bytes)
        try:
            async with self._open_agent(message.principal, Deadline.after(self._read_seconds)) as agent:
                contents = await agent.read_file(message, file)
        except AttachmentError:
            raise
        except (ConsentRequiredError, GrantRevokedError, AccessRefusedError, CredentialsError):
            raise AttachmentGoneError(_NO_ACCESS) from None
        except ToolError as error:
            raise AttachmentGoneError(without_asides(str(error))) from None
        except (DeputyError, TimeoutError) as error:
            log.warning("message %s: a file of its answer was not read: %s", message.message_id, type(error).__name__)
            raise AttachmentError(_NOT_NOW) from None
        if len(contents) > self._max_bytes:
            raise AttachmentTooLargeError(self._max_bytes)
        return contents

    async def attached(
        self, message: StoredMessage, content: ReplyContent, files: Sequence[FileReference]
    ) -> ReplyContent:
        """Return a reply with these files, read; for each one that could not be read, its text says why.

        The contents live as long as the returned value: one try to send it.
        """
        read, problems = [], ""
        for file in files:
            try:
                read.append(ReplyFile(file.name, file.mime_type, _Contents(await self.read(message, file))))
            except AttachmentError as error:
                problems += f"\n\n{NOT_ATTACHED.format(file.name, error)}"
        return replace(content, text=content.text + problems, files=(*content.files, *read))


class _Contents:
    """Returns contents that were read already."""

    def __init__(self, contents: bytes) -> None:
        self._contents = contents

    async def __call__(self) -> bytes:
        return self._contents
