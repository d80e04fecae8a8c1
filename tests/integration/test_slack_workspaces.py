"""Several Slack workspaces are served at once, each with its own token."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import sqlalchemy as sa

from app.database.tables import messages, slack_installations, slack_installs_begun
from app.errors import UndeliverableError
from app.principal import Principal
from app.reply import ReplyContent
from app.sandbox.slack.posts import Post
from tests.fakes.workspaces import Workspaces, install, workspaces

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def slacks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workspaces]:
    """Yield a server that two workspaces and an organisation have installed."""
    async with workspaces(Path(tmp_path_factory.mktemp("workspaces"))) as slacks:
        for place in ("T0ONE", "T0TWO", "E0GRID"):
            (await slacks.install(place)).raise_for_status()
        yield slacks


async def say(slacks: Workspaces, channel: str, text: str, **event: Any) -> None:
    """Write to the assistant as the same user id, from any workspace."""
    payload = slacks.server.slack.event(user="U0SAME", text=f"repeat {text}", channel=channel, **event)
    (await slacks.server.deliver(payload)).raise_for_status()


async def posts(slacks: Workspaces, channel: str, count: int = 1) -> list[Post]:
    """Return what was posted in a channel, once there are at least `count` posts."""
    return await slacks.server.posts(channel, count)


async def tenants(slacks: Workspaces, channel: str) -> list[str]:
    """Return the tenants of the people who wrote in a channel, in order."""
    query = sa.select(messages.c.tenant).where(messages.c.conversation.startswith(channel))
    async with slacks.server.container.database().reading() as connection:
        return list((await connection.execute(query.order_by(messages.c.created_at))).scalars())


async def installed(slacks: Workspaces) -> list[str]:
    """Return the workspaces in which the app is installed, by our own records."""
    return [each.workspace for each in await slacks.server.container.slack_installations().all()]


async def test_each_workspace_is_answered_with_its_own_token(slacks: Workspaces) -> None:
    """Two workspaces that write at once are each answered in their own channel with their own token."""
    rounds = range(5)
    places = {"T0ONE": "D0INONE", "T0TWO": "D0INTWO"}
    await asyncio.gather(
        *(
            say(slacks, channel, f"{place} {number}", team=place)
            for number in rounds
            for place, channel in places.items()
        )
    )

    for place, channel in places.items():
        answers = await posts(slacks, channel, len(rounds))
        assert {post.workspace for post in answers} == {place}
        assert sorted(post.text for post in answers) == [f"{place} {number}" for number in rounds]
        assert set(await tenants(slacks, channel)) == {place}


async def test_an_organisations_installation_answers_in_all_of_its_workspaces(slacks: Workspaces) -> None:
    """An organisation's one token answers in all its workspaces, and its people share one tenant."""
    for number, team in enumerate(("T0GRIDA", "T0GRIDB")):
        await say(slacks, f"D0GRID{number}", "hello", team=team, enterprise="E0GRID", whole_organisation=True)
        assert [post.workspace for post in await posts(slacks, f"D0GRID{number}")] == ["E0GRID"]
        assert await tenants(slacks, f"D0GRID{number}") == ["E0GRID"]


async def test_a_colleague_of_another_workspace_is_of_the_organisation(slacks: Workspaces) -> None:
    """In a channel shared within an organisation, a sender from another of its workspaces has the same tenant."""
    event = slacks.server.slack.event(
        user="U0SAME", text="repeat hello", channel="D0COLLEAGUE", team="T0GRIDA", enterprise="E0GRID",
        whole_organisation=True,
    )  # fmt: skip
    event["event"]["team"] = event["event"]["user_team"] = "T0GRIDB"
    await slacks.server.deliver(event)
    await posts(slacks, "D0COLLEAGUE")

    assert await tenants(slacks, "D0COLLEAGUE") == ["E0GRID"]


async def test_one_workspace_of_an_organisation_tells_its_addresses(slacks: Workspaces) -> None:
    """A person of an organisation without a token of its own is answered and looked up with a workspace's token."""
    await slacks.install("T0PART")
    await say(slacks, "D0PART", "hello", team="T0PART", enterprise="E0OTHER")
    slacks.server.slack.members["U0SAME"] = {"is_email_confirmed": True, "profile": {"email": "same@inc.example"}}
    directory = slacks.server.container.directories()["slack"]
    found = [await directory.find_email(Principal("slack", each, "U0SAME")) for each in ("E0OTHER", "E0NONE")]
    del slacks.server.slack.members["U0SAME"]
    answers = await posts(slacks, "D0PART")
    await slacks.server.container.slack_installations().uninstalled("T0PART", at=time.time() + 1)

    assert [post.workspace for post in answers] == ["T0PART"]
    assert await tenants(slacks, "D0PART") == ["E0OTHER"]
    assert found == ["same@inc.example", None]


async def test_a_stranger_in_a_shared_channel_is_of_their_own_company(slacks: Workspaces) -> None:
    """In Slack Connect the tenant is the sender's, and the reply uses the token of the receiving installation."""
    event = slacks.server.slack.event(
        user="U0SAME", text="repeat hello", channel="C0SHARED", team="T0ONE", kind="app_mention"
    )
    event |= {"team_id": "T0STRANGER", "is_ext_shared_channel": True}
    event["event"]["team"] = event["event"]["user_team"] = "T0STRANGER"
    await slacks.server.deliver(event)

    assert [post.workspace for post in await posts(slacks, "C0SHARED")] == ["T0ONE"]
    assert await tenants(slacks, "C0SHARED") == ["T0STRANGER"]


async def test_a_stranger_is_never_taken_for_a_colleague(slacks: Workspaces) -> None:
    """An external sender in an organisation's shared channel keeps their company's tenant."""
    event = slacks.server.slack.event(
        user="U0SAME", text="repeat hello", channel="C0EXTERNAL", team="T0GRIDA", enterprise="E0GRID",
        whole_organisation=True, kind="app_mention",
    )  # fmt: skip
    event["is_ext_shared_channel"] = True
    event["event"]["team"] = event["event"]["user_team"] = "T0STRANGER"
    await slacks.server.deliver(event)
    await posts(slacks, "C0EXTERNAL")

    assert await tenants(slacks, "C0EXTERNAL") == ["T0STRANGER"]


async def test_a_workspace_that_is_not_installed_is_ignored(
    slacks: Workspaces, caplog: pytest.LogCaptureFixture
) -> None:
    """A message from a workspace without the app is acknowledged, not stored, and logged without its text."""
    event = slacks.server.slack.event(user="U0SAME", text="repeat CANARY", channel="D0NOBODY", team="T0THREE")
    with caplog.at_level(logging.DEBUG):
        response = await slacks.server.deliver(event)

    assert (response.status_code, response.json()) == (200, {"ok": True})
    assert await tenants(slacks, "D0NOBODY") == []
    assert "from T0THREE is ignored: the app is not installed there" in caplog.text
    assert "CANARY" not in caplog.text


@pytest.mark.parametrize("way", ["uninstall", "revoke"])
async def test_an_installation_that_ended_is_erased(slacks: Workspaces, way: str) -> None:
    """When Slack reports that a token has ended, that installation is erased and no other."""
    await slacks.install("T0THREE")
    before = await installed(slacks)
    event = getattr(slacks.installs, way)("T0THREE")
    event["event_time"] += 1  # Slack's times have whole seconds
    (await slacks.server.deliver(event)).raise_for_status()

    assert "T0THREE" in before
    assert await installed(slacks) == ["E0GRID", "T0ONE", "T0TWO"]


async def test_the_end_of_a_former_installation_does_not_end_a_new_one(slacks: Workspaces) -> None:
    """A late event about an earlier installation, or about a person's token, does not end the installation."""
    await slacks.install("T0THREE")
    late = slacks.installs.uninstall("T0THREE")
    late["event_time"] -= 5
    await slacks.install("T0THREE")
    await slacks.server.deliver(late)
    of_people = slacks.server.slack.notice({"type": "tokens_revoked", "tokens": {"oauth": ["U1"]}}, "T0THREE")
    of_people["event_time"] += 60
    await slacks.server.deliver(of_people)

    assert "T0THREE" in await installed(slacks)
    await say(slacks, "D0AGAIN", "hello", team="T0THREE")
    assert [post.workspace for post in await posts(slacks, "D0AGAIN")] == ["T0THREE"]


async def test_a_token_in_another_workspaces_row_is_not_used(slacks: Workspaces) -> None:
    """A token that was swapped into another workspace's row cannot be decrypted, so the event fails with a 500."""
    database = slacks.server.container.database()
    query = sa.select(slack_installations.c.workspace, slack_installations.c.sealed_bot_token)
    async with database.writing() as connection:
        tokens = {row.workspace: row.sealed_bot_token for row in await connection.execute(query)}
        for mine, other in (("T0ONE", "T0TWO"), ("T0TWO", "T0ONE")):
            row = slack_installations.c.workspace == mine
            await connection.execute(slack_installations.update().where(row).values(sealed_bot_token=tokens[other]))
    event = slacks.server.slack.event(user="U0SAME", text="repeat hello", channel="D0SWAPPED", team="T0ONE")
    response = await slacks.server.deliver(event)
    async with database.writing() as connection:
        for mine, token in tokens.items():
            row = slack_installations.c.workspace == mine
            await connection.execute(slack_installations.update().where(row).values(sealed_bot_token=token))

    assert response.status_code == 500
    assert "xoxb" not in response.text
    assert await tenants(slacks, "D0SWAPPED") == []


async def test_the_page_begins_nothing_and_the_button_does(slacks: Workspaces) -> None:
    """Fetching the install page stores nothing and sets no cookie; pressing its button redirects to Slack."""
    database, client = slacks.server.container.database(), slacks.server.client
    count = sa.select(sa.func.count()).select_from(slack_installs_begun)
    async with database.reading() as connection:
        before = (await connection.execute(count)).scalar_one()
    shown = [await client.get("/slack/install"), await client.head("/slack/install")]
    foreign = await client.post("/slack/install", headers={"Sec-Fetch-Site": "cross-site"})
    async with database.reading() as connection:
        after = (await connection.execute(count)).scalar_one()
    begun = await client.post("/slack/install")

    assert [page.status_code for page in shown] == [200, 200]
    assert foreign.status_code == 403
    assert before == after
    assert not any("set-cookie" in page.headers for page in (*shown, foreign))
    assert shown[0].headers["x-frame-options"] == "DENY"
    assert begun.status_code == 303
    assert begun.headers["cache-control"] == "no-store"
    cookie = begun.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


async def test_another_browser_cannot_finish_an_installation(slacks: Workspaces) -> None:
    """An install callback works once, and only in the browser that began the installation."""
    async with httpx2.AsyncClient(timeout=30) as admin, httpx2.AsyncClient(timeout=30) as victim:
        asked = await admin.post(f"{slacks.server.base_url}/slack/install", follow_redirects=True)
        allowed = await admin.post(str(asked.url), data={"place": "T0ONE", "decision": "allow"})
        callback = allowed.headers["location"]
        elsewhere = await victim.get(callback)
        victim.cookies.update(admin.cookies)
        first = await admin.get(callback)
        again = await victim.get(callback)

    assert elsewhere.status_code == 400
    assert "This browser did not begin" in elsewhere.text
    assert (first.status_code, "One Inc" in first.text) == (200, True)
    assert again.status_code == 400
    assert "unknown, was used, or has expired" in again.text


async def test_who_says_no_installs_nothing(slacks: Workspaces) -> None:
    """Cancelling at Slack installs nothing, and a page says so."""
    before = await installed(slacks)
    page = await install(slacks.server.base_url, "T0TWO", allow=False)

    assert page.status_code == 200
    assert "Nothing was installed" in page.text
    assert await installed(slacks) == before


async def test_a_forged_callback_installs_nothing(slacks: Workspaces) -> None:
    """A forged or empty state, or a code unknown to Slack, gets an error page."""
    client = slacks.server.client
    forged = [
        await client.get("/slack/oauth/callback", params=query)
        for query in ({}, {"state": "", "code": "x"}, {"state": "forged", "code": "x"})
    ]
    begun = await client.post("/slack/install")
    state = httpx2.URL(begun.headers["location"]).params["state"]
    unknown_code = await client.get("/slack/oauth/callback", params={"state": state, "code": "forged"})

    assert [page.status_code for page in forged] == [400] * 3
    assert unknown_code.status_code == 400
    assert "Slack refused the installation: invalid_code" in unknown_code.text


async def test_an_answer_after_the_end_is_sent_with_no_other_token(slacks: Workspaces) -> None:
    """A reply is not sent with another token if its workspace has uninstalled the app in the meantime."""
    channel = slacks.server.container.channels()["slack"].sends
    await slacks.install("T0THREE")
    await say(slacks, "D0LEAVING", "hello", team="T0THREE")
    await posts(slacks, "D0LEAVING")
    slacks.installs.uninstall("T0THREE")
    await slacks.server.container.slack_installations().uninstalled("T0THREE", at=time.time() + 1)
    inbox = slacks.server.container.inbox()
    query = sa.select(messages.c.id, messages.c.tenant, messages.c.user_id)
    async with slacks.server.container.database().reading() as connection:
        row = (await connection.execute(query.where(messages.c.conversation.startswith("D0LEAVING")))).one()
    message = await inbox.get(Principal("slack", row.tenant, row.user_id), row.id)

    with pytest.raises(UndeliverableError, match="was removed"):
        await channel.send(message, ReplyContent("late"), private=True, reply_id="a" * 32, again=False)
    assert [post.text for post in await posts(slacks, "D0LEAVING")] == ["hello"]
