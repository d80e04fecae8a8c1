"""The Calendar toolkits of several people on the sandbox's Google, over loopback HTTP."""

from __future__ import annotations

from app.deadline import Deadline
from app.google.client import GoogleClient
from app.toolkits.calendar import EDIT_EVENTS, FREE_BUSY, LIST_CALENDARS, READ_EVENTS, CalendarToolkit
from tests.fakes.gmail_sandbox import GmailSandbox
from tests.fakes.google_api import FakeCredentials, LoopThreads, Recorder, google_faults

CALENDAR_SCOPES = (READ_EVENTS, EDIT_EVENTS, LIST_CALENDARS, FREE_BUSY)


async def calendar_of(sandbox: GmailSandbox, email: str, *oauth_scopes: str) -> CalendarToolkit:
    """Return the toolkit of a person who granted these scopes only, or all that the calendar's tools need."""
    tokens = await sandbox.browser.sign_in(email, *oauth_scopes or CALENDAR_SCOPES)
    credentials = FakeCredentials(tokens["access_token"])
    sandbox.requests.clear()
    return CalendarToolkit(
        GoogleClient(
            credentials, sandbox.apis, sandbox.pool, LoopThreads(), Deadline.after(20), Recorder(), google_faults()
        )
    )
