"""Whether a key ring fits a database: asked before anything is served or sealed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.database import Database, take_turns
from app.database.tables import key_checks
from app.errors import SealError, SettingsError
from app.keys.ring import KeyRing, key_id_of
from app.keys.sealed_columns import SealedColumn, one_of_each

_PROOF = "this key is one of this database"
_SAMPLES = 20  # a row that was tampered with opens with no key; so many of them beside each other are the key's fault


async def check_key_ring(database: Database, key_ring: KeyRing) -> None:
    """Return if every key that the database is sealed with is on the ring, with the bytes that it had.

    Raises:
        SettingsError: A key is missing or is another one; the message names it and says what to do.
    """
    async with database.reading() as connection:
        await _check(connection, key_ring)


async def check_or_begin(database: Database, key_ring: KeyRing) -> None:
    """Check the key ring as `check_key_ring` does, and store a proof of each new key for later checks.

    The proof of a key stays when the key goes, so that its id is never used for another one.

    Raises:
        SettingsError: As for `check_key_ring`.
    """
    async with database.writing() as connection:
        await take_turns(connection, "key_checks")  # another server may begin with another key
        for key_id in await _check(connection, key_ring):
            proof = key_ring.seal_with(key_id, _PROOF, "key_checks", key_id)
            await connection.execute(key_checks.insert().values(id=key_id, proof=proof))


async def _check(connection: AsyncConnection, key_ring: KeyRing) -> list[str]:
    """Return the keys that have no proof yet, once every key of the ring is known to fit."""
    for sealed, value in await one_of_each(connection, lambda sealed: ~sealed.sealed_with(*key_ring.key_ids)):
        raise _missing(key_id_of(value), str(sealed), key_ring)
    proofs = {row.id: row.proof for row in await connection.execute(sa.select(key_checks).order_by(key_checks.c.id))}
    if proofs and proofs.keys().isdisjoint(key_ring.key_ids):
        raise _missing(next(iter(proofs)), "this database", key_ring)
    for key_id in key_ring.key_ids:
        proven = (
            _proves(key_ring, key_id, proofs[key_id]) if key_id in proofs else await _fits(connection, key_ring, key_id)
        )
        if not proven:
            raise SettingsError(
                f"key_ring: key {key_id!r} has other bytes than the key of this name that this database is sealed "
                "with. Put the former key back under this id; give a new key an id of its own"
            )
    return [key_id for key_id in key_ring.key_ids if key_id not in proofs]


def _proves(key_ring: KeyRing, key_id: str, proof: str) -> bool:
    try:
        return key_ring.open(proof, "key_checks", key_id) == _PROOF
    except SealError:
        return False


async def _fits(connection: AsyncConnection, key_ring: KeyRing, key_id: str) -> bool:
    """Return whether the key opens something that a key of this name has sealed, or nothing is sealed with it."""
    holding = await one_of_each(connection, lambda sealed: sealed.sealed_with(key_id))
    for sealed, _ in holding:
        rows = await connection.execute(sealed.rows(sealed.sealed_with(key_id)).limit(_SAMPLES))
        if any(_opens(sealed, key_ring, row) for row in rows):
            return True
    return not holding


def _opens(sealed: SealedColumn, key_ring: KeyRing, row: sa.Row[Any]) -> bool:
    try:
        sealed.open(key_ring, row)
    except SealError:
        return False
    return True


def _missing(key_id: str, what: str, key_ring: KeyRing) -> SettingsError:
    return SettingsError(
        f"key_ring: {what} needs key {key_id!r}, which is not on the key ring ({', '.join(key_ring.key_ids)}). "
        "Add it back, after the first one; `deputy keys rotate` says when it may go"
    )
