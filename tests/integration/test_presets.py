"""Each preset against a sandbox that works as its vendor documents, each with two people."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from app.database.tables import grants
from app.oauth.client import OAuthProvider
from app.oauth.description import ProviderDescription
from app.oauth.presets import PRESETS
from app.oauth.provider import Providers
from app.principal import Principal
from app.sandbox.oauth.differences import (
    GITHUB,
    GITHUB_APP,
    LINEAR,
    MICROSOFT,
    NOTION,
    SLACK,
    SLACK_UNROTATED,
    Differences,
    Paths,
)
from tests.fakes.hub import HubApp, open_hub, path_of

VENDORS = {
    "github": ("github", GITHUB, "100{number}", "GitHub"),
    "github-app": ("github", GITHUB_APP, "100{number}", "GitHub"),
    "slack": ("slack_user", SLACK, "T0HUB:U{name}", "Slack"),
    "slack-unrotated": ("slack_user", SLACK_UNROTATED, "T0HUB:U{name}", "Slack"),
    "microsoft": ("microsoft", MICROSOFT, f"{MICROSOFT.tenant}:0000-{{name}}", "Microsoft"),
    "notion": ("notion", NOTION, "workspace-1:id-{name}", "Notion"),
    "linear": ("linear", LINEAR, "id-{name}", "Linear"),
}


async def expire(hub: HubApp, *principals: Principal) -> None:
    """Let the access tokens of these people expire."""
    for principal in principals:
        found = await hub.container.grants().find(principal, provider="github")
        assert found is not None
        for grant in hub.sandbox.state.grants:
            if found.access_token in grant.access:
                grant.access[found.access_token] = 0.0


async def subjects(hub: HubApp) -> dict[str, str]:
    """Return each person's id at the provider, as it is stored."""
    async with hub.container.database().reading() as connection:
        rows = (await connection.execute(sa.select(grants.c.user_id, grants.c.subject))).all()
    return {row.user_id: row.subject for row in rows}


def living(hub: HubApp) -> set[str]:
    """Return whose grants the provider honours."""
    return {grant.account for grant in hub.sandbox.state.grants if not grant.ended}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_scope_that_is_shown_has_words(preset: str) -> None:
    """Every scope of a preset, and every scope that it implies, has an English description."""
    described = PRESETS[preset]
    known = {*described.permits, *(each for below in described.permits.values() for each in below)}

    assert known - described.words.keys() == set()
    assert Providers({preset: _provider(described)}).in_words(frozenset(known), preset).count(":") == 0


def _provider(described: ProviderDescription) -> OAuthProvider:
    return OAuthProvider(
        "any",
        described,
        client_id="id",
        client_secret="",
        redirect_uri="https://deputy.example/cb",
        token_endpoint=cast("Any", None),
        http=cast("Any", None),
    )


@pytest.mark.parametrize(("preset", "differences", "subject", "title"), VENDORS.values(), ids=VENDORS)
async def test_the_whole_life_at_a_vendor(
    preset: str, differences: Differences, subject: str, title: str, tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """Two people connect and are answered, also after tokens expire, and one disconnects with an expired token."""
    async with open_hub(tmp_path, differences, preset=preset) as hub:
        waiting = await asyncio.gather(hub.read(ada), hub.read(grace))
        for told, who in zip(waiting, (ada, grace), strict=True):
            await hub.connect(who, path_of(told["consent_url"]))
            answered = await hub.app.told(who, told["message"])
            assert f"{who.user}/notes" in answered["answer"]
        names = {who.user: subject.format(name=who.user, number=number) for number, who in enumerate((ada, grace))}
        assert await subjects(hub) == names

        if differences.refreshes:
            await expire(hub, ada, grace)
            read = await asyncio.gather(hub.read(ada), hub.read(grace))
            answers = [told.get("answer", "") for told in read]
            assert all(f"{who}/notes" in answer for who, answer in zip(names, answers, strict=True)), answers
            await expire(hub, ada)
        gone = (await hub.say(ada, "disconnect github"))["answer"]
        if differences.revocation == "none":
            assert f"{title} lets nobody but you end it there" in gone
        else:
            assert f"I ended the access at {title} and erased it here." in gone
            assert living(hub) == {"grace"}
        assert "grace/notes" in (await hub.read(grace))["answer"]


async def test_a_directory_of_its_own_takes_no_other_one(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """With `tenant`, an id_token from another directory connects nobody."""
    other = "11111111-2222-3333-4444-555555555555"
    root = f"/{other}/oauth2/v2.0"
    paths = Paths(f"{root}/authorize", f"{root}/token", certs=f"/{other}/discovery/v2.0/keys")
    async with open_hub(tmp_path, replace(MICROSOFT, paths=paths), preset="microsoft", tenant=other) as hub:
        for who in (ada, grace):
            async with hub.browser() as browser:
                page = await hub.authorize(browser, await hub.link(who))
                shown = await hub.finish(browser, await hub.allow(page, who.user))

            assert "is not signed by Microsoft for this client" in shown.text
        assert await subjects(hub) == {}


async def test_a_whole_workspace_is_nobodys_account(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """A token of Notion's that belongs to a whole workspace names no person, so it connects nobody."""
    shared = replace(NOTION, parameters={"owner": "workspace"})
    async with open_hub(tmp_path, shared, preset="notion") as hub:
        for who in (ada, grace):
            async with hub.browser() as browser:
                page = await hub.authorize(browser, await hub.link(who))
                shown = await hub.finish(browser, await hub.allow(page, who.user))

            assert "Notion did not say whose account this is, so nothing was connected" in shown.text
        assert await subjects(hub) == {}
