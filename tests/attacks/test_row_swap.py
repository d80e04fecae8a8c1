"""Attacks by whoever can write to the database but has no key: rows and values of one person put into another's.

Sealed values open for their own row and person only. Messages, approvals and parked runs are not sealed, as people's
words are not: what holds there is that each of their tables names the person, and that none of them names an account.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.database.tables import (
    account_choices,
    api_tokens,
    approvals,
    consent_links,
    grants,
    owned_by,
    owner,
    parked_runs,
    quarantined_grants,
    slack_installations,
)
from app.principal import Principal
from app.sandbox.visitor import code_on
from tests.attacks.stage import EXCHANGE, Scene
from tests.fakes.workspaces import Workspaces, workspaces

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEND = "/gmail_send to=nobody@example.com subject=x body=x"


async def write(scene: Scene, *statements: sa.Update | sa.Delete | sa.Insert) -> None:
    """What somebody does at the database, in one transaction."""
    async with scene.server.container.database().writing() as connection:
        for statement in statements:
            await connection.execute(statement)


async def values(scene: Scene, person: Principal, *columns: sa.Column[Any]) -> Sequence[Any]:
    """This person's values in these columns of one table, in which they have one row."""
    query = sa.select(*columns).where(owned_by(columns[0].table, person))
    async with scene.server.container.database().reading() as connection:
        return (await connection.execute(query)).one()


def give(table: sa.Table, person: Principal, to: Principal) -> sa.Update:
    """Everything of one person's in a table is now another one's."""
    return table.update().where(owned_by(table, person)).values(**owner(to))


async def exchange(scene: Scene, *columns: sa.Column[Any]) -> None:
    """Both have the other's values in these columns."""
    table = columns[0].table
    assert isinstance(table, sa.Table)
    theirs = {person: await values(scene, person, *columns) for person in (scene.victim, scene.mallory)}
    names = [column.name for column in columns]
    await write(
        scene,
        *(  # out of the way first, for some are unique
            table.update()
            .where(owned_by(table, person))
            .values({name: sa.literal("-").concat(table.c[name]) for name in names if table.c[name].unique})
            for person in theirs
            if any(table.c[name].unique for name in names)
        ),
        *(
            table.update().where(owned_by(table, person)).values(dict(zip(names, theirs[other], strict=True)))
            for person, other in ((scene.victim, scene.mallory), (scene.mallory, scene.victim))
        ),
    )


async def test_grant_given_to_mallory(scene: Scene) -> None:
    """Mallory writes her name into the victim's grant, and chooses it: it does not open for her."""
    await scene.connect(scene.victim, scene.victims)
    await write(scene, *(give(table, scene.victim, scene.mallory) for table in (grants, account_choices)))
    status = await scene.ask(scene.mallory)

    assert status["state"] == "failed"
    assert scene.calls("gmail.users.messages.list") == 1  # the victim's own
    assert scene.victims not in str(status)
    await write(scene, *(give(table, scene.mallory, scene.victim) for table in (grants, account_choices)))
    await scene.assert_reads_her_mail()
    await scene.assert_nothing_gained()


@pytest.mark.parametrize("columns", [("sealed_tokens",), ("sealed_tokens", "subject", "email")])
async def test_tokens_put_into_mallorys_grant(scene: Scene, columns: tuple[str, ...]) -> None:
    """Mallory, who has a grant of her own, puts the victim's sealed tokens into it: they open in no other row."""
    await scene.connect(scene.victim, scene.victims)
    await scene.connect(scene.mallory, scene.mallorys)
    before = await values(scene, scene.mallory, *(grants.c[name] for name in columns))
    await exchange(scene, *(grants.c[name] for name in columns))
    states = [(await scene.ask(person))["state"] for person in (scene.mallory, scene.victim)]
    await exchange(scene, *(grants.c[name] for name in columns))

    assert states == ["failed", "failed"]
    assert tuple(await values(scene, scene.mallory, *(grants.c[name] for name in columns))) == tuple(before)
    await scene.assert_reads_her_mail()
    await scene.note_bearer(scene.mallory)
    await scene.assert_nothing_gained()


async def test_link_given_to_mallory(scene: Scene) -> None:
    """Mallory writes her name into the link that the victim has open: its callback is refused, nothing is kept."""
    callback = await scene.browser.decide(await scene.browser.open(await scene.link(scene.victim)), scene.victims)
    await write(scene, give(consent_links, scene.victim, scene.mallory))
    page = await scene.browser.http.get(callback)

    assert page.status_code >= 400
    assert code_on(page) is None
    assert scene.calls(EXCHANGE) == 0
    assert (await scene.waiting(scene.mallory), await scene.waiting(scene.victim)) == (0, 0)
    await scene.assert_nothing_gained()


async def test_link_tokens_exchanged(scene: Scene) -> None:
    """Mallory lets the address that the victim was sent lead to Mallory's own row: it is not opened."""
    link, _ = await scene.link(scene.victim), await scene.link(scene.mallory)
    await exchange(scene, consent_links.c.token_hash)
    seen = [await scene.browser.http.get(link), await scene.browser.http.post(link)]

    assert all(each.status_code >= 400 for each in seen)
    assert not any("location" in each.headers or scene.mallory.user in each.text for each in seen)
    await scene.assert_nothing_gained()


async def test_link_states_exchanged(scene: Scene) -> None:
    """Mallory lets the victim's callback end in Mallory's row, cookie and all: the PKCE verifier is another one."""
    victims_url = await scene.browser.open(await scene.link(scene.victim))
    await scene.own_browser.open(await scene.link(scene.mallory))
    await exchange(scene, consent_links.c.state_hash, consent_links.c.cookie_hash)
    page = await scene.browser.http.get(await scene.browser.decide(victims_url, scene.victims))

    assert page.status_code == 400
    assert scene.statuses(EXCHANGE) == [400]  # Google refused it
    assert await scene.waiting(scene.mallory) == 0
    await scene.assert_nothing_gained()


async def test_quarantine_given_to_mallory(scene: Scene) -> None:
    """Mallory makes the victim's sign-in her own, and knows its code as well: neither code nor tokens open for her."""
    code = code_on(await scene.browser.allow(await scene.link(scene.victim), scene.victims))
    await write(scene, *(give(table, scene.victim, scene.mallory) for table in (quarantined_grants, consent_links)))
    status = await scene.ask(scene.mallory, f"confirm {code}")

    assert "Connected" not in str(status)
    assert await scene.account_of(scene.mallory) is None
    await write(scene, quarantined_grants.delete().where(owned_by(quarantined_grants, scene.mallory)))
    await scene.assert_nothing_gained()


@pytest.mark.parametrize("columns", [("sealed_tokens",), ("sealed_tokens", "subject", "email")])
async def test_quarantine_values_exchanged(scene: Scene, columns: tuple[str, ...]) -> None:
    """Mallory puts the victim's sealed tokens into a sign-in of her own, whose code she knows: nothing opens."""
    theirs = code_on(await scene.browser.allow(await scene.link(scene.victim), scene.victims))
    code = code_on(await scene.own_browser.allow(await scene.link(scene.mallory), scene.mallorys))
    before = await values(scene, scene.victim, *(quarantined_grants.c[name] for name in columns))
    await exchange(scene, *(quarantined_grants.c[name] for name in columns))
    status = await scene.ask(scene.mallory, f"confirm {code}")
    back = quarantined_grants.update().where(owned_by(quarantined_grants, scene.victim))
    await write(scene, back.values(dict(zip(columns, before, strict=True))))

    assert "Connected" in str(await scene.ask(scene.victim, f"confirm {theirs}"))
    await scene.note_bearer(scene.victim)
    assert "Connected" not in str(status)
    assert await scene.account_of(scene.mallory) is None
    await scene.assert_nothing_gained()


async def test_api_token_made_the_victims(scene: Scene) -> None:
    """Mallory lets her own API token stand for the victim, by name or by hash: it stands for nobody then."""
    await scene.connect(scene.victim, scene.victims)
    bearer, hers = await scene.server.bearer(scene.mallory), await scene.server.bearer(scene.victim)
    client = scene.server.client
    await write(scene, give(api_tokens, scene.mallory, scene.victim))
    renamed = await client.get("/v1/me", headers=bearer)
    mine = sa.and_(owned_by(api_tokens, scene.victim), api_tokens.c.token_hash == _hash(bearer))
    await write(scene, api_tokens.update().where(mine).values(**owner(scene.mallory)))
    await exchange(scene, api_tokens.c.token_hash)
    exchanged = [await client.get("/v1/me", headers=each) for each in (bearer, hers)]
    await exchange(scene, api_tokens.c.token_hash)
    restored = await client.get("/v1/me", headers=bearer)

    assert (renamed.status_code, [each.status_code for each in exchanged]) == (401, [401, 401])
    assert restored.json()["principal"] == str(scene.mallory)
    await scene.assert_nothing_gained()


async def test_approval_given_to_mallory(scene: Scene) -> None:
    """Mallory makes the victim's waiting approval her own and says yes: what the victim did not approve is not sent."""
    await scene.connect(scene.victim, scene.victims)
    code = await waiting_approval(scene, scene.victim, scene.victims)
    await write(scene, give(approvals, scene.victim, scene.mallory))
    await scene.ask(scene.mallory, f"approve {code}")
    late = await scene.ask(scene.victim, f"approve {code}")

    assert "Nothing of yours waits" in late["answer"]
    assert scene.calls("gmail.users.messages.send") == 0
    await scene.assert_nothing_gained()


async def test_own_approval_put_before_the_victims_run(scene: Scene) -> None:
    """Mallory approves a call of her own and hangs it on the victim's message: it is not the call that waits there."""
    await scene.connect(scene.victim, scene.victims)
    await scene.connect(scene.mallory, scene.mallorys)
    await waiting_approval(scene, scene.victim, scene.victims, " body=hers")
    code = await waiting_approval(scene, scene.mallory, scene.mallorys, " body=mallorys")
    await exchange(scene, approvals.c.message_id)
    await scene.ask(scene.mallory, f"approve {code}")
    await scene.server.container.parking().wake_answered()
    await scene.ask(scene.victim, "google accounts")  # whatever was woken before is over: one conversation, in order

    assert scene.calls("gmail.users.messages.send") == 0
    await scene.assert_nothing_gained()


async def test_parked_runs_exchanged(scene: Scene) -> None:
    """Mallory exchanges her parked run and the victim's: each goes on with its own sender's account.

    A run names no person and no account, so whose it is, is always its message's.
    """
    links = {person: await scene.link(person) for person in (scene.victim, scene.mallory)}
    await exchange(scene, parked_runs.c.run)
    answers = {}
    for person, email in ((scene.victim, scene.victims), (scene.mallory, scene.mallorys)):
        waiting = scene.said[person][0]
        code = code_on(await scene.server.consent(links[person], email))
        await scene.ask(person, f"confirm {code}")
        await scene.note_bearer(person)
        answers[person] = str(await scene.server.told(person, waiting))

    assert scene.mallorys in answers[scene.mallory]
    assert scene.victims in answers[scene.victim]
    await scene.assert_nothing_gained()


async def test_parked_run_given_to_mallory(scene: Scene) -> None:
    """Mallory writes her name into the victim's parked run: it is found neither for her nor by her."""
    status = await scene.ask(scene.victim)
    await write(scene, give(parked_runs, scene.victim, scene.mallory))
    seen = await scene.server.client.get(
        f"/v1/messages/{status['message']}", headers=await scene.server.bearer(scene.mallory)
    )
    theirs = await scene.server.told(scene.victim, status["message"], wait=0)

    assert seen.status_code == 404
    assert theirs["state"] == "parked"
    assert "consent_url" not in theirs
    await scene.assert_nothing_gained()


# --- Slack installations


@pytest.fixture
async def slacks(tmp_path: Path) -> AsyncIterator[Workspaces]:
    """A server that two workspaces have installed."""
    async with workspaces(tmp_path) as slacks:
        for place in ("T0ONE", "T0TWO"):
            (await slacks.install(place)).raise_for_status()
        yield slacks


@pytest.mark.asyncio(loop_scope="function")
async def test_installations_exchanged(slacks: Workspaces) -> None:
    """Mallory puts her workspace's bot token into another one's row: the bot is silent there."""
    server, table = slacks.server, slack_installations
    async with server.container.database().writing() as connection:
        rows = (await connection.execute(sa.select(table.c.workspace, table.c.sealed_bot_token))).all()
        sealed = dict(rows)
        for place, other in (("T0ONE", "T0TWO"), ("T0TWO", "T0ONE")):
            change = table.update().where(table.c.workspace == place).values(sealed_bot_token=sealed[other])
            await connection.execute(change)
    seen = [
        await server.deliver(server.slack.event(user="U0V", text="repeat hello", channel=f"D{place}", team=place))
        for place in ("T0ONE", "T0TWO")
    ]

    assert len(rows) == 2
    assert all(each.status_code >= 400 for each in seen)
    assert server.slack.posts == []


@pytest.mark.asyncio(loop_scope="function")
async def test_installation_finished_in_another_browser(slacks: Workspaces) -> None:
    """Mallory begins an installation and lets an administrator finish it: without her cookie it is none of theirs."""
    base = slacks.server.base_url
    begun = await slacks.server.client.post("/slack/install")
    asked = begun.headers["location"]
    slacks.server.client.cookies.clear()
    decided = await slacks.server.client.post(asked, data={"place": "T0THREE", "decision": "allow"})
    page = await slacks.server.client.get(decided.headers["location"])

    assert decided.headers["location"].startswith(f"{base}/slack/oauth/callback")
    assert page.status_code == 400
    assert [each.workspace for each in await slacks.server.container.slack_installations().all()] == ["T0ONE", "T0TWO"]


async def waiting_approval(scene: Scene, person: Principal, email: str, more: str = "") -> str:
    """Let a person's sending wait for their word, all permissions given; the code that it waits for."""
    conversation = f"send-{person.user}"
    status = await scene.ask(person, SEND.replace(" body=x", more or " body=x"), conversation=conversation)
    page = await scene.server.consent(status["consent_url"], email)
    await scene.ask(person, f"confirm {code_on(page)}")
    await scene.note_bearer(person)
    client, bearer = scene.server.client, await scene.server.bearer(person)
    found: list[str] = []
    async with asyncio.timeout(20):
        while not found:
            told = (await client.get(f"/v1/messages/{status['message']}", headers=bearer)).json()
            found = [told["approval"]["code"]] if "approval" in told else []
            await asyncio.sleep(0.01)
    return found[0]


def _hash(bearer: dict[str, str]) -> str:
    return hashlib.sha256(bearer["Authorization"].removeprefix("Bearer ").encode()).hexdigest()
