"""Migrations that change rows: a database of an earlier version is upgraded with its messages."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.ext.asyncio import create_async_engine

from app.database import migrate
from app.database.database import Database
from app.database.revision import newest, upgrade
from app.delivery.store.inbox import Inbox
from app.messages import InboundMessage
from app.principal import Principal
from tests.fakes.databases import Databases

ADA, GRACE = Principal("slack", "T0", "UADA"), Principal("slack", "T1", "UGRACE")
PLACE = "C0:1.5"
INSERT = sa.text(
    """
    INSERT INTO messages (
        id, platform, tenant, user_id, event_id, conversation, sequence, body, address, state, attempt,
        interruptions, failures, payload, private, created_at, changed_at
    ) VALUES (
        :id, :platform, :tenant, :user, :event_id, 'C0:1.5', :sequence, 'hello', '{}', 'done', 1,
        0, 0, :payload, :private, :created_at, 0
    )
    """
)


async def stored_before(url: str, *rows: tuple[str, Principal, str, str | None]) -> None:
    """Store messages (id, sender, event id, payload), in this order, in a database of the version before v0014."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(migrate.config(sync), "v0013_consented"))
        for number, (message_id, person, event_id, payload) in enumerate(rows, 1):
            parts = {"platform": person.platform, "tenant": person.tenant, "user": person.user}
            row = {"id": message_id, "event_id": event_id, "payload": payload, "sequence": number, "private": False}
            await connection.execute(INSERT, {**parts, **row, "created_at": float(number)})
    await engine.dispose()


@pytest.fixture
async def url(databases: Databases) -> str:
    """Return the address of an empty database."""
    return await databases.empty("earlier")


def schema(connection: sa.Connection) -> dict[str, list[str]]:
    """Return the structure of a database file: each table's columns, keys, indexes and so on, and its triggers."""
    found, inspected = dict[str, list[str]](), sa.inspect(connection)
    kinds = ("columns", "unique_constraints", "indexes", "foreign_keys", "check_constraints")
    for kind in kinds:
        for (_, table), parts in getattr(inspected, f"get_multi_{kind}")().items():
            found[f"{kind} of {table}"] = sorted(" ".join(str(part).split()) for part in map(described, parts))
    for (_, table), key in inspected.get_multi_pk_constraint().items():
        found[f"key of {table}"] = [str(key)]
    triggers = connection.execute(sa.text("SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"))
    found["triggers"] = [" ".join(sql.split()) for sql in triggers.scalars()]
    found["revision"] = [*connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars()]
    return found


def described(part: object) -> object:
    """Return a part of a table as comparable values, because SQLAlchemy's clauses and types cannot be compared."""
    if isinstance(part, dict):
        return {name: described(value) for name, value in sorted(part.items())}
    return part if isinstance(part, list | bool | int | None) else str(part)


def test_a_new_file_is_made_as_the_migrations_make_it() -> None:
    """A new file's schema, created in one step, equals the one that the migrations create."""
    made, migrated = (sa.create_engine("sqlite://") for _ in range(2))
    with made.begin() as connection:
        upgrade(connection)
        at_once = schema(connection)
    with migrated.begin() as connection:
        migrate.upgrade(connection)
        step_by_step = schema(connection)
    made.dispose()
    migrated.dispose()

    assert at_once == step_by_step
    assert len(at_once["triggers"]) == 3
    assert at_once["revision"] == [newest()]


async def test_an_edit_of_a_message_stored_under_its_event_is_a_duplicate(url: str) -> None:
    """After the upgrade an edit finds its own person's message, even if another workspace's has the same timestamp."""
    await stored_before(url, ("a1", ADA, "Ev1", PLACE), ("g1", GRACE, "Ev2", PLACE))
    database = Database(url)
    await database.open()
    try:
        edits = [InboundMessage(person, PLACE, PLACE, "hello again") for person in (ADA, GRACE)]
        found = [await Inbox(database).accept(edit) for edit in edits]

        assert [(message.message_id, is_new) for message, is_new in found] == [("a1", False), ("g1", False)]
        assert [message.principal for message, _ in found] == [ADA, GRACE]
    finally:
        await database.close()


async def test_a_message_that_was_answered_twice_keeps_both_rows(url: str) -> None:
    """Of two events about one message only the first takes its id; other rows keep their event ids."""
    http = Principal("http", "demo", "ada")
    await stored_before(
        url,
        ("b9", ADA, "Ev1", PLACE),
        ("b1", ADA, "Ev2", PLACE),
        ("b2", ADA, "Ev3", None),
        ("b3", http, "Ev4", PLACE),
        ("b4", ADA, "Ev5", "C0:2.5"),
        ("b5", ADA, "C0:2.5", "C0:2.5"),
    )
    database = Database(url)
    await database.open()
    try:
        async with database.reading() as connection:
            rows = await connection.execute(sa.text("SELECT id, event_id FROM messages"))
            ids = {row.id: row.event_id for row in rows}

        assert ids == {"b9": PLACE, "b1": "Ev2", "b2": "Ev3", "b3": "Ev4", "b4": "Ev5", "b5": "C0:2.5"}
    finally:
        await database.close()
