"""A small container like Deputy's own, in which the tests of the graph and of the proof plant their faults."""

from __future__ import annotations

import pytest
from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer

from app.principal import Principal
from containers.proof import LifetimeError, Proof, prove
from containers.scopes import Scoped, Seed

ADA = Principal("http", "demo", "ada")
BOB = Principal("http", "demo", "bob")


class Database:
    pass


class GoogleAuth:
    def __init__(self, database: Database) -> None:
        self.database = database


class Credentials:
    def __init__(self, principal: Principal, google_auth: GoogleAuth) -> None:
        self.user = principal.user
        self.google_auth = google_auth


class Toolkit:
    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials


class Gmail(Toolkit):
    pass


class Calendar(Toolkit):
    pass


class Agent:
    def __init__(self, principal: Principal, toolkits: list[Toolkit]) -> None:
        self.principal = principal
        self.toolkits = toolkits


class Holder:
    """Keeps everything that it is given."""

    def __init__(self, *given: object, **named: object) -> None:
        self.given = [*given, *named.values()]


class Sample(DeclarativeContainer):
    database = providers.ThreadSafeSingleton(Database)
    google_auth = providers.ThreadSafeSingleton(GoogleAuth, database)
    principal = Seed(Principal)
    credentials = Scoped(Credentials, principal, google_auth)
    gmail = Scoped(Gmail, credentials)
    calendar = Scoped(Calendar, credentials)
    agent = Scoped(Agent, principal, providers.List(gmail, calendar))


async def proof(container: DeclarativeContainer) -> Proof:
    """Return the proof of a container, tried with a request of Ada's and one of Bob's."""
    return await prove(container, [ADA], [BOB])


async def faults(container: DeclarativeContainer) -> list[str]:
    """Return the text of each fault that the proof finds in a container."""
    with pytest.raises(LifetimeError) as caught:
        await proof(container)
    found = [str(finding) for finding in caught.value.findings]
    assert all(text in str(caught.value) for text in found)
    return found
