"""When somebody leaves, their runs are cancelled and their access ends; other people are not affected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.messages import MessageState
from app.principal import Principal
from app.sandbox.google.gmail.letters import MARKER
from containers.application import Application
from containers.build import build
from interfaces.slack.event import find_leaver
from tests.conftest import DATABASES
from tests.fakes.core_server import inbound
from tests.fakes.environment import Environment, open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import ADA, CONSENT_LINK, GRACE, QUESTION, TEAM, Server, direct, eventually, own_markers, user
from tests.fixtures import databases_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=DATABASES)
async def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Environment]:
    """Yield a Google and a Slack, once with each kind of database."""
    folder = Path(tmp_path_factory.mktemp("offboarding"))
    async with databases_of(request, folder) as databases, open_environment(folder, databases) as environment:
        yield environment


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def model(environment: Environment) -> ScriptedModel:
    """Return a scripted model with a closed gate, a new one for each kind of database."""
    return ScriptedModel()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(environment: Environment, model: ScriptedModel) -> AsyncIterator[Server]:
    """Yield a server whose janitor checks twenty times a second."""

    def prepare(container: Application) -> None:
        model.install(container)
        container.janitor.add_kwargs(look_seconds=0.05)

    async with environment.server(prepare) as server:
        yield server
        model.gate.set()


def slack(name: str) -> Principal:
    """Return a person of the workspace."""
    return Principal("slack", TEAM, user(name))


async def say(server: Server, name: str, text: str) -> None:
    """Write in the direct chat, and check that Slack gets an acknowledgement."""
    event = server.slack.event(user=user(name), text=text, channel=direct(name))
    assert (await server.deliver(event)).json() == {"ok": True}


def user_change(changed: Any, **outer: Any) -> dict[str, Any]:
    """Return the event for a changed user (https://docs.slack.dev/reference/events/user_change)."""
    event = {"type": "user_change", "user": changed, "event_ts": "1700000000.000100"}
    return {"type": "event_callback", "team_id": TEAM, "event_id": "Ev0CHANGE", "event": event, **outer}


async def test_who_is_deactivated_in_slack_is_offboarded(server: Server, model: ScriptedModel) -> None:
    """Somebody deactivated in Slack loses their run and grant and gets no reply; another person's run continues."""
    tokens = {}
    for name, email in (("ada", ADA), ("grace", GRACE)):
        await server.connect(slack(name), email)
        grant = await server.container.grants().find(slack(name))
        assert grant is not None
        tokens[name] = grant.access_token
        await say(server, name, f"wait {name}")
    worker = server.container.worker()
    await eventually(lambda: {slack("ada"), slack("grace")} <= worker.people_in_work and len(model.begun) >= 2)
    await server.deliver(user_change({"id": user("ada"), "team_id": TEAM, "deleted": True}))
    await eventually(lambda: slack("ada") not in worker.people_in_work)
    await eventually(lambda: server.google.bearer_owner(tokens["ada"]) is None)
    await say(server, "ada", "repeat let me in")

    assert slack("grace") in worker.people_in_work
    assert server.google.bearer_owner(tokens["grace"]) == GRACE
    model.gate.set()
    assert [post.text for post in await server.posts(direct("grace"), 1)] == ["waited grace"]
    model.gate.clear()
    assert server.posted(direct("ada")) == []
    assert await server.container.grants().find(slack("ada")) is None
    assert "repeat let me in" not in model.begun


async def test_another_process_offboards(server: Server, model: ScriptedModel) -> None:
    """A server cancels the runs of somebody whom another process offboarded, and refuses their old and new tokens."""
    people = {name: Principal("http", "demo", name) for name in ("leaving", "staying")}
    intake = server.container.intake()
    waiting = {
        name: await intake.accept(inbound(person, f"wait {name}", conversation=name)) for name, person in people.items()
    }
    worker = server.container.worker()
    await eventually(lambda: set(people.values()) <= worker.people_in_work)
    old = await server.bearer(people["leaving"])
    other = build(server.settings)
    outcome = await other.offboarding().offboard(people["leaving"])
    await other.database().close()
    await eventually(lambda: people["leaving"] not in worker.people_in_work)
    after = await server.client.get("/v1/me", headers=old)
    new = {"Authorization": f"Bearer {await server.container.api_tokens().issue(people['leaving'], label='new')}"}
    refused = await server.client.post("/v1/messages", json={"conversation": "c", "text": "hello"}, headers=new)

    assert outcome.finished
    assert after.status_code == 401
    assert (refused.status_code, refused.json()["error"]) == (403, "OffboardedError")
    assert people["staying"] in worker.people_in_work
    message = await server.container.inbox().get(people["leaving"], waiting["leaving"].message_id)
    assert (message.state, message.answer) == (MessageState.FAILED, None)
    model.gate.set()
    await eventually(lambda: people["staying"] not in worker.people_in_work)
    model.gate.clear()


async def test_a_grant_that_ended_at_google_is_asked_for_again(server: Server) -> None:
    """A run that meets a grant revoked at Google waits for a new consent; then each person gets their own answer."""
    for name, email in (("adagone", ADA), ("gracekept", GRACE)):
        await server.connect(slack(name), email)
    grant = await server.container.grants().find(slack("adagone"))
    assert grant is not None
    await server.container.google_auth().revoke(str(grant.refresh_token))
    for name in ("adagone", "gracekept"):
        await say(server, name, QUESTION)
    link = CONSENT_LINK.search((await server.posts(direct("adagone"), 1))[0].text)
    assert link is not None
    await server.confirm(slack("adagone"), await server.consent(link[0], ADA))
    answers = [(await server.posts(direct("adagone"), 2))[1].text, (await server.posts(direct("gracekept"), 1))[0].text]

    own = own_markers(server.google, (ADA, GRACE))
    for answer, email in zip(answers, (ADA, GRACE), strict=True):
        assert set(MARKER.findall(answer.lower()))
        assert set(MARKER.findall(answer.lower())) <= own[email]


async def test_disconnecting_in_the_chat(server: Server) -> None:
    """`disconnect google` ends the access at Google, says so, and the next question asks for consent again."""
    await server.connect(slack("adaoff"), ADA)
    grant = await server.container.grants().find(slack("adaoff"))
    assert grant is not None
    for principal in (slack("adagone"), slack("ada")):  # from earlier tests: they would keep the account connected
        await server.container.revocation().end(principal)
    await say(server, "adaoff", "disconnect google")
    told = (await server.posts(direct("adaoff"), 1))[0].text
    await say(server, "adaoff", QUESTION)
    asked = (await server.posts(direct("adaoff"), 2))[1].text

    assert f"Disconnected {ADA}: I ended the access at Google and erased it here." in told
    assert server.google.bearer_owner(grant.access_token) is None
    assert CONSENT_LINK.search(asked)


ENTERPRISE = {"enterprise_id": "E0GRID"}


@pytest.mark.parametrize(("changed", "outer", "tenants"), [
    ({"id": "U1", "team_id": TEAM, "deleted": True}, {}, [TEAM]),
    ({"id": "U1", "team_id": TEAM, "deleted": True}, {"enterprise_id": None}, [TEAM]),
    ({"id": "U1", "team_id": TEAM, "deleted": True}, {"enterprise_id": 7}, [TEAM]),
    ({"id": "U1", "team_id": TEAM, "deleted": True}, {"enterprise_id": ["E0GRID"]}, [TEAM]),
    ({"id": "U1", "team_id": TEAM, "deleted": True}, ENTERPRISE, ["E0GRID", TEAM]),
    ({"id": "U1", "team_id": "T2", "deleted": True, "enterprise_user": ENTERPRISE}, ENTERPRISE, ["E0GRID", TEAM, "T2"]),
    ({"id": "U1", "team_id": "T2", "deleted": True, "enterprise_user": {**ENTERPRISE, "teams": ["T3", "T2"]}},
     ENTERPRISE, ["E0GRID", TEAM, "T2", "T3"]),
    ({"id": "U1", "team_id": "T2", "deleted": True, "enterprise_user": {"enterprise_id": "E2", "teams": ["T2"]}},
     ENTERPRISE, []),
    ({"id": "U1", "team_id": "T2", "deleted": True, "enterprise_user": {"enterprise_id": "E2", "teams": [TEAM]}},
     {}, []),
    ({"id": "U1", "team_id": "T0OTHER", "deleted": True}, {}, []),
    ({"id": "U1", "deleted": True}, {}, []),
    ({"id": "U1", "team_id": TEAM, "deleted": False}, {}, []),
    ({"id": "U1", "team_id": TEAM, "deleted": "true"}, {}, []),
    ({"id": "U1", "team_id": TEAM}, {}, []),
    ("U1", {}, []),
])  # fmt: skip
async def test_who_leaves_is_of_the_tenant_that_says_so(
    changed: Any, outer: dict[str, Any], tenants: list[str]
) -> None:
    """Only a deactivated person of the event's own workspace or organisation is offboarded.

    A member of an organisation leaves the organisation and its workspaces.
    """
    leaver = find_leaver(user_change(changed, **outer))

    assert leaver == tuple(Principal("slack", tenant, "U1") for tenant in tenants)


async def test_who_leaves_an_organisation_leaves_other_companies_channels(server: Server) -> None:
    """A person who left an organisation is also refused in another company's channels; a colleague is answered."""
    in_organisation = {**ENTERPRISE, "teams": ["T0HERS"]}
    gone = {"id": user("gridada"), "team_id": "T0HERS", "deleted": True, "enterprise_user": in_organisation}
    await server.deliver(user_change(gone, **ENTERPRISE))
    for name in ("gridada", "gridgrace"):
        event = server.slack.event(
            user=user(name), text="repeat hello", channel=f"C0{name.upper()}", kind="app_mention"
        )
        event["is_ext_shared_channel"] = True
        event["event"]["team"] = event["event"]["user_team"] = "T0HERS"
        await server.deliver(event)

    assert [post.text for post in await server.posts("C0GRIDGRACE", 1)] == ["hello"]
    assert server.posted("C0GRIDADA") == []
    people = {Principal("slack", each, user("gridada")) for each in ("E0GRID", "T0HERS")}
    assert await server.container.users().offboarded_among(people) == people


async def test_an_event_that_slack_did_not_sign_offboards_nobody(server: Server) -> None:
    """An unsigned deactivation event gets a 401 and offboards nobody."""
    event = user_change({"id": user("staying"), "team_id": TEAM, "deleted": True})
    response = await server.client.post("/slack/events", json=event)

    assert response.status_code == 401
    assert await server.container.users().offboarded_among({slack("staying")}) == frozenset()
