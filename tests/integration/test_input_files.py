"""Files that people sent, used by their tools: only the sender's own, as approved, and stored nowhere."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
import sqlalchemy as sa

from app.approvals.approvals import ApprovalState
from app.approvals.question import Question
from app.database.database import Database
from app.database.tables import messages, metadata
from app.delivery.store.received import SentFiles
from app.errors import AttachmentGoneError, SettingsError, ToolError, UnavailableError
from app.keys.ring import KeyRing
from app.messages import Attachment, AttachmentKind, MessageState, StoredMessage
from app.principal import Principal
from app.toolkits.input_file import MAX_INPUT_FILES, OneFile, SeveralFiles, TakesFiles
from app.toolkits.toolkit import Effect, Toolkit, tool
from containers.testing import RecordingChannel
from tests.fakes.core_server import CoreServer, inbound

OFFER = Attachment(AttachmentKind.DOCUMENT, "../my offer.pdf", "application/pdf", None, "offer")
CANARY = b"%PDF CANARYBYTES "
_REFERENCE = re.compile(r"file-[0-9a-f]{12}-\d+")


class Parcels(Toolkit):
    """One person's parcels, which record what they contain."""

    name = "parcels"

    def __init__(self, principal: Principal, sent: list[tuple[str, str, bytes]]) -> None:
        self._principal = principal
        self._sent = sent

    @tool(
        effect=Effect.ACT,
        oauth_scopes=(),
        asks=Question("Send this parcel?", {"files": "Files"}, "send it"),
        files=TakesFiles(("files",), 100),
    )
    async def send(self, to: str, files: SeveralFiles = ()) -> str:
        """Send a parcel."""
        self._sent += [(self._principal.user, f"{to} {file.name} {file.mime_type}", file.contents) for file in files]
        return f"sent {len(files)} to {to}"

    @tool(effect=Effect.ORGANISE, oauth_scopes=(), files=TakesFiles(("file",), 100))
    async def keep(self, file: OneFile) -> str:
        """Keep a file."""
        self._sent.append((self._principal.user, f"kept {file.name}", file.contents))
        return f"kept {file.name}"


class ParcelServer(CoreServer):
    """A server whose people have parcels.

    Attributes:
        parcels: The files that tools have sent, each with its person.
    """

    def __init__(self, database: Database, key_ring: KeyRing, parcels: list[Any] | None = None) -> None:
        self.parcels: list[tuple[str, str, bytes]] = [] if parcels is None else parcels
        super().__init__(
            database, key_ring, more_toolkits=lambda person: [Parcels(person, self.parcels)], channel=RecordingChannel()
        )

    async def sent_file(
        self, person: Principal, contents: bytes, conversation: str = "c", attachment: Attachment = OFFER
    ) -> str:
        """Let a person send a file, and return the reference that the model gets."""
        self.channel.files[f"{person.user}-{len(self.channel.files)}"] = contents
        kept = replace(attachment, reference=[*self.channel.files][-1])
        message = inbound(person, "", attachments=(kept,), conversation=conversation)
        stored = await self.answer_next(await self.intake.accept(message))
        history = await self.conversations.load(person, conversation, turns_at_most=20)
        (*_, reference) = _REFERENCE.findall(str(history.messages))
        assert reference == stored.reference_to(kept)
        return str(reference)

    async def approve(self, message: StoredMessage) -> str:
        """Approve what a message waits for, and return its answer."""
        (code,) = await self.codes(message)
        await self.ask(message.principal, f"approve {code}", f"{message.principal.user}-elsewhere")
        return str((await self.answer_next(message)).answer)


@pytest.fixture
def server(database: Database, key_ring: KeyRing) -> ParcelServer:
    """Return a server with no parcels sent."""
    return ParcelServer(database, key_ring)


def _send(*references: str, to: str = "bob") -> str:
    return f"parcels_send to={to} files={','.join(references)}"


async def test_a_file_is_shown_and_sent_as_it_was_approved(
    server: ParcelServer, ada: Principal, grace: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    """Two people's approval cards and parcels each contain their own file, and its bytes are not stored or logged."""
    caplog.set_level(logging.DEBUG)
    files = {each: await server.sent_file(each, CANARY + each.user.encode(), each.user) for each in (ada, grace)}
    asked = {each: await server.ask(each, _send(files[each]), each.user) for each in files}
    cards = {each: server.channel.texts(each)[-1] for each in files}
    told = await asyncio.gather(*(server.approve(message) for message in asked.values()))
    async with server.database.reading() as connection:
        rows = [str(row) for table in metadata.sorted_tables for row in await connection.execute(sa.select(table))]

    for person, size in ((ada, 20), (grace, 22)):
        assert f"{files[person]}: _my offer.pdf (application/pdf, {size} bytes)" in cards[person]
    assert told == ["sent 1 to bob"] * 2
    assert sorted(server.parcels) == [
        (each.user, "bob _my offer.pdf application/pdf", CANARY + each.user.encode()) for each in (ada, grace)
    ]
    assert "CANARYBYTES" not in "".join(rows) + caplog.text


async def test_a_reference_is_of_use_to_its_sender_in_its_conversation(
    server: ParcelServer, ada: Principal, grace: Principal
) -> None:
    """A reference works only for its sender in its own conversation; any other is refused before an approval."""
    server.channel.groups.add("team")
    own, hers = [await server.sent_file(each, b"secret", "team") for each in (ada, grace)]
    refused = {
        "another person's": await server.ask(ada, _send(hers), "team"),
        "another conversation's": await server.ask(ada, _send(own), "elsewhere"),
        "invented": await server.ask(ada, _send("file-0123456789ab-1"), "team"),
        "not there": await server.ask(ada, _send(f"{own[:-1]}2"), "team"),
        "kept": await server.ask(grace, f"parcels_keep {own}", "team"),
    }
    kept = await server.ask(ada, f"parcels_keep {own}", "team")

    for message in refused.values():
        assert message.state is MessageState.DONE
        assert "you sent me no file-" in str(message.answer), message.answer
    assert kept.answer == "kept _my offer.pdf"
    assert server.parcels == [("ada", "kept _my offer.pdf", b"secret")]


@pytest.mark.parametrize("changed", ["contents", "name", "gone", "busy"])
async def test_what_has_changed_since_it_was_approved_is_not_sent(
    server: ParcelServer, ada: Principal, changed: str
) -> None:
    """A file that changed after its approval, or cannot be fetched again, is not sent, and the person learns why."""
    reference = await server.sent_file(ada, b"first")
    asked = await server.ask(ada, _send(reference))
    (place,) = server.channel.files
    found: dict[str, bytes | Exception] = {
        "contents": b"other",
        "name": b"first",
        "gone": AttachmentGoneError("it was deleted"),
        "busy": UnavailableError("not now"),
    }
    server.channel.files[place] = found[changed]
    if changed == "name":
        renamed = [{**asdict(OFFER), "name": "other.pdf", "reference": place}]
        async with server.database.writing() as connection:
            change = messages.update().where(messages.c.id.startswith(reference[5:17]))
            await connection.execute(change.values(attachments=renamed))
    told = await server.approve(asked)

    words = {
        "contents": "is no longer the file that you approved, so nothing was done",
        "name": "is no longer the file that you approved, so nothing was done",
        "gone": "I cannot use _my offer.pdf: it was deleted. Nothing was done.",
        "busy": "I cannot fetch _my offer.pdf for now; please try again later. Nothing was done.",
    }
    assert words[changed] in told
    assert server.parcels == []
    (approval,) = await server.approvals.of_message(ada, asked.message_id)
    assert approval.state is ApprovalState.APPROVED  # it was not claimed, because the call was not made


async def test_an_approved_file_is_sent_once_by_the_process_that_comes_after(
    database: Database, key_ring: KeyRing, server: ParcelServer, ada: Principal
) -> None:
    """If the process dies between the approval and the call, the next one fetches the file again and sends it once."""
    reference = await server.sent_file(ada, b"first")
    asked = await server.ask(ada, _send(reference))
    (code,) = await server.codes(asked)
    await server.ask(ada, f"approve {code}", "elsewhere")
    following = ParcelServer(database, key_ring, server.parcels)
    following.channel.files |= server.channel.files
    following.clock.now = server.clock.now + 3_600
    told = (await following.answer_next(asked)).answer

    assert told == "sent 1 to bob"
    assert server.parcels == [("ada", "bob _my offer.pdf application/pdf", b"first")]


async def test_files_have_a_limit_together(server: ParcelServer, ada: Principal) -> None:
    """The files of one call share a size limit, checked by the stated size and by the bytes that arrive."""
    small, other = [await server.sent_file(ada, b"x" * 60) for _ in range(2)]
    stated = await server.sent_file(ada, b"x", attachment=replace(OFFER, size=101))
    told = [str((await server.ask(ada, _send(*each))).answer) for each in ((stated,), (small, other))]

    too_large = "_my offer.pdf is too large: the files of one call may have 100 bytes together"
    assert told == [f"That did not work: {too_large}"] * 2
    assert (await server.ask(ada, f"parcels_keep {small}")).answer == "kept _my offer.pdf"


async def test_a_platform_that_never_answers_is_given_up(server: ParcelServer, ada: Principal) -> None:
    """A fetch that the platform never answers is cancelled after the time limit, with an error for the person."""

    class Silent(RecordingChannel):
        async def fetch(self, message: StoredMessage, attachment: Attachment, *, limit: int) -> bytes:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(attachment.name)
            raise AssertionError

    ended: list[str] = []
    reference = await server.sent_file(ada, b"x")
    files = SentFiles(server.database, {"http": Silent()}, seconds=0.01)

    with pytest.raises(ToolError, match=r"I cannot fetch _my offer\.pdf for now"):
        await files.fetch(ada, "c", reference, limit=100)
    assert ended == [OFFER.name]


async def test_a_file_without_a_name_gets_one(server: ParcelServer, ada: Principal) -> None:
    """A photo that Telegram delivers without a name gets one."""
    photo = Attachment(AttachmentKind.IMAGE, "", "image/jpeg", None, "photo")
    reference = await server.sent_file(ada, b"\xff\xd8\xff", attachment=photo)

    assert (await server.ask(ada, f"parcels_keep {reference}")).answer == "kept image.jpg"


@pytest.mark.parametrize(
    "references",
    ["file", ["../x"], [""], [3], ["a b"], [f"file-0123456789ab-{n}" for n in range(MAX_INPUT_FILES + 1)]],
)
def test_what_is_no_reference_is_refused_at_once(references: Any) -> None:
    """A malformed reference, or too many, is refused when the arguments are validated."""
    with pytest.raises(ValueError, match=r"reference|at most"):
        Parcels.tools()["parcels_send"].validator.validate_python({"to": "bob", "files": references})


def test_a_tool_has_the_parameters_that_it_says_are_files() -> None:
    """A tool whose `files` names a parameter that it does not have is refused."""
    with pytest.raises(SettingsError, match="has no parameter file, which `files` names"):

        class _Wrong(Toolkit):
            name = "wrong"

            @tool(oauth_scopes=(), files=TakesFiles(("file",), 1))
            async def keep(self, document: str) -> str:
                """Keep."""
                return document
