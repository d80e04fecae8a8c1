"""A time zone that is known without asking Google."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from app.toolkits.zones import PersonZone


class FixedZone(PersonZone):
    """The zone that a test gives."""

    def __init__(self, zone: str = "UTC") -> None:
        self._fixed = ZoneInfo(zone)

    async def get(self) -> ZoneInfo:
        return self._fixed
