"""id_tokens of providers that are described in settings: which of them are accepted, and for whom."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from app.errors import CallbackRefusedError
from app.oauth.description import Endpoints
from app.oauth.id_token import account_of_id_token
from app.oauth.tokens import ProviderAccount

ONE, TWO = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"
DIRECTORIES = Endpoints(
    "https://login.test/a",
    "https://login.test/t",
    issuer="https://login.test/{tenantid}/v2.0",
    certs="https://login.test/k",
)


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    """Return the provider's key."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def claims_of(directory: str, name: str, **changes: Any) -> dict[str, Any]:
    """Return what a directory says of one of its people."""
    now = int(time.time())
    said = {"iss": f"https://login.test/{directory}/v2.0", "aud": "deputy", "iat": now, "exp": now + 300, "nonce": "n"}
    return {**said, "sub": f"pairwise-{name}", "tid": directory, "oid": f"oid-{name}", "name": name, **changes}


async def account(key: RSAPrivateKey, claims: dict[str, Any], **changes: Any) -> ProviderAccount:
    """Return the account of an id_token with these claims, signed with the provider's key or another one."""
    certs = {"keys": [{**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "1", "alg": "RS256"}]}
    signed_by = changes.pop("signed_by", key)
    id_token = jwt.encode(claims, signed_by, algorithm="RS256", headers={"kid": "1"})
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=certs))
    async with httpx2.AsyncClient(transport=transport) as http:
        return await account_of_id_token(
            http,
            id_token,
            changes.pop("endpoints", DIRECTORIES),
            "Office",
            client_id="deputy",
            nonce="n",
            subject_claims=("tid", "oid"),
        )


async def test_each_directory_names_its_own_people(key: RSAPrivateKey) -> None:
    """The account is the directory and the id in it, not the pairwise `sub` or an address that anybody can set."""
    found = [
        await account(key, claims_of(directory, "ada", email="grace@two.test", preferred_username="ada@one.test"))
        for directory in (ONE, TWO)
    ]

    assert [each.subject for each in found] == [f"{ONE}:oid-ada", f"{TWO}:oid-ada"]
    assert {each.email for each in found} == {"ada@one.test"}


@pytest.mark.parametrize(
    "changes",
    [
        {"tid": TWO},
        {"tid": ""},
        {"iss": f"https://login.test/{ONE}/v2.0/"},
        {"iss": f"https://login.test.evil.example/{ONE}/v2.0"},
        {"iss": "https://login.test//v2.0", "tid": ""},
        {"iss": f"https://login.test/x/{ONE}/v2.0", "tid": f"x/{ONE}"},
        {"aud": "another"},
        {"exp": 1},
        {"nonce": "another"},
        {"azp": "another"},
    ],
    ids=["of another directory", "of none", "a slash more", "another host", "no directory", "a path", "another client",
         "expired", "another sign-in", "another party"],
)  # fmt: skip
async def test_what_does_not_fit_connects_nobody(key: RSAPrivateKey, changes: dict[str, Any]) -> None:
    """A directory is believed only about its own people, for this client and in this sign-in."""
    with pytest.raises(CallbackRefusedError):
        await account(key, claims_of(ONE, "ada", **changes))


async def test_only_the_providers_own_key_counts(key: RSAPrivateKey) -> None:
    """A token that is not signed with the provider's key is refused."""
    other = generate_private_key(public_exponent=65537, key_size=2048)

    with pytest.raises(CallbackRefusedError, match="not signed by Office"):
        await account(key, claims_of(ONE, "ada"), signed_by=other)


async def test_without_its_id_an_account_has_no_subject(key: RSAPrivateKey) -> None:
    """A missing claim is not replaced by another one, so the account has no subject."""
    claims = claims_of(ONE, "ada")
    del claims["oid"]

    assert (await account(key, claims)).subject == ""
