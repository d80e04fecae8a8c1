"""A run that was parked until its person answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa

from app.agents.run import StoppedRun
from app.approvals.question import shortened
from app.database.prepared import Prepared
from app.database.tables import of_person, parked_runs
from app.durations import in_words

OF_MESSAGE = Prepared(
    sa.select(parked_runs).where(of_person(parked_runs), parked_runs.c.message_id == sa.bindparam("of_message"))
)
COUNT_OTHERS = Prepared(
    sa.select(sa.func.count().label("how_many")).where(
        of_person(parked_runs), parked_runs.c.message_id != sa.bindparam("of_message")
    )
)


class WaitsFor(StrEnum):
    """The answer that a parked run waits for."""

    CONSENT = "consent"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True)
class ParkedRun:
    """A run that was parked, read from its row.

    Attributes:
        run: The run so far, as the agent wrote it; only the agent reads it.
        granted: If it waits for consent: None until that is decided, then whether it was granted.
    """

    waits_for: WaitsFor
    link_id: str | None
    run: str = field(repr=False)
    granted: bool | None


def apology(waits_for: WaitsFor, run: str, text: str, seconds: float) -> str:
    """Return the apology for a wait that has expired: for how long, for what, and because of which message.

    Args:
        waits_for: What it waited for.
        run: The run.
        text: The message that its person wrote.
        seconds: How long it waited.
    """
    awaited = "for you to connect your account"
    if waits_for is WaitsFor.APPROVAL:
        try:
            asked = [each.in_words for each in StoppedRun.load(run).waiting if each.waits_for in ("approval", "answer")]
        except ValueError:  # of another version: it must not hold up the others that have expired
            asked = []
        awaited = f"for your answer to {' and '.join(dict.fromkeys(asked)) or 'a question'}"
    dropped = f'your message "{shortened(text)}"' if text.strip() else "your message"
    waited = f"I waited {in_words(seconds)} {awaited}, and dropped {dropped}."
    return f"{waited} It was not done. Ask again if you still want it."
