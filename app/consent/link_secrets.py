"""The sealed part of a consent link: the secrets of a sign-in in progress, and afterwards its outcome."""

from __future__ import annotations

import hashlib
import json
import logging

from app.consent.link import Link
from app.database.prepared import Columns
from app.database.tables import consent_links, owner
from app.errors import SealError
from app.keys.ring import KeyRing
from app.keys.sealed_columns import seal, unseal

log = logging.getLogger(__name__)


def hashed(secret: str) -> str:
    """Return the hash under which a secret of a link is stored; it has 256 random bits, so one round is enough."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def seal_values(key_ring: KeyRing, link: Link, values: dict[str, str]) -> str:
    """Return these values sealed for the row of this link."""
    row = {"id": link.link_id, **owner(link.principal), "provider": link.provider}
    return seal(key_ring, consent_links.c.sealed_secrets, json.dumps(values), row)


def open_values(key_ring: KeyRing, row: Columns) -> dict[str, str]:
    """Return what is sealed in the row of a link.

    Raises:
        SealError: It was sealed for another link or person, or with a key that is gone.
    """
    opened: dict[str, str] = json.loads(unseal(key_ring, consent_links.c.sealed_secrets, row))
    return opened


def try_values(key_ring: KeyRing, row: Columns) -> dict[str, str]:
    """Return what is sealed in the row of a link, {} where nothing is or where it does not open, which is logged."""
    if not row.sealed_secrets:
        return {}
    try:
        return open_values(key_ring, row)
    except SealError as error:
        log.error("what is sealed in link %s is not used: %s", row.id, error)
        return {}
