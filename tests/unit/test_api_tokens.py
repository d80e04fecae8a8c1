"""Tokens of the HTTP interface."""

from __future__ import annotations

import hashlib
import re

import pytest
import sqlalchemy as sa

from app.api_tokens import MAX_TOKENS, ApiTokens
from app.database.database import Database
from app.database.tables import api_tokens
from app.errors import OverLimitError, PrincipalError, UnauthenticatedError
from app.keys.ring import KeyRing
from app.principal import Principal
from tests.fakes.leaks import everything_in


@pytest.fixture
def tokens(database: Database, key_ring: KeyRing) -> ApiTokens:
    """Return the tokens in the test's database, at second 1000."""
    return ApiTokens(database, key_ring, now=lambda: 1000.0)


async def test_each_token_stands_for_its_own_principal(tokens: ApiTokens, ada: Principal, grace: Principal) -> None:
    """Each token stands for its own person, and two tokens of the same person both work."""
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


async def test_an_unknown_token_is_refused_and_not_repeated(
    tokens: ApiTokens, database: Database, ada: Principal, grace: Principal
) -> None:
    """A token that is a letter off, its stored hash, or nothing identifies nobody, and no error repeats it."""
    token = await tokens.issue(ada, label="laptop")
    await tokens.issue(grace, label="laptop")
    async with database.reading() as connection:
        hashes = (await connection.execute(sa.select(api_tokens.c.token_hash))).scalars().all()
    assert len(hashes) == 2
    secrets = [token[4:30], *hashes]

    for wrong in (
        "", "dpt_", token[:-1], token + "A", token.lower() + "!", "dpt_" + "A" * 100_000,
        *hashes, *(f"dpt_{each}" for each in hashes),
    ):  # fmt: skip
        with pytest.raises(UnauthenticatedError) as caught:
            await tokens.principal_of(wrong)
        assert not [each for each in secrets if each in everything_in(caught.value)]


async def test_revoking_ends_one_persons_tokens_only(tokens: ApiTokens, ada: Principal, grace: Principal) -> None:
    """All of Ada's tokens are revoked at once, Grace's stays, and revoking again revokes nothing."""
    hers = [await tokens.issue(ada, label=label) for label in ("laptop", "phone")]
    other = await tokens.issue(grace, label="laptop")

    assert await tokens.revoke(ada) == 2
    assert await tokens.revoke(ada) == 0
    for token in hers:
        with pytest.raises(UnauthenticatedError):
            await tokens.principal_of(token)
    assert await tokens.principal_of(other) == grace


async def test_revoking_by_label_spares_the_others(tokens: ApiTokens, ada: Principal, grace: Principal) -> None:
    """Only the tokens of that person with that label are revoked."""
    laptop, phone = [await tokens.issue(ada, label=label) for label in ("laptop", "phone")]
    other = await tokens.issue(grace, label="laptop")

    assert await tokens.revoke(ada, label="laptop") == 1
    with pytest.raises(UnauthenticatedError):
        await tokens.principal_of(laptop)
    assert [await tokens.principal_of(token) for token in (phone, other)] == [ada, grace]


async def test_a_token_is_for_http_only(tokens: ApiTokens) -> None:
    """No token can be issued for a Slack user, whom Slack verifies."""
    with pytest.raises(PrincipalError, match=r"got slack:T1:U1"):
        await tokens.issue(Principal("slack", "T1", "U1"), label="laptop")


async def change(database: Database, change: sa.Update | sa.Insert | sa.Delete) -> None:
    """Write to the database directly, like somebody who can reach it but has no key."""
    async with database.writing() as connection:
        await connection.execute(change)


async def test_a_row_that_was_given_to_somebody_else_stands_for_nobody(
    tokens: ApiTokens, database: Database, ada: Principal, grace: Principal
) -> None:
    """Ada's token does not become Grace's when its row, or its hash and verifier, are given to Grace."""
    of_ada, of_grace = [await tokens.issue(who, label="laptop") for who in (ada, grace)]
    async with database.reading() as connection:
        row = (await connection.execute(sa.select(api_tokens).where(api_tokens.c.user_id == "ada"))).one()
    await change(
        database, api_tokens.update().where(api_tokens.c.id == row.id).values(user_id="grace", label="was Ada")
    )
    with pytest.raises(UnauthenticatedError):
        await tokens.principal_of(of_ada)
    await change(database, api_tokens.delete().where(api_tokens.c.id == row.id))
    stolen = {"token_hash": row.token_hash, "sealed_verifier": row.sealed_verifier}
    await change(database, api_tokens.update().where(api_tokens.c.user_id == "grace").values(**stolen))

    for token in (of_ada, of_grace):
        with pytest.raises(UnauthenticatedError):
            await tokens.principal_of(token)


async def test_a_row_that_was_written_by_hand_stands_for_nobody(
    tokens: ApiTokens, database: Database, ada: Principal, grace: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a key nobody can write a row that is accepted, even with a known token's hash; the log names the row."""
    of_grace = await tokens.issue(grace, label="laptop")
    async with database.reading() as connection:
        row = (await connection.execute(sa.select(api_tokens))).one()
    forged = "dpt_" + "A" * 43
    digest = hashlib.sha256(forged.encode()).hexdigest()
    for number, verifier in enumerate(("", digest, row.sealed_verifier, "v1.k9." + "A" * 80)):
        values = {
            **row._mapping,
            "id": str(number),
            "user_id": "ada",
            "token_hash": digest,
            "sealed_verifier": verifier,
        }
        await change(database, api_tokens.insert().values(values))
        with pytest.raises(UnauthenticatedError):
            await tokens.principal_of(forged)
        await change(database, api_tokens.delete().where(api_tokens.c.id == str(number)))

    assert "row 0" in caplog.text
    assert forged not in caplog.text
    assert await tokens.principal_of(of_grace) == grace


async def test_a_hash_of_ones_own_in_ones_own_row_is_not_enough(
    tokens: ApiTokens, database: Database, ada: Principal
) -> None:
    """A row that keeps its verifier but has another token's hash accepts that token for nobody."""
    await tokens.issue(ada, label="laptop")
    digest = hashlib.sha256(b"dpt_chosen").hexdigest()
    await change(database, api_tokens.update().values(token_hash=digest))

    with pytest.raises(UnauthenticatedError):
        await tokens.principal_of("dpt_chosen")


async def test_a_revoked_token_cannot_be_brought_back(
    tokens: ApiTokens, database: Database, ada: Principal, grace: Principal
) -> None:
    """Clearing the revocation in a row does not bring its token back."""
    of_ada, of_grace = [await tokens.issue(who, label="laptop") for who in (ada, grace)]
    await tokens.revoke(ada)
    await change(database, api_tokens.update().values(revoked_at=None))

    with pytest.raises(UnauthenticatedError):
        await tokens.principal_of(of_ada)
    assert await tokens.principal_of(of_grace) == grace


async def test_an_address_that_nobody_vouched_for_is_not_believed(
    tokens: ApiTokens, database: Database, ada: Principal, grace: Principal
) -> None:
    """An address that was written into a row is not believed, and the row's token stops working."""
    of_ada = await tokens.issue(ada, label="laptop", email="ada@example.com")
    of_grace = await tokens.issue(grace, label="laptop", email="grace@example.com")
    before = [await tokens.find_email(who) for who in (ada, grace)]
    row = api_tokens.c.user_id == "ada"
    await change(database, api_tokens.update().where(row).values(email="grace@example.com"))

    assert before == ["ada@example.com", "grace@example.com"]
    assert await tokens.find_email(ada) is None
    with pytest.raises(UnauthenticatedError):
        await tokens.principal_of(of_ada)
    assert await tokens.principal_of(of_grace) == grace


@pytest.mark.parametrize("twin", [
    "jose\u0301", "jos\xe9 ", " jos\xe9", "jos\xe9\u3164", "jos\xe9\ufe0f", "jo\u034fs\xe9", "jos\xe9\u115f",
])  # fmt: skip
async def test_one_person_has_one_spelling(tokens: ApiTokens, grace: Principal, twin: str) -> None:
    """A name that looks like another one is refused with the right spelling, so that offboarding finds all tokens."""
    jose = Principal("http", "demo", "jos\xe9")
    token = await tokens.issue(jose, label="laptop")
    for other in (Principal("http", "demo", twin), Principal("http", twin, "grace")):
        with pytest.raises(PrincipalError, match=r"write http:.*jos%C3%A9"):
            await tokens.issue(other, label="laptop")

    assert await tokens.principal_of(token) == jose
    assert await tokens.principal_of(await tokens.issue(grace, label="laptop")) == grace


async def test_a_name_that_nobody_sees_is_refused(tokens: ApiTokens) -> None:
    """A name made of invisible characters is refused."""
    with pytest.raises(PrincipalError, match="unseen"):
        await tokens.issue(Principal("http", "demo", "\u3164"), label="laptop")


async def test_one_persons_tokens_are_bounded(tokens: ApiTokens, ada: Principal, grace: Principal) -> None:
    """At the limit the error says what to do, revoking makes room, and other people are not affected."""
    for _ in range(MAX_TOKENS):
        await tokens.issue(ada, label="laptop")
    with pytest.raises(OverLimitError, match="deputy tokens revoke"):
        await tokens.issue(ada, label="laptop")
    hers = await tokens.issue(grace, label="laptop")
    await tokens.revoke(ada)
    again = await tokens.issue(ada, label="laptop")

    assert [await tokens.principal_of(token) for token in (hers, again)] == [grace, ada]


async def test_who_looks_the_same_is_found(
    tokens: ApiTokens, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens of an earlier version are found under all spellings of one name, and nobody else's are."""
    jose, twins = Principal("http", "demo", "jos\xe9"), ("jose\u0301", "jos\xe9 ")
    with monkeypatch.context() as earlier:
        earlier.setattr("app.api_tokens._check_normal", lambda _: None)
        for person in (ada, grace, jose, *(Principal("http", "demo", twin) for twin in twins)):
            await tokens.issue(person, label="laptop")
    await tokens.issue(Principal("http", "acme", "jos\xe9"), label="laptop")

    assert {each.user for each in await tokens.lookalikes(jose)} == set(twins)
    assert len(await tokens.lookalikes(Principal("http", "demo", twins[0]))) == 2
    assert await tokens.lookalikes(ada) == ()
