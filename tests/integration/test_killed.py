"""kill -9 during a refresh or an offboarding: the next process finishes it, and other people are not affected."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from app.errors import GrantRevokedError, OffboardedError, UnauthenticatedError
from app.grants.listing import connected
from app.grants.refresh import Refresher
from app.messages import MessageState
from app.principal import Principal
from tests.fakes.core_server import inbound
from tests.fakes.databases import Databases
from tests.fakes.installation import DeputyInstallation, open_installation
from tests.fakes.sandbox import ADA, GRACE, READ

REFRESH = "app.google.auth:GoogleAuth.refresh"
STEPS = (
    "app.users:Users.offboard=after",
    "app.api_tokens:ApiTokens.revoke=after",
    "app.delivery.store.cancellation:Cancellation.end_all=after",
    "app.grants.grants:Grants.find_ending=before",  # it is ending, and Google has not been notified
    "app.google.auth:GoogleAuth.revoke=before",
    "app.google.auth:GoogleAuth.revoke=after",  # Google has been notified, and it has not been erased
    "app.consent.revocation:Revocation._erase=after",
    "app.users:Users.mark_ended=before",
)
KILLED = -signal.SIGKILL


@pytest.fixture
async def installation(tmp_path: Path, databases: Databases) -> AsyncIterator[DeputyInstallation]:
    """Yield a database and a Google with two people."""
    async with open_installation(tmp_path, await databases.migrated("deputy")) as installation:
        yield installation


async def connect_both(installation: DeputyInstallation, ada: Principal, grace: Principal, expires_in: float) -> None:
    """Connect both people, with access tokens that expire after `expires_in` seconds."""
    for person, email in ((ada, ADA), (grace, GRACE)):
        await installation.connect(person, email, READ, expires_in=expires_in)


async def test_who_waits_takes_over_from_a_refresh_that_was_killed(
    installation: DeputyInstallation, ada: Principal, grace: Principal
) -> None:
    """If a process dies holding the refresh lease, waiting callers get a token by one call when the lease expires."""
    await connect_both(installation, ada, grace, expires_in=0)
    assert [code async for code in installation.killed([f"{REFRESH}=before"], "refresh", "--principal", str(ada))] == [
        KILLED
    ]
    assert installation.token_calls() == 0
    refresher: Refresher = installation.container.refresher()
    found = await asyncio.gather(*(refresher.fresh(ada) for _ in range(8)), refresher.fresh(grace))

    assert installation.token_calls() == 2
    owners = [installation.google.bearer_owner(grant.access_token) for grant in found if grant]
    assert owners == [ADA] * 8 + [GRACE]


async def test_a_rotated_token_that_died_with_its_process_costs_a_consent(
    installation: DeputyInstallation, ada: Principal, grace: Principal
) -> None:
    """If a process dies after Google rotated the token, the person has to consent again, and nobody else."""
    await connect_both(installation, ada, grace, expires_in=0)
    assert [code async for code in installation.killed([f"{REFRESH}=after"], "refresh", "--principal", str(ada))] == [
        KILLED
    ]
    refresher: Refresher = installation.container.refresher()
    with pytest.raises(GrantRevokedError):
        await refresher.fresh(ada)

    assert await refresher.fresh(ada) is None  # so a tool asks for consent
    assert await refresher.fresh(grace) is not None
    await installation.connect(ada, ADA, READ, expires_in=0)
    again = await refresher.fresh(ada)
    assert again is not None
    assert installation.google.bearer_owner(again.access_token) == ADA


async def test_an_offboarding_that_is_killed_at_every_step_finishes(
    installation: DeputyInstallation, ada: Principal, grace: Principal
) -> None:
    """An offboarding killed once after each of eight steps finishes on its ninth run and leaves nothing."""
    await connect_both(installation, ada, grace, expires_in=3600)
    container = installation.container
    bearers = {person: await container.api_tokens().issue(person, label="test") for person in (ada, grace)}
    undone = {person: await container.intake().accept(inbound(person, conversation=str(person))) for person in bearers}
    access = await container.grants().find(ada)
    offboard = ("users", "offboard", "--principal", str(ada))
    codes = []
    async with aclosing(installation.killed([*STEPS, "nowhere=never"], *offboard)) as endings:
        async for code in endings:
            codes.append(code)
            with pytest.raises(OffboardedError):
                await container.intake().accept(inbound(ada))
            if len(codes) <= len(STEPS):
                with pytest.raises(OffboardedError, match="not finished"):
                    await container.users().restore(ada)

    assert codes == [*[KILLED] * len(STEPS), 0]
    assert [grant.principal for grant in await connected(container.database())] == [grace]
    assert [user.ended_at is not None for user in await container.users().everybody()] == [True, False]
    assert access is not None
    assert installation.google.bearer_owner(access.access_token) is None
    with pytest.raises(UnauthenticatedError):
        await container.api_tokens().principal_of(bearers[ada])
    states = [(await container.inbox().get(person, undone[person].message_id)).state for person in (ada, grace)]
    assert states == [MessageState.FAILED, MessageState.NEW]
    assert await container.api_tokens().principal_of(bearers[grace]) == grace
    assert await container.refresher().fresh(grace) is not None
