"""What the tests of consents share: the pages and Google, and whoever's browser consents."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.database.database import Database
from app.keys.ring import KeyRing
from tests.fakes.consent import Browser, ConsentServer, open_consent_server


@pytest.fixture
async def server(database: Database, key_ring: KeyRing) -> AsyncIterator[ConsentServer]:
    """Yield the pages and Google, served."""
    async with open_consent_server(database, key_ring) as found:
        yield found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Yield the browser of whoever consents."""
    found = Browser()
    yield found
    await found.http.aclose()
