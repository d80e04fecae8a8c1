"""The audit trail contains every call that Google received exactly once, and nothing in it can be changed."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa

from app.audit.audit import Audit, AuditEntry, AuditEvent, AuditSearch
from app.audit.recorder import AuditRecorder
from app.database.database import Database
from app.database.tables import audit_events
from app.keys.ring import KeyRing
from app.messages import StoredMessage
from app.principal import Principal
from app.sandbox.log import Call
from containers.application import Application
from tests.conftest import DATABASES
from tests.contract.channels import Sender
from tests.fakes.core_server import CoreServer
from tests.fakes.databases import Databases
from tests.fakes.environment import open_environment
from tests.fakes.journey import Traveller, all_travel, prying
from tests.fakes.server import ADA, GRACE
from tests.fixtures import databases_of

PEOPLE = (Sender("ada", ADA), Sender("grace", GRACE))


async def nothing() -> None:
    """Do nothing."""


def with_prying(container: Application) -> None:
    """Install the tool that crashes."""
    prying(container, nothing)


def counted(calls: Iterable[tuple[str, int | None]]) -> Counter[tuple[str, int | None]]:
    """Return how often each method got each status."""
    return Counter(calls)


@dataclass
class Journeys:
    """The result of both people's whole journeys.

    Attributes:
        rows: Each traveller's audit rows, oldest first.
        messages: The audit rows of each message that has any.
        credentials: The id of each traveller's grant.
        calls: The calls that Google received, oldest first.
    """

    rows: dict[Traveller, list[AuditEntry]]
    messages: dict[str, list[AuditEntry]]
    credentials: dict[Traveller, str]
    calls: list[Call]


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=DATABASES)
async def journeys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Journeys:
    """Return the result of both people's whole journeys on each channel."""
    folder = Path(tmp_path_factory.mktemp("audited"))
    async with (
        databases_of(request, folder) as databases,
        open_environment(folder, databases) as environment,
        environment.server(with_prying) as server,
    ):
        travellers = await all_travel(server, *PEOPLE)
        audit, grants = server.container.audit(), server.container.grants()
        people = {each: each.driver.principal(each.sender) for each in travellers}
        rows = {each: await audit.find(AuditSearch(principal=person)) for each, person in people.items()}
        ids = {entry.message_id for entries in rows.values() for entry in entries if entry.message_id}
        messages = {message_id: await audit.of_message(message_id) for message_id in ids}
        kept = {each: await grants.find(person) for each, person in people.items()}
        credentials = {each: grant.grant_id for each, grant in kept.items() if grant}
        return Journeys(rows, messages, credentials, list(server.google.calls))


async def test_it_holds_exactly_the_calls_that_google_saw(journeys: Journeys) -> None:
    """The trail has as many calls of each method and status by each credential as Google saw under its bearers."""
    seen = [call for call in journeys.calls if call.method_id.startswith("gmail.")]
    answered = Counter(call.method_id for call in journeys.calls if call.status == 200)

    for each, entries in journeys.rows.items():
        calls = [entry for entry in entries if entry.event is AuditEvent.CALL]
        under_their_bearers = [call for call in seen if call.bearer_sha256 in each.bearers]
        assert {entry.credential for entry in calls} == {journeys.credentials[each]}
        assert {call.email for call in under_their_bearers if call.status != 401} == {each.sender.email}
        assert counted((str(entry.method), entry.status) for entry in calls) == counted(
            (call.method_id, call.status) for call in under_their_bearers
        )
        assert {200, 401, 404} <= {entry.status for entry in calls}
        assert all(entry.message_id and entry.tool and entry.tool_call for entry in calls)
    events = Counter(entry.event for entries in journeys.rows.values() for entry in entries)
    assert events[AuditEvent.CALL] == len(seen)
    assert events[AuditEvent.LINK] == answered["oauth.token.authorization_code"] == 2 * len(journeys.rows)
    assert events[AuditEvent.CONFIRM] == events[AuditEvent.WIDEN] == len(journeys.rows)
    assert events[AuditEvent.REFRESH] == answered["oauth.token.refresh_token"] == len(journeys.rows)


async def test_an_end_is_written_down(tmp_path: Path, databases: Databases, ada: Principal, grace: Principal) -> None:
    """Disconnecting leaves a row that names the revoked grant, and offboarding a row, each for its own person."""
    async with open_environment(tmp_path, databases) as environment, environment.server() as server:
        for person, email in ((ada, ADA), (grace, GRACE)):
            await server.connect(person, email)
        held = {person: await server.container.grants().find(person) for person in (ada, grace)}
        await server.ask(ada, "disconnect google")
        await server.container.users().offboard(grace)
        audit = server.container.audit()
        rows = {
            person: [(row.event, row.credential) for row in await audit.find(AuditSearch(principal=person))]
            for person in held
        }

    grants = {person: grant.grant_id for person, grant in held.items() if grant}
    assert rows[ada] == [("link", None), ("confirm", grants[ada]), ("revoke", grants[ada])]
    assert rows[grace] == [("link", None), ("confirm", grants[grace]), ("offboard", None)]


async def test_each_message_has_its_own_rows(journeys: Journeys) -> None:
    """A message's rows are its sender's; a tool that acts has a row before its calls, and each tool has one last."""
    decisions = (AuditEvent.APPROVE, AuditEvent.DENY)
    entries = [entry for rows in journeys.rows.values() for entry in rows if entry.message_id]
    entries = [entry for entry in entries if entry.event not in decisions]
    tools = defaultdict(list)
    for entry in entries:
        tools[entry.tool_call].append(entry)
    assert all(len({entry.principal for entry in rows}) == 1 for rows in journeys.messages.values())
    assert all(rows[-1].event is AuditEvent.TOOL and rows[-1].outcome in ("done", "failed") for rows in tools.values())
    sending = [rows for rows in tools.values() if rows[0].tool == "gmail_send"]
    assert len(sending) == len(journeys.rows)
    for rows in sending:
        assert [(row.event, row.outcome) for row in (rows[0], rows[-1])] == [("tool", "begun"), ("tool", "done")]
        assert [(row.method, row.status) for row in rows[1:-1]] == [("gmail.users.messages.send", 200)]


@pytest.mark.parametrize("change", [
    "UPDATE audit_events SET status = 200", "UPDATE audit_events SET user_id = 'grace' WHERE number = 1",
    "DELETE FROM audit_events", "DELETE FROM audit_events WHERE number = 1", "TRUNCATE audit_events",
    "INSERT OR REPLACE INTO audit_events (number, platform, tenant, user_id, event, at)"
    " VALUES (1, 'http', 'demo', 'grace', 'call', 1)",
])  # fmt: skip
async def test_no_row_can_be_changed(change: str, database: Database, ada: Principal) -> None:
    """The database refuses to change, replace or delete a row, and rows can still be added."""
    audit, entry = Audit(database), AuditEntry(ada, AuditEvent.CALL, 1.0, method="gmail.users.messages.get")
    await audit.append([entry])
    with pytest.raises(sa.exc.DBAPIError) as refused:
        async with database.writing() as connection:
            await connection.execute(sa.text(change))
    await audit.append([entry])

    foreign = "TRUNCATE" if database.dialect.name == "sqlite" else "INSERT OR REPLACE"  # the other database's SQL
    reason = "syntax error" if change.startswith(foreign) else "can only be added to"
    assert reason in str(refused.value.orig)
    assert await audit.find(AuditSearch(principal=ada)) == [entry, entry]


class Named:
    """Credentials with a name."""

    credential_id = "grant-1"


async def test_a_cancelled_tool_is_written_down(database: Database, ada: Principal, grace: Principal) -> None:
    """A tool cancelled during a call leaves its rows, with no status for the call; another person's are complete."""
    audit, asked = Audit(database), asyncio.Event()

    async def tool(principal: Principal, hangs: bool) -> None:
        trail = AuditRecorder(principal, Named(), audit)
        tool_call, done = await trail.begin("m" * 32, "gmail_send", acts=True), False
        sent = trail.sending()
        try:
            place = sent.leave(["gmail.users.messages.send"])
            if hangs:
                asked.set()
                await asyncio.Event().wait()
            sent.answered(place, [200])
            done = True
        finally:
            await trail.sent(sent)
            await trail.end(tool_call, done=done)

    hanging = asyncio.create_task(tool(ada, True))
    await tool(grace, False)
    await asked.wait()
    hanging.cancel()
    await asyncio.wait([hanging])
    cut, whole = await audit.find(AuditSearch(principal=ada)), await audit.find(AuditSearch(principal=grace))

    assert [(row.event, row.outcome, row.status) for row in cut] == [
        ("tool", "begun", None), ("call", None, None), ("tool", "failed", None),
    ]  # fmt: skip
    assert [(row.event, row.outcome, row.status) for row in whole] == [
        ("tool", "begun", None), ("call", None, 200), ("tool", "done", None),
    ]  # fmt: skip


async def test_what_cannot_be_written_down_does_not_begin(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A call that both people have approved is made for neither if its row cannot be written, and later for others."""
    server = CoreServer(database, key_ring)
    approved = [await _approved(server, person, "before") for person in (ada, grace)]
    await _rename(database, audit_events.name, "gone")
    for message in approved:
        with pytest.raises(sa.exc.DBAPIError):
            await server.answer_next(message)
    done_meanwhile = [*server.post.done]
    await _rename(database, "gone", audit_events.name)
    for person in (ada, grace):
        await server.answer_next(await _approved(server, person, "after"))

    assert done_meanwhile == []
    assert [(user, arguments["text"]) for user, _, arguments in server.post.done] == [("ada", "x"), ("grace", "x")]


async def _approved(server: CoreServer, person: Principal, conversation: str) -> StoredMessage:
    """Return a message whose call its sender has approved; it has not gone on yet."""
    message = await server.ask(person, "/letters_shout text=x", f"{conversation} {person.user}")
    (code,) = await server.codes(message)
    await server.ask(person, f"approve {code}", f"elsewhere {person.user}")
    return message


async def _rename(database: Database, table: str, name: str) -> None:
    async with database.writing() as connection:
        await connection.execute(sa.text(f"ALTER TABLE {table} RENAME TO {name}"))


async def test_a_call_outside_of_a_tool_is_written_at_once(database: Database, ada: Principal) -> None:
    """A call of Google outside the guard leaves a row as well, without a message."""
    audit = Audit(database)
    trail = AuditRecorder(ada, Named(), audit)
    sent = trail.sending()
    sent.answered(sent.leave(["gmail.users.getProfile"]), [200])
    await trail.sent(sent)
    rows = await audit.find(AuditSearch(principal=ada))

    assert [(row.method, row.status, row.credential, row.message_id) for row in rows] == [
        ("gmail.users.getProfile", 200, "grant-1", None)
    ]
