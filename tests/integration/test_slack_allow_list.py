"""Which workspaces are served: others can install nothing, write nothing, and confirm nobody's address."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from app.allow_list import AllowList
from app.database.tables import messages, users
from app.principal import Principal
from interfaces.slack.directory import SlackDirectory
from interfaces.slack.installations import Installation
from tests.fakes.workspaces import Workspaces, workspaces

ADDRESS = "ada@inc.example"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def slacks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workspaces]:
    """Yield a server for one workspace and one organisation; the app is installed in T0ONE and T0PART."""
    folder = Path(tmp_path_factory.mktemp("allowed"))
    async with workspaces(folder, allowed=("T0ONE", "E0OTHER")) as slacks:
        for place in ("T0ONE", "T0PART"):
            (await slacks.install(place)).raise_for_status()
        yield slacks


async def stored(slacks: Workspaces, channel: str) -> list[str]:
    """Return the tenants of the people whose messages in a channel were stored."""
    query = sa.select(messages.c.tenant).where(messages.c.conversation.startswith(channel))
    async with slacks.server.container.database().reading() as connection:
        return list((await connection.execute(query)).scalars())


def written(slacks: Workspaces, channel: str, **event: Any) -> dict[str, Any]:
    """Return an event in which somebody writes to the assistant."""
    return slacks.server.slack.event(user="U0SAME", text="repeat CANARY", channel=channel, **event)


async def test_another_workspace_installs_nothing(slacks: Workspaces) -> None:
    """An installation from an unlisted place is refused with whom to ask, and its token is revoked and not kept."""
    page = await slacks.install("T0TWO")
    whole = await slacks.install("E0GRID")

    assert (page.status_code, whole.status_code) == (400, 400)
    assert "Two Ltd (T0TWO) is not one of the workspaces that this server is for" in page.text
    assert "interfaces.slack.workspaces" in page.text
    kept = await slacks.server.container.slack_installations().all()
    assert [each.workspace for each in kept] == ["T0ONE", "T0PART"]
    assert sorted(slacks.installs.tokens) == ["T0ONE", "T0PART"]


async def test_a_token_that_slack_does_not_end_is_told_in_the_log(
    slacks: Workspaces, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If Slack does not revoke a refused installation's token, the log names the workspace and not the token."""
    monkeypatch.delitem(slacks.server.slack._methods, "auth.revoke")
    page = await slacks.install("T0TWO")
    left = slacks.installs.tokens["T0TWO"]
    slacks.installs.revoke("T0TWO")

    assert page.status_code == 400
    assert "the bot token of T0TWO could not be revoked (SlackApiError)" in caplog.text
    assert left not in caplog.text
    assert await slacks.server.container.slack_installations().bot_token("T0TWO") is None


async def test_events_of_another_workspace_are_refused(slacks: Workspaces, caplog: pytest.LogCaptureFixture) -> None:
    """Events of unlisted places are not stored, even with a token kept from before, nor is their text logged."""
    await keep(slacks, "T0TWO")
    with caplog.at_level(logging.DEBUG):
        answers = [
            await slacks.server.deliver(written(slacks, "D0ONE", team="T0ONE")),
            await slacks.server.deliver(written(slacks, "D0TWO", team="T0TWO")),
            await slacks.server.deliver(
                written(slacks, "D0GRID", team="T0GRIDA", enterprise="E0GRID", whole_organisation=True)
            ),
            await slacks.server.deliver(written(slacks, "D0PART", team="T0PART", enterprise="E0OTHER")),
        ]
        await slacks.server.posts("D0ONE", 1)
        await slacks.server.posts("D0PART", 1)

    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"ok": True})] * 4
    assert (await stored(slacks, "D0ONE"), await stored(slacks, "D0PART")) == (["T0ONE"], ["E0OTHER"])
    assert (await stored(slacks, "D0TWO"), await stored(slacks, "D0GRID")) == ([], [])
    for place in ("T0TWO", "E0GRID"):
        assert f"an event of {place} is refused: it is not in interfaces.slack.workspaces" in caplog.text
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("app.", "interfaces."))]
    assert [text for text in ours if "CANARY" in text] == []


async def test_a_stranger_in_an_allowed_workspaces_channel_is_refused(
    slacks: Workspaces, caplog: pytest.LogCaptureFixture
) -> None:
    """In a Slack Connect channel the sender's own company must be listed; a listed colleague is answered."""
    for team, shared in (("T0STRANGER", True), ("T0ONE", False)):
        event = written(slacks, "C0SHARED", team="T0ONE", kind="app_mention")
        event["is_ext_shared_channel"] = shared
        event["event"]["team"] = event["event"]["user_team"] = team
        await slacks.server.deliver(event)
    await slacks.server.posts("C0SHARED", 1)

    assert await stored(slacks, "C0SHARED") == ["T0ONE"]
    assert "an event of T0STRANGER is refused" in caplog.text


async def test_another_workspace_offboards_nobody_but_its_installation_ends(slacks: Workspaces) -> None:
    """An unlisted workspace cannot offboard anybody, but the end of its installation still erases its token."""
    await keep(slacks, "T0TWO")
    leaver = {"type": "user_change", "user": {"id": "U0LEAVER", "team_id": "T0TWO", "deleted": True}}
    await slacks.server.deliver(slacks.server.slack.notice(leaver, "T0TWO"))
    over = slacks.server.slack.notice({"type": "app_uninstalled"}, "T0TWO")
    over["event_time"] += 5
    await slacks.server.deliver(over)

    assert await slacks.server.container.slack_installations().bot_token("T0TWO") is None
    async with slacks.server.container.database().reading() as connection:
        assert "U0LEAVER" not in (await connection.execute(sa.select(users.c.user_id))).scalars().all()


async def test_another_workspace_vouches_for_no_address(slacks: Workspaces) -> None:
    """An unlisted workspace's confirmed addresses do not count, even with a token kept from before."""
    await keep(slacks, "T0TWO")
    slacks.server.slack.members["U0SAME"] = {"is_email_confirmed": True, "profile": {"email": ADDRESS}}
    directory = slacks.server.container.directories()["slack"]
    found = [await directory.find_email(Principal("slack", each, "U0SAME")) for each in ("T0ONE", "T0TWO", "E0OTHER")]

    assert found == [ADDRESS, None, ADDRESS]


@pytest.mark.parametrize(("workspace", "teams", "email"), [
    ("T0PART", ["T0PART", "T0NEXT"], ADDRESS), ("T0NEXT", ["T0NEXT"], None), ("T0NEXT", ["T0PART"], ADDRESS),
])  # fmt: skip
async def test_a_workspace_that_is_allowed_alone_does_not_vouch_for_the_next_one(
    slacks: Workspaces, workspace: str, teams: list[str], email: str | None
) -> None:
    """If only one workspace of an organisation is listed, only addresses of its own members count."""
    member = {"team_id": workspace, "enterprise_user": {"enterprise_id": "E0OTHER", "teams": teams}}
    slacks.server.slack.members["U0NEXT"] = {
        "is_email_confirmed": True,
        "profile": {"email": ADDRESS},
        **member,
    }
    tokens = slacks.server.container.slack_installations()
    settings = slacks.server.settings.interfaces.slack
    assert settings is not None
    directory = SlackDirectory(tokens, AllowList(["T0PART"]), settings.api_base_url)

    assert await directory.find_email(Principal("slack", "E0OTHER", "U0NEXT")) == email


async def keep(slacks: Workspaces, workspace: str) -> None:
    """Keep a token as if it had been stored before the list was set."""
    slacks.server.slack.admit(workspace, f"xoxb-{workspace}")
    installation = Installation(workspace, None, "Two Ltd", "U0BOT", "chat:write", "U0ADMIN", 0.0)
    await slacks.server.container.slack_installations().save(installation, f"xoxb-{workspace}")
