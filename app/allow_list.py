"""Lists of what is allowed: workspaces, chats or people."""

from __future__ import annotations

from collections.abc import Collection


class AllowList:
    """Holds the ids that the settings list; without a list, all are allowed. Lives as long as the process."""

    def __init__(self, places: Collection[str]) -> None:
        self._places = frozenset(places)

    def admits(self, *places: object) -> bool:
        """Return whether one of these ids is allowed, such as that of a workspace or of its organisation.

        Args:
            places: As the platform names them; anything but text is ignored.
        """
        return not self._places or any(isinstance(place, str) and place in self._places for place in places)
