"""The statements on one message's path use an index, so their cost does not grow with the number of rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from app.database.database import Database
from app.keys.ring import KeyRing
from app.messages import ConversationKey
from app.principal import Principal
from tests.fakes.core_server import CoreServer
from tests.fakes.sandbox import READ

Asked = dict[str, Any]  # the parameters of a statement, by its text

# https://www.sqlite.org/eqp.html: SCAN reads all of a table or an index; the names in brackets are our subqueries.
_SCAN = re.compile(r"SCAN (?!CONSTANT|\(|anon_)\w+")


@contextmanager
def asked(database: Database) -> Iterator[Asked]:
    """Collect the statements that a database executes meanwhile."""
    statements: Asked = {}

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            statements[statement] = parameters

    engine = database._engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


async def scans(database: Database, statements: Asked) -> list[str]:
    """Return the statements that read a whole table, each with its line of the plan."""
    found = []
    async with database.writing() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if not is_sqlite:
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # the tables are small
        for statement, parameters in statements.items():
            explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
            rows = (await connection.exec_driver_sql(explain + statement, parameters)).all()
            lines = [str(row[-1] if is_sqlite else row[0]) for row in rows]
            pattern = _SCAN if is_sqlite else re.compile(r"Seq Scan on \w+")
            found += [f"{line.strip()}: {statement}" for line in lines if pattern.search(line)]
    return found


async def test_every_statement_of_a_message_runs_on_an_index(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """All statements from accepting a message to its reply use an index, including a tool call and a history."""
    server = CoreServer(database, key_ring)
    for person in (ada, grace):
        await server.grant(person, READ)
        await server.ask(person, "/letters_read")
    with asked(database) as statements:
        await server.ask(ada, "/letters_read")
        await server.inbox.count_undone()

    assert any("messages" in statement for statement in statements)
    assert any("outbox" in statement for statement in statements)
    assert await scans(database, statements) == []


async def test_a_scan_is_found(database: Database) -> None:
    """A statement whose condition has no index is reported."""
    with asked(database) as statements:
        async with database.reading() as connection:
            await connection.execute(sa.text("SELECT id FROM messages WHERE body = 'x'"))

    assert len(await scans(database, statements)) == 1


@pytest.mark.parametrize("table", ["messages", "outbox"])
async def test_an_update_by_the_key_is_no_scan(database: Database, table: str) -> None:
    """An update by the primary key is not reported."""
    with asked(database) as statements:
        async with database.writing() as connection:
            await connection.execute(sa.text(f"UPDATE {table} SET last_error = 'x' WHERE id = 'y'"))

    assert list(map(len, (statements, await scans(database, statements)))) == [1, 0]


async def test_what_a_message_costs_in_the_database(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A message with a tool call executes exactly these statements, in 5 changes and 4 reads."""
    server = CoreServer(database, key_ring)
    for person in (ada, grace):
        await server.grant(person, READ)
        await server.ask(person, "/letters_read", person.user)
    statements: list[str] = []
    begun: list[object] = []
    engine = database._engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", lambda *executed: statements.append(executed[2].split()[0]))
    sa.event.listen(engine, "begin", begun.append)
    message = await server.say(ada, "/letters_read", ada.user)
    conversation = ConversationKey.of(message)
    upcoming = await server.inbox.next_up(conversation)
    assert upcoming is not None
    assert not upcoming.more  # so the worker does not look again
    in_work = await server.inbox.begin_next(conversation)
    assert in_work is not None
    async with server.sender.running(30.0):
        await server.answering.answer(in_work)

    if database.dialect.name == "sqlite":
        assert Counter(statements) == {"INSERT": 4, "UPDATE": 4, "DELETE": 1, "SELECT": 4}
        assert len(begun) == 5  # no prepared read begins a transaction
    else:  # each is a separate transaction
        assert Counter(statements) == {"INSERT": 2, "UPDATE": 1, "WITH": 2, "SELECT": 4}
        assert begun == []
