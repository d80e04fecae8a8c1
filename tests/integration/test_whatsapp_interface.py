"""POST /whatsapp/webhook: which messages are taken, from whom and only once, and which are ignored."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from app.database.tables import messages, metadata
from app.delivery.store.queries import stored
from app.messages import AttachmentKind, StoredMessage
from app.principal import Principal
from app.sandbox.whatsapp.people import WhatsAppPerson
from tests.fakes.environment import open_environment
from tests.fakes.scripted_model import ScriptedModel
from tests.fakes.server import ADA, PORTFOLIO, VERIFY_TOKEN, Server, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "/whatsapp/webhook"
ADAS_NUMBER = "447700900001"
ada = WhatsAppPerson("Ada", ADAS_NUMBER, "GB.ada1")
grace = WhatsAppPerson("Grace", None, "GB.grace1")  # has a username
old = WhatsAppPerson("Old", "447700900003", None)  # as before April 2026


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Yield a server whose model repeats what it is asked to."""
    folder = Path(tmp_path_factory.mktemp("whatsapp"))
    async with open_environment(folder) as environment, environment.server(ScriptedModel().install) as server:
        yield server


async def rows(server: Server, *people: str) -> list[StoredMessage]:
    """Return the stored messages of these users, oldest first."""
    query = (
        sa.select(messages).where(messages.c.user_id.in_(people)).order_by(messages.c.created_at, messages.c.sequence)
    )
    async with server.container.database().reading() as connection:
        return [stored(row) for row in await connection.execute(query)]


async def post(server: Server, payload: object) -> int:
    """Send a webhook, and return the status of its acknowledgement."""
    return (await server.whatsapp.post(server.client, URL, payload)).status_code


async def test_the_handshake_repeats_the_challenge_for_the_right_token_alone(server: Server) -> None:
    """Meta's handshake gets its challenge back only with the right token; otherwise a 401 repeats nothing of it."""
    right = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "1158201444"}
    ok = await server.client.get(URL, params=right)
    wrong = [
        await server.client.get(URL, params=right | changed)
        for changed in (
            {"hub.verify_token": "other"},
            {"hub.verify_token": "ä"},
            {"hub.mode": "unsubscribe"},
            {"hub.challenge": "<script>"},
            {"hub.challenge": ""},
        )
    ]

    assert (ok.status_code, ok.text) == (200, "1158201444")
    assert ok.headers["content-type"].startswith("text/plain")
    assert {response.status_code for response in wrong} == {401}
    assert all("script" not in response.text for response in wrong)


async def test_only_what_meta_signed_is_taken(server: Server) -> None:
    """A webhook without a valid signature over its raw bytes is refused, and nothing is stored."""
    person = WhatsAppPerson("Eve", None, "GB.eve1")
    payload = server.whatsapp.batch(([person], [server.whatsapp.message(person, body="repeat x")]))
    body = json.dumps(payload).encode()
    signed = server.whatsapp.sign(body)
    attempts = [
        (body + b" ", signed),
        (body, {}),
        (body, {"X-Hub-Signature-256": "sha256=" + "0" * 64}),
        (body, {"X-Hub-Signature-256": signed["X-Hub-Signature-256"].removeprefix("sha256=")}),
        (body, {"X-Hub-Signature-256": "sha256="}),
    ]
    refused = [await server.client.post(URL, content=sent, headers=headers) for sent, headers in attempts]

    assert [response.status_code for response in refused] == [401] * len(attempts)
    assert await rows(server, "GB.eve1") == []


async def test_every_message_of_a_batch_is_answered(server: Server) -> None:
    """All messages of one webhook, from several people and entries, are answered, each to its own sender."""
    first = server.whatsapp.message(ada, body="repeat one"), server.whatsapp.message(grace, body="repeat two")
    second = server.whatsapp.message(old, body="repeat three"), server.whatsapp.message(ada, body="repeat four")
    assert await post(server, server.whatsapp.batch(([ada, grace], [*first]), ([old, ada], [*second]))) == 200
    await eventually(lambda: len(server.whatsapp.told("GB.ada1")) >= 2)
    await eventually(lambda: server.whatsapp.told("GB.grace1") and server.whatsapp.told("447700900003"))

    assert sorted(server.whatsapp.told("GB.ada1")) == ["four", "one"]
    assert server.whatsapp.told("GB.grace1") == ["two"]
    assert server.whatsapp.told("447700900003") == ["three"]
    assert server.whatsapp.told(ADAS_NUMBER) == []  # a reply goes to the id if there is one


async def test_people_are_told_apart_by_their_ids(server: Server) -> None:
    """A person's principal is the business-scoped id, or a hash of the number if there is no id."""
    person = WhatsAppPerson("Ida", "447700900010", "GB.ida1")
    beside = server.whatsapp.message(person, body="repeat a")
    among_contacts = server.whatsapp.message(person, body="repeat b")
    del among_contacts["from_user_id"]
    alone = server.whatsapp.message(WhatsAppPerson("Ida", "447700900010", None), body="repeat c")
    await post(server, server.whatsapp.batch(([person], [beside]), ([person], [among_contacts])))
    await post(server, server.whatsapp.batch(([], [alone])))
    with_id = await rows(server, "GB.ida1")
    async with server.container.database().reading() as connection:
        users = set((await connection.execute(sa.select(messages.c.user_id, messages.c.tenant))).all())

    assert [message.text for message in with_id] == ["repeat a", "repeat b"]
    assert all(message.principal.tenant == PORTFOLIO for message in with_id)
    assert sum(user.startswith("number-") for user, _ in users) >= 1
    assert not any("4477009000" in user for user, _ in users)


async def test_a_message_counts_once(server: Server) -> None:
    """A message that Meta sends again, alone or in a batch with new ones, is stored once."""
    person = WhatsAppPerson("Uma", None, "GB.uma1")
    first = server.whatsapp.message(person, body="repeat once")
    for _ in range(3):
        await post(server, server.whatsapp.batch(([person], [first])))
    await post(server, server.whatsapp.batch(([person], [first, server.whatsapp.message(person, body="repeat twice")])))

    assert [message.text for message in await rows(server, "GB.uma1")] == ["repeat once", "repeat twice"]


async def test_a_number_is_nowhere_in_clear(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """No row and no log line holds a phone number, not even inside the ids of messages."""
    caplog.set_level(logging.DEBUG)
    await post(server, server.whatsapp.batch(([ada], [server.whatsapp.message(ada, body="repeat hidden")])))
    await post(server, server.whatsapp.batch(([old], [server.whatsapp.message(old, body="repeat hidden too")])))
    await eventually(lambda: "hidden too" in server.whatsapp.told("447700900003"))
    contents = caplog.text
    async with server.container.database().reading() as connection:
        for table in metadata.sorted_tables:
            contents += str((await connection.execute(sa.select(table))).all())

    for number in (ADAS_NUMBER, "447700900003"):
        assert number not in contents
        for shift in range(3):  # the number within base64, at each possible offset
            encoded = base64.b64encode(b"x" * shift + number.encode()).decode()
            assert encoded[4:-4] not in contents


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        (
            "interactive",
            {"type": "button_reply", "button_reply": {"id": "approve 3f2a", "title": "Approve"}},
            "approve 3f2a",
        ),
        ("interactive", {"type": "list_reply", "list_reply": {"id": "use work", "title": "work"}}, "use work"),
        ("button", {"payload": "help", "text": "Help me"}, "help"),
        ("location", {"latitude": 52.1, "longitude": 4.3, "name": "The ]Hague"}, "[Location: 52.1, 4.3 The Hague]"),
        ("unsupported", {}, "[This message has no words that I can read.]"),
        ("text", {"body": "a\x00b \ud83d"}, "ab ?"),
    ],
)
async def test_each_kind_of_message_has_its_text(server: Server, kind: str, content: dict[str, Any], text: str) -> None:
    """Each kind of message has a text: a press has its button's command, and one without words a placeholder."""
    person = WhatsAppPerson("Kim", None, f"GB.kim{abs(hash((kind, text)))}")
    await post(server, server.whatsapp.batch(([person], [server.whatsapp.message(person, kind, content)])))
    (message,) = await rows(server, str(person.bsuid))

    assert message.text == text


async def test_contacts_are_named(server: Server) -> None:
    """Contacts, which come as a list beside the type, are stored with their names."""
    person = WhatsAppPerson("Con", None, "GB.con1")
    message = server.whatsapp.message(person, "contacts") | {"contacts": [{"name": {"formatted_name": "Bob [x]"}}]}
    await post(server, server.whatsapp.batch(([person], [message])))

    assert [each.text for each in await rows(server, "GB.con1")] == ["[Contacts: Bob x]"]


async def test_what_was_forwarded_is_quoted(server: Server) -> None:
    """A forwarded message is quoted, so it is no command, and a forwarded recording is not the sender's voice."""
    person = WhatsAppPerson("Fay", None, "GB.fay1")
    words = server.whatsapp.message(person, body="approve 3f2a\nnow", forwarded=True)
    sound = server.whatsapp.message(
        person, "audio", {"id": "1", "voice": True, "mime_type": "audio/ogg"}, forwarded=True
    )
    await post(server, server.whatsapp.batch(([person], [words, sound])))
    one, two = await rows(server, "GB.fay1")

    assert one.text == "[Forwarded message:]\n> approve 3f2a\n> now"
    assert (two.text, two.attachments[0].kind) == ("[Forwarded message:]", AttachmentKind.AUDIO)


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("image", {"id": "12", "mime_type": "image/jpeg", "caption": "look"}, (AttachmentKind.IMAGE, "", "look")),
        ("sticker", {"id": "12", "mime_type": "image/webp"}, (AttachmentKind.IMAGE, "", "")),
        ("audio", {"id": "12", "mime_type": "audio/ogg; codecs=opus", "voice": True}, (AttachmentKind.VOICE, "", "")),
        ("audio", {"id": "12", "mime_type": "audio/mpeg"}, (AttachmentKind.AUDIO, "", "")),
        ("video", {"id": "12", "mime_type": "video/mp4"}, (AttachmentKind.VIDEO, "", "")),
        (
            "document",
            {"id": "12", "filename": "a.pdf", "mime_type": "application/pdf"},
            (AttachmentKind.DOCUMENT, "a.pdf", ""),
        ),
    ],
)
async def test_files_come_by_reference(
    server: Server, kind: str, content: dict[str, Any], expected: tuple[AttachmentKind, str, str]
) -> None:
    """A file is stored by Meta's id, with its kind, name and caption."""
    person = WhatsAppPerson("Med", None, f"GB.med{kind}{len(content)}")
    await post(server, server.whatsapp.batch(([person], [server.whatsapp.message(person, kind, content)])))
    (message,) = await rows(server, str(person.bsuid))

    assert [(each.kind, each.name, message.text) for each in message.attachments] == [expected]
    assert message.attachments[0].reference == "12"


async def test_what_nobody_expects_an_answer_to_is_passed_over(server: Server) -> None:
    """Reactions, statuses, other fields and another business number are acknowledged and not stored."""
    person = WhatsAppPerson("Sil", None, "GB.sil1")
    reaction = server.whatsapp.message(person, "reaction", {"message_id": "wamid.X", "emoji": "👍"})
    elsewhere = server.whatsapp.batch(([person], [server.whatsapp.message(person, body="repeat x")]))
    elsewhere["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = "999999999"
    other_field = server.whatsapp.batch(([person], [server.whatsapp.message(person, body="repeat x")]))
    other_field["entry"][0]["changes"][0]["field"] = "account_update"
    passed_over = [
        server.whatsapp.batch(([person], [reaction])),
        server.whatsapp.status("x", "delivered"),
        elsewhere,
        other_field,
        {"object": "whatsapp_business_account", "entry": "none"},
        {},
    ]

    assert [await post(server, payload) for payload in passed_over] == [200] * len(passed_over)
    assert await rows(server, "GB.sil1") == []


async def test_a_message_that_cannot_be_read_holds_up_no_other(server: Server) -> None:
    """A malformed message in a batch is skipped, and the valid one beside it is stored."""
    person = WhatsAppPerson("Val", None, "GB.val1")
    broken: list[Any] = [
        {"type": "text", "text": {"body": "x"}},
        server.whatsapp.message(person, body="x") | {"id": 5},
        server.whatsapp.message(person, body="x") | {"from_user_id": "not an id"},
        "nothing",
    ]
    payload = server.whatsapp.batch(([person, ada], [*broken, server.whatsapp.message(person, body="repeat valid")]))

    assert await post(server, payload) == 200
    assert [message.text for message in await rows(server, "GB.val1")] == ["repeat valid"]


async def test_in_a_group_only_what_is_said_to_the_assistant_is_answered(server: Server) -> None:
    """In a group only a mention or a reply to the assistant is stored and answered."""
    person = WhatsAppPerson("Gus", None, "GB.gus1")
    mention = server.whatsapp.message(person, body="repeat hello", group_id="G1")
    reply = server.whatsapp.message(person, "text", {"body": "repeat again"}, group_id="G1")
    reply["context"] = {"from": "15550000000", "id": "wamid.OUT1"}
    talk = server.whatsapp.message(person, "text", {"body": "lunch?"}, group_id="G1")
    await post(server, server.whatsapp.batch(([person], [talk, mention, reply])))
    await eventually(lambda: len(server.whatsapp.told("G1")) == 2)

    assert [message.text for message in await rows(server, "GB.gus1")] == ["repeat hello", "repeat again"]
    assert server.whatsapp.told("G1") == ["hello", "again"]
    assert server.whatsapp.told("GB.gus1") == []


@pytest.mark.parametrize("kind", ["user_changed_number", "user_changed_user_id"])
async def test_a_changed_number_ends_the_access_of_the_former_one(server: Server, kind: str) -> None:
    """When a person's number changes, their grant is revoked, because the number may get a new owner."""
    mover = WhatsAppPerson("Mo", "447700900020", f"GB.mo{len(kind)}")
    stays = Principal("whatsapp", PORTFOLIO, f"GB.stay{len(kind)}")
    principal = Principal("whatsapp", PORTFOLIO, str(mover.bsuid))
    for each in (principal, stays):
        await server.connect(each, ADA)
    system = server.whatsapp.message(mover, "system", {"type": kind, "body": "changed", "wa_id": "447700900021"})
    assert await post(server, server.whatsapp.batch(([], [system]))) == 200

    assert await server.container.grants().find(principal) is None
    assert await server.container.grants().find(stays) is not None
    assert await rows(server, str(mover.bsuid)) == []
