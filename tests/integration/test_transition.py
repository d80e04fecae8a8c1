"""Rows change their state by compare-and-set."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from app.consent.link import LinkState
from app.database.database import Database
from app.database.tables import consent_links, owned_by, owner
from app.database.transition import changed, changing
from app.principal import Principal


@pytest.fixture
async def links(database: Database, ada: Principal, grace: Principal) -> None:
    """Store an issued link of each of two people."""
    async with database.writing() as connection:
        for principal in (ada, grace):
            await connection.execute(
                consent_links.insert().values(
                    id=principal.user,
                    **owner(principal),
                    token_hash=principal.user,
                    sealed_secrets="",
                    oauth_scopes="",
                    state=LinkState.ISSUED,
                    place="direct",
                    created_at=0.0,
                    expires_at=1.0,
                )
            )


async def states(database: Database) -> dict[str, str]:
    """Return the state of each link."""
    async with database.reading() as connection:
        rows = await connection.execute(sa.select(consent_links.c.id, consent_links.c.state))
        return {row.id: row.state for row in rows}


@pytest.mark.usefixtures("links")
async def test_of_several_that_change_a_row_one_succeeds(database: Database, ada: Principal, grace: Principal) -> None:
    """Of four simultaneous changes of a row only one succeeds, and another person's row stays."""

    async def open_link() -> bool:
        async with database.writing() as connection:
            mine = owned_by(consent_links, ada)
            return await changed(connection, consent_links, mine, LinkState.ISSUED, LinkState.OPENED, alias="work")

    succeeded = await asyncio.gather(*(open_link() for _ in range(4)))

    assert sorted(succeeded) == [False, False, False, True]
    assert await states(database) == {ada.user: LinkState.OPENED, grace.user: LinkState.ISSUED}


@pytest.mark.usefixtures("links")
async def test_a_fence_that_fell_keeps_the_row(database: Database, ada: Principal, grace: Principal) -> None:
    """A row whose fence does not hold stays unchanged, and one statement can change several rows."""
    everybody = consent_links.c.platform == ada.platform
    async with database.writing() as connection:
        fenced = await changed(
            connection,
            consent_links,
            owned_by(consent_links, ada),
            (LinkState.ISSUED, LinkState.OPENED),
            LinkState.EXPIRED,
            fence=consent_links.c.expires_at == 2.0,
        )
        statement = changing(consent_links, everybody, LinkState.ISSUED, LinkState.EXPIRED).returning(
            consent_links.c.id
        )
        moved = set(await connection.scalars(statement))

    assert not fenced
    assert moved == {ada.user, grace.user}
