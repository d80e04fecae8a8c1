"""Files that come with a message: stored by reference, with limits, and erased with the message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from app.database.database import Database
from app.database.tables import messages
from app.delivery.store.admin import Deliveries
from app.errors import InvalidMessageError
from app.keys.ring import KeyRing
from app.messages import Attachment, AttachmentKind, ConversationKey, MessageState
from app.principal import Principal
from tests.fakes.core_server import CoreServer, inbound

DAY = 86_400
PHOTO = Attachment(AttachmentKind.IMAGE, "harbour.png", "image/png", 12, "media-1")
NOTE = Attachment(AttachmentKind.VOICE, "", "audio/ogg", None, "media-2")


async def test_attachments_are_stored_by_reference_with_their_own_message(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A message may consist only of files, and each row has its own person's files, in order."""
    server = CoreServer(database, key_ring)
    mine = await server.intake.accept(inbound(ada, "", attachments=(PHOTO, NOTE), conversation="a"))
    hers = await server.intake.accept(inbound(grace, "look", attachments=(NOTE,), conversation="g"))
    without = await server.intake.accept(inbound(grace, "hello", conversation="g"))
    begun = await server.inbox.begin_next(ConversationKey.of(mine))

    assert begun is not None
    assert begun.attachments == mine.attachments == (PHOTO, NOTE)
    assert (await server.inbox.get(grace, hers.message_id)).attachments == (NOTE,)
    assert (await server.inbox.get(grace, without.message_id)).attachments == ()
    assert "harbour" not in repr(begun)
    assert "media-1" not in repr(begun)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "x" * 256}, "the name of an attachment has at most 255"),
        ({"name": "a\x00b"}, "the name of an attachment contains characters"),
        ({"mime_type": "x" * 256}, "the MIME type of an attachment has at most 255"),
        ({"reference": "x" * 1025}, "the reference of an attachment has at most 1024"),
        ({"reference": ""}, "not empty"),
        ({"reference": "https://files.example/secret"}, "not a URL"),
        ({"size": -1}, "not negative"),
    ],
)
async def test_an_attachment_that_cannot_be_stored_is_refused(
    database: Database, key_ring: KeyRing, ada: Principal, changes: dict[str, Any], words: str
) -> None:
    """An invalid attachment is refused with the name of its part, and nothing of the message is stored."""
    server = CoreServer(database, key_ring)
    with pytest.raises(InvalidMessageError, match=words):
        await server.intake.accept(inbound(ada, attachments=(replace(PHOTO, **changes),)))

    assert await server.inbox.is_idle()


async def test_too_many_attachments_are_refused(database: Database, key_ring: KeyRing, ada: Principal) -> None:
    """Twenty attachments fit on every channel, and one more is refused."""
    server = CoreServer(database, key_ring)
    stored = await server.intake.accept(inbound(ada, attachments=(PHOTO,) * 20))
    with pytest.raises(InvalidMessageError, match="at most 20 attachments"):
        await server.intake.accept(inbound(ada, attachments=(PHOTO,) * 21))

    assert len(stored.attachments) == 20


async def test_attachments_are_erased_with_their_message(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A message without text is erased with its attachments, and another person's younger one stays."""
    server = CoreServer(database, key_ring)
    old = await server.intake.accept(inbound(ada, "", attachments=(PHOTO,), conversation="a"))
    await server.answer_next(old)
    server.clock.now += 31 * DAY
    fresh = await server.intake.accept(inbound(grace, "", attachments=(NOTE,), conversation="g"))
    await server.answer_next(fresh)

    assert (await server.retention.erase(), await server.retention.erase()) == (1, 0)
    assert (await server.inbox.get(ada, old.message_id)).attachments == ()
    assert (await server.inbox.get(grace, fresh.message_id)).attachments == (NOTE,)
    async with database.reading() as connection:
        empty = sa.select(sa.func.count()).where(messages.c.attachments.is_(sa.null()))
        assert (await connection.execute(empty)).scalar() == 1


async def test_a_failed_message_of_files_alone_can_be_tried_again(
    database: Database, key_ring: KeyRing, ada: Principal
) -> None:
    """A failed message of files alone can be retried, because its files were not erased."""
    server = CoreServer(database, key_ring)
    message = await server.intake.accept(inbound(ada, "", attachments=(PHOTO,)))
    begun = await server.inbox.begin_next(ConversationKey.of(message))
    assert begun is not None
    await server.inbox.fail(begun, "an apology", "model_busy")
    await Deliveries(database, server.clock).retry(message.message_id)

    assert (await server.inbox.get(ada, message.message_id)).state is MessageState.NEW
