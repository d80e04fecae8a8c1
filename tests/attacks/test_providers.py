"""Mix-ups between connections: an answer, a link or a token of one is never accepted for another."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from app.database.tables import grants, quarantined_grants
from app.errors import GrantRevokedError, SealError
from app.principal import Principal
from app.sandbox.oauth.differences import Differences
from tests.fakes.hub import HubApp, code_in, open_hub, path_of

WITH_ISSUER = Differences(issuer=True, revocation="rfc7009", names="id_token", errors_with_200=False, scopes="spaces")


async def nothing_is_connected(hub: HubApp) -> bool:
    """Return whether there is neither a grant nor anything in quarantine."""
    async with hub.container.database().reading() as connection:
        rows = [(await connection.execute(sa.select(table))).first() for table in (grants, quarantined_grants)]
    return rows == [None, None]


async def test_a_callback_at_another_providers_address_is_refused(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """A code for one connection's link that comes back to another one's redirect URI is not redeemed."""
    async with open_hub(tmp_path) as hub:
        for who in (ada, grace):
            async with hub.browser() as browser:
                page = await hub.authorize(browser, await hub.link(who))
                callback = await hub.allow(page, who.user)
                answer = await browser.get(callback.replace("/oauth/github/", "/oauth/other/"))
                at_google = await browser.get(callback.replace("/oauth/github/", "/oauth/google/"))

            assert answer.status_code == at_google.status_code == 400
            assert "not from the provider that this link is for" in answer.text
        assert hub.sandbox.token_calls == []
        assert await nothing_is_connected(hub)


@pytest.mark.parametrize("issuer", ["https://evil.example", ""], ids=["another", "none"])
async def test_a_callback_of_another_issuer_is_refused(
    issuer: str, tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """An answer whose `iss` is wrong (RFC 9207), or is missing where the server always sends it, is refused."""
    async with open_hub(tmp_path, WITH_ISSUER) as hub:
        for who in (ada, grace):
            async with hub.browser() as browser:
                page = await hub.authorize(browser, await hub.link(who))
                head, _, rest = (await hub.allow(page, who.user)).partition("&iss=")
                _, _, tail = rest.partition("&")
                forged = f"{head}&{tail}" + (f"&iss={issuer}" if issuer else "")
                answer = await browser.get(forged)

            assert answer.status_code == 400
            assert "his answer is not from Hub" in answer.text
        assert hub.sandbox.token_calls == []
        assert await nothing_is_connected(hub)


async def test_a_link_of_one_provider_cannot_be_opened_as_anothers(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """A link for one connection that is opened at another one's address shows no button and leads nowhere."""
    async with open_hub(tmp_path) as hub:
        for who in (ada, grace):
            for elsewhere in ("other", "google"):
                link = (await hub.link(who)).replace("/github/", f"/{elsewhere}/")
                async with hub.browser() as browser:
                    shown, opened = await browser.get(link), await browser.post(link)

                assert shown.status_code == opened.status_code == 400
                assert "Continue to" not in shown.text


async def test_a_link_for_one_provider_finished_with_another_connects_nothing(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """A code from one connection's link, sent with the state of another one's, connects nothing."""
    async with open_hub(tmp_path) as hub:
        for who in (ada, grace):
            async with hub.browser() as browser:
                of_a = await hub.authorize(browser, await hub.link(who))
                of_b = await hub.authorize(browser, await hub.link(who, "connect other"))
                assert "redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Foauth%2Fother%2Fcallback" in of_b
                code = (await hub.allow(of_a, who.user)).partition("code=")[2].partition("&")[0]
                state = of_b.partition("state=")[2].partition("&")[0]
                answer = await hub.finish(browser, f"/oauth/other/callback?state={state}&code={code}")

            assert "not connected" in answer.text.lower()
        assert await nothing_is_connected(hub)


async def test_a_row_that_is_given_to_another_provider_does_not_open(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """A grant whose row is moved to another connection does not open, because its seal names its own connection."""
    async with open_hub(tmp_path) as hub:
        for who in (ada, grace):
            await hub.connect(who, path_of((await hub.read(who))["consent_url"]))
        for elsewhere in ("other", "google"):
            async with hub.container.database().writing() as connection:
                mine = grants.c.user_id == ada.user
                await connection.execute(grants.update().where(mine).values(provider=elsewhere))
                grant_id = (await connection.execute(sa.select(grants.c.id).where(mine))).scalar_one()

            with pytest.raises(SealError):
                await hub.container.grants().get(ada, grant_id)
        assert "grace/notes" in (await hub.read(grace))["answer"]


async def test_a_grant_of_one_provider_is_never_given_out_for_another(
    tmp_path: Path, ada: Principal, grace: Principal
) -> None:
    """A grant that is requested by its id for another connection counts as revoked."""
    async with open_hub(tmp_path) as hub:
        for who in (ada, grace):
            await hub.connect(who, path_of((await hub.read(who))["consent_url"]))
            grant = await hub.container.grants().find(who, provider="github")
            assert grant is not None
            for source in (hub.container.tokens(), hub.container.connection_tokens.providers["other"]()):
                with pytest.raises(GrantRevokedError):
                    await source.fresh(who, frozenset(), credential_id=grant.grant_id)


async def test_a_forwarded_link_connects_nobodys_account(tmp_path: Path, ada: Principal, grace: Principal) -> None:
    """If Grace consents by Ada's link, nothing is connected without the code in Ada's own chat."""
    async with open_hub(tmp_path) as hub:
        link = await hub.link(ada)
        async with hub.browser() as graces:
            page = await hub.authorize(graces, link)
            shown = await hub.finish(graces, await hub.allow(page, grace.user))
        told = await hub.say(grace, f"confirm {code_in(shown)}")

        assert "I don't know this code" in told["answer"]
        assert (await hub.read(ada))["state"] == "parked"
        assert hub.sandbox.calls == [("grace", "GET", "/user")]  # the sign-in's own question, and nothing for Ada
        assert [await hub.container.grants().find(who, provider="github") for who in (ada, grace)] == [None, None]
        assert "Connected" in (await hub.say(ada, f"confirm {code_in(shown)}"))["answer"]
