"""The replies that a platform has refused, and their next attempt."""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa

from app.database.tables import outbox, owned_by
from app.messages import ConversationKey
from tests.contract.channels import ChannelDriver, Sender
from tests.fakes.server import PATIENCE_SECONDS, Server


async def refused(server: Server, channel: ChannelDriver, sender: Sender) -> Any:
    """Return the row of the only reply to a person, once the platform has refused it."""
    query = sa.select(outbox).where(owned_by(outbox, channel.principal(sender)), outbox.c.last_error.is_not(None))
    return (await rows(server, query))[0]


async def try_now(server: Server, channel: ChannelDriver, sender: Sender) -> None:
    """Make a person's refused reply due now, and wake the sender."""
    reply = await refused(server, channel, sender)
    async with server.container.database().writing() as connection:
        await connection.execute(outbox.update().where(outbox.c.id == reply.id).values(next_try_at=0.0))
    principal = channel.principal(sender)
    server.container.sender().look(ConversationKey(principal.platform, principal.tenant, reply.conversation))


async def rows(server: Server, query: sa.Select[Any]) -> list[Any]:
    """Return the rows that a query finds, once there are any."""

    async def look() -> list[Any]:
        async with server.container.database().reading() as connection:
            return list((await connection.execute(query)).all())

    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := await look()):
            await asyncio.sleep(0.005)
    return found
