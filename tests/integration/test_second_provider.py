"""The whole life of a second provider, and every difference between providers, each with two people."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.audit.audit import AuditSearch
from app.database.tables import grants
from app.grants.refresh_leases import RefreshLeases
from app.keys.rotation import Rotation
from app.principal import Principal
from app.sandbox.oauth.differences import GITHUB, Differences
from containers.application import Application, Once
from tests.fakes.credentials import TokenEndpoint, connect, google_tokens
from tests.fakes.databases import Databases
from tests.fakes.hub import HubApp, code_in, open_hub, path_of

# As an OAuth 2.1 server: tokens expire, refresh tokens rotate, RFC 7009, an id_token and `iss`.
MODERN = Differences(
    refreshes=True,
    rotates=True,
    scopes="spaces",
    revocation="rfc7009",
    names="id_token",
    issuer=True,
    client_authentication="basic",
    errors_with_200=False,
)


async def expire(hub: HubApp, *principals: Principal) -> None:
    """Let the access tokens of these people expire."""
    for principal in principals:
        found = await hub.container.grants().find(principal, provider="github")
        assert found is not None
        for grant in hub.sandbox.state.grants:
            if found.access_token in grant.access:
                grant.access[found.access_token] = 0.0


@pytest.mark.parametrize("differences", [GITHUB, MODERN], ids=["github", "modern"])
async def test_the_whole_life(
    differences: Differences, databases: Databases, tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """Two people connect, are answered as themselves, refresh, rotate keys, disconnect and are offboarded."""
    url = await databases.migrated("hub")
    async with open_hub(tmp_path, differences, database=url) as hub:
        waiting = await asyncio.gather(hub.read(ada), hub.read(grace))
        assert all(told["state"] == "parked" for told in waiting), waiting
        links = [path_of(told["consent_url"]) for told in waiting]
        connected = await asyncio.gather(hub.connect(ada, links[0]), hub.connect(grace, links[1]))
        for told, who in zip(connected, (ada, grace), strict=True):
            assert who.user in told["answer"]
        for told, who in zip(waiting, (ada, grace), strict=True):
            ended = await hub.app.told(who, told["message"])
            assert f"{who.user}/notes" in ended["answer"]

        async for _ in Rotation(hub.container.database(), hub.container.key_ring()).run():
            pass
        if differences.refreshes:
            await expire(hub, ada, grace)
        read = await asyncio.gather(*(hub.read(who) for who in (ada, grace) for _ in range(3)))
        for told, who in zip(read, [ada] * 3 + [grace] * 3, strict=True):
            assert f"{who.user}/notes" in told["answer"]
        assert {account for account, _, _ in hub.sandbox.calls} <= {"ada", "grace", "nobody"}

        assert "Hub" in (await hub.say(ada, "connections"))["answer"]
        gone = (await hub.say(ada, "disconnect github"))["answer"]
        assert "I ended the access at Hub and erased it here." in gone
        assert (await hub.read(ada))["state"] == "parked"
        assert f"{grace.user}/notes" in (await hub.read(grace))["answer"]
        await hub.container.offboarding().offboard(grace)
        assert all(grant.ended for grant in hub.sandbox.state.grants)

        events = [each for who in (ada, grace) for each in await hub.container.audit().find(AuditSearch(principal=who))]
        told_of = {(each.event.value, each.provider) for each in events if each.provider}
        assert {("link", "github"), ("confirm", "github"), ("revoke", "github")} <= told_of
        assert not any(each.provider == "google" for each in events)


async def test_rotation_is_one_refresh_at_a_time(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """Many simultaneous calls refresh each person's grant only once, so reuse detection never ends a grant."""
    async with open_hub(tmp_path, MODERN) as hub:
        for who in (ada, grace):
            await hub.connect(who)
        await expire(hub, ada, grace)
        before = hub.sandbox.token_calls.count("refresh_token")
        found = await asyncio.gather(
            *(refreshed(hub, who) for who in (ada, grace) for _ in range(8)),
        )

        assert len(set(found)) == 2
        assert hub.sandbox.token_calls.count("refresh_token") == before + 2
        assert not any(grant.ended for grant in hub.sandbox.state.grants)


async def refreshed(hub: HubApp, who: Principal) -> str:
    """Return the person's token after the provider has rejected their previous one."""
    grant = await hub.container.grants().find(who, provider="github")
    assert grant is not None
    rejected = grant.access_token if grant.version == 1 else None
    fresh = await hub.container.refresher().fresh(who, provider="github", rejected=rejected)
    assert fresh is not None
    return fresh.access_token


@pytest.mark.parametrize(
    "differences",
    [
        replace(GITHUB, scopes="missing"),
        replace(GITHUB, scopes="list"),
        replace(GITHUB, drops_implied=True),
        replace(MODERN, expires_in="text"),
        replace(MODERN, expires_in="missing"),
        replace(MODERN, rotates=False),
        replace(MODERN, revocation="none"),
        replace(MODERN, names="endpoint"),
        replace(MODERN, names="answer"),
        replace(MODERN, client_authentication="post"),
        replace(MODERN, client_authentication="none"),
        replace(MODERN, issuer=False),
    ],
    ids=lambda differences: " ".join(
        f"{name}={getattr(differences, name)}"
        for name in ("scopes", "drops_implied", "expires_in", "rotates", "revocation", "names", "client_authentication")
        if getattr(differences, name) != getattr(GITHUB if differences.errors_with_200 else MODERN, name)
    ),
)
async def test_each_difference(differences: Differences, tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """With each difference between providers, every person reads their own data and can disconnect."""
    async with open_hub(tmp_path, differences) as hub:
        waiting = await asyncio.gather(hub.read(ada), hub.read(grace))
        for told, who in zip(waiting, (ada, grace), strict=True):
            await hub.connect(who, path_of(told["consent_url"]))
        if differences.refreshes:
            await expire(hub, ada, grace)
        read = await asyncio.gather(hub.read(ada), hub.read(grace))

        for told, who in zip(read, (ada, grace), strict=True):
            assert f"{who.user}/notes" in told["answer"]
        gone = (await hub.say(ada, "disconnect github"))["answer"]
        assert "erased" in gone
        assert ("lets nobody but you end it there" in gone) == (differences.revocation == "none")
        async with hub.container.database().reading() as connection:
            left = (await connection.execute(sa.select(grants.c.user_id))).scalars().all()
        assert left == [grace.user]


async def test_a_refresh_that_names_no_scope_takes_none_away(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """A refresh response without scopes keeps the granted ones, also when every sign-in asks for extra scopes."""
    async with open_hub(tmp_path, replace(MODERN, scopes="missing"), scopes=("profile",)) as hub:
        for who in (ada, grace):
            await hub.connect(who, path_of((await hub.read(who))["consent_url"]))
        await expire(hub, ada, grace)

        for who in (ada, grace):
            assert f"{who.user}/notes" in (await hub.read(who))["answer"]


async def test_a_token_without_refresh_that_is_rejected_asks_again(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """Without a refresh token, a rejected access token ends the grant and the next message asks for consent."""
    async with open_hub(tmp_path) as hub:
        for who in (ada, grace):
            told = await hub.read(who)
            await hub.connect(who, path_of(told["consent_url"]))
        await expire(hub, ada)

        assert (await hub.read(ada))["state"] == "parked"
        assert "grace/notes" in (await hub.read(grace))["answer"]


async def test_a_person_who_unticks_a_permission_is_told(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """If a person unticks a permission, the answer says which one is missing, in the provider's words."""
    async with open_hub(tmp_path) as hub:
        first, second = await hub.read(ada), await hub.read(grace)
        await hub.connect(ada, path_of(first["consent_url"]), granted="")
        await hub.connect(grace, path_of(second["consent_url"]))
        told = await hub.app.told(ada, first["message"])

        assert 'You did not allow "read and change your repositories' in told["answer"]
        assert "`connect github`" in told["answer"]
        assert "grace/notes" in (await hub.app.told(grace, second["message"]))["answer"]


async def test_two_accounts_at_one_provider_are_chosen_by_their_person(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """A person chooses between two accounts at one provider by name, by default or for one conversation."""
    async with open_hub(tmp_path) as hub:
        for who in (ada, grace):
            await hub.connect(who, path_of((await hub.read(who))["consent_url"]))
        async with hub.browser() as browser:
            page = await hub.authorize(browser, await hub.link(ada, "connect github as second"))
            shown = await hub.finish(browser, await hub.allow(page, "grace"))
        assert (await hub.say(ada, f"confirm {code_in(shown)}"))["answer"] == "Connected: grace."
        default = await hub.read(ada)
        chosen = await hub.say(ada, "use second for this conversation")
        here = await hub.read(ada)
        elsewhere = await hub.say(ada, f"/hub_read url={hub.root}/user/repos", conversation="elsewhere")
        listed = (await hub.say(ada, "github accounts"))["answer"]
        gone = (await hub.say(ada, "disconnect github"))["answer"]

        assert chosen["answer"] == "In this conversation I now use second (grace)."
        assert ["ada/notes" in default["answer"], "grace/notes" in here["answer"]] == [True, True]
        assert "ada/notes" in elsewhere["answer"]
        assert ["- ada: ada (default)" in listed, "- second: grace (used here)" in listed] == [True, True]
        assert "Disconnected ada: I ended the access at Hub and erased it here." in gone
        assert "At Hub it stays, because another connection uses the same account." in gone
        assert "grace/notes" in (await hub.read(grace))["answer"]


async def test_disconnecting_ends_a_run_that_is_under_way(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """A call that is in progress when its person disconnects is refused, and gets no other token."""
    held, arrived = asyncio.Event(), asyncio.Semaphore(0)

    def holding(app: ASGIApp) -> ASGIApp:
        async def wait(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/user/repos":
                arrived.release()
                await held.wait()
            await app(scope, receive, send)

        return wait

    async with open_hub(tmp_path, before=holding) as hub:
        for who in (ada, grace):
            await hub.connect(who)
        asked = [asyncio.create_task(hub.read(who)) for who in (ada, grace)]
        links = [path_of((await each)["consent_url"]) for each in asked]  # the scope is asked for only now
        for who, link in zip((ada, grace), links, strict=True):
            await hub.connect(who, link)
        for _ in range(2):
            await arrived.acquire()
        gone = await hub.say(ada, "disconnect github", conversation="elsewhere")
        held.set()
        told = [await hub.app.told(who, (await each)["message"]) for who, each in zip((ada, grace), asked, strict=True)]

        assert "I ended the access at Hub" in gone["answer"]
        assert "`connect github`" in told[0]["answer"]
        assert "notes" not in told[0]["answer"]
        assert "grace/notes" in told[1]["answer"]
        assert ("ada", "GET", "/user/repos") not in hub.sandbox.calls


async def test_a_provider_that_is_down_is_named(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """A provider's failure is reported by the provider's name, and nobody's account is disconnected."""
    failing: set[str] = set()

    def before(app: ASGIApp) -> ASGIApp:
        async def fail(scope: Scope, receive: Receive, send: Send) -> None:
            answering = Response(status_code=404) if scope["path"] in failing else app
            await answering(scope, receive, send)

        return fail

    def impatient(container: Application) -> None:
        container.refresh_leases.override(Once(RefreshLeases, container.database, pause_seconds=0.001))

    async with open_hub(tmp_path, MODERN, before=before, prepare=impatient) as hub:
        for who in (ada, grace):
            await hub.connect(who, path_of((await hub.read(who))["consent_url"]))
        hub.sandbox.failure = 404
        passed_on = await asyncio.gather(hub.read(ada), hub.read(grace))
        hub.sandbox.failure = None
        await expire(hub, ada, grace)
        failing.add("/login/oauth/access_token")
        named = await asyncio.gather(hub.read(ada), hub.read(grace))
        failing.clear()

        assert [each["answer"].strip() for each in passed_on] == ["404", "404"]  # the toolkit's own words
        assert all(each["answer"].startswith("That did not work: Hub answered 404") for each in named)
        for who in (ada, grace):
            assert f"{who.user}/notes" in (await hub.read(who))["answer"]


async def test_google_and_another_provider_do_not_meet(
    tmp_path: Path, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accounts at Google and at another provider are separate: disconnecting one leaves the other."""
    google = TokenEndpoint()
    async with open_hub(tmp_path) as hub:
        monkeypatch.setattr(hub.container.google_auth(), "revoke", google.revoke)
        for who in (ada, grace):
            await hub.connect(who, path_of((await hub.read(who))["consent_url"]))
        before = (await hub.say(ada, "disconnect google"))["answer"]
        for who in (ada, grace):
            await connect(hub.container.database(), hub.container.grants(), who, google_tokens(f"{who.user}-1"))
        gone = [
            (await hub.say(ada, "disconnect google"))["answer"],
            (await hub.say(grace, "disconnect github"))["answer"],
        ]
        at_google = [(await hub.say(who, "google accounts"))["answer"] for who in (ada, grace)]
        at_hub = [await hub.read(who) for who in (ada, grace)]

    assert before == "You have no Google account connected, and no open link."
    assert gone[0] == "Disconnected ada@example.com: I ended the access at Google and erased it here."
    assert gone[1] == "Disconnected grace: I ended the access at Hub and erased it here."
    assert google.revoked == ["refresh-ada-1"]
    assert at_google[0].startswith("You have no Google account")
    assert "grace@example.com (default, used here)" in at_google[1]
    assert "ada/notes" in at_hub[0]["answer"]
    assert at_hub[1]["state"] == "parked"


async def test_the_words_of_the_chat_name_every_provider(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """`help`, `accounts` and a wrong code name all providers; `github accounts` lists one provider's own accounts."""
    async with open_hub(tmp_path) as hub:
        for who in (ada, grace):
            await hub.connect(who, path_of((await hub.read(who))["consent_url"]))
        helped, every, one, wrong = [
            (await hub.say(ada, text))["answer"] for text in ("help", "accounts", "github accounts", "confirm K7P2QX9M")
        ]

        assert "- `connect google`, `connect github`, `connect other`: connect an account" in helped
        assert "- `disconnect google`, `disconnect github`, `disconnect other`: " in helped
        assert one.startswith("Your Hub accounts:\n- ada: ada (default, used here). You allowed: read and change your")
        assert one.endswith("You allowed: read and change your repositories, the private ones too")
        assert one in every
        assert "You have no Google account connected. Write `connect google` to connect one." in every
        assert "grace" not in every
        assert "Write `connect google`, `connect github` or `connect other` for a new link" in wrong


async def test_a_wrong_client_is_named_to_its_administrator(
    tmp_path: Path, ada: Principal, grace: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong OAuth client is shown to whoever signs in, and logged once with how to fix it and without its secret."""
    async with open_hub(tmp_path, client_secret=SecretStr("another-secret")) as hub:
        for who in (ada, grace):
            async with hub.browser() as browser:
                page = await hub.authorize(browser, await hub.link(who))
                shown = await hub.finish(browser, await hub.allow(page, who.user))

            assert "Hub refuses this assistant (invalid_client)" in shown.text
    told = [record.getMessage() for record in caplog.records if record.name == "app.oauth.faults"]
    assert told == [
        "Hub answered 401 invalid_client to a token request: the OAuth client is wrong: compare the connection's "
        "client_id and client_secret with Hub"
    ]
    assert "another-secret" not in caplog.text
