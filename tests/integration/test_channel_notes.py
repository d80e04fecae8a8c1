"""Tests of a channel's notes about the reply that it shows: kept with the message, and fenced by its attempt."""

from __future__ import annotations

from app.database.database import Database
from app.delivery.store.notes import ChannelNotes
from app.keys.ring import KeyRing
from app.messages import ConversationKey, StoredMessage
from app.principal import Principal
from tests.fakes.core_server import CoreServer


async def test_notes_belong_to_one_attempt_of_one_persons_message(
    database: Database, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A superseded attempt can neither change the notes nor continue, and nothing can once the message has ended."""
    server, notes = CoreServer(database, key_ring), ChannelNotes(database)
    mine, hers = [await _begun(server, person) for person in (ada, grace)]
    kept = [await notes.keep(message, {"ts": message.principal.user}, while_open=True) for message in (mine, hers)]
    await server.inbox.put_back(mine, suspect=False)
    again = await server.inbox.begin_next(ConversationKey.of(mine))
    assert again is not None
    late = [await notes.is_open(mine), await notes.keep(mine, {"ts": "late"}, while_open=True)]
    await server.inbox.finish(again, "answer", private=False)
    ended = await notes.keep(again, {"ts": "ended"}, while_open=True)
    left = [(await server.inbox.get(message.principal, message.message_id)).notes for message in (mine, hers)]
    cleared = await notes.keep(again, None, while_open=False)

    assert kept == [True, True]
    assert late == [False, False]
    assert again.notes == {"ts": "ada"}
    assert not ended
    assert left == [{"ts": "ada"}, {"ts": "grace"}]
    assert cleared
    assert (await server.inbox.get(ada, mine.message_id)).notes is None
    assert await notes.is_open(hers)


async def _begun(server: CoreServer, person: Principal) -> StoredMessage:
    message = await server.inbox.begin_next(ConversationKey.of(await server.say(person, "hello", person.user)))
    assert message is not None
    return message
