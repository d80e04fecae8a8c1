"""The Drive toolkits of several people on the sandbox's Google, over loopback HTTP."""

from __future__ import annotations

from app.deadline import Deadline
from app.google.client import GoogleClient
from app.toolkits.drive import ALL_FILES, OWN_FILES, READ_FILES, SEE_FILES, DriveToolkit
from tests.fakes.gmail_sandbox import GmailSandbox
from tests.fakes.google_api import FakeCredentials, LoopThreads, Recorder, google_faults
from tests.fakes.zones import FixedZone

DRIVE_SCOPES = (SEE_FILES, READ_FILES, OWN_FILES, ALL_FILES)


async def drive_of(sandbox: GmailSandbox, email: str, *oauth_scopes: str, zone: str = "UTC") -> DriveToolkit:
    """Return the toolkit of a person who granted these scopes only, or all that Drive's tools need."""
    tokens = await sandbox.browser.sign_in(email, *oauth_scopes or DRIVE_SCOPES)
    credentials = FakeCredentials(tokens["access_token"])
    sandbox.requests.clear()
    return DriveToolkit(
        GoogleClient(
            credentials, sandbox.apis, sandbox.pool, LoopThreads(), Deadline.after(20), Recorder(), google_faults()
        ),
        FixedZone(zone),
    )
