"""A small graph for the tests of scopes: a person, their credentials, two toolkits and an agent."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from dependency_injector import providers
from dependency_injector.containers import DeclarativeContainer

from containers.scopes import Scoped, Seed


@dataclass(frozen=True)
class Person:
    name: str


class Database:
    """A database that lives as long as the process and records what is opened and finished in it."""

    def __init__(self) -> None:
        self.log: list[str] = []


class FakeDatabase(Database): ...


class Credentials:
    def __init__(self, person: Person, database: Database) -> None:
        self.person = person
        self.database = database
        self.token = f"token of {person.name}"


class Toolkit:
    def __init__(self, credentials: Credentials, *, database: Database) -> None:
        self.credentials = credentials
        self.database = database

    def owner(self) -> str:
        return self.credentials.person.name


class Gmail(Toolkit): ...


class Calendar(Toolkit): ...


class Agent:
    def __init__(self, person: Person, toolkits: list[Toolkit], by_name: dict[str, Toolkit]) -> None:
        self.person = person
        self.toolkits = toolkits
        self.by_name = by_name


class Client:
    """A client that has to be closed."""

    def __init__(self, person: Person, database: Database) -> None:
        self.person = person
        self.database = database

    async def aclose(self) -> None:
        self.database.log.append(f"close client of {self.person.name}")


def transaction(database: Database, client: Client) -> Generator[str, None, None]:
    """Record how a piece of work begins and ends."""
    name = client.person.name
    database.log.append(f"begin {name}")
    try:
        yield f"transaction of {name}"
    except BaseException as error:
        database.log.append(f"roll back {name}: {type(error).__name__}")
        raise
    database.log.append(f"commit {name}")


class Container(DeclarativeContainer):
    database = providers.ThreadSafeSingleton(Database)
    person = Seed(Person)
    credentials = Scoped(Credentials, person, database)
    gmail = Scoped(Gmail, credentials, database=database)
    calendar = Scoped(Calendar, credentials, database=database)
    agent = Scoped(
        Agent, person, providers.List(gmail, calendar), by_name=providers.Dict(gmail=gmail, calendar=calendar)
    )
    client = Scoped(Client, person, database)
    transaction = Scoped(transaction, database, client)


ADA, BOB = Person("ada"), Person("bob")
