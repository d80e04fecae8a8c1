"""Reading the files that go with an answer, by the tools that promised them."""

from __future__ import annotations

from collections.abc import Sequence

from app.audit.recorder import AuditRecorder
from app.connections.connections import PersonConnections
from app.errors import AttachmentGoneError
from app.messages import StoredMessage
from app.sent_files import FileReference
from app.toolkits.toolkit import Toolkit


class PromisedFiles:
    """Reads files with one person's toolkits, and with the access that promised them. Lives for one request."""

    def __init__(self, toolkits: Sequence[Toolkit], connections: PersonConnections, trail: AuditRecorder) -> None:
        self._toolkits = toolkits
        self._connections = connections
        self._trail = trail

    async def read(self, message: StoredMessage, file: FileReference) -> bytes:
        """Return the contents of a file that goes with the answer to a message.

        Raises:
            AttachmentGoneError: The tool that promised it, or the access, is no longer there.
            ConsentRequiredError, GrantRevokedError, AccessRefusedError, GoogleError: The account cannot be read.
            ToolError: The file is no longer there, or cannot be read.
        """
        toolkit = next((each for each in self._toolkits if file.tool in each.known()), None)
        if toolkit is None:
            raise AttachmentGoneError("I no longer have the tool that reads it")
        spec = toolkit.known()[file.tool]
        used = {spec.connection: file.credential_id} if spec.connection and file.credential_id else {}
        self._connections.use_in(message.conversation, used)
        await self._connections.ensure(spec.connection, frozenset(spec.oauth_scopes))
        if self._connections.credential_id(spec.connection) != file.credential_id:
            raise AttachmentGoneError("it is in an account that is no longer connected")
        done = False
        tool_call = await self._trail.begin(message.message_id, spec.name, acts=False)
        try:
            contents = await toolkit.read_file(file.reference)
            done = True
        finally:
            await self._trail.end(tool_call, done=done)
        return contents
