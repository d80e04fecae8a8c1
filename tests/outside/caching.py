"""A toolkit with a cached method."""

from __future__ import annotations

from functools import lru_cache

from app.toolkits.toolkit import Toolkit, tool


class CachingToolkit(Toolkit):
    """Would keep everybody's answers and toolkits in a cache."""

    name = "caching"

    @lru_cache  # noqa: B019 - the mistake that is to be refused
    def compute(self, number: int) -> int:
        """Compute something slowly."""
        return number * 2

    @tool(oauth_scopes=())
    async def double(self, number: int) -> int:
        """Double a number."""
        return self.compute(number)
