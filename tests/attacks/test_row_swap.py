"""Attacks by somebody who can write to the database but has no key, and moves rows or values between people.

Sealed values open only for their own row and person. Messages, approvals and parked runs are not sealed, because
people's words are not; but each of their tables names the person, and none of them names an account.
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
from app.sandbox.google.gmail.letters import MARKER
from app.sandbox.visitor import code_on
from tests.attacks.attack import EXCHANGE, Attack
from tests.fakes.server import own_markers
from tests.fakes.workspaces import Workspaces, workspaces

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEND = "/gmail_send to=nobody@example.com subject=x body=x"


async def write(attack: Attack, *statements: sa.Update | sa.Delete | sa.Insert) -> None:
    """Execute these statements on the database, in one transaction."""
    async with attack.server.container.database().writing() as connection:
        for statement in statements:
            await connection.execute(statement)


async def values(attack: Attack, person: Principal, *columns: sa.Column[Any]) -> Sequence[Any]:
    """Return this person's values in these columns of one table, in which they have one row."""
    query = sa.select(*columns).where(owned_by(columns[0].table, person))
    async with attack.server.container.database().reading() as connection:
        return (await connection.execute(query)).one()


def give(table: sa.Table, person: Principal, to: Principal) -> sa.Update:
    """Return a statement that gives all of one person's rows in a table to another person."""
    return table.update().where(owned_by(table, person)).values(**owner(to))


async def exchange(attack: Attack, *columns: sa.Column[Any]) -> None:
    """Exchange the victim's and Mallory's values in these columns."""
    table = columns[0].table
    assert isinstance(table, sa.Table)
    theirs = {person: await values(attack, person, *columns) for person in (attack.victim, attack.mallory)}
    names = [column.name for column in columns]
    await write(
        attack,
        *(  # out of the way first, because some are unique
            table.update()
            .where(owned_by(table, person))
            .values({name: sa.literal("-").concat(table.c[name]) for name in names if table.c[name].unique})
            for person in theirs
            if any(table.c[name].unique for name in names)
        ),
        *(
            table.update().where(owned_by(table, person)).values(dict(zip(names, theirs[other], strict=True)))
            for person, other in ((attack.victim, attack.mallory), (attack.mallory, attack.victim))
        ),
    )


async def test_grant_given_to_mallory(attack: Attack) -> None:
    """The victim's grant does not open for Mallory if its row names her, even if she chooses it."""
    await attack.connect(attack.victim, attack.victims)
    await write(attack, *(give(table, attack.victim, attack.mallory) for table in (grants, account_choices)))
    status = await attack.ask(attack.mallory)

    assert status["state"] == "failed"
    assert attack.calls("gmail.users.messages.list") == 1  # the victim's own
    assert attack.victims not in str(status)
    await write(attack, *(give(table, attack.mallory, attack.victim) for table in (grants, account_choices)))
    await attack.assert_reads_her_mail()
    await attack.assert_nothing_gained()


@pytest.mark.parametrize("columns", [("sealed_tokens",), ("sealed_tokens", "subject", "email")])
async def test_tokens_put_into_mallorys_grant(attack: Attack, columns: tuple[str, ...]) -> None:
    """The victim's sealed tokens do not open in the row of Mallory's grant."""
    await attack.connect(attack.victim, attack.victims)
    await attack.connect(attack.mallory, attack.mallorys)
    before = await values(attack, attack.mallory, *(grants.c[name] for name in columns))
    await exchange(attack, *(grants.c[name] for name in columns))
    states = [(await attack.ask(person))["state"] for person in (attack.mallory, attack.victim)]
    await exchange(attack, *(grants.c[name] for name in columns))

    assert states == ["failed", "failed"]
    assert tuple(await values(attack, attack.mallory, *(grants.c[name] for name in columns))) == tuple(before)
    await attack.assert_reads_her_mail()
    await attack.note_bearer(attack.mallory)
    await attack.assert_nothing_gained()


async def test_link_given_to_mallory(attack: Attack) -> None:
    """A link of the victim's that is given to Mallory while it is open connects nothing for either of them."""
    callback = await attack.browser.decide(await attack.browser.open(await attack.link(attack.victim)), attack.victims)
    await write(attack, give(consent_links, attack.victim, attack.mallory))
    page = await attack.browser.http.get(callback)

    assert page.status_code >= 400
    assert code_on(page) is None
    assert attack.calls(EXCHANGE) == 0
    assert (await attack.waiting(attack.mallory), await attack.waiting(attack.victim)) == (0, 0)
    await attack.assert_nothing_gained()


async def test_link_tokens_exchanged(attack: Attack) -> None:
    """A link whose token is moved to Mallory's row cannot be opened."""
    link, _ = await attack.link(attack.victim), await attack.link(attack.mallory)
    await exchange(attack, consent_links.c.token_hash)
    seen = [await attack.browser.http.get(link), await attack.browser.http.post(link)]

    assert all(each.status_code >= 400 for each in seen)
    assert not any("location" in each.headers or attack.mallory.user in each.text for each in seen)
    await attack.assert_nothing_gained()


async def test_link_states_exchanged(attack: Attack) -> None:
    """A callback whose state and cookie are moved to Mallory's row is refused, because the state names its own link."""
    victims_url = await attack.browser.open(await attack.link(attack.victim))
    await attack.own_browser.open(await attack.link(attack.mallory))
    await exchange(attack, consent_links.c.state_hash, consent_links.c.cookie_hash)
    page = await attack.browser.http.get(await attack.browser.decide(victims_url, attack.victims))

    assert page.status_code == 400
    assert attack.statuses(EXCHANGE) == []  # Google is not even asked
    assert await attack.waiting(attack.mallory) == 0
    await attack.assert_nothing_gained()


async def test_quarantine_given_to_mallory(attack: Attack) -> None:
    """The victim's sign-in does not connect for Mallory if its row names her, even if she knows its code."""
    code = code_on(await attack.browser.allow(await attack.link(attack.victim), attack.victims))
    await write(attack, *(give(table, attack.victim, attack.mallory) for table in (quarantined_grants, consent_links)))
    status = await attack.ask(attack.mallory, f"confirm {code}")

    assert "Connected" not in str(status)
    assert await attack.account_of(attack.mallory) is None
    await write(attack, quarantined_grants.delete().where(owned_by(quarantined_grants, attack.mallory)))
    await attack.assert_nothing_gained()


@pytest.mark.parametrize("columns", [("sealed_tokens",), ("sealed_tokens", "subject", "email")])
async def test_quarantine_values_exchanged(attack: Attack, columns: tuple[str, ...]) -> None:
    """The victim's sealed tokens do not open in a sign-in of Mallory's, whose code she knows."""
    theirs = code_on(await attack.browser.allow(await attack.link(attack.victim), attack.victims))
    code = code_on(await attack.own_browser.allow(await attack.link(attack.mallory), attack.mallorys))
    before = await values(attack, attack.victim, *(quarantined_grants.c[name] for name in columns))
    await exchange(attack, *(quarantined_grants.c[name] for name in columns))
    status = await attack.ask(attack.mallory, f"confirm {code}")
    back = quarantined_grants.update().where(owned_by(quarantined_grants, attack.victim))
    await write(attack, back.values(dict(zip(columns, before, strict=True))))

    assert "Connected" in str(await attack.ask(attack.victim, f"confirm {theirs}"))
    await attack.note_bearer(attack.victim)
    assert "Connected" not in str(status)
    assert await attack.account_of(attack.mallory) is None
    await attack.assert_nothing_gained()


async def test_api_token_made_the_victims(attack: Attack) -> None:
    """Mallory's API token stands for nobody once its row or its hash is exchanged with the victim's."""
    await attack.connect(attack.victim, attack.victims)
    bearer, hers = await attack.server.bearer(attack.mallory), await attack.server.bearer(attack.victim)
    client = attack.server.client
    await write(attack, give(api_tokens, attack.mallory, attack.victim))
    renamed = await client.get("/v1/me", headers=bearer)
    mine = sa.and_(owned_by(api_tokens, attack.victim), api_tokens.c.token_hash == _hash(bearer))
    await write(attack, api_tokens.update().where(mine).values(**owner(attack.mallory)))
    await exchange(attack, api_tokens.c.token_hash)
    exchanged = [await client.get("/v1/me", headers=each) for each in (bearer, hers)]
    await exchange(attack, api_tokens.c.token_hash)
    restored = await client.get("/v1/me", headers=bearer)

    assert (renamed.status_code, [each.status_code for each in exchanged]) == (401, [401, 401])
    assert restored.json()["principal"] == str(attack.mallory)
    await attack.assert_nothing_gained()


async def test_approval_given_to_mallory(attack: Attack) -> None:
    """An approval of the victim's that is given to Mallory cannot be used by either of them."""
    await attack.connect(attack.victim, attack.victims)
    code = await waiting_approval(attack, attack.victim, attack.victims)
    await write(attack, give(approvals, attack.victim, attack.mallory))
    await attack.ask(attack.mallory, f"approve {code}")
    late = await attack.ask(attack.victim, f"approve {code}")

    assert "You have no pending approval" in late["answer"]
    assert attack.calls("gmail.users.messages.send") == 0
    await attack.assert_nothing_gained()


async def test_own_approval_put_before_the_victims_run(attack: Attack) -> None:
    """Mallory's approval of her own call does not approve the victim's call if it is moved to the victim's message."""
    await attack.connect(attack.victim, attack.victims)
    await attack.connect(attack.mallory, attack.mallorys)
    await waiting_approval(attack, attack.victim, attack.victims, " body=hers")
    code = await waiting_approval(attack, attack.mallory, attack.mallorys, " body=mallorys")
    await exchange(attack, approvals.c.message_id)
    await attack.ask(attack.mallory, f"approve {code}")
    await attack.server.container.parking().wake_answered()
    await attack.ask(attack.victim, "google accounts")  # earlier wake-ups are handled by now, in order

    assert attack.calls("gmail.users.messages.send") == 0
    await attack.assert_nothing_gained()


async def test_parked_runs_exchanged(attack: Attack) -> None:
    """After an exchange of two parked runs, each still continues with the account of its message's sender.

    A run names no person and no account, so it always belongs to its message's sender.
    """
    links = {person: await attack.link(person) for person in (attack.victim, attack.mallory)}
    await exchange(attack, parked_runs.c.run)
    answers = {}
    for person, email in ((attack.victim, attack.victims), (attack.mallory, attack.mallorys)):
        waiting = attack.said[person][0]
        code = code_on(await attack.server.consent(links[person], email))
        await attack.ask(person, f"confirm {code}")
        await attack.note_bearer(person)
        answers[person] = str(await attack.server.told(person, waiting))

    markers = own_markers(attack.server.google, (attack.mallorys, attack.victims))
    for person, email, other in (
        (attack.mallory, attack.mallorys, attack.victims),
        (attack.victim, attack.victims, attack.mallorys),
    ):
        shown = set(MARKER.findall(answers[person].lower()))
        assert shown & (markers[email] - markers[other])
        assert not shown & (markers[other] - markers[email])
    await attack.assert_nothing_gained()


async def test_parked_run_given_to_mallory(attack: Attack) -> None:
    """A parked run of the victim's that is given to Mallory is found for neither of them."""
    status = await attack.ask(attack.victim)
    await write(attack, give(parked_runs, attack.victim, attack.mallory))
    seen = await attack.server.client.get(
        f"/v1/messages/{status['message']}", headers=await attack.server.bearer(attack.mallory)
    )
    theirs = await attack.server.told(attack.victim, status["message"], wait=0)

    assert seen.status_code == 404
    assert theirs["state"] == "parked"
    assert "consent_url" not in theirs
    await attack.assert_nothing_gained()


# --- Slack installations


@pytest.fixture
async def slacks(tmp_path: Path) -> AsyncIterator[Workspaces]:
    """Yield a server that two workspaces have installed."""
    async with workspaces(tmp_path) as slacks:
        for place in ("T0ONE", "T0TWO"):
            (await slacks.install(place)).raise_for_status()
        yield slacks


@pytest.mark.asyncio(loop_scope="function")
async def test_installations_exchanged(slacks: Workspaces) -> None:
    """A workspace's row that holds another one's bot token does not open, and the bot says nothing there."""
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
    """An installation that Mallory begins and an administrator finishes is refused, because her cookie is missing."""
    base = slacks.server.base_url
    begun = await slacks.server.client.post("/slack/install")
    asked = begun.headers["location"]
    slacks.server.client.cookies.clear()
    decided = await slacks.server.client.post(asked, data={"place": "T0THREE", "decision": "allow"})
    page = await slacks.server.client.get(decided.headers["location"])

    assert decided.headers["location"].startswith(f"{base}/slack/oauth/callback")
    assert page.status_code == 400
    assert [each.workspace for each in await slacks.server.container.slack_installations().all()] == ["T0ONE", "T0TWO"]


async def waiting_approval(attack: Attack, person: Principal, email: str, more: str = "") -> str:
    """Let a person's mail wait for their approval, with all permissions granted, and return the approval's code."""
    conversation = f"send-{person.user}"
    status = await attack.ask(person, SEND.replace(" body=x", more or " body=x"), conversation=conversation)
    page = await attack.server.consent(status["consent_url"], email)
    await attack.ask(person, f"confirm {code_on(page)}")
    await attack.note_bearer(person)
    client, bearer = attack.server.client, await attack.server.bearer(person)
    found: list[str] = []
    async with asyncio.timeout(20):
        while not found:
            told = (await client.get(f"/v1/messages/{status['message']}", headers=bearer)).json()
            found = [told["approval"]["code"]] if "approval" in told else []
            await asyncio.sleep(0.01)
    return found[0]


def _hash(bearer: dict[str, str]) -> str:
    return hashlib.sha256(bearer["Authorization"].removeprefix("Bearer ").encode()).hexdigest()
