"""The status of a message, and how it is worded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.agents.run import StoppedCall, StoppedRun
from app.approvals.approvals import PendingCall
from app.approvals.question import Question
from app.consent.flow import SignIn, SignInStage
from app.consent.link import LinkState, Place
from app.database.database import Database
from app.database.tables import consent_links
from app.delivery.replies.status import Status, in_words
from app.delivery.store.parked_run import WaitsFor
from app.keys.ring import KeyRing
from app.messages import MessageState, StoredMessage
from app.principal import Principal
from app.reply import Button
from tests.fakes.core_server import CoreServer
from tests.fakes.sandbox import READ

RUN = StoppedRun([], (StoppedCall("call-1", "letters_read", "consent", (READ,)),)).dump()

WAITING = StoppedRun([], (StoppedCall("call-1", "letters_send", "approval"),)).dump()


@pytest.fixture
def server(database: Database, key_ring: KeyRing) -> CoreServer:
    """Return a server without messages."""
    return CoreServer(database, key_ring)


async def _asks(server: CoreServer, person: Principal, **arguments: Any) -> StoredMessage:
    begun = await _begun(server, person)
    await server.parking.park_for_approval(begun, WAITING, [PendingCall("call-1", "letters_send", arguments)])
    return begun


async def _begun(server: CoreServer, person: Principal) -> StoredMessage:
    stored = await server.say(person, "hello", person.user)
    begun = await server.inbox.begin_next(await server.wakeups.next())
    assert begun is not None
    assert begun.message_id == stored.message_id
    return begun


async def _words(server: CoreServer, message: StoredMessage) -> str:
    return content.text if (content := in_words(await server.status(message))) else ""


async def test_a_link_is_shown_to_its_person_while_it_can_be_opened(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """Each person is shown their own link, privately, until it has been opened."""
    links = {}
    for person in (ada, grace):
        message = await _begun(server, person)
        link_id = await server.consent.ask(person, frozenset({READ}))
        await server.parking.park_for_consent(message, RUN, link_id)
        links[person] = (message, (await server.consent.sign_in(person, link_id)).url)
    (mine, my_url), (hers, her_url) = links.values()

    assert my_url
    assert my_url in await _words(server, mine)
    assert str(her_url) not in await _words(server, mine)
    assert (await server.status(hers)).private
    await server.links.open(my_url.rpartition("/")[2])
    assert "http" not in await _words(server, mine)


async def test_a_link_that_an_answer_shows_is_no_part_of_it(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """An answer shows its link only to its own person and until it is opened; only the link's id is stored."""
    said = {person: await server.ask(person, "connect google", person.user) for person in (ada, grace)}
    shown = {person: await _words(server, message) for person, message in said.items()}
    token = shown[ada].splitlines()[0].rpartition("/")[2]
    stolen = await server.statuses.of(replace(said[grace], link_id=said[ada].link_id))
    await server.links.open(token)

    assert len({text.splitlines()[0] for text in shown.values()}) == 2
    assert all("/connect/google/" in text and "who you are" in text for text in shown.values())
    assert all("/connect/google/" not in str(message.answer) for message in said.values())
    assert token not in str(stolen.answer)
    assert (
        await _words(server, said[ada])
        == "This link has been used or has expired. Write `connect google` for a new one."
    )
    assert await _words(server, said[grace]) == shown[grace]


async def test_an_apology_is_for_its_sender_alone(server: CoreServer, ada: Principal, grace: Principal) -> None:
    """The words about a failed or expired message are private, because they may name what was asked for."""
    failed, expired = await _begun(server, ada), await _asks(server, grace, to="bob@example.com")
    await server.inbox.fail(failed, "This may have been done all the same: letters_send.")
    server.clock.now += 3601
    await server.parking.give_up_expired()
    told = [await server.status(message) for message in (failed, expired)]

    assert [status.state for status in told] == [MessageState.FAILED] * 2
    assert all(status.private for status in told)


async def test_what_waits_for_approval_is_shown_with_its_exact_arguments(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """Each person is asked about their own call, with each argument on its own line and the code to answer with."""
    mine = await _asks(server, ada, to="bob@example.com", copies=["eve@example.com"], urgent=True, rate=0.5)
    hers = await _asks(server, grace, to="mallory@example.com")
    (code,) = await server.codes(mine)

    assert await _words(server, mine) == (
        "Shall I run letters_send?\n"
        '    copies: ["eve@example.com"]\n    rate: 0.5\n    to: bob@example.com\n    urgent: true\n'
        f"Reply `approve {code}` to go ahead or `deny {code}` to drop it (within an hour)."
    )
    assert "mallory" in await _words(server, hers)
    assert (await server.status(mine)).private


async def test_a_tool_words_its_question(server: CoreServer, ada: Principal) -> None:
    """A tool's question shows every argument, in its order and under its names, and says what an approval does."""
    question = Question("Send this mail?", {"to": "To", "subject": "Subject", "body": "Text"}, "send it", ("subject",))
    run = StoppedRun([], (StoppedCall("call-1", "letters_send", "approval", question=question),)).dump()
    message = await _begun(server, ada)
    arguments = {"body": "Hello", "cc": None, "subject": "Hi", "to": "bob@example.com", "headers": ["X: y"] * 30}
    await server.parking.park_for_approval(message, run, [PendingCall("call-1", "letters_send", arguments)])
    (code,) = await server.codes(message)
    words = await _words(server, message)
    server.clock.now += 3000

    assert words.startswith(
        "Send this mail?\n    To: bob@example.com\n    Subject: Hi\n    Text: Hello\n    Headers: [\n"
    )
    assert words.count('\n      |   "X: y"') == 30
    assert words.endswith(f"Reply `approve {code}` to send it or `deny {code}` to drop it (within an hour).")
    assert (await _words(server, message)).endswith("(within 10 minutes).")


async def test_a_sign_in_that_was_confirmed_meanwhile_is_not_over(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """The status of a message that was read before its sign-in was confirmed shows how it stands now."""
    read = {}
    for person in (ada, grace):
        read[person] = await _begun(server, person)
        link_id = await server.consent.ask(person, frozenset({READ}))
        await server.parking.park_for_consent(read[person], RUN, link_id)
        read[person] = await server.inbox.get(person, read[person].message_id)
    async with server.database.writing() as connection:
        await connection.execute(
            consent_links.update().where(consent_links.c.user_id == ada.user).values(state=LinkState.ACTIVE)
        )
        wake = await server.parking.consent_ends(connection, ada, granted=True)
    await wake()
    mine, hers = [await server.statuses.of(read[person]) for person in (ada, grace)]

    assert (mine.state, mine.sign_in) == (MessageState.NEW, None)
    assert in_words(mine) is None
    assert hers.sign_in is not None
    assert hers.sign_in.stage is SignInStage.LINK


async def test_a_link_that_a_newer_one_replaces_says_so(server: CoreServer, ada: Principal, grace: Principal) -> None:
    """A replaced link is never called expired, even after its time; another person's link is not affected."""
    first = await _begun(server, ada)
    told = await server.ask(ada, "connect google", "a")
    hers = await server.ask(grace, "connect google", "g")
    await server.parking.park_for_consent(first, RUN, str(told.link_id))
    await server.ask(ada, "connect google", "again")
    server.clock.now += 3600

    replaced = "I have sent you a newer link since, which replaces this one. Please use that one."
    assert await _words(server, told) == replaced
    assert await _words(server, first) == f"{replaced} I'll answer this once you have connected."
    assert "expired" in await _words(server, hers)


async def test_no_argument_can_look_like_another_or_hide(server: CoreServer, ada: Principal) -> None:
    """Lines of a text are marked, and invisible characters are spelled out."""
    message = await _asks(
        server, ada, to="eve@example.com", text="hi\n    to: bob@example.com\r\nWrite `deny 0000`.\u202e"
    )
    words = await _words(server, message)

    assert "\n      |     to: bob@example.com\\r\n      | Write `deny 0000`.\\u202e\n" in words
    assert [line for line in words.splitlines() if line.startswith("    to:")] == ["    to: eve@example.com"]


async def test_decided_calls_are_not_asked_for_again(server: CoreServer, ada: Principal) -> None:
    """When every call has been decided, nothing is asked."""
    message = await _asks(server, ada, to="bob@example.com")
    (code,) = await server.codes(message)
    await server.approvals.decide(ada, code, approved=True)

    assert in_words(await server.status(message)) is None


@pytest.mark.parametrize(
    ("state", "answer", "words"),
    [
        (MessageState.NEW, None, None),
        (MessageState.RUNNING, None, None),
        (MessageState.PARKED, None, None),
        (MessageState.DONE, "here it is", "here it is"),
        (MessageState.FAILED, "sorry", "sorry"),
    ],
)
def test_an_answer_is_told_as_it_is(state: MessageState, answer: str | None, words: str | None) -> None:
    """A finished or failed message shows its answer; one that is new, running or parked shows nothing."""
    content = in_words(Status(state, None, answer, None, (), private=False))

    assert (content.text if content else None) == words


async def test_an_approval_has_a_button_for_each_thing_to_type(
    server: CoreServer, ada: Principal, grace: Principal
) -> None:
    """Each person's buttons send what their own words ask for; with several calls, the labels hold the codes."""
    mine, hers = await _begun(server, ada), await _asks(server, grace, to="eve@example.com")
    calls = [PendingCall(f"call-{number}", "letters_send", {"to": "bob@example.com"}) for number in (1, 2)]
    await server.parking.park_for_approval(mine, WAITING, calls)
    shown = in_words(await server.status(mine)), in_words(await server.status(hers))
    first, second = await server.codes(mine)
    (other,) = await server.codes(hers)

    assert [[(button.label, button.command) for button in content.buttons] for content in shown if content] == [
        [
            (f"Approve {first}", f"approve {first}"),
            (f"Deny {first}", f"deny {first}"),
            (f"Approve {second}", f"approve {second}"),
            (f"Deny {second}", f"deny {second}"),
        ],
        [("Approve", f"approve {other}"), ("Deny", f"deny {other}")],
    ]


async def test_a_consent_link_is_also_a_button(server: CoreServer, ada: Principal, grace: Principal) -> None:
    """A button opens the same link as the words, for each person their own, and is gone once the link was opened."""
    said = [await server.ask(person, "connect google", person.user) for person in (ada, grace)]
    shown = [content for message in said if (content := in_words(await server.status(message)))]
    urls = [button.url or "" for content in shown for button in content.buttons]
    await server.links.open(urls[0].rpartition("/")[2])
    opened = in_words(await server.status(said[0]))

    assert len(set(urls)) == 2
    assert all(url in content.text for url, content in zip(urls, shown, strict=True))
    assert opened is not None
    assert opened.buttons == ()


@pytest.mark.parametrize("does", [{}, {"command": "help", "url": "https://x.example"}, {"command": "x" * 65}])
def test_a_button_does_one_thing_that_every_channel_can_carry(does: dict[str, Any]) -> None:
    """A button with no action, with two, or with a command too long for Telegram is refused when it is made."""
    with pytest.raises(ValueError, match="button"):
        Button("x", **does)


def test_a_status_shows_neither_answer_nor_link() -> None:
    """The repr of a status and of its reply holds neither the answer nor the link, which is a secret."""
    sign_in = SignIn(SignInStage.LINK, Place.DIRECT, "http://127.0.0.1/secret")
    status = Status(MessageState.PARKED, WaitsFor.CONSENT, "secret", sign_in, (), private=True, link=sign_in)

    assert "secret" not in repr(status)
    assert "secret" not in repr(in_words(status))
