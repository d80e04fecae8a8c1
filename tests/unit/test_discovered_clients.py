"""Deputy's clients at authorization servers that were discovered, which all processes share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx2
import pytest

from app.connections.discovery import Discovered
from app.connections.discovery_clients import LEASE_SECONDS, DiscoveredClients, OAuthClient
from app.connections.discovery_introduction import Introduction
from app.database.clock import DATABASE_TIME
from app.database.database import Database
from app.database.tables import discovered_clients
from app.errors import ProviderError
from app.keys.ring import KeyRing
from app.oauth.description import ClientAuthentication, Endpoints

SERVER, ISSUER = "office", "https://sign-in.example"
FOUND = Discovered(
    resource="https://office.example/mcp",
    issuer=ISSUER,
    endpoints=Endpoints(f"{ISSUER}/authorize", f"{ISSUER}/token", issuer=ISSUER),
    scopes=(),
    authentications=(ClientAuthentication.NONE,),
    registration=f"{ISSUER}/register",
    takes_documents=False,
)


def introduction(clients: DiscoveredClients, meanwhile: Callable[[], Awaitable[object]]) -> Introduction:
    """Return an introduction that registers a new client each time, while something else happens."""
    number = 0

    async def registers(request: httpx2.Request) -> httpx2.Response:
        nonlocal number
        number += 1
        await meanwhile()
        return httpx2.Response(201, json={"client_id": f"client-{number}"})

    return Introduction(
        SERVER,
        "Office",
        clients,
        redirect_uri="https://deputy.example/oauth/office/callback",
        document_url="https://deputy.example/oauth/office/client.json",
        public_url="https://deputy.example",
        http=httpx2.AsyncClient(transport=httpx2.MockTransport(registers)),
    )


async def test_a_registration_that_was_overtaken_is_not_used(database: Database, key_ring: KeyRing) -> None:
    """A registration whose lease another process took over is not used, because only that process's client is kept."""
    clients = DiscoveredClients(database, key_ring)
    await clients.keep_issuer(SERVER, ISSUER)

    async def overtaken() -> None:
        async with database.writing() as connection:
            await connection.execute(discovered_clients.update().values(lease_until=DATABASE_TIME - LEASE_SECONDS))
        other = await clients.begin(SERVER)
        assert other is not None
        theirs = OAuthClient("theirs", ClientAuthentication.NONE)
        assert await clients.keep(SERVER, ISSUER, "https://deputy.example/oauth/office/callback", theirs, other)

    mine = introduction(clients, overtaken)
    with pytest.raises(ProviderError, match="another process") as raised:
        await mine.client(FOUND, ISSUER)
    assert raised.value.passes
    assert (await mine.client(FOUND, ISSUER)).client_id == "theirs"


async def test_a_registration_at_a_former_authorization_server_is_not_used(
    database: Database, key_ring: KeyRing
) -> None:
    """A registration is not used if an administrator has accepted another authorization server meanwhile."""
    clients = DiscoveredClients(database, key_ring)
    await clients.keep_issuer(SERVER, ISSUER)
    mine = introduction(clients, lambda: clients.accept_issuer(SERVER, "https://other.example"))

    with pytest.raises(ProviderError, match="another process"):
        await mine.client(FOUND, ISSUER)
    assert await clients.find(SERVER, "https://other.example", mine.redirect_uri) is None
