"""The person's own time zone, which their Google Calendar knows, and the days in it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.credentials.credentials import Credentials
from app.errors import CredentialsError, ProviderError
from app.google.client import GoogleClient
from app.principal import Principal
from app.toolkits.shapes import text

READ_EVENTS = "https://www.googleapis.com/auth/calendar.events.readonly"
UNKNOWN_ZONE = ZoneInfo("UTC")
KEPT_SECONDS = 3600.0
UNANSWERED_SECONDS = 60.0  # until a permission that the person gives meanwhile counts, or Google answers again
_KEPT_AT_MOST = 10_000  # accounts


class KnownZones:
    """The time zones of accounts that were looked up lately. Lives as long as the process, and is bounded.

    Args:
        now: The clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._zones: OrderedDict[tuple[Principal, str], tuple[ZoneInfo, float]] = OrderedDict()

    def find(self, principal: Principal, credential_id: str) -> ZoneInfo | None:
        """Return the zone of one of a person's accounts; None if it was not looked up lately."""
        zone, until = self._zones.get((principal, credential_id), (None, 0.0))
        return zone if until > self._now() else None

    def keep(self, principal: Principal, credential_id: str, zone: ZoneInfo, seconds: float = KEPT_SECONDS) -> None:
        """Keep the zone of an account for a while."""
        self._zones.pop((principal, credential_id), None)
        self._zones[principal, credential_id] = (zone, self._now() + seconds)
        if len(self._zones) > _KEPT_AT_MOST:
            self._zones.popitem(last=False)


class PersonZone:
    """Looks up one person's time zone for tools that have no permission for their calendar. Lives for one request.

    Nobody is asked for a permission: without it, the zone is unknown.

    Args:
        looks: Whether calendars may be looked at at all.
    """

    def __init__(
        self,
        principal: Principal,
        credentials: Credentials,
        google: GoogleClient,
        known: KnownZones,
        *,
        looks: bool = True,
    ) -> None:
        self._principal = principal
        self._credentials = credentials
        self._google = google
        self._known = known
        self._looks = looks

    async def get(self) -> ZoneInfo:
        """Return the time zone of the account that the tool in this context uses, or UTC where it cannot be known."""
        try:
            account = self._credentials.credential_id
        except CredentialsError:  # the tool uses no account
            return UNKNOWN_ZONE
        if (zone := self._known.find(self._principal, account)) is not None:
            return zone
        if not self._looks:
            return UNKNOWN_ZONE
        # In a task of its own, because `ensure` permits the calling context more than its tool declares.
        found = await asyncio.create_task(self._looked_up())
        if found is None:
            self._known.keep(self._principal, account, UNKNOWN_ZONE, UNANSWERED_SECONDS)
        else:
            self._known.keep(self._principal, account, found)
        return found or UNKNOWN_ZONE

    async def _looked_up(self) -> ZoneInfo | None:
        """Return the zone; None if the person has not permitted to look, or Google does not say."""
        try:
            await self._credentials.ensure(frozenset({READ_EVENTS}))
            return await zone_of_calendar(self._google)
        except (CredentialsError, ProviderError):
            return None


async def zone_of_calendar(google: GoogleClient) -> ZoneInfo:
    """Return the time zone of the person's own calendar.

    A list of events names it, so no further permission is needed for it.

    Raises:
        ProviderError, CredentialsError: Google did not say.
    """
    events = google.resource("calendar", "v3", "events")
    listed = await google.execute(events.list(calendarId="primary", maxResults=1, fields="timeZone"))
    try:
        return read_zone(text(listed, "timeZone"))
    except ValueError:
        return UNKNOWN_ZONE


def read_zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        ValueError: No time zone has this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name}: write a name such as Europe/Berlin") from None


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins in a zone; where the clocks skip midnight, the first time that there is."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).astimezone(zone)
