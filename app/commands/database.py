"""`deputy db`: migrate and copy the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from app.commands.common import CONFIG, FAILED, ConfigOption, configured, run
from app.database.copy import copy_database
from app.database.database import Database
from app.delivery.store.lease import MessageLease, new_holder
from app.delivery.store.replicas import EMBEDDED, Replicas
from app.errors import SettingsError
from app.keys.check import check_or_begin
from app.keys.ring import KeyRing, open_key_ring
from app.settings import Settings

db = typer.Typer(no_args_is_help=True, help="Migrate and copy the database.")


@db.command()
def upgrade(config: ConfigOption = CONFIG) -> None:
    """Migrate the schema, as every start does; safe while servers run, and from several places at once."""
    print(f"the schema is at {run(_upgrade(configured(config)))}")


@db.command()
def current(config: ConfigOption = CONFIG) -> None:
    """Print the database's revision, and the one that this version of Deputy needs."""
    present, needed = run(_revisions(configured(config)))
    print(f"database {present or 'empty'}, needed {needed}")
    if present != needed:
        raise typer.Exit(FAILED)


@db.command()
def copy(
    to: Annotated[
        str,
        typer.Option(
            envvar="DEPUTY_COPY_TO",
            help="An empty database; use the variable if the URL holds a password.",
        ),
    ],
    config: ConfigOption = CONFIG,
) -> None:
    """Copy everything to another database, such as from SQLite to PostgreSQL, and compare what arrived.

    Stop all servers and workers first. Sealed values are copied as they are: use the same keys with the copy.
    """
    copied = run(_copy(configured(config), to))
    for table, rows in copied.items():
        print(f"{table}: {rows}")
    print("everything was copied and compared; set database.url to the new database before the next start")


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[Database]:
    """Yield the migrated database of the settings, open until the command ends."""
    database = Database(settings.database.url.get_secret_value())
    try:
        await database.open()
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def opened_with_keys(settings: Settings) -> AsyncIterator[tuple[Database, KeyRing]]:
    """Yield the same database and its key ring, checked so that a command never seals with a wrong key."""
    key_ring = open_key_ring(settings.key_ring.encoded(), settings.key_ring.file)
    async with opened_database(settings) as database:
        await check_or_begin(database, key_ring)
        yield database, key_ring


async def _upgrade(settings: Settings) -> str | None:
    async with opened_database(settings) as database:
        return (await database.revisions())[0]


async def _copy(settings: Settings, to: str) -> dict[str, int]:
    try:
        target = Database(to)
    except SettingsError as error:
        raise SettingsError(f"--to: {str(error).removeprefix('database.url: ')}") from None
    source = Database(settings.database.url.get_secret_value())
    try:
        if not source.exists():
            raise SettingsError("database.url: there is no such file")
        await source.revisions()
        lease = MessageLease(new_holder(), settings.delivery.lease_seconds)
        others = await Replicas(source, lease, engine=EMBEDDED, address="").others()
        if others:
            raise SettingsError(f"{others[0]} is still running; stop all servers and workers, then copy")
        return await copy_database(source, target)
    finally:
        await target.close()
        await source.close()


async def _revisions(settings: Settings) -> tuple[str | None, str | None]:
    database = Database(settings.database.url.get_secret_value())
    try:
        return await database.revisions()
    finally:
        await database.close()
