"""Questions that a server asks over an open connection, as protocols before 2026-07-28 do."""

from __future__ import annotations

import mcp_types
from mcp.client import ClientRequestContext

UNANSWERED = "deputy/unanswered"  # in a result's `_meta`, where Deputy alone writes it

NOTE = (
    "The server asked something while this ran and wanted the answer at once, so it was told that nobody answers. I "
    "can pass on the questions of servers that speak protocol 2026-07-28, which wait."
)


class OpenQuestions:
    """Answers each question with ``cancel``, and counts them. Lives as long as its connection.

    A person answers after minutes, perhaps at another process; the server would wait in an open call, and its question
    would be lost with the connection.

    Attributes:
        count: How many there were.
    """

    def __init__(self) -> None:
        self.count = 0

    async def __call__(
        self, context: ClientRequestContext, params: mcp_types.ElicitRequestParams
    ) -> mcp_types.ElicitResult:
        """Dismiss a question without an answer."""
        del context, params
        self.count += 1
        return mcp_types.ElicitResult(action="cancel")
