"""Files that are attached to the letters of the sandbox: a table and an invitation."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

_DAY = 86_400  # seconds
_RANDOM = secrets.SystemRandom()


def table_of(columns: Sequence[str]) -> EmailMessage:
    """Return an attachment with a table of figures."""
    rows = [columns, *([str(_RANDOM.randrange(1000)) for _ in columns] for _ in range(20))]
    file = EmailMessage()
    file.set_content("".join(",".join(row) + "\r\n" for row in rows), subtype="csv", filename="figures.csv")
    file.replace_header("Content-Disposition", 'attachment; filename="figures.csv"')
    return file


def invitation(now: float) -> EmailMessage:
    """Return an attachment with a calendar entry (RFC 5545)."""
    begins = datetime.fromtimestamp(now + _RANDOM.randrange(2, 6) * _DAY, UTC).replace(minute=0, second=0)
    lines = (
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//sandbox.example//EN", "METHOD:REQUEST", "BEGIN:VEVENT"),
        f"UID:{secrets.token_hex(8)}@sandbox.example",
        f"DTSTAMP:{begins:%Y%m%dT%H%M%SZ}",
        f"DTSTART:{begins:%Y%m%dT%H%M%SZ}",
        f"DTEND:{begins + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        *("SUMMARY:Meeting", "END:VEVENT", "END:VCALENDAR", ""),
    )
    file = EmailMessage()
    file.set_content("\r\n".join(lines), subtype="calendar", filename="invite.ics")
    file.replace_header("Content-Disposition", 'attachment; filename="invite.ics"')
    return file
