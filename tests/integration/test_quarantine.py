"""A consent is unusable until the right person has confirmed it; tested over real HTTP with two people."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.consent.code_tries import WrongCode
from app.consent.codes import ALPHABET
from app.consent.flow import SignInStage
from app.consent.link import LinkState
from app.consent.outcome import Connected
from app.consent.unconfirmed import UnconfirmedConsents
from app.database.tables import consent_links, owned_by, owner, quarantined_grants
from app.errors import GoogleError
from app.oauth.provider import GOOGLE
from app.principal import Principal
from app.sandbox.visitor import code_on
from tests.fakes.consent import CODE_SECONDS, CODE_TRIES, Browser, ConsentServer, links_of, query
from tests.fakes.credentials import stored_bytes
from tests.fakes.leaks import log_statements
from tests.fakes.sandbox import ADA, GRACE, READ, SEND

WRONG = "22222222"
REVOKE = "oauth.revoke"


async def sign_in(server: ConsentServer, browser: Browser, principal: Principal, email: str) -> str:
    """Consent with this account through the person's link, and return the code that the page shows."""
    code = code_on(await browser.allow(await server.link(principal, READ), email))
    assert code is not None
    return code


async def email_of(server: ConsentServer, principal: Principal) -> str | None:
    """Return the address of the account that this person has connected."""
    grant = await server.grants.find(principal)
    return grant.email if grant else None


async def link_state(server: ConsentServer, principal: Principal) -> str:
    """Return the state of this person's only link."""
    query = sa.select(consent_links.c.state).where(owned_by(consent_links, principal))
    async with server.database.reading() as connection:
        return str((await connection.execute(query)).scalar_one())


class Unreachable:
    """A Google that refuses revocations while it is down, and afterwards passes them to the real one."""

    ends_all, title = True, "Google"

    def __init__(self, dropping: UnconfirmedConsents) -> None:
        self.down = True
        self.asked = 0
        self._google = dropping._providers[GOOGLE]

    async def revoke(self, token: str, *, is_refresh_token: bool = False) -> bool:
        self.asked += 1
        if self.down:
            raise GoogleError("Google answered 503", status=503)
        return await self._google.revoke(token)


async def test_nothing_is_granted_before_the_code(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A consent becomes a grant only when the person who asked for the link sends the code in their own chat."""
    code = await sign_in(server, browser, ada, ADA)
    before = await email_of(server, ada)
    connected = await server.confirmation.confirm(ada, code)

    assert before is None
    assert isinstance(connected, Connected)
    assert (await email_of(server, ada), await email_of(server, grace)) == (ADA, None)
    assert server.waiting.ended == [(ada, True)]
    assert await server.quarantined() == []
    assert await link_state(server, ada) == "active"


async def test_a_forwarded_link_gets_its_sender_nothing(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """If Ada consents through Grace's link, the page says whose it is and Ada's chat does not accept the code."""
    page = await browser.allow(await server.link(grace, READ), ADA)
    code = code_on(page)
    assert code is not None
    outcome = await server.confirmation.confirm(ada, code)

    assert all(each in page.text for each in (ADA, grace.user, grace.tenant, "Never give this code"))
    assert outcome is None
    assert (await email_of(server, ada), await email_of(server, grace)) == (None, None)
    assert server.waiting.ended == []
    assert await server.quarantined() == [("grace", "waiting")]


async def test_a_code_counts_for_its_own_person_alone(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """Each person's code is wrong in the other's chat and right in their own."""
    codes = {ada: await sign_in(server, browser, ada, ADA), grace: await sign_in(server, browser, grace, GRACE)}
    crossed = [
        await server.confirmation.confirm(ada, codes[grace]),
        await server.confirmation.confirm(grace, codes[ada]),
    ]
    own = [await server.confirmation.confirm(person, code) for person, code in codes.items()]

    assert crossed == [WrongCode(CODE_TRIES - 1, ())] * 2
    assert all(isinstance(each, Connected) for each in own)
    assert (await email_of(server, ada), await email_of(server, grace)) == (ADA, GRACE)


async def test_a_code_is_hard_to_guess_and_easy_to_read(
    server: ConsentServer, browser: Browser, ada: Principal
) -> None:
    """A code has eight characters from an alphabet of thirty without look-alikes, and each sign-in has its own."""
    codes = [await sign_in(server, browser, ada, ADA)]
    await server.confirmation.confirm(ada, codes[0])
    codes.append(await sign_in(server, browser, Principal("http", "demo", "ada-2"), ADA))

    assert len(ALPHABET) == len(set(ALPHABET)) == 30
    assert not set(ALPHABET) & set("0O1IL")
    assert all(re.fullmatch(f"[{ALPHABET}]{{8}}", code) for code in codes)
    assert codes[0] != codes[1]


async def test_of_six_confirmations_at_once_one_connects(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """Six simultaneous confirmations create one grant, wake the waiting message once, and all report success."""
    code, _ = await sign_in(server, browser, ada, ADA), await sign_in(server, browser, grace, GRACE)
    outcomes = await asyncio.gather(*(server.confirmation.confirm(ada, code) for _ in range(6)))

    assert all(isinstance(each, Connected) for each in outcomes)
    assert server.waiting.ended == [(ada, True)]
    grant = await server.grants.find(ada)
    assert grant is not None
    assert grant.version == 1
    assert await server.quarantined() == [("grace", "waiting")]


async def test_five_wrong_codes_drop_the_sign_in(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """The fifth wrong code drops the sign-in and revokes it at Google; another person's sign-in is unaffected."""
    code, hers = await sign_in(server, browser, ada, ADA), await sign_in(server, browser, grace, GRACE)
    outcomes = [await server.confirmation.confirm(ada, WRONG) for _ in range(CODE_TRIES)]
    late = await server.confirmation.confirm(ada, code)

    assert [each.tries_left for each in outcomes if isinstance(each, WrongCode)] == [4, 3, 2, 1, 0]
    assert late is None
    assert await link_state(server, ada) == "expired"
    assert server.calls(REVOKE) == 1
    assert await server.quarantined() == [("grace", "waiting")]
    assert isinstance(await server.confirmation.confirm(grace, hers), Connected)


async def test_guesses_at_once_are_counted(server: ConsentServer, browser: Browser, ada: Principal) -> None:
    """Of twenty wrong codes sent at once only five are compared, and the right code is then refused."""
    code = await sign_in(server, browser, ada, ADA)
    outcomes = await asyncio.gather(*(server.confirmation.confirm(ada, WRONG) for _ in range(20)))

    assert sum(isinstance(each, WrongCode) for each in outcomes) == CODE_TRIES
    assert await server.confirmation.confirm(ada, code) is None


async def test_a_guess_counts_against_all_that_wait(server: ConsentServer, browser: Browser, ada: Principal) -> None:
    """A person with several pending sign-ins has five tries in total, not five for each."""
    first = await sign_in(server, browser, ada, ADA)
    second = code_on(await browser.allow(await server.link(ada, READ, SEND), GRACE))
    for _ in range(CODE_TRIES):
        await server.confirmation.confirm(ada, WRONG)

    assert second is not None
    assert [await server.confirmation.confirm(ada, code) for code in (first, second)] == [None, None]
    assert await server.quarantined() == []


async def test_a_sign_in_ends_after_ten_minutes(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """After ten minutes a code is refused and the scan revokes and erases the sign-in; a newer one stays valid."""
    code = await sign_in(server, browser, ada, ADA)
    server.clock.seconds += CODE_SECONDS / 2
    younger = await sign_in(server, browser, grace, GRACE)
    server.clock.seconds += CODE_SECONDS / 2 + 1
    late = await server.confirmation.confirm(ada, code)
    await server.dropping.sweep()

    assert late is None
    assert server.calls(REVOKE) == 1
    assert await link_state(server, ada) == "expired"
    assert await server.quarantined() == [("grace", "waiting")]
    assert isinstance(await server.confirmation.confirm(grace, younger), Connected)


async def test_a_forwarded_link_cannot_end_the_victims_own_link(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """When Ada also consents through Grace's link, dropping Grace's sign-in leaves Ada's own grant valid."""
    await server.connect(browser, ada, ADA, READ)
    await sign_in(server, browser, grace, ADA)
    for _ in range(CODE_TRIES):
        await server.confirmation.confirm(grace, WRONG)
    grant = await server.grants.find(ada)

    assert server.calls(REVOKE) == 0
    assert grant is not None
    assert server.google_knows(grant)
    assert await server.quarantined() == []


async def test_a_forwarded_link_cannot_end_a_sign_in_that_waits(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """When both sign-ins use Ada's account, dropping Grace's revokes nothing and Ada can still confirm hers."""
    code = await sign_in(server, browser, ada, ADA)
    await sign_in(server, browser, grace, ADA)
    for _ in range(CODE_TRIES):
        await server.confirmation.confirm(grace, WRONG)

    assert server.calls(REVOKE) == 0
    assert isinstance(await server.confirmation.confirm(ada, code), Connected)
    grant = await server.grants.find(ada)
    assert grant is not None
    assert server.google_knows(grant)


async def test_what_google_did_not_hear_is_said_again(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """While Google is down, a dropped sign-in is unusable but kept; once Google is back, the scan erases it."""
    code, _ = await sign_in(server, browser, ada, ADA), await sign_in(server, browser, grace, GRACE)
    google = Unreachable(server.dropping)
    server.dropping._providers = {GOOGLE: google}
    for _ in range(CODE_TRIES):
        await server.confirmation.confirm(ada, WRONG)
    waits = await server.quarantined()
    refused = await server.confirmation.confirm(ada, code)
    google.down = False
    await server.dropping.sweep()

    assert waits == [("ada", "ending"), ("grace", "waiting")]
    assert refused is None
    assert (google.asked, server.calls(REVOKE)) == (2, 1)
    assert await server.quarantined() == [("grace", "waiting")]


async def test_an_end_between_revocation_and_erasure_is_finished(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a process dies between revocation and erasure, the row is unusable and the next scan erases it."""
    code, _ = await sign_in(server, browser, ada, ADA), await sign_in(server, browser, grace, GRACE)

    async def crash(principal: Principal, link_id: str) -> None:
        raise ConnectionError("the process ends here")

    for _ in range(CODE_TRIES - 1):
        await server.confirmation.confirm(ada, WRONG)
    with monkeypatch.context() as patch:
        patch.setattr(server.quarantine, "erase", crash)
        with pytest.raises(ConnectionError):
            await server.confirmation.confirm(ada, WRONG)
    left = await server.quarantined()
    refused = await server.confirmation.confirm(ada, code)
    await server.dropping.sweep()

    assert left == [("ada", "ending"), ("grace", "waiting")]
    assert refused is None
    assert server.calls(REVOKE) == 2  # Google answers the second that there is nothing left to revoke
    assert await server.quarantined() == [("grace", "waiting")]


@pytest.mark.parametrize("column", ["owner", "subject"])
async def test_a_sign_in_made_over_to_somebody_else_does_not_open(
    column: str, server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """Writing Grace's name or another account into Ada's row gives nobody a grant, and the row can be dropped."""
    code = await sign_in(server, browser, ada, ADA)
    changes = owner(grace) if column == "owner" else {"subject": "123"}
    async with server.database.writing() as connection:
        await connection.execute(quarantined_grants.update().values(**changes))

    assert await server.confirmation.confirm(grace if column == "owner" else ada, code) is None
    assert (await email_of(server, ada), await email_of(server, grace)) == (None, None)
    await server.dropping.drop(grace if column == "owner" else ada, await _only_link(server))
    assert await server.quarantined() == []


@pytest.mark.parametrize("column", ["sealed_proof", "sealed_tokens"])
async def test_a_sign_in_that_does_not_open_is_over(
    column: str,
    server: ConsentServer,
    browser: Browser,
    ada: Principal,
    grace: Principal,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A sign-in that cannot be decrypted connects nothing and is erased after it expires; another one is confirmed."""
    codes = {ada: await sign_in(server, browser, ada, ADA), grace: await sign_in(server, browser, grace, GRACE)}
    link = (await links_of(server.links, ada))[0]
    async with server.database.writing() as connection:
        mine = quarantined_grants.update().where(owned_by(quarantined_grants, ada))
        await connection.execute(mine.values({column: "v1.k9.AAAA"}))
    outcomes = [await server.confirmation.confirm(person, code) for person, code in codes.items()]
    stood = await server.consent.sign_in(ada, link.link_id)

    assert outcomes[0] is None
    assert isinstance(outcomes[1], Connected)
    assert stood.stage is (SignInStage.OVER if column == "sealed_tokens" else SignInStage.WINDOW)
    assert link.link_id in caplog.text
    server.clock.seconds += CODE_SECONDS + 1
    await server.dropping.sweep()
    assert await server.quarantined() == []


async def test_a_granted_link_by_which_nothing_waits_is_not_given_again(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """If a process dies after Google's consent but before quarantine, the person gets a new link."""
    callbacks = {}
    for person, email in ((ada, ADA), (grace, GRACE)):
        callbacks[person] = await browser.decide(await browser.open(await server.link(person, READ)), email)
    lost = (await links_of(server.links, ada))[0]
    async with server.database.writing() as connection:
        assert await server.links.take(connection, lost, LinkState.CONSENTED)
    await browser.http.get(callbacks[grace])

    assert (
        await server.consent.sign_in(ada, await server.consent.ask(ada, frozenset({READ})))
    ).stage is SignInStage.LINK
    assert (await server.consent.sign_in(grace, await server.consent.ask(grace, frozenset({READ})))).stage is (
        SignInStage.CODE
    )


async def test_a_link_that_ended_meanwhile_connects_nothing(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """If a link ends during the code exchange, what Google granted is revoked and the page shows an error."""
    callback = await browser.decide(await browser.open(await server.link(ada, READ)), ADA)
    await sign_in(server, browser, grace, GRACE)
    redeem = server.google_auth.redeem

    async def end_meanwhile(**redeemed: Any) -> object:
        tokens = await redeem(**redeemed)
        async with server.database.writing() as connection:
            await connection.execute(consent_links.update().where(owned_by(consent_links, ada)).values(state="expired"))
        return tokens

    server.google_auth.redeem = end_meanwhile  # type: ignore[method-assign,assignment]
    page = await browser.http.get(callback)

    assert page.status_code == 400
    assert code_on(page) is None
    assert server.calls(REVOKE) == 1
    assert await server.quarantined() == [("grace", "waiting")]


async def test_the_sign_in_says_how_it_stands(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A sign-in reports each stage (link, window, code, over) to its person, and includes the URL only in the first."""
    await server.link(grace, READ)
    link_id = await server.consent.ask(ada, frozenset({READ}))
    stages = [await server.consent.sign_in(ada, link_id)]
    google_url = await browser.open(str(stages[0].url))
    stages.append(await server.consent.sign_in(ada, link_id))
    await browser.http.get(await browser.decide(google_url, ADA))
    stages.append(await server.consent.sign_in(ada, link_id))
    for _ in range(CODE_TRIES):
        await server.confirmation.confirm(ada, WRONG)
    stages.append(await server.consent.sign_in(ada, link_id))

    assert [each.stage for each in stages] == [stage for stage in SignInStage if stage is not SignInStage.REPLACED]
    assert [each.url is not None for each in stages] == [True, False, False, False]
    assert server.waiting.changed == [ada, ada]
    assert (await server.consent.sign_in(grace, link_id)).stage is SignInStage.OVER


async def test_while_a_sign_in_waits_no_second_link_is_made(
    server: ConsentServer, browser: Browser, ada: Principal, grace: Principal
) -> None:
    """A second request for a scope whose sign-in is pending gets the same sign-in; another person gets a link."""
    code = await sign_in(server, browser, ada, ADA)
    again = await server.consent.sign_in(ada, await server.consent.ask(ada, frozenset({READ})))
    hers = await server.consent.sign_in(grace, await server.consent.ask(grace, frozenset({READ})))

    assert (again.stage, hers.stage) == (SignInStage.CODE, SignInStage.LINK)
    assert isinstance(await server.confirmation.confirm(ada, code), Connected)


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)  # because this test reads the database's files
async def test_secrets_in_quarantine_stand_nowhere(
    server: ConsentServer,
    browser: Browser,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ada: Principal,
    grace: Principal,
) -> None:
    """Neither codes nor tokens appear in the database files, a log or a `repr`, before or after confirmation."""
    caplog.set_level("DEBUG", "tests.fakes.leaks")
    log_statements(server.database)
    pages = {
        person: await browser.allow(await server.link(person, READ), email)
        for person, email in ((ada, ADA), (grace, GRACE))
    }
    codes = {person: str(code_on(page)) for person, page in pages.items()}
    written = await stored_bytes(server.database, tmp_path)
    outcome = await server.confirmation.confirm(ada, codes[ada])
    grant = await server.grants.find(ada)
    assert grant is not None
    written += await stored_bytes(server.database, tmp_path)

    for secret in (*codes.values(), grant.access_token, str(grant.refresh_token)):
        assert secret.encode() not in written
        assert secret not in caplog.text + repr((outcome, server.quarantine, server.confirmation))
    assert "sealed_proof" in caplog.text  # every statement, with its parameters, was logged


async def test_the_code_page_is_kept_by_nobody(server: ConsentServer, browser: Browser, ada: Principal) -> None:
    """The code page is not cached or framed, has no secret in its address, and is shown only to its own browser."""
    callback = await browser.decide(await browser.open(await server.link(ada, READ)), ADA)
    page: httpx2.Response = await browser.http.get(callback)
    again = await browser.http.get(callback)
    async with httpx2.AsyncClient() as elsewhere:
        refused = await elsewhere.get(str(page.url))

    assert code_on(page) is not None
    assert not page.url.query
    assert query(callback)["state"].rpartition(".")[2] not in str(page.url)
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert code_on(again) == code_on(page)
    assert (refused.status_code, code_on(refused)) == (400, None)


async def _only_link(server: ConsentServer) -> str:
    async with server.database.reading() as connection:
        return str((await connection.execute(sa.select(quarantined_grants.c.link_id))).scalar_one())
