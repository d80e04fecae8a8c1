"""One person with several principals: a member of a Slack organisation is offboarded and restored as all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from typer.testing import CliRunner, Result

from app.cli import cli
from app.principal import Principal
from tests.fakes.workspaces import CLIENT_ID, CLIENT_SECRET, SIGNING_SECRET, Workspaces, workspaces

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEAMS = ["T0HERS", "T0PART"]


def spelled(user: str) -> list[Principal]:
    """Return all principals of a person of the organisation."""
    return [Principal("slack", tenant, user) for tenant in ("E0GRID", *TEAMS)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def slacks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workspaces]:
    """Yield an organisation of two people that has installed the app, and a separate workspace."""
    async with workspaces(Path(tmp_path_factory.mktemp("identities"))) as slacks:
        for place in ("T0ONE", "E0GRID"):
            (await slacks.install(place)).raise_for_status()
        for user in ("U0ADA", "U0GRACE"):
            in_organisation = {"enterprise_id": "E0GRID", "teams": TEAMS}
            slacks.server.slack.members[user] = {"team_id": "T0HERS", "enterprise_user": in_organisation}
        yield slacks


@pytest.fixture
def config(slacks: Workspaces, tmp_path: Path) -> Path:
    """Return the configuration of that server."""
    settings, path = slacks.server.settings, tmp_path / "config.yaml"
    assert settings.interfaces.slack is not None
    slack = {
        "signing_secret": SIGNING_SECRET,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "api_base_url": settings.interfaces.slack.api_base_url,
    }
    sections = {
        "agents": {"assistant": {"toolkits": ["gmail"]}},
        "default_agent": "assistant",
        "interfaces": {"slack": slack},
        "database": {"url": settings.database.url.get_secret_value()},
        "key_ring": {"file": str(settings.key_ring.file)},
        "google": {"mode": "sandbox", "sandbox": {"port": 1}},
    }
    path.write_text(yaml.safe_dump(sections))
    return path


async def users(command: str, whom: Principal, config: Path) -> Result:
    """Run `deputy users …` beside the server."""
    arguments = ["users", command, "--principal", str(whom), "-c", str(config)]
    return await asyncio.to_thread(CliRunner().invoke, cli, arguments)


@pytest.mark.parametrize("named", [0, 1])
async def test_a_leaver_is_offboarded_and_restored_in_every_spelling(
    slacks: Workspaces, config: Path, named: int
) -> None:
    """Naming any principal of a person offboards and restores all of them, and not her colleague's."""
    ada, everybody = spelled("U0ADA"), {*spelled("U0ADA"), *spelled("U0GRACE")}
    gone = await users("offboard", ada[named], config)
    left = await slacks.server.container.users().offboarded_among(everybody)
    back = await users("restore", ada[named], config)

    assert (gone.exit_code, back.exit_code) == (0, 0), gone.output + back.output
    assert left == {*ada}
    assert all(f"{each} is offboarded" in gone.stdout for each in ada)
    assert all(f"{each} is restored" in back.stdout for each in ada)
    assert await slacks.server.container.users().offboarded_among(everybody) == frozenset()


async def test_one_installation_that_is_over_keeps_nobody_unknown(slacks: Workspaces, config: Path) -> None:
    """If one installation's token has ended, the other installations are asked about the person."""
    ada, grace = spelled("U0ADA"), spelled("U0GRACE")
    token = slacks.installs.tokens["T0ONE"]
    slacks.server.slack.forget(token)
    gone = await users("offboard", ada[1], config)
    left = await slacks.server.container.users().offboarded_among({*ada, *grace})
    back = await users("restore", ada[1], config)
    slacks.server.slack.admit("T0ONE", token)

    assert (gone.exit_code, back.exit_code) == (0, 0), gone.output + back.output
    assert left == {*ada}


async def test_a_slack_that_does_not_answer_fails_the_command(slacks: Workspaces, config: Path) -> None:
    """If Slack does not answer, only the named principal is offboarded, and the command says to run it again."""
    ada = Principal("slack", "E0GRID", "U0ADA")
    stranger = await users("offboard", Principal("slack", "T0ONE", "U0ADA"), config)
    token = slacks.installs.tokens["E0GRID"]
    slacks.server.slack.forget(token)
    gone = await users("offboard", ada, config)
    slacks.server.slack.admit("E0GRID", token, organisation="E0GRID")
    left = await slacks.server.container.users().offboarded_among(spelled("U0ADA"))

    assert (stranger.exit_code, gone.exit_code) == (0, 1)
    assert "Slack does not say who U0ADA is (invalid_auth)" in gone.stderr
    assert "run this again" in gone.stderr
    assert left == {ada}
