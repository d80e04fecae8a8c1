"""Which workspaces may install the app, and whose people are served."""

from __future__ import annotations

from collections.abc import Collection


class AllowList:
    """The workspaces, "T…", and organisations, "E…", that the settings name; without one, any is allowed.

    It lives as long as the process.
    """

    def __init__(self, places: Collection[str]) -> None:
        self._places = frozenset(places)

    def admits(self, *places: object) -> bool:
        """Whether one of these ids is allowed, such as a workspace's and that of the organisation that it is part of.

        Args:
            places: As Slack names them; what is no text is no id.
        """
        return not self._places or any(isinstance(place, str) and place in self._places for place in places)
