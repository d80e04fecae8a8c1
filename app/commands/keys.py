"""`deputy keys`: make and rotate the keys that seal tokens at rest."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from app.commands.common import CONFIG, FAILED, ConfigOption, configured, fail, run
from app.commands.database import opened_with_keys
from app.database.database import Database
from app.errors import SettingsError
from app.keys.check import check_or_begin
from app.keys.file import KeyFile, make_key
from app.keys.ring import KeyRing
from app.keys.rotation import Rotation
from app.settings import Settings

keys = typer.Typer(no_args_is_help=True, help="Make and rotate the keys that seal tokens at rest.")

# Longer than any wait between sealing a value and committing it, so the database has every value of an old key by then.
SETTLED_SECONDS = 600


@keys.command()
def generate() -> None:
    """Print a new key in base64, for key_ring.keys. Keep it safe: no other key opens the values that it seals."""
    print(make_key())


@keys.command()
def rotate(
    config: ConfigOption = CONFIG,
    remove_old: Annotated[
        bool, typer.Option("--remove-old", help="Remove unused keys from the file instead of making a new one.")
    ] = False,
) -> None:
    """Seal everything again: with a new key in key_ring.file, or with the first one of key_ring.keys.

    Safe while servers run. If it is interrupted at any point, run it again to continue.
    """
    run(_rotate(configured(config), remove_old))


async def _rotate(settings: Settings, remove_old: bool) -> None:
    file = KeyFile(settings.key_ring.file) if settings.key_ring.file else None
    if remove_old:
        _may_remove(file)
    async with opened_with_keys(settings) as (database, key_ring):
        rotation = Rotation(database, key_ring)
        await _choose_key(rotation, database, key_ring, None if remove_old else file)
        shut = await _seal_anew(rotation)
        primary, *others = (await rotation.counts()).items()
    unused = [key_id for key_id, count in others if count == 0]
    print(f"{primary[0]} seals {primary[1]} values")
    if file is not None and remove_old and unused:
        file.remove(unused)
        print(f"removed from {file.path}: {', '.join(unused)}")
    elif unused:
        how = "take them out of key_ring.keys" if file is None else "`deputy keys rotate --remove-old` in ten minutes"
        print(f"unused, and may be removed: {', '.join(unused)} ({how})")
    if shut:
        fail(f"these do not open, and are left as they are: {', '.join(shut)}; restore the rows or delete them", FAILED)
    if used := [f"{key_id} ({count} values)" for key_id, count in others if count]:
        fail(f"still in use: {', '.join(used)}; start every server again, so that it knows the new key, then go on by "
             "running this again", FAILED)  # fmt: skip


def _may_remove(file: KeyFile | None) -> None:
    if file is None:
        raise SettingsError("--remove-old is for key_ring.file; take unused keys out of key_ring.keys yourself")
    wait = SETTLED_SECONDS - file.age_seconds(time.time())
    if wait > 0:
        fail(f"the key file was changed a moment ago, and servers may still be writing what they sealed with an old "
             f"key; try again in {wait:.0f} seconds", FAILED)  # fmt: skip


async def _choose_key(rotation: Rotation, database: Database, key_ring: KeyRing, file: KeyFile | None) -> None:
    """Continue with the first key while others are in use; otherwise, if the ring is a file, make a new key."""
    primary, *others = (await rotation.counts()).items()
    if left := sum(count for _, count in others):
        print(f"going on with {primary[0]}: {left} values are sealed with other keys")
    elif file is not None:
        print(f"made key {file.add_primary()} in {file.path}")
        key_ring.follow()
        await check_or_begin(database, key_ring)


async def _seal_anew(rotation: Rotation) -> list[str]:
    """Print the progress after each batch, and return the rows that do not open."""
    shut: dict[str, None] = {}
    async for progress in rotation.run():
        print(f"{progress.column}: {progress.sealed_anew} sealed anew", flush=True)
        shut.update(dict.fromkeys(f"{progress.column} of {key}" for key in progress.shut))
    return list(shut)
