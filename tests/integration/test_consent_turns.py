"""Tests of ending and granting a person's access at the same time: nothing blocks, and who left gets no grant."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from app.consent.link import Link
from app.consent.outcome import Connected
from app.consent.revocation import Revocation
from app.database.database import Database
from app.delivery.store.cancellation import Cancellation
from app.delivery.store.lease import MessageLease, new_holder
from app.delivery.store.outbox import Outbox
from app.grants.refresh_leases import RefreshLeases
from app.principal import Principal
from app.sandbox.visitor import code_on
from app.users import Users
from tests.fakes.consent import Browser, ConsentServer, links_of
from tests.fakes.providers import google_alone
from tests.fakes.sandbox import ADA, GRACE, READ


@pytest.fixture
def users(database: Database) -> Users:
    """Return the users of the database, to offboard and restore people."""
    return Users(database)


@pytest.fixture
def revocation(server: ConsentServer, database: Database) -> Revocation:
    """Return a revocation on the consent server's database."""
    cancellation = Cancellation(database, Outbox(database, MessageLease(new_holder())))
    google = server.google_auth
    return Revocation(
        database, server.grants, RefreshLeases(database), server.dropping, google_alone(google), cancellation
    )


async def sign_in(server: ConsentServer, browser: Browser, principal: Principal, email: str) -> str:
    """Consent by this person's link with that account, and return the code that the page shows."""
    code = code_on(await browser.allow(await server.link(principal, READ), email))
    assert code is not None
    return code


async def test_an_end_that_meets_a_confirmation_waits_for_it(
    server: ConsentServer, browser: Browser, revocation: Revocation, ada: Principal, grace: Principal
) -> None:
    """An ending waits for the confirmation in progress, because both lock the link, and ends the grant that it made."""
    codes = {ada: await sign_in(server, browser, ada, ADA), grace: await sign_in(server, browser, grace, GRACE)}
    activate = server.links.activate
    begun = asyncio.Event()

    async def slowly(connection: AsyncConnection, principal: Principal, link_id: str) -> Link | None:
        begun.set()
        await asyncio.sleep(0.2)
        return await activate(connection, principal, link_id)

    server.links.activate = slowly  # type: ignore[method-assign]
    confirming = asyncio.create_task(server.confirmation.confirm(ada, codes[ada]))
    await begun.wait()
    ended = await revocation.end(ada)

    assert isinstance(await confirming, Connected)
    assert [grant.email for grant in ended.erased] == [ADA]
    assert await server.grants.find(ada) is None
    assert isinstance(await server.confirmation.confirm(grace, codes[grace]), Connected)


async def test_an_end_that_meets_a_wrong_proof_waits_for_it(
    server: ConsentServer, browser: Browser, revocation: Revocation, ada: Principal
) -> None:
    """Dropping one sign-in and ending all access of a person at once both finish, and quarantine is empty."""
    await sign_in(server, browser, ada, ADA)
    link = (await links_of(server.links, ada))[0]
    end, begun = server.quarantine.end, asyncio.Event()

    async def slowly(connection: AsyncConnection, principal: Principal, link_id: str) -> bool:
        ended = await end(connection, principal, link_id)
        begun.set()
        await asyncio.sleep(0.2)
        return ended

    server.quarantine.end = slowly  # type: ignore[method-assign]
    dropping = asyncio.create_task(server.dropping.drop(ada, link.link_id))
    await begun.wait()
    await asyncio.gather(dropping, revocation.end(ada))

    assert await server.quarantined() == []
    assert await links_of(server.links, ada) == []


async def test_who_has_left_confirms_nothing(
    server: ConsentServer, browser: Browser, users: Users, ada: Principal, grace: Principal
) -> None:
    """An offboarded person's code makes no grant and their access is revoked at Google; another person's code works."""
    codes = {ada: await sign_in(server, browser, ada, ADA), grace: await sign_in(server, browser, grace, GRACE)}
    await users.offboard(ada)
    outcomes = [await server.confirmation.confirm(person, code) for person, code in codes.items()]
    await users.mark_ended(ada)
    await users.restore(ada)

    assert outcomes[0] is None
    assert isinstance(outcomes[1], Connected)
    assert await server.grants.find(ada) is None
    assert await server.quarantined() == []
    assert server.calls("oauth.revoke") == 1


async def test_who_leaves_while_they_confirm_ends_without_a_grant(
    server: ConsentServer, browser: Browser, users: Users, revocation: Revocation, ada: Principal
) -> None:
    """However an offboarding and a confirmation interleave, no grant is left."""
    for _ in range(5):
        code = await sign_in(server, browser, ada, ADA)

        async def leave() -> None:
            await users.offboard(ada)
            await revocation.end(ada)

        await asyncio.gather(server.confirmation.confirm(ada, code), leave())
        await users.mark_ended(ada)
        await users.restore(ada)

        assert await server.grants.find(ada) is None
        assert await server.quarantined() == []


async def test_who_has_left_does_not_come_back_from_google(
    server: ConsentServer, browser: Browser, users: Users, ada: Principal, grace: Principal
) -> None:
    """The callback of an offboarded person is refused before Google is asked for tokens."""
    callbacks = {}
    for person, email in ((ada, ADA), (grace, GRACE)):
        callbacks[person] = await browser.decide(await browser.open(await server.link(person, READ)), email)
    await users.offboard(ada)
    pages = {person: await browser.http.get(callback) for person, callback in callbacks.items()}

    assert (pages[ada].status_code, code_on(pages[ada])) == (400, None)
    assert code_on(pages[grace]) is not None
    assert await server.quarantined() == [("grace", "waiting")]
    assert server.calls("oauth.token.authorization_code") == 1


async def test_who_has_left_is_given_no_grant(
    server: ConsentServer, browser: Browser, users: Users, ada: Principal, grace: Principal
) -> None:
    """From the moment of offboarding a person's grants are not returned, even before they are ended; others' are."""
    for person, email in ((ada, ADA), (grace, GRACE)):
        await server.connect(browser, person, email, READ)
    grant = await server.grants.find(ada)
    assert grant is not None
    await users.offboard(ada)

    assert await server.grants.find(ada) is None
    assert await server.grants.get(ada, grant.grant_id) is None
    assert await server.grants.of_account(ada, grant.subject) is None
    assert not await server.covers(ada, READ)
    assert await server.covers(grace, READ)
