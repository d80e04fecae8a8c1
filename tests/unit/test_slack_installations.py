"""Slack installations at rest, and how a browser installs the app."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import sqlalchemy as sa

from app.allow_list import AllowList
from app.database.database import Database
from app.database.tables import slack_installations as table
from app.errors import CallbackRefusedError, SealError
from app.keys.ring import KeyRing
from app.sandbox.server import serve_loopback
from app.sandbox.slack.install import SlackInstalls
from interfaces.slack.installations import Installation, Installations
from interfaces.slack.installing import Begun, Installing, _read
from tests.fakes.credentials import stored_bytes
from tests.fakes.leaks import everything_in, log_statements
from tests.fakes.sandbox import Clock
from tests.fakes.workspaces import CLIENT_ID, CLIENT_SECRET, sandbox

REDIRECT = "http://127.0.0.1:9/slack/oauth/callback"


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


@pytest.fixture
def installations(database: Database, key_ring: KeyRing, clock: Clock) -> Installations:
    """Return installations on that clock."""
    return Installations(database, key_ring, now=clock)


async def save(installations: Installations, workspace: str, token: str, organisation: str | None = None) -> None:
    """Install the app in a workspace."""
    await installations.save(Installation(workspace, organisation, "Inc", "U0BOT", "chat:write", "U0ADMIN", 0.0), token)


async def test_each_workspace_has_its_own_token_sealed(
    installations: Installations, database: Database, tmp_path: Path
) -> None:
    """A token is found only by its own workspace, is replaced by a new installation, and is stored sealed."""
    for workspace, token in (("T1", "xoxb-first"), ("T2", "xoxb-second"), ("T1", "xoxb-third")):
        await save(installations, workspace, token)

    assert [await installations.bot_token(each) for each in ("T1", "T2")] == ["xoxb-third", "xoxb-second"]
    assert [await installations.bot_token(each) for each in ("T3", "t1", "", "T%", None)] == [None] * 5
    assert [each.workspace for each in await installations.all()] == ["T1", "T2"]
    assert b"xoxb" not in await stored_bytes(database, tmp_path)


async def test_a_token_is_bound_to_its_row_and_its_workspace(installations: Installations, database: Database) -> None:
    """A token does not open after its row was given another workspace or another row's token."""
    await save(installations, "T1", "xoxb-first")
    await save(installations, "T2", "xoxb-second")
    async with database.writing() as connection:
        sealed = sa.select(table.c.sealed_bot_token).where(table.c.workspace == "T1")
        stolen = (await connection.execute(sealed)).scalar_one()
        await connection.execute(table.update().where(table.c.workspace == "T2").values(sealed_bot_token=stolen))
        await connection.execute(table.update().where(table.c.workspace == "T1").values(workspace="T3"))

    for workspace in ("T2", "T3"):
        with pytest.raises(SealError):
            await installations.bot_token(workspace)


async def test_an_organisation_is_asked_by_its_workspaces_tokens(installations: Installations, clock: Clock) -> None:
    """An organisation without its own token has those of its own workspaces, the oldest first."""
    for workspace, organisation in (("T2", "E1"), ("T1", "E1"), ("T3", "E2"), ("T4", None)):
        await save(installations, workspace, f"xoxb-{workspace}", organisation)
        clock.now += 1
    of_workspaces = [await installations.tokens_of(tenant) for tenant in ("E1", "E2", "E3", "T1", "T4", "")]
    to_answer_with = await installations.bot_token("E1")
    await save(installations, "E1", "xoxb-E1", "E1")

    assert of_workspaces == [["xoxb-T2", "xoxb-T1"], ["xoxb-T3"], [], ("xoxb-T1",), ("xoxb-T4",), []]
    assert to_answer_with is None
    assert await installations.tokens_of("E1") == ("xoxb-E1",)


async def test_an_end_is_that_of_the_installation_before_it(installations: Installations, clock: Clock) -> None:
    """A late event from Slack ends no newer installation, and none of another workspace."""
    await save(installations, "T1", "xoxb-first")
    await save(installations, "T2", "xoxb-second")
    await installations.uninstalled("T1", at=clock.now - 1)
    kept = await installations.bot_token("T1")
    await installations.uninstalled("T1", at=clock.now + 1)

    assert kept == "xoxb-first"
    assert await installations.bot_token("T1") is None
    assert await installations.bot_token("T2") == "xoxb-second"


@pytest.fixture
async def slack() -> AsyncIterator[tuple[SlackInstalls, str]]:
    """Yield a Slack and its address."""
    _, installs = sandbox(REDIRECT)
    async with serve_loopback(installs.app) as url:
        yield installs, url


@pytest.fixture
def installing(
    database: Database, installations: Installations, slack: tuple[SlackInstalls, str], clock: Clock
) -> Installing:
    """Return an installer that sends browsers to that Slack."""
    return Installing(
        database,
        installations,
        AllowList(()),
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        api_base_url=f"{slack[1]}/api/",
        authorize_url=f"{slack[1]}/oauth/v2/authorize",
        redirect_uri=REDIRECT,
        by_address=False,
        now=clock,
    )


async def allow(begun: Begun, place: str) -> str:
    """Allow the installation at Slack's page and return the code that Slack sends back."""
    async with httpx2.AsyncClient() as browser:
        answer = await browser.post(begun.url, data={"place": place, "decision": "allow"})
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["state"] == [begun.state]
    return query["code"][0]


@pytest.mark.parametrize("by_address", [False, True])
async def test_addresses_are_asked_for_where_people_go_by_them(
    database: Database, installations: Installations, by_address: bool
) -> None:
    """The app asks for people's addresses only if the settings use them."""
    installing = Installing(
        database, installations, AllowList(()), client_id=CLIENT_ID, client_secret=CLIENT_SECRET, api_base_url="http://127.0.0.1:9/api/",
        authorize_url="http://127.0.0.1:9/oauth/v2/authorize", redirect_uri=REDIRECT, by_address=by_address,
    )  # fmt: skip
    asked = parse_qs(urlsplit((await installing.begin()).url).query)["scope"][0].split(",")

    assert ("users:read.email" in asked) == by_address
    assert "im:history" in asked


async def test_two_browsers_install_two_workspaces(installing: Installing, installations: Installations) -> None:
    """Two browsers that install at the same time each reach their own workspace with their own state and cookie."""
    begun = [await installing.begin() for _ in range(2)]
    codes = [await allow(one, place) for one, place in zip(begun, ("T0ONE", "E0GRID"), strict=True)]
    with pytest.raises(CallbackRefusedError, match="this browser did not begin"):
        await installing.finish(state=begun[0].state, cookie=begun[1].cookie, code=codes[0])
    installed = [
        await installing.finish(state=one.state, cookie=one.cookie, code=code)
        for one, code in zip(begun, codes, strict=True)
    ]

    assert [(each.workspace, each.name, each.installed_by) for each in installed] == [
        ("T0ONE", "One Inc", "U0ADMIN"),
        ("E0GRID", "Grid Group", "U0ADMIN"),
    ]
    assert str(await installations.bot_token("E0GRID")).startswith("xoxb-E0GRID-")


async def test_of_several_callbacks_one_installs(installing: Installing) -> None:
    """A state can be used once, even if several callbacks arrive together."""
    begun = await installing.begin()
    code = await allow(begun, "T0ONE")
    outcomes = await asyncio.gather(
        *(installing.finish(state=begun.state, cookie=begun.cookie, code=code) for _ in range(6)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, Installation) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, CallbackRefusedError) for outcome in outcomes) == 5


async def test_a_state_is_good_for_ten_minutes(
    installing: Installing, installations: Installations, clock: Clock
) -> None:
    """After ten minutes a callback installs nothing, even with a good code."""
    begun = await installing.begin()
    code = await allow(begun, "T0ONE")
    clock.now += 601

    with pytest.raises(CallbackRefusedError, match="unknown, was used, or has expired"):
        await installing.finish(state=begun.state, cookie=begun.cookie, code=code)
    assert await installations.all() == []


async def test_states_and_cookies_are_stored_as_hashes(
    installing: Installing, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """States and cookies appear in neither the database, a repr, a log nor an error of the callback."""
    caplog.set_level(logging.DEBUG)
    log_statements(database)
    begun, other = await installing.begin(), await installing.begin()
    shown, stored = repr((begun, other)), await stored_bytes(database, tmp_path)
    for reason, cookie in (
        ("this browser did not begin", other.cookie),
        ("invalid_code", begun.cookie),
        ("is unknown, was used", begun.cookie),
    ):
        with pytest.raises(CallbackRefusedError, match=reason) as caught:
            await installing.finish(state=begun.state, cookie=cookie, code="no-code")
        shown += everything_in(caught.value)
    stored += await stored_bytes(database, tmp_path)

    assert "slack_installs_begun" in caplog.text  # every statement, with its parameters, was logged
    for secret in (begun.state, begun.cookie, other.state, other.cookie):
        assert secret.encode() not in stored
        assert secret not in shown + caplog.text


async def test_a_wrong_client_secret_is_told(
    database: Database, installations: Installations, slack: tuple[SlackInstalls, str]
) -> None:
    """The error quotes Slack's reason, and neither the code nor the secret."""
    wrong = Installing(
        database, installations, AllowList(()), client_id=CLIENT_ID, client_secret="wrong-secret",
        api_base_url=f"{slack[1]}/api/", authorize_url=f"{slack[1]}/oauth/v2/authorize", redirect_uri=REDIRECT,
        by_address=True,
    )  # fmt: skip
    begun = await wrong.begin()
    code = await allow(begun, "T0ONE")

    with pytest.raises(CallbackRefusedError, match="Slack refused the installation: bad_client_secret") as caught:
        await wrong.finish(state=begun.state, cookie=begun.cookie, code=code)
    assert code not in str(caught.value)
    assert "wrong-secret" not in str(caught.value)


GRANTED: dict[str, Any] = {
    "ok": True, "access_token": "xoxb-1", "token_type": "bot", "scope": "b,a", "bot_user_id": "U0BOT",
    "team": {"id": "T1", "name": "Inc"}, "enterprise": {"id": "E1", "name": "Group"}, "is_enterprise_install": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"token_type": "user"}, "gave the assistant no bot token"),
        ({"access_token": ""}, "gave the assistant no bot token"),
        ({"team": None}, "gave the assistant no bot token"),
        ({"is_enterprise_install": True, "enterprise": None}, "gave the assistant no bot token"),
        ({"refresh_token": "xoxe-1"}, "switch token rotation off"),
    ],
)
def test_an_answer_that_is_no_installation_is_refused(changes: dict[str, Any], fault: str) -> None:
    """Only a lasting bot token for a named workspace or organisation is kept."""
    with pytest.raises(CallbackRefusedError, match=fault):
        _read(GRANTED | changes, 0.0)


def test_a_workspace_of_an_organisation_is_installed_by_itself() -> None:
    """The installation is an organisation's only if the app was installed in all of it."""
    assert _read(GRANTED, 0.0)[0].workspace == "T1"
    assert _read(GRANTED, 0.0)[0].organisation == "E1"
    assert _read(GRANTED | {"enterprise": None}, 0.0)[0].organisation is None
    assert _read(GRANTED | {"is_enterprise_install": True}, 0.0)[0].workspace == "E1"
    assert _read(GRANTED, 0.0)[0].bot_scopes == "a b"
