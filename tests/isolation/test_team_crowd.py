"""Forty people at once write to a team of three levels over Gmail, Calendar and Drive, and each gets their own data."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from app.audit.audit import AuditEvent, AuditSearch
from app.principal import Principal
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.log import fingerprint
from app.sandbox.people import Person
from app.sections.agents import AgentSettings
from app.settings import Settings
from app.toolkits.calendar import CalendarToolkit
from app.toolkits.drive import DriveToolkit
from app.toolkits.gmail import GmailToolkit
from containers.application import Application
from tests.fakes.environment import open_environment
from tests.fakes.fading import without_the_collector
from tests.fakes.server import Server, own_markers
from tests.isolation.crowd import DELIVERY, side_by_side
from tests.isolation.watch import Watch

PEOPLE = 40
TEAM = {
    "mail": AgentSettings(toolkits=("gmail",)),
    "calendar": AgentSettings(toolkits=("calendar",)),
    "files": AgentSettings(toolkits=("drive",)),
    "desk": AgentSettings(members=("mail", "calendar")),
    "assistant": AgentSettings(members=("desk", "files")),
}
ASKED = (
    "ask desk to show my 2 unread mails",
    "calendar_agenda",
    "drive_recent",
    "ask desk ask mail gmail_unread",
)
OAUTH_SCOPES = {
    scope
    for toolkit in (GmailToolkit, CalendarToolkit, DriveToolkit)
    for spec in toolkit.tools().values()
    for scope in spec.oauth_scopes
}
MEMBERS = {"mail": "gmail", "calendar": "calendar", "files": "drive"}


async def test_forty_people_over_a_team_of_three_levels(tmp_path: Path) -> None:
    """Each call uses its sender's token and is recorded with its member; afterwards all objects are freed."""
    accounts = [Person.named(f"Member{n:02} Crowd", f"member{n:02}@sandbox.example") for n in range(PEOPLE)]
    emails = {Principal("http", "demo", f"member{n:02}"): account.email for n, account in enumerate(accounts)}
    watch = Watch()
    async with open_environment(tmp_path, people=accounts, delivery=DELIVERY) as environment:
        environment.settings = _with_team(environment.settings)
        async with environment.server(watch.install) as server:
            await side_by_side(server.connect(person, email, OAUTH_SCOPES) for person, email in emails.items())
            told = await _all_ask(server, [*emails])
            calls = [call for call in server.google.calls if not call.method_id.startswith("oauth.")]
            tokens = {person: await _token(server.container, person) for person in emails}
            trail = {person: await server.container.audit().find(AuditSearch(person)) for person in emails}
            own = own_markers(server.google, emails.values())
            alive = await watch.alive(60.0)

    assert {state for _, state, _ in told} == {"done"}
    for person, email in emails.items():
        made = Counter(call.method_id for call in calls if call.email == email)
        rows = [row for row in trail[person] if row.event in (AuditEvent.CALL, AuditEvent.TOOL)]
        assert {call.bearer_sha256 for call in calls if call.email == email} == {tokens[person]}
        assert Counter(row.method for row in rows if row.method) == made
        used = {(row.member, (row.tool or "").partition("_")[0]) for row in rows}
        assert used == set(MEMBERS.items())
        read = {marker.lower() for sender, _, text in told if sender == person for marker in MARKER.findall(text)}
        assert read & own[email]
        others = set().union(*(markers for each, markers in own.items() if each != email))
        assert not (read - own[email]) & others
    assert sum(call.email in emails.values() for call in calls) == len(calls)
    assert alive == Counter()


def _with_team(settings: Settings) -> Settings:
    return settings.model_copy(update={"agents": TEAM})


async def _token(container: Application, person: Principal) -> str | None:
    grant = await container.grants().find(person)
    return fingerprint(grant.access_token) if grant else None


async def _all_ask(server: Server, people: list[Principal]) -> list[tuple[Principal, str, str]]:
    """Let everybody write every message at once, in one conversation each; return sender, state and answer of each."""

    async def ask(person: Principal, text: str) -> tuple[Principal, str, str]:
        posted = (await server.ask(person, text, conversation=text)).json()
        done = posted if posted["state"] == "done" else await server.told(person, posted["message"])
        return person, done["state"], str(done.get("answer"))

    with without_the_collector():
        return await asyncio.gather(*(ask(person, text) for text in ASKED for person in people))
