"""Confirming in the chat: what each person is told, and that what waited goes on."""

from __future__ import annotations

import re
from typing import NoReturn

import pytest

from app.chat.accounts import ConfirmCommand
from app.database.database import Database
from app.errors import CallbackRefusedError
from app.keys.ring import KeyRing
from app.messages import ConversationKey, MessageState, StoredMessage
from app.principal import Principal
from tests.fakes.credentials import google_tokens
from tests.fakes.office import Office
from tests.fakes.sandbox import READ, SEND

WRONG = "confirm 2222-2222"


@pytest.fixture
def office(database: Database, key_ring: KeyRing) -> Office:
    """Nothing said yet."""
    return Office(database, key_ring)


async def signs_in(office: Office, message: StoredMessage, *scopes: str) -> str:
    """Let the sender of a parked message consent in a browser; the code that they are shown."""
    parked = await office.parking.find(message)
    assert parked is not None
    token = await office.links.find_issued(message.principal, parked.link_id or "")
    opened = await office.links.open(token or "")
    back = await office.links.come_back(opened.state, opened.cookie, granted=True)
    tokens = google_tokens(f"{message.principal.user}-1", scopes=frozenset(scopes or {READ}))
    waits = await office.confirmation.begin(back.link, tokens)
    return str(getattr(waits, "code", ""))


async def reply(office: Office, person: Principal, text: str, conversation: str = "c") -> str:
    """What a person is told when they write this."""
    return str((await office.ask(person, text, conversation)).answer)


async def test_a_confirmed_message_is_answered_by_itself(office: Office, ada: Principal, grace: Principal) -> None:
    """Both ask and consent; the one who confirms is answered, privately, and the other one's message waits on."""
    mine, hers = [await office.ask(person, "/letters_read", person.user) for person in (ada, grace)]
    code, _ = await signs_in(office, mine), await signs_in(office, hers)
    said = await reply(office, ada, f"confirm {code}", "elsewhere")
    answered = await office.answer_next(mine)

    assert said == "Connected: ada@example.com."
    assert (answered.state, answered.answer) == (MessageState.DONE, "a letter to ada")
    assert (await office.inbox.get(grace, hers.message_id)).state is MessageState.PARKED
    assert office.channel.texts(ada)[-1] == "a letter to ada"
    assert all(sent.private for sent in office.channel.sent)


async def test_the_code_of_another_person_is_no_use(office: Office, ada: Principal, grace: Principal) -> None:
    """Whoever writes a code that is not theirs is told so, and it still counts for its owner."""
    message = await office.ask(ada, "/letters_read")
    code = await signs_in(office, message)

    assert "No sign-in of yours" in await reply(office, grace, f"confirm {code}", "g")
    assert await reply(office, ada, f"confirm {code}", "d") == "Connected: ada@example.com."


async def test_wrong_codes_are_counted_aloud(office: Office, ada: Principal, grace: Principal) -> None:
    """Each reply says how many tries are left; after the last one the message says that its link is over."""
    mine, hers = [await office.ask(person, "/letters_read", person.user) for person in (ada, grace)]
    for message in (mine, hers):
        await signs_in(office, message)
    office.confirmation._dropping._google.revoke = _revoked  # type: ignore[method-assign]
    replies = [await reply(office, ada, WRONG, "d") for _ in range(5)]
    for message in (mine, hers):
        await office.sender.send_waiting(ConversationKey.of(message))

    assert ["4 more tries" in replies[0], "one more try" in replies[3], "nothing was connected" in replies[4]] == [
        True
    ] * 3
    assert "The link is over" in office.channel.texts(ada)[-1]
    assert "waits for its code" in office.channel.texts(grace)[-1]


async def _revoked(token: str) -> None:
    """Google has ended it."""


@pytest.mark.parametrize("group", [False, True])
async def test_the_person_is_told_where_to_write_the_code(office: Office, ada: Principal, group: bool) -> None:
    """The scan tells who waits that a sign-in waits for its code, not which one: here, or in a direct message."""
    office.channel.groups = {"c"} if group else set()
    message = await office.ask(ada, "/letters_read")
    code = await signs_in(office, message)
    await office.sender.send_waiting(ConversationKey.of(message))
    told = office.channel.sent[-1]

    assert told.private
    assert ("direct message, not in this group" in told.text) is group
    assert ("shows, here." in told.text) is not group
    assert code not in told.text


async def test_who_allowed_less_is_told_what_is_missing(office: Office, ada: Principal) -> None:
    """The reply to the code names what Google was not allowed, and what was allowed works."""
    first, second = await office.ask(ada, "/letters_read", "r"), await office.ask(ada, "/letters_send to=bob", "s")
    code = await signs_in(office, second, READ)
    said = await reply(office, ada, f"confirm {code}", "d")

    assert said.startswith("Connected: ada@example.com. You did not allow this")
    assert SEND in said
    assert (await office.answer_next(first)).answer == "a letter to ada"
    assert "did not grant" in str((await office.answer_next(second)).answer)


class Gone:
    """What is left of a process that has ended: whatever it would do next is not done."""

    def writing(self) -> NoReturn:
        raise ConnectionError("the process ends here")

    async def wake(self, *_: object) -> None:
        raise ConnectionError("the process ends here")


def kill_after_the_consent(office: Office, patch: pytest.MonkeyPatch) -> None:
    """End the process with the transaction in which a consent ends."""
    patch.setattr(office.parking, "_database", Gone())
    patch.setattr(office.parking, "_wake", Gone().wake)


async def lost(office: Office, person: Principal, words: str) -> str:
    """Let a person ask for a link in words, open it and consent; the code that they are shown."""
    await reply(office, person, words, "d")
    link = re.search(r"/connect/google/(\S+)", office.channel.texts(person)[-1])
    assert link is not None
    opened = await office.links.open(link[1])
    back = await office.links.come_back(opened.state, opened.cookie, granted=True)
    tokens = google_tokens(f"{person.user}-1", scopes=opened.link.oauth_scopes)
    return str(getattr(await office.confirmation.begin(back.link, tokens), "code", ""))


async def test_a_process_that_ends_right_after_the_confirmation_loses_nothing(
    office: Office, key_ring: KeyRing, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited for another link goes on all the same, and the code that comes again is answered as at first."""
    mine, hers = [await office.ask(person, "/letters_read", person.user) for person in (ada, grace)]
    code = await lost(office, ada, "connect google")
    with monkeypatch.context() as patch:
        kill_after_the_consent(office, patch)
        with pytest.raises(ConnectionError):
            await office.ask(ada, f"confirm {code}", "d")
    after = Office(office.database, key_ring, clock=office.clock, post=office.post, channel=office.channel)
    await after.inbox.recover()
    confirmed = await after.answer_next(await after.say(ada, "hello", "d"))
    answered = await after.answer_next(mine)

    assert confirmed.state is MessageState.NEW  # it stands behind the code
    assert office.channel.texts(ada)[-2:] == ["Connected: ada@example.com.", "a letter to ada"]
    assert answered.state is MessageState.DONE
    assert (await after.inbox.get(grace, hers.message_id)).state is MessageState.PARKED


async def test_a_wrong_code_that_is_taken_again_is_one_try(
    office: Office, key_ring: KeyRing, ada: Principal, grace: Principal
) -> None:
    """Its process ended before it was answered, twice; the next wrong code counts, and the other person's has five."""
    for person in (ada, grace):
        await signs_in(office, await office.ask(person, "/letters_read", person.user))
    message = await office.say(ada, WRONG, "d")
    for _ in range(2):
        begun = await office.inbox.begin_next(ConversationKey.of(message))
        assert begun is not None
        await ConfirmCommand(office.confirmation).reply(begun)
        office = Office(office.database, key_ring, clock=office.clock, post=office.post, channel=office.channel)
        await office.inbox.recover()
    told = [str((await office.answer_next(message)).answer), await reply(office, ada, WRONG, "d")]
    hers = await reply(office, grace, WRONG, "g")

    assert ["4 more tries" in told[0], "3 more tries" in told[1]] == [True, True]
    assert "4 more tries" in hers


async def test_a_refusal_whose_process_ends_is_told(
    office: Office, ada: Principal, grace: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both messages that waited for the account go on though nobody was woken; the other person's waits."""
    mine, hers = [await office.ask(person, "/letters_read", person.user) for person in (ada, grace)]
    parked = await office.parking.find(mine)
    assert parked is not None
    opened = await office.links.open(await office.links.find_issued(ada, str(parked.link_id)) or "")
    with monkeypatch.context() as patch:
        kill_after_the_consent(office, patch)
        with pytest.raises(ConnectionError):
            await office.consent.refuse(state=opened.state, cookie=opened.cookie)

    assert "declined to connect" in str((await office.answer_next(mine)).answer)
    assert (await office.inbox.get(grace, hers.message_id)).state is MessageState.PARKED


async def test_a_code_is_answered_again_for_a_while(office: Office, ada: Principal, grace: Principal) -> None:
    """To its own person alone, also while another sign-in of theirs waits, for which it is no wrong code."""
    message = await office.ask(ada, "/letters_read")
    code = await signs_in(office, message)
    await reply(office, ada, f"confirm {code}", "d")
    other = await lost(office, ada, "connect google as work")
    again, hers = await reply(office, ada, f"confirm {code}", "d"), await reply(office, grace, f"confirm {code}", "g")
    wrong = await reply(office, ada, WRONG, "d")
    office.clock.now += 601
    late = await reply(office, ada, f"confirm {code}", "d")

    assert again == "Connected: ada@example.com."
    assert "No sign-in of yours" in hers
    assert "4 more tries" in wrong
    assert "No sign-in of yours" in late
    assert other != code


@pytest.mark.parametrize("state", ["", "\0", "\0.x", "é.x", "0" * 32, "." + "0" * 32, f"{'0' * 32}.\ud800"])
async def test_a_state_that_is_none_is_refused(office: Office, state: str) -> None:
    """Before the database, some of which cannot even be asked for it, is."""
    with pytest.raises(CallbackRefusedError, match="unknown"):
        await office.confirmation.prove_by_login(state=state, cookie="cookie", answer={})
