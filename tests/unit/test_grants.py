"""Grants at rest: whose they are, which one is used, and what the database holds."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import account_choices, owned_by, owner
from app.database.tables import grants as table
from app.errors import SealError
from app.grants.accounts import Accounts
from app.grants.grants import Grants
from app.keys.ring import KeyRing
from app.principal import Principal
from tests.fakes.credentials import connect, google_tokens, stored_bytes
from tests.fakes.leaks import log_statements
from tests.fakes.sandbox import READ, SEND, Clock


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


@pytest.fixture
def grants(database: Database, key_ring: KeyRing, clock: Clock) -> Grants:
    """Return grants on that clock."""
    return Grants(database, key_ring, now=clock)


async def test_each_person_finds_their_own(
    grants: Grants, database: Database, ada: Principal, grace: Principal
) -> None:
    """A grant is found, complete, by its own person only, even if two people connected the same Google account."""
    assert await grants.find(ada) is None
    await connect(database, grants, ada, google_tokens("ada-1", scopes=frozenset({READ, SEND})))
    assert await grants.find(grace) is None
    await connect(database, grants, grace, google_tokens("grace-1", account="ada"))
    of_ada, of_grace = await grants.find(ada), await grants.find(grace)

    assert of_ada is not None
    assert of_grace is not None
    assert (of_ada.access_token, of_ada.refresh_token) == ("access-ada-1", "refresh-ada-1")
    assert (of_ada.principal, of_ada.granted_scopes, of_ada.version) == (ada, frozenset({READ, SEND}), 1)
    assert (of_grace.access_token, of_grace.email) == ("access-grace-1", "ada@example.com")


async def test_people_who_differ_in_one_part_share_nothing(grants: Grants, database: Database, ada: Principal) -> None:
    """The same user id in another tenant or on another platform is a different person."""
    await connect(database, grants, ada, google_tokens("ada-1"))

    for other in (Principal("telegram", ada.tenant, ada.user), Principal(ada.platform, "T-other", ada.user)):
        assert await grants.find(other) is None


async def test_a_new_consent_for_the_same_account_replaces_the_grant(
    grants: Grants, database: Database, ada: Principal
) -> None:
    """A new consent for the same account keeps the row, raises its version and replaces tokens and granted scopes."""
    first = await connect(database, grants, ada, google_tokens("ada-1", scopes=frozenset({READ, SEND})))
    second = await connect(database, grants, ada, google_tokens("ada-2", scopes=frozenset({READ})))
    grant = await grants.find(ada)

    assert first == second
    assert grant is not None
    assert (grant.version, grant.access_token, grant.granted_scopes) == (2, "access-ada-2", frozenset({READ}))


async def test_a_second_account_stands_beside_the_first(
    grants: Grants, database: Database, ada: Principal, grace: Principal
) -> None:
    """A second account does not replace the first: the first stays in use, and each can be refreshed."""
    for person, name in ((ada, "ada-1"), (grace, "grace-1")):
        await connect(database, grants, person, google_tokens(name))
    work = await connect(database, grants, ada, google_tokens("work-1"))
    first, second = await grants.find(ada), await grants.get(ada, work)

    assert first is not None
    assert second is not None
    assert (first.email, second.email) == ("ada@example.com", "work@example.com")
    assert await grants.get(grace, work) is None
    renewed = [await grants.replace_tokens(first, google_tokens("ada-2"))]
    renewed.append(await grants.replace_tokens(second, google_tokens("work-2")))
    assert [each and each.access_token for each in renewed] == ["access-ada-2", "access-work-2"]
    assert [await grants.find(ada), await grants.get(ada, work)] == renewed


async def test_the_end_of_the_account_in_use_brings_no_other_one_into_use(
    grants: Grants, database: Database, ada: Principal, grace: Principal
) -> None:
    """When the account in use is revoked, their other account does not replace it; the next new account does."""
    for person, name in ((ada, "ada-1"), (ada, "work-1"), (grace, "grace-1")):
        await connect(database, grants, person, google_tokens(name))
    used = await grants.find(ada)
    assert used is not None
    await grants.mark_revoked(used)
    without = await grants.find(ada)
    await connect(database, grants, ada, google_tokens("home-1"))
    new = await grants.find(ada)

    assert without is None
    assert new is not None
    assert new.email == "home@example.com"
    assert await grants.find(grace) is not None


async def test_consents_that_end_together_leave_one_default(
    grants: Grants, database: Database, ada: Principal, grace: Principal
) -> None:
    """Consents that complete at the same time leave one grant per account, each with its own name, and one default."""
    names = ("ada-1", "work-1", "ada-2", "home-1")
    await asyncio.gather(
        *(connect(database, grants, person, google_tokens(name)) for name in names for person in (ada, grace))
    )
    for person in (ada, grace):
        accounts = await Accounts(database).list(person)

        assert [account.alias for account in accounts] == ["ada", "home", "work"]
        assert sum(account.is_default for account in accounts) == 1


async def test_an_account_can_be_chosen_again(
    grants: Grants, database: Database, ada: Principal, grace: Principal
) -> None:
    """A former account that was connected again is not in use until its person chooses it; it has its new tokens."""
    for person, name in ((ada, "ada-1"), (ada, "work-1"), (grace, "ada-3"), (grace, "work-3")):
        await connect(database, grants, person, google_tokens(name))
    for person in (ada, grace):
        assert await Accounts(database).use(person, "work", conversation=None) is not None
    await connect(database, grants, ada, google_tokens("ada-2"))
    used = [await grants.find(ada)]
    assert await Accounts(database).use(ada, "ada", conversation=None) is not None
    used += [await grants.find(ada), await grants.find(grace)]

    assert [each and each.access_token for each in used] == ["access-work-1", "access-ada-2", "access-work-3"]


async def test_a_refresh_that_was_overtaken_changes_nothing(
    grants: Grants, database: Database, ada: Principal, grace: Principal
) -> None:
    """Tokens are replaced only if the version that was refreshed is still stored; another person's never change."""
    for person, name in ((ada, "ada-1"), (grace, "grace-1")):
        await connect(database, grants, person, google_tokens(name))
    seen = await grants.find(ada)
    assert seen is not None
    renewed = await grants.replace_tokens(seen, google_tokens("ada-2"))

    assert renewed is not None
    assert await grants.replace_tokens(seen, google_tokens("ada-3")) is None
    assert await grants.find(ada) == renewed
    of_grace = await grants.find(grace)
    assert of_grace is not None
    assert of_grace.access_token == "access-grace-1"


async def test_a_grant_is_marked_revoked_only_in_the_version_that_was_tried(
    grants: Grants, database: Database, ada: Principal
) -> None:
    """A grant is marked revoked only in the version that was tried, so a consent given meanwhile survives."""
    await connect(database, grants, ada, google_tokens("ada-1"))
    tried = await grants.find(ada)
    await connect(database, grants, ada, google_tokens("ada-2"))
    renewed = await grants.find(ada)

    assert tried is not None
    assert renewed is not None
    assert not await grants.mark_revoked(tried)
    assert await grants.find(ada) == renewed
    assert await grants.mark_revoked(renewed)
    assert await grants.find(ada) is None


async def test_a_revoked_grant_has_no_tokens_and_comes_back_with_a_consent(
    grants: Grants, database: Database, ada: Principal
) -> None:
    """A revoked grant's sealed tokens are erased, and the same account can be connected again."""
    await connect(database, grants, ada, google_tokens("ada-1"))
    tried = await grants.find(ada)
    assert tried is not None
    await grants.mark_revoked(tried)
    async with database.reading() as connection:
        assert (await connection.execute(sa.select(table.c.sealed_tokens))).scalars().all() == [""]
    await connect(database, grants, ada, google_tokens("ada-2"))
    again = await grants.find(ada)

    assert again is not None
    assert (again.version, again.access_token) == (3, "access-ada-2")
    assert not await grants.mark_revoked(tried)


async def test_a_grant_made_over_to_another_person_does_not_open(
    grants: Grants, database: Database, ada: Principal, grace: Principal
) -> None:
    """Ada's tokens cannot be opened as Grace's by writing Grace's name into Ada's row."""
    await connect(database, grants, ada, google_tokens("ada-1"))
    async with database.writing() as connection:
        for each in (table, account_choices):
            await connection.execute(each.update().where(owned_by(each, ada)).values(**owner(grace)))

    assert await grants.find(ada) is None
    with pytest.raises(SealError):
        await grants.find(grace)


async def test_a_grant_that_was_given_another_account_does_not_open(
    grants: Grants, database: Database, ada: Principal, grace: Principal
) -> None:
    """Tokens do not open after another Google account was written into their row."""
    for person, name in ((ada, "ada-1"), (grace, "grace-1")):
        await connect(database, grants, person, google_tokens(name))
    async with database.writing() as connection:
        await connection.execute(table.update().where(owned_by(table, ada)).values(subject="subject-work"))

    with pytest.raises(SealError):
        await grants.find(ada)
    assert await grants.find(grace) is not None


@pytest.mark.parametrize("columns", [["sealed_tokens"], ["sealed_tokens", "subject", "email"]])
async def test_tokens_copied_into_another_row_do_not_open(
    columns: list[str], grants: Grants, database: Database, ada: Principal, grace: Principal
) -> None:
    """Ada's sealed tokens open neither in Grace's row nor in another row of Ada's, with or without Ada's subject."""
    await connect(database, grants, ada, google_tokens("ada-1"))
    async with database.reading() as connection:
        copied = (await connection.execute(sa.select(*(table.c[name] for name in columns)))).one()._asdict()
    await connect(database, grants, grace, google_tokens("grace-1"))
    async with database.writing() as connection:
        await connection.execute(table.delete().where(owned_by(table, ada)))
    await connect(database, grants, ada, google_tokens("work-1"))
    async with database.writing() as connection:
        await connection.execute(table.update().values(**copied))

    for person in (ada, grace):
        with pytest.raises(SealError):
            await grants.find(person)


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)  # because its files can be read
async def test_tokens_stand_nowhere(
    grants: Grants,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ada: Principal,
    grace: Principal,
) -> None:
    """Access and refresh tokens, new and old, appear in neither the database's files, a repr nor a log."""
    caplog.set_level(logging.DEBUG)
    log_statements(database)
    shown = ""
    for person, name in ((ada, "ada"), (grace, "grace")):
        tokens = google_tokens(f"{name}-1")
        await connect(database, grants, person, tokens)
        grant = await grants.find(person)
        assert grant is not None
        renewed = await grants.replace_tokens(grant, google_tokens(f"{name}-2"))
        shown += repr((tokens, grant, renewed, grants)) + str(grant)
    written = await stored_bytes(database, tmp_path)

    for secret in ("access-ada", "refresh-ada", "access-grace", "refresh-grace"):
        assert secret.encode() not in written
        assert secret not in shown + caplog.text
    assert b"subject-ada" in written
    assert "sealed_tokens" in caplog.text  # every statement, with its parameters, was logged
