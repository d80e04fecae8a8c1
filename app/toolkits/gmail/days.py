"""Days in searches: they begin at midnight in the person's own time zone.

Gmail itself takes a date for one in Pacific time, and a number for seconds:
https://developers.google.com/workspace/gmail/api/guides/filtering.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.errors import ToolError
from app.toolkits.zones import day_start

_DATED = re.compile(
    r"(?P<operator>\b(?:after|before|newer|older):)(?P<day>\d{1,4}[/-]\d{1,2}[/-]\d{1,4})(?![\w/-])", re.I
)
_QUOTED = re.compile(r'("[^"]*"?)')
_FORMS = ("%Y/%m/%d", "%Y-%m-%d", "%m/%d/%Y")


def days(since: date | None, until: date | None, zone: ZoneInfo) -> str:
    """Return a search for the days from the first to the last.

    Raises:
        ToolError: The last day is before the first.
    """
    if since and until and until < since:
        raise ToolError(f"{until} is before {since}: the first day comes first")
    after = [f"after:{_midnight(since, zone)}"] if since else []
    before = [f"before:{_midnight(until + timedelta(days=1), zone)}"] if until else []
    return " ".join([*after, *before])


def in_seconds(query: str, zone: ZoneInfo) -> str:
    """Return a search with the moment when each day begins in place of its date; what is quoted stays as it is."""
    parts = _QUOTED.split(query)
    return "".join(
        part if part.startswith('"') else _DATED.sub(lambda found: _dated(found, zone), part) for part in parts
    )


def _dated(found: re.Match[str], zone: ZoneInfo) -> str:
    for form in _FORMS:
        try:
            day = datetime.strptime(found["day"], form).date()  # a date has no zone
            return f"{found['operator']}{_midnight(day, zone)}"
        except (ValueError, OverflowError):  # the first and the last day that there is begin in no year that there is
            continue
    return found[0]


def _midnight(day: date, zone: ZoneInfo) -> int:
    """Return when a day begins, in seconds since the epoch."""
    return int(day_start(day, zone).timestamp())
