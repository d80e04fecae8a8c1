"""Evidence from the database: the rows at the end, and every change of a message's state, recorded by a trigger."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import messages
from app.principal import Principal

_CHANGES = sa.Table(
    "chaos_changes",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("message_id", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
)
_INSERT = "INSERT INTO chaos_changes (message_id, state, attempt) VALUES (NEW.id, NEW.state, NEW.attempt);"
_WHENEVER = "AFTER UPDATE OF state, attempt ON messages"  # also where the value stays the same, to notice repetitions
_TRIGGERS = {
    "sqlite": (f"CREATE TRIGGER chaos {_WHENEVER} BEGIN {_INSERT} END",),
    "postgresql": (
        f"CREATE FUNCTION chaos() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_INSERT} RETURN NULL; END $$",
        f"CREATE TRIGGER chaos {_WHENEVER} FOR EACH ROW EXECUTE FUNCTION chaos()",
    ),
}


@dataclass(frozen=True)
class Row:
    """The final row of one message."""

    event_id: str
    principal: Principal
    conversation: tuple[str, str]
    sequence: int
    state: str
    answer: str | None


@dataclass(frozen=True)
class Change:
    """One change of a message's state or attempt, in the order in which the database made them."""

    event_id: str
    conversation: tuple[str, str]
    state: str
    attempt: int


class Ledger:
    """Reads, with connections of its own, a database that Deputy processes write to."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    async def open(self) -> None:
        """Bring the schema up to date and begin to record every change."""
        await self._database.open()
        async with self._database.writing() as connection:
            await connection.run_sync(_CHANGES.metadata.create_all)
            for statement in _TRIGGERS[connection.dialect.name]:
                await connection.exec_driver_sql(statement)

    async def close(self) -> None:
        """Close every connection."""
        await self._database.close()

    async def undone(self) -> int | None:
        """Return the number of messages not finished or not answered yet; None while the database is unavailable."""
        told = messages.c.replied_at.is_not(None)
        over = sa.and_(messages.c.state.in_(("done", "failed")), told)
        try:
            async with self._database.reading() as connection:
                return (await connection.execute(sa.select(sa.func.count()).where(~over))).scalar_one()
        except (sa.exc.SQLAlchemyError, OSError):
            return None

    async def stored(self) -> int:
        """Return the number of messages."""
        async with self._database.reading() as connection:
            return (await connection.execute(sa.select(sa.func.count()).select_from(messages))).scalar_one()

    async def rows(self) -> list[Row]:
        """Return every message."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(sa.select(messages))).all()
        return [
            Row(
                event_id=row.event_id,
                principal=Principal(row.platform, row.tenant, row.user_id),
                conversation=(row.tenant, row.conversation),
                sequence=row.sequence,
                state=row.state,
                answer=row.answer,
            )
            for row in rows
        ]

    async def changes(self) -> list[Change]:
        """Return every change, the first one first."""
        query = (
            sa.select(messages.c.event_id, messages.c.tenant, messages.c.conversation, *_CHANGES.c)
            .join(messages, messages.c.id == _CHANGES.c.message_id)
            .order_by(_CHANGES.c.id)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [Change(row.event_id, (row.tenant, row.conversation), row.state, row.attempt) for row in rows]
