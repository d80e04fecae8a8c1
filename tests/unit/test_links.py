"""Consent links at rest: what each step requires, whom it is for, and what the database holds."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.consent.link import LinkState, OpenedLink
from app.consent.links import ConsentLinks
from app.database.database import Database
from app.database.tables import consent_links, owned_by, owner
from app.errors import CallbackRefusedError, LinkExpiredError, SealError
from app.google.scopes import missing_scopes
from app.keys.ring import KeyRing
from app.principal import Principal
from tests.fakes.consent import comes_back, links_of
from tests.fakes.credentials import stored_bytes
from tests.fakes.leaks import log_statements
from tests.fakes.sandbox import MODIFY, READ, SEND, Clock

LIFETIME = 600.0


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


@pytest.fixture
def links(database: Database, key_ring: KeyRing, clock: Clock) -> ConsentLinks:
    """Return links that live ten minutes on that clock."""
    return ConsentLinks(database, key_ring, lifetime_seconds=LIFETIME, now=clock)


async def come_back(
    links: ConsentLinks, state: str, cookie: str | None, taken: LinkState = LinkState.CONSENTED
) -> OpenedLink:
    """Take a callback for an opened link, as the browser's flow does.

    Raises:
        CallbackRefusedError: The callback is another browser's, or came too late, or came before.
    """
    link = await links.of_browser(state.partition(".")[0], cookie)
    opened = await links.find_opened(state, cookie or "")
    if opened is None or opened.link.link_id != link.link_id or not await comes_back(links, opened, taken):
        raise CallbackRefusedError("it came before, or too late")
    return opened


async def states(database: Database, principal: Principal) -> list[str]:
    """Return the sorted states of one person's links."""
    query = sa.select(consent_links.c.state).where(owned_by(consent_links, principal)).order_by(consent_links.c.state)
    async with database.reading() as connection:
        return list((await connection.execute(query)).scalars())


async def test_looking_consumes_nothing(links: ConsentLinks, ada: Principal, grace: Principal) -> None:
    """Looking at a link shows who asks for what and does not use it up."""
    _, ada_token = await links.issue(ada, frozenset({READ}))
    _, grace_token = await links.issue(grace, frozenset({SEND}))

    for _ in range(3):
        link = await links.look_at(ada_token)

        assert (link.principal, link.oauth_scopes, link.state) == (ada, frozenset({READ}), LinkState.ISSUED)
    assert (await links.open(ada_token)).link.principal == ada
    assert (await links.open(grace_token)).link.principal == grace


async def test_a_link_opens_once(links: ConsentLinks, ada: Principal, grace: Principal) -> None:
    """If several open a link at the same time, one succeeds, and nobody else's link is touched."""
    _, token = await links.issue(ada, frozenset({READ}))
    _, grace_token = await links.issue(grace, frozenset({READ}))
    results = await asyncio.gather(*(links.open(token) for _ in range(6)), return_exceptions=True)

    assert sorted(isinstance(each, LinkExpiredError) for each in results) == [False] + [True] * 5
    assert (await links.look_at(grace_token)).principal == grace


async def test_a_link_ends(links: ConsentLinks, clock: Clock, ada: Principal, grace: Principal) -> None:
    """After ten minutes a link can be neither shown, opened nor listed, but a younger one can."""
    old, old_token = await links.issue(ada, frozenset({READ}))
    clock.now += LIFETIME / 2
    _, young_token = await links.issue(grace, frozenset({READ}))
    clock.now += LIFETIME / 2

    for use in (links.look_at, links.open):
        with pytest.raises(LinkExpiredError):
            await use(old_token)
    assert await links_of(links, ada) == []
    assert await links.find_issued(ada, old.link_id) is None
    assert (await links.look_at(young_token)).principal == grace


async def test_an_unknown_token_opens_nothing(links: ConsentLinks, ada: Principal) -> None:
    """A token that was never issued, or has another length or alphabet, is answered like an expired one."""
    _, token = await links.issue(ada, frozenset({READ}))

    for wrong in ("", token[:-1], f"{token}A", token.swapcase(), "é\x00/../%", "x" * 5000):
        with pytest.raises(LinkExpiredError):
            await links.open(wrong)


async def test_a_link_that_covers_is_given_again(links: ConsentLinks, ada: Principal, grace: Principal) -> None:
    """A request that an open link covers gets that link again; another person gets their own."""
    first, token = await links.issue(ada, frozenset({READ, SEND}))
    again, token_again = await links.issue(ada, frozenset({READ}))
    other, other_token = await links.issue(grace, frozenset({READ}))

    assert (again.link_id, token_again) == (first.link_id, token)
    assert other.link_id != first.link_id
    assert other.oauth_scopes == {READ}
    assert other_token != token


async def test_a_link_that_asks_for_more_supersedes(
    links: ConsentLinks, database: Database, ada: Principal, grace: Principal
) -> None:
    """The new link asks for the union, the old one ends even if it was opened, and another person's stays."""
    _, grace_token = await links.issue(grace, frozenset({READ}))
    _, first = await links.issue(ada, frozenset({READ}))
    opened = await links.open(first)
    second, _ = await links.issue(ada, frozenset({SEND}))

    assert second.oauth_scopes == {READ, SEND}
    assert await states(database, ada) == [LinkState.ISSUED, LinkState.SUPERSEDED]
    with pytest.raises(CallbackRefusedError):
        await come_back(links, opened.state, opened.cookie)
    assert (await links.look_at(grace_token)).principal == grace


async def test_links_asked_for_together_become_one(links: ConsentLinks, ada: Principal, grace: Principal) -> None:
    """Concurrent runs of one person that need different scopes end with one link for all of them."""
    asked = [frozenset({READ}), frozenset({SEND}), frozenset({MODIFY})]
    await asyncio.gather(*(links.issue(person, scopes) for scopes in asked for person in (ada, grace)))

    for person in (ada, grace):
        (link,) = await links_of(links, person)
        assert missing_scopes(frozenset({READ, SEND, MODIFY}), link.oauth_scopes) == frozenset()


async def test_only_its_person_is_shown_a_link_again(links: ConsentLinks, ada: Principal, grace: Principal) -> None:
    """A link's token is found only by its own person, and only until it is opened."""
    link, token = await links.issue(ada, frozenset({READ}))

    assert await links.find_issued(ada, link.link_id) == token
    assert await links.find_issued(grace, link.link_id) is None
    await links.open(token)
    assert await links.find_issued(ada, link.link_id) is None


async def test_a_callback_needs_the_cookie_of_its_own_browser(
    links: ConsentLinks, ada: Principal, grace: Principal
) -> None:
    """A callback without its own browser's cookie is refused, and the right browser can still come back."""
    ada_opened = await links.open((await links.issue(ada, frozenset({READ})))[1])
    grace_opened = await links.open((await links.issue(grace, frozenset({SEND})))[1])

    for cookie in (None, "", grace_opened.cookie, ada_opened.cookie[:-1], "é"):
        with pytest.raises(CallbackRefusedError):
            await come_back(links, ada_opened.state, cookie)
    back = await come_back(links, ada_opened.state, ada_opened.cookie)
    assert (back.link.principal, back.nonce, back.code_verifier) == (ada, ada_opened.nonce, ada_opened.code_verifier)


async def test_one_of_several_callbacks_goes_on(
    links: ConsentLinks, database: Database, ada: Principal, grace: Principal
) -> None:
    """Of six concurrent callbacks one is accepted, a later one is refused, and nobody else's consent changes."""
    opened = await links.open((await links.issue(ada, frozenset({READ})))[1])
    await links.open((await links.issue(grace, frozenset({READ})))[1])
    callbacks = [come_back(links, opened.state, opened.cookie) for _ in range(6)]
    results = await asyncio.gather(*callbacks, return_exceptions=True)

    assert sorted(isinstance(each, CallbackRefusedError) for each in results) == [False] + [True] * 5
    with pytest.raises(CallbackRefusedError):
        await come_back(links, opened.state, opened.cookie, LinkState.REFUSED)
    assert await states(database, ada) == [LinkState.CONSENTED]
    assert await states(database, grace) == [LinkState.OPENED]


async def test_a_callback_that_comes_too_late_is_refused(links: ConsentLinks, clock: Clock, ada: Principal) -> None:
    """Opening a link allows another ten minutes for the callback, and no more."""
    _, token = await links.issue(ada, frozenset({READ}))
    clock.now += LIFETIME - 1
    opened = await links.open(token)
    clock.now += LIFETIME

    with pytest.raises(CallbackRefusedError):
        await come_back(links, opened.state, opened.cookie)


async def test_a_link_made_over_to_another_person_does_not_open(
    links: ConsentLinks, database: Database, ada: Principal, grace: Principal
) -> None:
    """A link of Grace's whose row was given Ada's name shows no page, opens nothing and reveals no token."""
    link, token = await links.issue(grace, frozenset({READ}))
    async with database.writing() as connection:
        mine = consent_links.c.id == link.link_id
        await connection.execute(consent_links.update().where(mine).values(**owner(ada)))

    for use in (links.look_at(token), links.open(token)):
        with pytest.raises(SealError):
            await use
    assert await links.find_issued(ada, link.link_id) is None
    assert await states(database, ada) == [LinkState.ISSUED]


@pytest.mark.parametrize("column", ["token_hash", "sealed_secrets"])
async def test_a_link_whose_secrets_were_swapped_does_not_open(
    column: str, links: ConsentLinks, database: Database, ada: Principal, grace: Principal
) -> None:
    """A token's hash, or sealed secrets, that were copied from Grace's link into Ada's open nothing."""
    ada_link, ada_token = await links.issue(ada, frozenset({READ}))
    grace_link, grace_token = await links.issue(grace, frozenset({READ}))
    async with database.writing() as connection:
        theirs = sa.select(consent_links.c[column]).where(consent_links.c.id == grace_link.link_id)
        copied = (await connection.execute(theirs)).scalar_one()
        await connection.execute(consent_links.delete().where(consent_links.c.id == grace_link.link_id))
        mine = consent_links.c.id == ada_link.link_id
        await connection.execute(consent_links.update().where(mine).values({column: copied}))

    with pytest.raises(SealError):
        await links.open(grace_token if column == "token_hash" else ada_token)
    assert await states(database, ada) == [LinkState.ISSUED]


async def test_secrets_of_an_earlier_link_of_the_same_person_do_not_open(
    links: ConsentLinks, database: Database, ada: Principal
) -> None:
    """The secrets of one sign-in do not open in the row of another, even if both are the same person's."""
    earlier = await links.open((await links.issue(ada, frozenset({READ})))[1])
    later = await links.open((await links.issue(ada, frozenset({SEND})))[1])
    theirs = sa.select(consent_links.c.sealed_secrets).where(consent_links.c.id == earlier.link.link_id)
    async with database.writing() as connection:
        copied = (await connection.execute(theirs)).scalar_one()
        mine = consent_links.c.id == later.link.link_id
        await connection.execute(consent_links.update().where(mine).values(sealed_secrets=copied))

    with pytest.raises(SealError):
        await come_back(links, later.state, later.cookie)


async def test_an_opened_link_made_over_to_another_person_takes_no_callback(
    links: ConsentLinks, database: Database, ada: Principal, grace: Principal
) -> None:
    """Grace's browser cannot finish a consent whose row was given Ada's name, and the row does not change."""
    opened = await links.open((await links.issue(grace, frozenset({READ})))[1])
    async with database.writing() as connection:
        await connection.execute(consent_links.update().values(**owner(ada)))

    with pytest.raises(SealError):
        await come_back(links, opened.state, opened.cookie)
    assert await states(database, ada) == [LinkState.OPENED]


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)  # because its files can be read
async def test_secrets_stand_nowhere(
    links: ConsentLinks,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ada: Principal,
    grace: Principal,
) -> None:
    """Tokens, states, nonces, verifiers and cookies appear in neither the database's files, a repr nor a log."""
    caplog.set_level(logging.DEBUG)
    log_statements(database)
    secrets, shown = set(), ""
    for person in (ada, grace):
        link, token = await links.issue(person, frozenset({READ}))
        opened = await links.open(token)
        back = await come_back(links, opened.state, opened.cookie)
        secrets |= {token, opened.state, opened.nonce, opened.code_verifier, opened.cookie}
        shown += repr((link, opened, back, links)) + str(opened)
    written = await stored_bytes(database, tmp_path)

    assert len(secrets) == 10
    for secret in secrets:
        assert secret.encode() not in written
        assert secret not in shown + caplog.text
    assert "token_hash" in caplog.text  # every statement, with its parameters, was logged


async def test_a_link_that_does_not_open_is_replaced(
    links: ConsentLinks, database: Database, ada: Principal, grace: Principal
) -> None:
    """A link that cannot be opened is replaced by a new one without an error; another person's link is kept."""
    broken, _ = await links.issue(ada, frozenset({READ}))
    kept = await links.issue(grace, frozenset({READ}))
    async with database.writing() as connection:
        mine = consent_links.update().where(owned_by(consent_links, ada))
        await connection.execute(mine.values(sealed_secrets="v1.k9.AAAA"))
    shown = await links.find_issued(ada, broken.link_id)
    new, token = await links.issue(ada, frozenset({READ}))

    assert shown is None
    assert new != broken
    assert (await links.look_at(token)) == new
    assert await states(database, ada) == ["issued", "superseded"]
    assert await links.issue(grace, frozenset({READ})) == kept
