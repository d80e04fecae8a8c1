"""Codes that people type: which consent one is for, and how many wrong ones are taken."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from app.consent.codes import is_code
from app.consent.quarantine import Quarantine, QuarantineState
from app.database.prepared import Columns
from app.database.tables import quarantined_grants
from app.database.transition import changed
from app.errors import SealError
from app.principal import Principal

log = logging.getLogger(__name__)

CODE = "code"  # the name under which a proof holds a code

_TABLE = quarantined_grants


@dataclass(frozen=True, slots=True)
class WrongCode:
    """A code that does not belong to this person: the tries that they have left, and what this try has ended."""

    tries_left: int
    ended: tuple[str, ...]  # ids of links


class CodeTries:
    """Compares codes and counts the wrong ones; lives as long as the process and holds none.

    Args:
        code_tries: After so many wrong codes a consent is dropped.
    """

    def __init__(self, quarantine: Quarantine, *, code_tries: int) -> None:
        self._quarantine = quarantine
        self._code_tries = code_tries

    async def find(
        self, connection: AsyncConnection, principal: Principal, typed: str, *, message_id: str | None = None
    ) -> str | WrongCode | None:
        """Return the link by which a consent of this person waits for this code; call it in the person's turn.

        A wrong code counts as a try for every sign-in of the person that waits, once a message. None means that none
        waits.
        """
        rows = await self._quarantine.waiting(connection, principal)
        codes = {row.link_id: self._code(row) for row in rows}
        rows = [row for row in rows if codes[row.link_id]]
        right = [row for row in rows if is_code(typed, codes[row.link_id])]
        if right:
            return str(right[0].link_id)
        return await self._count(connection, rows, message_id) if rows else None

    async def _count(self, connection: AsyncConnection, rows: Sequence[Columns], message_id: str | None) -> WrongCode:
        left: dict[str, int] = {}
        for row in rows:
            tried_by = row.tried_by.split()
            left[row.link_id] = self._code_tries - row.tries
            if message_id in tried_by:
                continue  # it was interrupted before it was answered, and is taken again
            left[row.link_id] -= 1
            await changed(
                connection,
                _TABLE,
                _TABLE.c.link_id == row.link_id,
                QuarantineState.WAITING,
                QuarantineState.WAITING if left[row.link_id] > 0 else QuarantineState.ENDING,
                tries=_TABLE.c.tries + 1,
                tried_by=" ".join([*tried_by, *([message_id] if message_id else [])]),
            )
        return WrongCode(max(left.values()), tuple(link_id for link_id, tries in left.items() if tries <= 0))

    def _code(self, row: Columns) -> str:
        """Return the code that a row waits for, "" where it waits for none or where its proof does not open."""
        try:
            return self._quarantine.proof(row).get(CODE, "")
        except SealError as error:
            log.error("no code can confirm the sign-in by link %s: %s", row.link_id, error)
            return ""
