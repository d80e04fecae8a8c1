"""A toolkit with state on its class."""

from __future__ import annotations

from typing import ClassVar

from app.toolkits.toolkit import Toolkit, tool


class SharingToolkit(Toolkit):
    """Would show everybody's notes to everybody."""

    name = "sharing"
    notes: ClassVar[list[str]] = []

    @tool(oauth_scopes=())
    async def look(self) -> list[str]:
        """Look at the notes."""
        return self.notes
