"""Links, consents and credentials that are missing or invalid, and values that are sealed for somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.credentials.workspace import WorkspaceTokens
from app.errors import DeputyError
from app.keys.ring import KeyRing
from app.oauth.tokens import ProviderTokens
from app.run import new_run
from containers.testing import open_test_container, open_test_scope, settings_in
from tests.fakes.credentials import connect, google_tokens
from tests.provoking.showing import ADA, GRACE, READ_MAIL, Provoke, Shown, raised, shown


class _NoDelegation:
    """A service account that is never asked."""

    async def token_for(self, subject: str, oauth_scopes: frozenset[str]) -> ProviderTokens:
        raise NotImplementedError


async def link_that_is_over(folder: Path) -> Shown:
    """Open a link that was never issued."""
    async with open_test_container(settings_in(folder)) as container:
        return await raised(container.links().open("never issued"))


async def sign_in_that_is_over(folder: Path) -> Shown:
    """Return from a sign-in that was never begun."""
    async with open_test_container(settings_in(folder)) as container:
        return await raised(container.links().of_browser("never begun", None))


async def sign_in_of_another_browser(folder: Path) -> Shown:
    """Return from Google in another browser than the one that opened the link."""
    async with open_test_container(settings_in(folder)) as container:
        links = container.links()
        _, token = await links.issue(ADA, frozenset({READ_MAIL}))
        opened = await links.open(token)
        return await raised(links.of_browser(opened.link.link_id, "another cookie"))


async def client_of_another_request(folder: Path) -> Shown:
    """Use a Google client that was kept for the next request."""
    async with open_test_container(settings_in(folder)) as container, open_test_scope(ADA) as scope:
        google = scope.get(container.google)
        with new_run():
            return await raised(google.execute(google.resource("gmail", "v1", "users", "labels").list(userId="me")))


async def credentials_before_ensure(folder: Path) -> Shown:
    """Take a token without asking for one first."""
    async with open_test_container(settings_in(folder)) as container, open_test_scope(ADA) as scope:
        with pytest.raises(DeputyError) as error:
            scope.get(container.credentials).for_google()
        return shown(error.value)


async def no_verified_address(folder: Path) -> Shown:
    """Ask for a token in workspace mode for a person whose address no channel knows."""
    tokens = WorkspaceTokens({}, _NoDelegation(), domains={"acme.example"})
    return await raised(tokens.fresh(ADA, frozenset({READ_MAIL})))


async def no_consent(folder: Path) -> Shown:
    """Ask for a token of a person who has granted nothing."""
    async with open_test_container(settings_in(folder)) as container, open_test_scope(ADA) as scope:
        return await raised(scope.get(container.credentials).ensure(frozenset({READ_MAIL})))


async def grant_that_is_over(folder: Path) -> Shown:
    """Report a token that Google refuses."""
    async with open_test_container(settings_in(folder)) as container:
        grants = container.grants()
        await connect(container.database(), grants, ADA, google_tokens("ada-1"))
        grant = await grants.find(ADA)
        assert grant is not None
        return await raised(container.tokens().refused(ADA, grant.credential_id, grant.access_token))


async def key_that_is_gone(folder: Path) -> Shown:
    """Open a value with a key ring that lacks its key."""
    sealed = KeyRing({"k1": bytes(32)}).seal("token", ADA.user)
    with pytest.raises(DeputyError) as error:
        KeyRing({"k2": bytes(32)}).open(sealed, ADA.user)
    return shown(error.value)


async def row_of_somebody_else(folder: Path) -> Shown:
    """Open a value that was copied into another person's row."""
    ring = KeyRing({"k1": bytes(32)})
    with pytest.raises(DeputyError) as error:
        ring.open(ring.seal("token", ADA.user), GRACE.user)
    return shown(error.value)


PROVOKED: list[Provoke] = [
    link_that_is_over,
    sign_in_that_is_over,
    sign_in_of_another_browser,
    client_of_another_request,
    credentials_before_ensure,
    no_verified_address,
    no_consent,
    grant_that_is_over,
    key_that_is_gone,
    row_of_somebody_else,
]
