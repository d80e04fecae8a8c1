"""Tests of files in answers: read as their person when they are sent, stored nowhere, and given to nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa

from app.audit.audit import AuditEvent, AuditSearch
from app.database.tables import messages, turns
from app.principal import Principal
from app.reply import ReplyContent
from app.sent_files import MAX_FILE_BYTES
from app.toolkits.promised import promised
from containers.testing import two_principals
from tests.fakes.environment import open_environment
from tests.fakes.server import ADA, GRACE, Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

EMAILS = dict(zip(two_principals(), (ADA, GRACE), strict=True))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Yield a server to which both people have connected their accounts, each with a mail that has an attachment."""
    async with (
        open_environment(Path(tmp_path_factory.mktemp("files"))) as environment,
        environment.server() as server,
    ):
        for person, email in EMAILS.items():
            await server.connect(person, email)
            await server.send_mail(person, _mail(email, f"../{person.user} offer.pdf", _contents(person)))
        yield server


def _contents(person: Principal) -> bytes:
    return f"%PDF of {person.user}".encode() + bytes(range(256))


def _mail(email: str, name: str, contents: bytes) -> str:
    mail = EmailMessage()
    mail["To"], mail["Subject"] = email, "the offer"
    mail.set_content("attached")
    mail.add_attachment(contents, maintype="application", subtype="pdf", filename=name)
    return mail.as_string()


async def _asked(server: Server, person: Principal) -> str:
    """Ask for the person's attachment, and return the id of the answered message."""
    [letter] = [each for each in server.google.mailbox(EMAILS[person]) if each.subject == "the offer"][:1]
    answer = (await server.ask(person, f"send me attachment {letter.id}/1")).json()
    assert answer["state"] == "done", answer
    [file] = answer["files"]
    assert (file["number"], file["mime_type"]) == (0, "application/pdf")
    assert file["name"].endswith(f"{person.user} offer.pdf")
    assert "/" not in file["name"]
    return str(answer["message"])


async def test_each_person_gets_their_own_file_and_nobody_elses(server: Server) -> None:
    """A file's bytes are those of the mail, for its person's bearer only, and the download is in the audit trail."""
    asked = {person: await _asked(server, person) for person in EMAILS}
    ada, grace = EMAILS
    for person, other in ((ada, grace), (grace, ada)):
        path = f"/v1/messages/{asked[person]}/files/"
        mine = await server.client.get(f"{path}0", headers=await server.bearer(person))
        theirs = await server.client.get(f"{path}0", headers=await server.bearer(other))
        none = await server.client.get(f"{path}1", headers=await server.bearer(person))
        rows = await server.container.audit().find(AuditSearch(person, message_id=asked[person], tool="gmail_download"))

        assert mine.content == _contents(person)
        assert mine.headers["content-disposition"].startswith("attachment")
        assert mine.headers["cache-control"] == "no-store"
        assert (theirs.status_code, none.status_code) == (404, 404)
        assert [row.event for row in rows].count(AuditEvent.TOOL) >= 2
    unknown = await server.client.get(f"/v1/messages/{asked[ada]}/files/0")
    assert unknown.status_code == 401


async def test_no_contents_are_stored(server: Server) -> None:
    """The rows of messages and turns hold a reference to the file, and none of its bytes."""
    person = next(iter(EMAILS))
    await _asked(server, person)
    async with server.container.database().reading() as connection:
        rows = [str(row) for table in (messages, turns) for row in await connection.execute(sa.select(table))]

    assert "%PDF" not in "".join(rows)


async def test_channels_are_given_the_files_and_words_for_those_that_are_gone(server: Server) -> None:
    """A reply's files are read when it is sent; if the access has ended by then, its text says so and what to do."""
    ada, grace = EMAILS
    files = server.container.reply_files()
    stored = {
        person: await server.container.inbox().get(person, await _asked(server, person)) for person in (ada, grace)
    }
    await server.ask(grace, "disconnect google")
    sent = {
        person: await files.attached(message, ReplyContent("Here it is."), message.files)
        for person, message in stored.items()
    }
    gone = await server.client.get(
        f"/v1/messages/{stored[grace].message_id}/files/0", headers=await server.bearer(grace)
    )

    assert [await file.read() for file in sent[ada].files] == [_contents(ada)]
    assert sent[ada].text == "Here it is."
    assert sent[grace].files == ()
    assert 'offer.pdf": I no longer have access to the account' in sent[grace].text
    assert "Write `connect google`" in sent[grace].text
    assert gone.status_code == 404
    await server.connect(grace, GRACE)
    again = await files.attached(stored[grace], ReplyContent("Here it is."), stored[grace].files)
    assert again.files == ()  # its grant is not the one that the file was promised with


async def test_a_file_that_is_too_large_is_told_in_words(server: Server) -> None:
    """A file above the limit is not read, and the reply says so."""
    ada = next(iter(EMAILS))
    message = await server.container.inbox().get(ada, await _asked(server, ada))
    [file] = message.files
    large = type(file)(file.reference, file.name, file.mime_type, MAX_FILE_BYTES + 1, file.tool, file.credential_id)

    sent = await server.container.reply_files().attached(message, ReplyContent("Here."), [large])

    assert sent.files == ()
    assert "it is larger than 20 MB" in sent.text


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        ("..\\..\\a:b?.txt", "text/plain", ("_.._a_b_.txt", "text/plain")),
        ("", 'x"; evil', ("file", "application/octet-stream")),
        ("a\u202egpj.exe", "text/html\r\nX: y", ("agpj.exe", "application/octet-stream")),
    ],
)
async def test_names_and_types_of_files_are_cleaned(name: str, kind: str, shown: tuple[str, str]) -> None:
    """A file name becomes no path and has no invisible characters; an invalid media type becomes plain bytes."""
    [file] = promised({}, "r", name, kind).metadata["files"]

    assert (file["name"], file["mime_type"]) == shown
