"""Tests of confirming a sign-in in the chat: the replies, and the answers to the messages that waited."""

from __future__ import annotations

import re
from typing import NoReturn

import pytest

from app.chat.accounts import ConfirmCommand
from app.database.database import Database
from app.errors import CallbackRefusedError
from app.keys.ring import KeyRing
from app.messages import ConversationKey, MessageState, StoredMessage
from app.oauth.provider import GOOGLE
from app.principal import Principal
from tests.fakes.consent import comes_back
from tests.fakes.core_server import CoreServer
from tests.fakes.credentials import google_tokens
from tests.fakes.providers import google_alone
from tests.fakes.sandbox import READ, SEND

WRONG = "confirm 2222-2222"


@pytest.fixture
def server(database: Database, key_ring: KeyRing) -> CoreServer:
    """Return a process to which nobody has written yet."""
    return CoreServer(database, key_ring)


async def signs_in(server: CoreServer, message: StoredMessage, *scopes: str) -> str:
    """Have the sender of a parked message consent in a browser, and return the code that they are shown."""
    parked = await server.parking.find(message)
    assert parked is not None
    token = await server.links.find_issued(message.principal, parked.link_id or "")
    opened = await server.links.open(token or "")
    assert await comes_back(server.links, opened)
    tokens = google_tokens(f"{message.principal.user}-1", scopes=frozenset(scopes or {READ}))
    await server.confirmation.begin(opened.link, tokens)
    return str(getattr(await server.confirmation.awaited(opened.link), "code", ""))


async def reply(server: CoreServer, person: Principal, text: str, conversation: str = "c") -> str:
    """Return the reply to a person's message."""
    return str((await server.ask(person, text, conversation)).answer)


async def test_a_confirmed_message_is_answered_by_itself(server: CoreServer, ada: Principal, grace: Principal) -> None:
    """After the confirmation, that person's message is answered privately; another person's message stays parked."""
    mine, hers = [await server.ask(person, "/letters_read", person.user) for person in (ada, grace)]
    code, _ = await signs_in(server, mine), await signs_in(server, hers)
    said = await reply(server, ada, f"confirm {code}", "elsewhere")
    answered = await server.answer_next(mine)

    assert said == "Connected: ada@example.com."
    assert (answered.state, answered.answer) == (MessageState.DONE, "a letter to ada")
    assert (await server.inbox.get(grace, hers.message_id)).state is MessageState.PARKED
    assert server.channel.texts(ada)[-1] == "a letter to ada"
    assert all(sent.private for sent in server.channel.sent)


async def test_the_code_of_another_person_is_no_use(server: CoreServer, ada: Principal, grace: Principal) -> None:
    """A code is unknown to anybody but its owner, and still works for its owner afterwards."""
    message = await server.ask(ada, "/letters_read")
    code = await signs_in(server, message)

    assert "I don't know this code" in await reply(server, grace, f"confirm {code}", "g")
    assert await reply(server, ada, f"confirm {code}", "d") == "Connected: ada@example.com."


async def test_wrong_codes_are_counted_aloud(server: CoreServer, ada: Principal, grace: Principal) -> None:
    """Each reply says how many tries are left; after the last, the waiting message says that its link expired."""
    mine, hers = [await server.ask(person, "/letters_read", person.user) for person in (ada, grace)]
    for message in (mine, hers):
        await signs_in(server, message)
    server.unconfirmed._providers[GOOGLE].revoke = _revoked  # type: ignore[assignment,method-assign]
    replies = [await reply(server, ada, WRONG, "d") for _ in range(5)]
    for message in (mine, hers):
        await server.sender.send_waiting(ConversationKey.of(message))

    assert ["4 more tries" in replies[0], "one more try" in replies[3], "nothing was connected" in replies[4]] == [
        True
    ] * 3
    assert "The link expired before an account was connected" in server.channel.texts(ada)[-1]
    assert "Almost done" in server.channel.texts(grace)[-1]


async def _revoked(token: str, *, is_refresh_token: bool) -> bool:
    """Pretend that Google has revoked the token."""
    return True


@pytest.mark.parametrize("group", [False, True])
async def test_the_person_is_told_where_to_write_the_code(server: CoreServer, ada: Principal, group: bool) -> None:
    """A sign-in prompts its person for the code, here or, from a group, in a direct message, without showing it."""
    server.channel.groups = {"c"} if group else set()
    message = await server.ask(ada, "/letters_read")
    code = await signs_in(server, message)
    await server.sender.send_waiting(ConversationKey.of(message))
    told = server.channel.sent[-1]

    assert told.private
    assert ("direct message, not in the group" in told.text) is group
    assert ("from the page here." in told.text) is not group
    assert code not in told.text


async def test_who_allowed_less_is_told_what_is_missing(server: CoreServer, ada: Principal) -> None:
    """The reply to the code names the scope that was not allowed, and the allowed one works."""
    first, second = await server.ask(ada, "/letters_read", "r"), await server.ask(ada, "/letters_send to=bob", "s")
    code = await signs_in(server, second, READ)
    said = await reply(server, ada, f"confirm {code}", "d")

    assert said.startswith("Connected: ada@example.com. You did not allow the following")
    assert SEND in said
    assert (await server.answer_next(first)).answer == "a letter to ada"
    assert "You did not allow" in str((await server.answer_next(second)).answer)


class Gone:
    """Stand-in for the database and the waker of a process that has ended: every use fails."""

    def writing(self) -> NoReturn:
        raise ConnectionError("the process ends here")

    async def fetch(self, *_: object) -> None:
        raise ConnectionError("the process ends here")

    async def wake(self, *_: object) -> None:
        raise ConnectionError("the process ends here")


def kill_after_the_consent(server: CoreServer, patch: pytest.MonkeyPatch) -> None:
    """Make the parking fail, as if the process ended right after the transaction in which a consent ends."""
    patch.setattr(server.parking, "_database", Gone())
    patch.setattr(server.parking, "_wake", Gone().wake)


async def lost(server: CoreServer, person: Principal, words: str) -> str:
    """Have a person ask for a link by command, open it and consent; return the code that they are shown."""
    await reply(server, person, words, "d")
    link = re.search(r"/connect/google/(\S+)", server.channel.texts(person)[-1])
    assert link is not None
    opened = await server.links.open(link[1])
    assert await comes_back(server.links, opened)
    tokens = google_tokens(f"{person.user}-1", scopes=opened.link.oauth_scopes)
    await server.confirmation.begin(opened.link, tokens)
    return str(getattr(await server.confirmation.awaited(opened.link), "code", ""))


async def test_a_process_that_ends_right_after_the_confirmation_loses_nothing(
    server: CoreServer, key_ring: KeyRing, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash right after the confirmation, the waiting message is answered and the code gets its reply."""
    mine, hers = [await server.ask(person, "/letters_read", person.user) for person in (ada, grace)]
    code = await lost(server, ada, "connect google")
    with monkeypatch.context() as patch:
        kill_after_the_consent(server, patch)
        with pytest.raises(ConnectionError):
            await server.ask(ada, f"confirm {code}", "d")
    after = CoreServer(server.database, key_ring, clock=server.clock, post=server.post, channel=server.channel)
    await after.inbox.recover()
    confirmed = await after.answer_next(await after.say(ada, "hello", "d"))
    answered = await after.answer_next(mine)

    assert confirmed.state is MessageState.NEW  # it is queued behind the code
    assert server.channel.texts(ada)[-2:] == ["Connected: ada@example.com.", "a letter to ada"]
    assert answered.state is MessageState.DONE
    assert (await after.inbox.get(grace, hers.message_id)).state is MessageState.PARKED


async def test_a_wrong_code_that_is_taken_again_is_one_try(
    server: CoreServer, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """A wrong code that is processed again after a crash counts as one try, and not for another person."""
    for person in (ada, grace):
        await signs_in(server, await server.ask(person, "/letters_read", person.user))
    message = await server.say(ada, WRONG, "d")
    for _ in range(2):
        begun = await server.inbox.begin_next(ConversationKey.of(message))
        assert begun is not None
        await ConfirmCommand(server.confirmation, google_alone()).reply(begun)
        server = CoreServer(server.database, key_ring, clock=server.clock, post=server.post, channel=server.channel)
        await server.inbox.recover()
    told = [str((await server.answer_next(message)).answer), await reply(server, ada, WRONG, "d")]
    hers = await reply(server, grace, WRONG, "g")

    assert ["4 more tries" in told[0], "3 more tries" in told[1]] == [True, True]
    assert "4 more tries" in hers


async def test_a_refusal_whose_process_ends_is_told(
    server: CoreServer, key_ring: KeyRing, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash at a refusal, both waiting messages are answered with it; another person's stays parked."""
    first, second = [await server.ask(ada, "/letters_read", conversation) for conversation in ("one", "two")]
    hers = await server.ask(grace, "/letters_read", "g")
    parked = await server.parking.find(first)
    assert parked is not None
    opened = await server.links.open(await server.links.find_issued(ada, str(parked.link_id)) or "")
    with monkeypatch.context() as patch:
        kill_after_the_consent(server, patch)
        with pytest.raises(ConnectionError):
            await server.browser_sign_in.take_callback(
                state=opened.state, cookie=opened.cookie, code=None, error="access_denied"
            )
    after = CoreServer(server.database, key_ring, clock=server.clock, post=server.post, channel=server.channel)
    await after.inbox.recover()
    answers = [str((await after.answer_next(message)).answer) for message in (first, second)]

    assert ["You did not connect" in answer for answer in answers] == [True, True]
    assert (await after.inbox.get(grace, hers.message_id)).state is MessageState.PARKED


async def test_a_code_is_answered_again_for_a_while(server: CoreServer, ada: Principal, grace: Principal) -> None:
    """A used code gets its answer again for ten minutes, only for its own person, and costs another sign-in no try."""
    message = await server.ask(ada, "/letters_read")
    code = await signs_in(server, message)
    await reply(server, ada, f"confirm {code}", "d")
    other = await lost(server, ada, "connect google as work")
    again, hers = await reply(server, ada, f"confirm {code}", "d"), await reply(server, grace, f"confirm {code}", "g")
    wrong = await reply(server, ada, WRONG, "d")
    server.clock.now += 601
    late = await reply(server, ada, f"confirm {code}", "d")

    assert again == "Connected: ada@example.com."
    assert "I don't know this code" in hers
    assert "4 more tries" in wrong
    assert "I don't know this code" in late
    assert other != code


async def test_a_used_code_after_a_disconnect_says_so(server: CoreServer, ada: Principal, grace: Principal) -> None:
    """A used code whose account was disconnected since is answered so; for anybody else the code does not exist."""
    code = await signs_in(server, await server.ask(ada, "/letters_read"))
    await reply(server, ada, f"confirm {code}", "d")
    async with server.database.writing() as connection:
        await server.grants.erase(connection, ada)
    again, hers = await reply(server, ada, f"confirm {code}", "d"), await reply(server, grace, f"confirm {code}", "g")

    assert again == (
        "That code connected ada@example.com, which has been disconnected since. Write `connect google` to connect it "
        "again."
    )
    assert "I don't know this code" in hers


@pytest.mark.parametrize("state", ["", "\0", "\0.x", "é.x", "." + "0" * 32, "\ud800.x"])
async def test_a_state_that_is_none_is_refused(server: CoreServer, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state without a link's id is refused before the database is queried, which could not be done for some."""
    monkeypatch.setattr(server.links, "_database", Gone())

    with pytest.raises(CallbackRefusedError, match="used or has expired"):
        await server.confirmation.prove_by_login(state=state, cookie="cookie", answer={})


@pytest.mark.parametrize("state", ["0" * 32, f"{'0' * 32}.\ud800"])
async def test_a_state_of_no_link_is_refused(server: CoreServer, state: str) -> None:
    """A state whose link does not exist is refused, whatever follows the link's id."""
    with pytest.raises(CallbackRefusedError, match="used or has expired"):
        await server.confirmation.prove_by_login(state=state, cookie="cookie", answer={})
