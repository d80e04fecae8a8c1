"""`deputy db`: the database's schema."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import typer

from app.commands.common import CONFIG, FAILED, ConfigOption, configured, run
from app.database.database import Database
from app.keys.check import check_or_begin
from app.keys.ring import KeyRing, open_key_ring
from app.settings import Settings

db = typer.Typer(no_args_is_help=True, help="The database's schema.")


@db.command()
def upgrade(config: ConfigOption = CONFIG) -> None:
    """Bring the schema up to date, as every start does; safe while servers run and from several places at once."""
    print(f"the schema is at {run(_upgrade(configured(config)))}")


@db.command()
def current(config: ConfigOption = CONFIG) -> None:
    """Print the revision that the database is at, and the one that this version of Deputy needs."""
    present, needed = run(_revisions(configured(config)))
    print(f"database {present or 'empty'}, needed {needed}")
    if present != needed:
        raise typer.Exit(FAILED)


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[Database]:
    """The database of the settings, migrated, for the length of a command."""
    database = Database(settings.database.url.get_secret_value())
    try:
        await database.open()
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def opened_with_keys(settings: Settings) -> AsyncIterator[tuple[Database, KeyRing]]:
    """The same with the key ring, which fits it: a command, too, must seal nothing with a wrong key."""
    key_ring = open_key_ring(settings.key_ring.encoded(), settings.key_ring.file)
    async with opened_database(settings) as database:
        await check_or_begin(database, key_ring)
        yield database, key_ring


async def _upgrade(settings: Settings) -> str | None:
    async with opened_database(settings) as database:
        return (await database.revisions())[0]


async def _revisions(settings: Settings) -> tuple[str | None, str | None]:
    database = Database(settings.database.url.get_secret_value())
    try:
        return await database.revisions()
    finally:
        await database.close()
