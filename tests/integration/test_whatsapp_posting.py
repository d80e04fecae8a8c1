"""Answers on WhatsApp: when they can be sent, what is retried, and files in both directions."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx2
import pytest

from app.database.database import Database
from app.errors import (
    AttachmentGoneError,
    AttachmentTooLargeError,
    UnavailableError,
    UnclearError,
    UndeliverableError,
)
from app.keys.ring import KeyRing
from app.messages import Attachment, AttachmentKind, StoredMessage
from app.network import open_client
from app.reply import NOT_ATTACHED, Button, ReplyContent, ReplyFile
from app.sandbox.server import serve_loopback
from app.sandbox.whatsapp.errors import WhatsAppError
from app.sandbox.whatsapp.people import PairRates, WhatsAppPerson
from app.sandbox.whatsapp.sandbox import WhatsAppSandbox
from interfaces.whatsapp.arrivals import Arrivals
from interfaces.whatsapp.client import ANSWERED_DIRECTLY, AT_WORK, CANNOT_WRITE_DIRECTLY, WhatsAppChannel
from interfaces.whatsapp.graph import GraphApi
from interfaces.whatsapp.inbound import Inbound
from interfaces.whatsapp.numbers import Numbers
from interfaces.whatsapp.payload import changes
from interfaces.whatsapp.receipts import Receipts
from interfaces.whatsapp.window import Window
from tests.fakes.core_server import CoreServer
from tests.fakes.server import PHONE_NUMBER, PORTFOLIO

HOUR = 3600.0
ada = WhatsAppPerson("Ada", "447700900001", "GB.ada1")
grace = WhatsAppPerson("Grace", "447700900002", None)


@dataclass
class Desk:
    """A channel, the WhatsApp that it calls, and the store of messages."""

    channel: WhatsAppChannel
    whatsapp: WhatsAppSandbox
    core: CoreServer
    inbound: Inbound
    arrivals: Arrivals
    graph: GraphApi

    async def receive(self, person: WhatsAppPerson, body: str = "hello", **fields: str) -> StoredMessage:
        """Store a person's message as its webhook delivers it."""
        message = self.whatsapp.message(person, body=body, **fields)  # type: ignore[arg-type]
        (change,) = changes(self.whatsapp.batch(([person], [message])))
        inbound = self.inbound.message(change.messages[0], change)
        assert inbound is not None
        return await self.core.intake.accept(inbound)

    async def send(
        self,
        message: StoredMessage,
        content: str | ReplyContent,
        *,
        reply_id: str = "",
        private: bool = False,
        again: bool = False,
    ) -> None:
        """Send an answer to a message."""
        content = ReplyContent(content) if isinstance(content, str) else content
        reply_id = reply_id or secrets.token_hex(16)
        await self.channel.send(message, content, private=private, reply_id=reply_id, again=again)


@asynccontextmanager
async def open_desk(database: Database, key_ring: KeyRing, template: tuple[str, str] | None) -> AsyncIterator[Desk]:
    """Yield a desk whose clocks are all the store's."""
    core = CoreServer(database, key_ring)
    whatsapp = WhatsAppSandbox(app_secret="s", access_token="EAAtoken", templates=(("answer_waits", "en"),))
    whatsapp.windows.now = core.clock
    numbers = Numbers("k" * 32)
    arrivals = Arrivals()
    async with serve_loopback(whatsapp.app) as url, open_client(5.0) as http:
        graph = GraphApi(http, base_url=f"{url}/v26.0/", phone_number_id=PHONE_NUMBER, access_token="EAAtoken")
        channel = WhatsAppChannel(
            graph,
            Window(database, core.clock),
            numbers,
            Receipts(graph, numbers, core.clock),
            arrivals,
            phone_number_id=PHONE_NUMBER,
            template=template,
        )
        inbound = Inbound(numbers, portfolio_id=PORTFOLIO, phone_number_id=PHONE_NUMBER)
        yield Desk(channel, whatsapp, core, inbound, arrivals, graph)


@pytest.fixture
async def desk(database: Database, key_ring: KeyRing) -> AsyncIterator[Desk]:
    """Yield a desk without a template."""
    async with open_desk(database, key_ring, None) as desk:
        yield desk


async def test_two_people_are_answered_where_they_wrote(desk: Desk) -> None:
    """Each person is answered by id if there is one and by number otherwise, and both messages are marked as read."""
    mine, hers = await desk.receive(ada), await desk.receive(grace)
    await desk.send(mine, "for **Ada**")
    await desk.send(hers, "for Grace")

    assert [(each.recipient, each.text) for each in desk.whatsapp.shown] == [
        ("GB.ada1", "for *Ada*"),
        ("447700900002", "for Grace"),
    ]
    assert len(desk.whatsapp.receipts) == 2


async def test_the_dots_are_shown_while_work_goes_on(desk: Desk) -> None:
    """The typing indicator is renewed before it disappears after 25 seconds, and not more often."""
    message = await desk.receive(ada)
    for _ in range(10):
        await desk.channel.show_working(message, None)
        desk.core.clock.now += 4
    await desk.channel.show_idle(message)

    assert [receipt.typing for receipt in desk.whatsapp.receipts] == [True, True]


async def test_what_is_being_done_is_said_once(desk: Desk) -> None:
    """Each person reads once, in their direct chat, what is being done, and not after the 24-hour window."""
    mine, hers, late = await desk.receive(ada), await desk.receive(grace), await desk.receive(ada)
    for doing in (None, "searching your mail", "reading a mail"):
        await desk.channel.show_working(mine, doing)
    await desk.channel.show_working(hers, "looking at your calendar")
    desk.core.clock.now += 25 * HOUR
    await desk.channel.show_working(late, "searching your mail")

    assert [(each.recipient, each.text) for each in desk.whatsapp.shown] == [
        ("GB.ada1", AT_WORK.format("searching your mail")),
        ("447700900002", AT_WORK.format("looking at your calendar")),
    ]


async def test_a_late_answer_waits_until_the_person_writes(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """After 24 hours an answer is kept until the person writes again, and the log says why; others are sent."""
    late = await desk.receive(ada)
    desk.core.clock.now += 25 * HOUR
    fresh = await desk.receive(grace)
    await desk.send(fresh, "in time")
    with pytest.raises(UnavailableError, match="more than 24 hours ago") as caught:
        await desk.send(late, "late", reply_id="a" * 32)
    before = desk.whatsapp.told("GB.ada1")
    await desk.receive(ada, "are you there?")
    await desk.send(late, "late", reply_id="a" * 32, again=True)

    assert caught.value.reason == "131047"
    assert 0 < caught.value.retry_after <= 60
    assert "names no template" in caplog.text
    assert (before, desk.whatsapp.told("GB.ada1")) == ([], ["late"])
    assert desk.whatsapp.told("447700900002") == ["in time"]


async def test_a_template_asks_a_person_to_write(database: Database, key_ring: KeyRing) -> None:
    """The template is sent once for a late answer, even if it is retried, and does not contain the answer's text."""
    async with open_desk(database, key_ring, ("answer_waits", "en")) as desk:
        late = await desk.receive(ada)
        desk.core.clock.now += 25 * HOUR
        for again in (False, True, True):
            with pytest.raises(UnavailableError):
                await desk.send(late, "late", reply_id="a" * 32, again=again)

        assert [(each.recipient, each.text) for each in desk.whatsapp.shown] == [("GB.ada1", "[template answer_waits]")]


async def test_a_window_that_meta_calls_closed_is_closed(desk: Desk) -> None:
    """If Meta says that the 24-hour window is closed, the answer waits, although our clock says it is open."""
    message = await desk.receive(ada)
    desk.whatsapp.faults.append(WhatsAppError(131047, "closed"))
    with pytest.raises(UnavailableError, match="24 hours"):
        await desk.send(message, "hello")


@pytest.mark.parametrize(
    ("code", "status", "kind", "wait"),
    [
        (131056, 400, UnavailableError, 6),
        (130429, 429, UnavailableError, 1),
        (80007, 429, UnavailableError, 60),
        (131048, 400, UnavailableError, 3600),
        (131000, 500, UnclearError, 0),
        (2, 503, UnclearError, 0),
        (131026, 400, UndeliverableError, None),
        (190, 401, UndeliverableError, None),
        (132001, 404, UndeliverableError, None),
        (999_999, 400, UnavailableError, 0),
    ],
)
async def test_each_refusal_has_its_meaning(
    desk: Desk, code: int, status: int, kind: type[Exception], wait: float | None
) -> None:
    """Meta's error code decides whether a refusal is temporary, unclear or final; no error contains the text."""
    message = await desk.receive(ada)
    desk.whatsapp.faults.append(WhatsAppError(code, "CANARY", status=status))
    with pytest.raises(kind) as caught:
        await desk.send(message, "CANARY")

    assert type(caught.value) is kind
    assert caught.value.reason == str(code)  # type: ignore[attr-defined]
    assert "CANARY" not in str(caught.value)
    if isinstance(caught.value, UnavailableError) and wait is not None:
        assert caught.value.retry_after == wait


async def test_a_person_who_is_written_to_too_fast_waits_and_another_does_not(desk: Desk) -> None:
    """Meta's limit for one person (131056) makes only that person's messages wait."""
    desk.whatsapp.rates = PairRates(burst=2, now=lambda: 0.0)
    mine, hers = await desk.receive(ada), await desk.receive(grace)
    await desk.send(mine, "one")
    await desk.send(mine, "two")
    with pytest.raises(UnavailableError, match="131056"):
        await desk.send(mine, "three")
    await desk.send(hers, "for Grace")

    assert desk.whatsapp.told("GB.ada1") == ["one", "two"]
    assert desk.whatsapp.told("447700900002") == ["for Grace"]


async def test_parts_that_were_taken_are_not_sent_again(desk: Desk) -> None:
    """After a refusal in the middle of a long answer, the next try sends only the rest."""
    message = await desk.receive(ada)
    text = "\n".join(f"line {number} " + "x" * 90 for number in range(100))
    desk.whatsapp.rates = PairRates(burst=2, now=lambda: 0.0)
    with pytest.raises(UnavailableError):
        await desk.send(message, text, reply_id="a" * 32)
    desk.whatsapp.rates = PairRates()
    await desk.send(message, text, reply_id="a" * 32, again=True)
    told = desk.whatsapp.told("GB.ada1")

    assert len(told) == 3
    assert [part.split(")")[0] for part in told[1:]] == ["(continued, 2 of 3", "(continued, 3 of 3"]
    assert sum(part.count("line ") for part in told) == 100


async def test_a_report_of_meta_saves_the_second_copy(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """After an unclear result, a part that Meta reports as sent is not sent again; a lost part is logged."""
    message = await desk.receive(ada)
    desk.whatsapp.faults.append(WhatsAppError(131000, "something went wrong", status=500))
    with pytest.raises(UnclearError):
        await desk.send(message, "hello", reply_id="a" * 32)
    (sent,) = changes(desk.whatsapp.status(f"{'a' * 32}:0", "sent"))
    (failed,) = changes(desk.whatsapp.status(f"{'b' * 32}:1", "failed", code=131049))
    for status in (*sent.statuses, *failed.statuses):
        desk.arrivals.note(status)
    await desk.send(message, "hello", reply_id="a" * 32, again=True)

    assert desk.whatsapp.told("GB.ada1") == []
    assert f"reply {'b' * 32}: WhatsApp took it and did not deliver part 1: 131049" in caplog.text


async def test_buttons_go_to_direct_chats_alone(desk: Desk) -> None:
    """Buttons are sent only to direct chats, because groups take no interactive messages."""
    content = ReplyContent("Send it?", (Button("Approve", command="approve 3f2a"),))
    await desk.send(await desk.receive(ada), content)
    await desk.send(await desk.receive(ada, group_id="G1"), content)

    assert [(each.recipient, each.request["type"]) for each in desk.whatsapp.shown] == [
        ("GB.ada1", "interactive"),
        ("G1", "text"),
    ]


async def test_a_private_answer_to_a_group_needs_a_direct_chat(desk: Desk) -> None:
    """A private answer to a group goes to the direct chat; a person without one is asked to write there."""
    mine, hers = await desk.receive(ada, group_id="G1"), await desk.receive(grace, group_id="G1")
    await desk.receive(grace, "hello")
    with pytest.raises(UnavailableError):
        await desk.send(mine, "secret of Ada", private=True)
    await desk.send(hers, "secret of Grace", private=True)

    assert desk.whatsapp.told("G1") == [CANNOT_WRITE_DIRECTLY, ANSWERED_DIRECTLY]
    assert desk.whatsapp.told("GB.ada1") == []
    assert desk.whatsapp.told("447700900002") == ["secret of Grace"]


async def test_a_number_that_was_sealed_with_another_key_is_nobodys(desk: Desk) -> None:
    """If number_key was changed, the answer is given up with an error that names the setting."""
    message = await desk.receive(grace)
    sealed = Numbers("another key of thirty-two letters").sealed("447700900002", message.principal.user)
    changed = replace(message, address={**message.address, "number": sealed})
    with pytest.raises(UndeliverableError, match="number_key"):
        await desk.send(changed, "hello")


async def test_a_file_of_a_person_is_fetched_within_the_limit(desk: Desk) -> None:
    """A file is fetched within its limit; one that is larger and one that is gone raise different errors."""
    message = await desk.receive(ada)
    media_id = desk.whatsapp.media.put("image/png", b"x" * 1000)
    photo = Attachment(AttachmentKind.IMAGE, "", "image/png", None, media_id)
    contents = await desk.channel.fetch(message, photo, limit=1000)
    with pytest.raises(AttachmentTooLargeError):
        await desk.channel.fetch(message, photo, limit=999)
    with pytest.raises(AttachmentGoneError):
        await desk.channel.fetch(message, replace(photo, reference="404"), limit=999)

    assert contents == b"x" * 1000


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/files/1", "http://lookaside.fbsbx.com/x", "https://fbsbx.com.evil.example/x", "nothing"],
)
async def test_the_token_goes_to_meta_alone(url: str) -> None:
    """A file whose address is not Meta's is never requested."""
    called: list[str] = []

    async def answer(request: httpx2.Request) -> httpx2.Response:
        called.append(str(request.url))
        return httpx2.Response(200, json={"url": url, "file_size": 1})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        graph = GraphApi(http, base_url="https://graph.example/v26.0/", phone_number_id="1", access_token="EAAt")
        with pytest.raises(AttachmentGoneError):
            await graph.download("5", limit=10)

    assert called == ["https://graph.example/v26.0/5?phone_number_id=1"]


async def test_files_go_out(desk: Desk) -> None:
    """A small image is sent as an image and any other file as a document with its name, each once."""

    async def read() -> bytes:
        return b"contents"

    files = (ReplyFile("a.png", "image/png", read), ReplyFile("b.pdf", "application/pdf", read))
    message = await desk.receive(ada)
    for again in (False, True):
        await desk.send(message, ReplyContent("Here:", files=files), reply_id="a" * 32, again=again)

    assert desk.whatsapp.told("GB.ada1") == ["Here:", "[image ]", "[document b.pdf]"]
    assert len(desk.whatsapp.media.files) == 2


async def test_files_that_whatsapp_does_not_take_are_explained(desk: Desk) -> None:
    """Files that WhatsApp does not take are each explained once; text is sent as text/plain, and the others arrive."""

    def file(name: str, mime_type: str, contents: bytes = b"x") -> ReplyFile:
        async def read() -> bytes:
            return contents

        return ReplyFile(name, mime_type, read)

    large = bytes(5_000_001)
    files = (file("a.zip", "application/zip"), file("b.png", "image/png", large), file("c.pdf", "application/pdf", b""))
    message = await desk.receive(ada)
    for again in (False, True):
        sent = (*files, file("d.csv", "text/csv", b"1,2"), file("e.mp3", "audio/mpeg"))
        await desk.send(message, ReplyContent("Here:", files=sent), reply_id="a" * 32, again=again)

    assert desk.whatsapp.told("GB.ada1") == [
        "Here:",
        NOT_ATTACHED.format("a.zip", "WhatsApp takes no files of this type"),
        NOT_ATTACHED.format("b.png", "it is larger than 5 MB, and WhatsApp takes no more"),
        NOT_ATTACHED.format("c.pdf", "it is empty"),
        "[document d.csv]",
        "[audio ]",
    ]
    assert [(each.mime_type, each.contents) for each in desk.whatsapp.media.files.values()] == [
        ("text/plain", b"1,2"),
        ("audio/mpeg", b"x"),
    ]
