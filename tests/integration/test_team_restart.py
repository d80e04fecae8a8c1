"""A server ends while members of a team wait for their person, and the next server continues in those members."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.sandbox.google.gmail.letters import MARKER
from app.sections.agents import AgentSettings
from containers.application import Application
from containers.testing import call, scripted, two_principals
from tests.conftest import DATABASES
from tests.fakes.environment import Environment, open_environment
from tests.fakes.server import ADA, APPROVAL_CODE, GRACE, QUESTION, own_markers
from tests.fixtures import databases_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEAM = {
    "mail": AgentSettings(toolkits=("gmail",)),
    "post": AgentSettings(toolkits=("gmail",)),
    "desk": AgentSettings(members=("mail", "post")),
    "assistant": AgentSettings(members=("desk",)),
}
EMAILS = dict(zip(two_principals(), (ADA, GRACE), strict=True))


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=DATABASES)
async def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Environment]:
    """Yield a Google that outlives the servers, once with each kind of database."""
    folder = Path(tmp_path_factory.mktemp("teams"))
    async with databases_of(request, folder) as databases, open_environment(folder, databases) as environment:
        environment.settings = environment.settings.model_copy(update={"agents": TEAM})
        yield environment


async def test_consent_for_a_member_goes_on_after_a_restart(environment: Environment) -> None:
    """Consent links that name the member work after a restart, and each person is answered from their own mail."""
    asked = {}
    async with environment.server(database="consent") as server:
        for person in EMAILS:
            asked[person] = (await server.ask(person, QUESTION)).json()
    async with environment.server(database="consent") as server:
        for person, email in EMAILS.items():
            await server.confirm(person, await server.consent(asked[person]["consent_url"], email))
        answers = {person: await server.told(person, asked[person]["message"]) for person in EMAILS}

    own = own_markers(environment.google, EMAILS.values())
    for person, email in EMAILS.items():
        assert ", through mail)" in asked[person]["question"]
        found = set(MARKER.findall(answers[person]["answer"].lower()))
        assert found
        assert found <= own[email]


async def test_two_members_that_wait_at_once_go_on_after_a_restart(environment: Environment) -> None:
    """Two members' questions are decided separately after a restart, and only the approved call runs, once."""
    asked = {}
    async with environment.server(_scripted, database="approval") as server:
        for person, email in EMAILS.items():
            await server.connect(person, email)
            asked[person] = (await server.ask(person, "send both")).json()
    async with environment.server(_scripted, database="approval") as server:
        for person in EMAILS:
            first, second = APPROVAL_CODE.findall(asked[person]["question"])
            await server.ask(person, f"approve {first}")
            await server.ask(person, f"deny {second}")
        answers = {person: await server.told(person, asked[person]["message"]) for person in EMAILS}

    for person, email in EMAILS.items():
        sent = [letter.subject for letter in environment.google.mailbox(email) if "SENT" in letter.label_ids]
        assert [sent.count(each) for each in ("by-mail", "by-post")] == [1, 0]
        assert "mail asks: Send this mail?" in asked[person]["question"]
        assert "post asks: Send this mail?" in asked[person]["question"]
        assert asked[person]["approval"]["member"] == "mail"
        assert "You said no, so nothing was done." in answers[person]["answer"]


def _scripted(container: Application) -> None:
    """Let the leader in the middle ask both of its members in one turn."""
    asks = [
        call(f"ask_{member}", member, task=f'gmail_send to=nobody@example.com subject="by-{member}" body="hello"')
        for member in ("mail", "post")
    ]
    for name, calls in (("assistant", [call("ask_desk", "1", task="send both")]), ("desk", asks)):
        container.shells.providers[name]().model = scripted(calls)
