"""Tokens of the HTTP interface."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from app.api_tokens import ApiTokens
from app.database.database import Database
from app.database.tables import api_tokens
from app.errors import PrincipalError, UnauthenticatedError
from app.principal import Principal
from tests.fakes.leaks import everything_in


@pytest.fixture
def tokens(database: Database) -> ApiTokens:
    """The tokens of the test's database, at second 1000."""
    return ApiTokens(database, now=lambda: 1000.0)


async def test_each_token_stands_for_its_own_principal(tokens: ApiTokens, ada: Principal, grace: Principal) -> None:
    """Two people's tokens, and two of the same person, are told apart and go on to work."""
    issued = [(who, await tokens.issue(who, label="laptop")) for who in (ada, grace, ada)]

    assert [await tokens.principal_of(token) for _, token in issued] == [ada, grace, ada]
    assert len({token for _, token in issued}) == 3
    assert all(re.fullmatch(r"dpt_[\w-]{43}", token) for _, token in issued)


async def test_a_token_is_stored_as_a_hash(tokens: ApiTokens, database: Database, ada: Principal) -> None:
    """No column of the row holds the token or its random part."""
    token = await tokens.issue(ada, label="laptop")
    async with database.reading() as connection:
        row = (await connection.execute(sa.select(api_tokens))).one()

    assert token.removeprefix("dpt_") not in repr(tuple(row))
    assert (row.platform, row.tenant, row.user_id, row.label) == ("http", "demo", "ada", "laptop")
    assert (row.created_at, row.revoked_at) == (1000.0, None)


async def test_an_unknown_token_is_refused_and_not_repeated(tokens: ApiTokens, ada: Principal) -> None:
    """A token that is a letter off, or a hash, or nothing, stands for nobody."""
    token = await tokens.issue(ada, label="laptop")

    for wrong in ("", "dpt_", token[:-1], token + "A", token.lower() + "!", "dpt_" + "A" * 100_000):
        with pytest.raises(UnauthenticatedError) as caught:
            await tokens.principal_of(wrong)
        assert token[4:30] not in everything_in(caught.value)


async def test_revoking_ends_one_persons_tokens_only(tokens: ApiTokens, ada: Principal, grace: Principal) -> None:
    """All of Ada's end at once, Grace's stay, and what has ended cannot end again."""
    hers = [await tokens.issue(ada, label=label) for label in ("laptop", "phone")]
    other = await tokens.issue(grace, label="laptop")

    assert await tokens.revoke(ada) == 2
    assert await tokens.revoke(ada) == 0
    for token in hers:
        with pytest.raises(UnauthenticatedError):
            await tokens.principal_of(token)
    assert await tokens.principal_of(other) == grace


async def test_revoking_by_label_spares_the_others(tokens: ApiTokens, ada: Principal, grace: Principal) -> None:
    """Only the tokens of that person with that label end."""
    laptop, phone = [await tokens.issue(ada, label=label) for label in ("laptop", "phone")]
    other = await tokens.issue(grace, label="laptop")

    assert await tokens.revoke(ada, label="laptop") == 1
    with pytest.raises(UnauthenticatedError):
        await tokens.principal_of(laptop)
    assert [await tokens.principal_of(token) for token in (phone, other)] == [ada, grace]


async def test_a_token_is_for_http_only(tokens: ApiTokens) -> None:
    """A Slack user is verified by Slack; no token can stand for one."""
    with pytest.raises(PrincipalError, match=r"got slack:T1:U1"):
        await tokens.issue(Principal("slack", "T1", "U1"), label="laptop")
