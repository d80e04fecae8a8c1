"""Files attached to mails and uploaded to Drive: two people against the sandbox Google."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.errors import GoogleError, ToolError
from app.google.uploads import MAX_IN_ONE_REQUEST, PIECE_BYTES
from app.sandbox.google.outages import Outage
from app.sandbox.google.resumable import PIECE_UNIT
from app.toolkits.drive import OWN_FILES
from app.toolkits.drive.contents import fetch_file
from app.toolkits.gmail.attached import fetch_attachment
from app.toolkits.gmail.letter import MAX_FILE_BYTES, MAX_LETTER_BYTES, outgoing
from app.toolkits.input_file import FileTooLargeError, InputFile
from app.toolkits.untrusted import unquoted
from tests.fakes.drive_sandbox import drive_of
from tests.fakes.gmail_sandbox import GmailSandbox, open_gmail_sandbox
from tests.fakes.sandbox import ADA, GRACE, SEND

UPLOAD = "/upload/drive/v3/files"


@pytest.fixture
async def gmail() -> AsyncIterator[GmailSandbox]:
    """Yield a sandbox for one test."""
    async with open_gmail_sandbox() as gmail:
        yield gmail


def _file(
    contents: bytes = b"%PDF \r\n\x00\xff", name: str = "Angebot für Ada.pdf", kind: str = "application/pdf"
) -> InputFile:
    return InputFile("r", name, kind, contents)


async def _received(toolkit: Any, message_id: str) -> list[InputFile]:
    """Return the files attached to a mail, by the references that reading it gives."""
    read = await toolkit.read(message_id)
    return [
        await fetch_attachment(toolkit._google, each["reference"], limit=50_000_000) for each in read["attachments"]
    ]


async def test_attached_files_arrive_as_they_are(gmail: GmailSandbox) -> None:
    """Attached files of a new mail and of an answer arrive unchanged; an attached mail arrives as plain bytes."""
    ada, grace = [await gmail.toolkit(email) for email in (ADA, GRACE)]
    files = (_file(), _file(b"a,b\n1,2\n", "t.csv", "text/csv"), _file(b"Subject: x\n\nhi", "x.eml", "message/rfc822"))
    await ada.send(to=GRACE, subject="Offer", body="Here.\nAda", attachments=files)
    arrived = gmail.mail(GRACE, "INBOX")[0]
    read = unquoted(await grace.read(arrived.id))
    await grace.reply(
        arrived.id, to=ADA, subject="Re: Offer", body="Mine", attachments=(_file(b"g", "g.txt", "text/plain"),)
    )
    answer = gmail.mail(ADA, "INBOX")[0]

    assert (read["subject"], read["body"].split()) == ("Offer", ["Here.", "Ada"])
    assert [(each.name, each.mime_type, each.contents) for each in await _received(grace, arrived.id)] == [
        ("Angebot für Ada.pdf", "application/pdf", files[0].contents),
        ("t.csv", "text/csv", files[1].contents),
        ("x.eml", "application/octet-stream", files[2].contents),
    ]
    assert answer.header("In-Reply-To") == arrived.message_id
    assert [(each.name, each.contents) for each in await _received(ada, answer.id)] == [("g.txt", b"g")]
    with pytest.raises(GoogleError):  # the reference is Ada's
        await fetch_attachment(grace._google, f"{answer.id}/1", limit=100)
    with pytest.raises(FileTooLargeError):
        await fetch_attachment(ada._google, f"{answer.id}/1", limit=0)


async def test_a_large_mail_is_sent_in_pieces_and_once(gmail: GmailSandbox) -> None:
    """An upload of a large mail that fails is resumed where it stopped, and the mail arrives once."""
    ada = await gmail.toolkit(ADA)
    contents = secrets.token_bytes(PIECE_BYTES)
    _refusing(gmail, call=3)
    await ada.send(to=GRACE, subject="Large", body="Here", attachments=(_file(contents),))
    mails = [each for each in gmail.mail(GRACE) if each.subject == "Large"]
    statuses = [call.status for call in gmail.google.calls if call.method_id == "gmail.users.messages.send"]

    assert len(mails) == 1
    assert contents in [part.get_payload(decode=True) for part in mails[0].attachments]
    assert statuses == [200, 308, 308, 200]  # open, send a piece, ask how much arrived, send the rest


def _refusing(gmail: GmailSandbox, *, call: int) -> None:
    """Let Google refuse one of the following HTTP requests, counted from one."""
    app, seen = gmail.google.app, itertools.count(1)

    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        if next(seen) == call:
            gmail.google.outages.append(Outage())
        await app(scope, receive, send)

    gmail.google.app = refusing  # type: ignore[assignment]


async def test_a_draft_with_files_is_rewritten_and_sent_as_it_was_approved(gmail: GmailSandbox) -> None:
    """A draft keeps only the files that an update names, and is not sent with other files than the approved ones."""
    ada, grace = [await gmail.toolkit(email) for email in (ADA, GRACE)]
    one, two = _file(b"one", "1.bin", "application/x-one"), _file(b"two", "2.bin", "application/x-two")
    draft = await ada.create_draft(to=GRACE, subject="s", body="b", attachments=(one, two))
    kept = await _received(ada, draft["message_id"])
    with pytest.raises(ToolError, match="say which it has afterwards"):
        await ada.update_draft(draft["id"], to=GRACE, subject="s", body="c")
    changed = await ada.update_draft(draft["id"], to=GRACE, subject="s", body="c", attachments=tuple(kept[:1]))
    with pytest.raises(ToolError, match="has other attachments, so it was not sent"):
        await ada.send_draft(draft["id"], to=GRACE, subject="s", body="c")
    with pytest.raises(ToolError, match="has other attachments, so it was not sent"):
        await ada.send_draft(draft["id"], to=GRACE, subject="s", body="c", attachments=tuple(kept))
    approved = await _received(ada, changed["message_id"])
    await ada.send_draft(draft["id"], to=GRACE, subject="s", body="c", attachments=tuple(approved))
    arrived = gmail.mail(GRACE, "INBOX")[0]

    assert [(each.name, each.contents) for each in await _received(grace, arrived.id)] == [("1.bin", b"one")]
    assert arrived.body.strip() == "c"
    emptied = await ada.create_draft(to=GRACE, subject="s", body="b", attachments=(one,))
    emptied = await ada.update_draft(emptied["id"], to=GRACE, subject="s", body="b", attachments=())
    assert await _received(ada, emptied["message_id"]) == []


def test_a_mail_that_is_too_large_is_refused_before_it_leaves() -> None:
    """A mail over Gmail's limit is refused before sending; the largest files that the tool takes fit."""
    with pytest.raises(ToolError, match=r"would have .* MB; Gmail sends up to 25 MB"):
        outgoing(GRACE, "s", "b", None, files=[_file(bytes(MAX_FILE_BYTES + 1_500_000))])

    assert MAX_FILE_BYTES * 78 / 57 + 700_000 < MAX_LETTER_BYTES


async def test_files_are_put_into_drive_whatever_their_size(gmail: GmailSandbox) -> None:
    """A small, an empty and a large file are uploaded to each person's own Drive."""
    ada, grace = [await drive_of(gmail, email, OWN_FILES) for email in (ADA, GRACE)]
    large = secrets.token_bytes(MAX_IN_ONE_REQUEST + 1)
    made = [
        await ada.upload_file(_file(b"\r\n--x\r\n", "small.bin", "application/octet-stream")),
        await ada.upload_file(_file(b"", "empty.bin", "application/octet-stream"), name="none.bin"),
        await grace.upload_file(_file(large, "large.zip", "application/zip")),
    ]
    kept = {file.name: file for email in (ADA, GRACE) for file in gmail.google.drive.files(email) if file.made_by_app}

    assert {name: (file.owner, file.content, file.mime_type) for name, file in kept.items()} == {
        "small.bin": (ADA, b"\r\n--x\r\n", "application/octet-stream"),
        "none.bin": (ADA, b"", "application/octet-stream"),
        "large.zip": (GRACE, large, "application/zip"),
    }
    assert [each["summary"] for each in made][1] == "I put none.bin into your Drive."
    with pytest.raises(GoogleError):
        await fetch_file(ada._google, made[2]["id"], limit=100)


@pytest.mark.parametrize(
    ("opening", "piece", "said", "status"),
    [
        ({"X-Upload-Content-Length": "9"}, b"123456789", "bytes 0-8/9", 200),
        ({"X-Upload-Content-Length": "8"}, b"123456789", "bytes 0-8/9", 400),  # another size was announced
        ({}, b"123", "bytes 3-5/6", 400),  # not the next piece
        ({}, b"123", "bytes 0-2/6", 400),  # not a multiple of 256 KiB
        ({}, b"123", "bytes 0-5/6", 400),  # not as long as it says
        ({}, b"x" * PIECE_UNIT, f"bytes 0-{PIECE_UNIT - 1}/{PIECE_UNIT + 1}", 308),
        ({}, b"", "bytes */9", 308),
        ({}, b"123", "3 bytes", 400),
    ],
)
async def test_the_sandbox_takes_pieces_as_google_does(
    gmail: GmailSandbox, opening: dict[str, str], piece: bytes, said: str, status: int
) -> None:
    """The sandbox takes an upload's pieces in order, up to the announced size, only from the person who began it."""
    tokens = [(await gmail.browser.sign_in(email, OWN_FILES))["access_token"] for email in (ADA, GRACE)]
    opened = await gmail.browser.call(
        tokens[0], "POST", UPLOAD, params={"uploadType": "resumable"}, json={"name": "x"}, headers=opening
    )
    assert opened.status_code == 200, opened.text
    address = opened.headers["location"].partition(UPLOAD)[2]
    foreign = await gmail.browser.call(
        tokens[1], "PUT", UPLOAD + address, content=piece, headers={"Content-Range": said}
    )
    own = await gmail.browser.call(tokens[0], "PUT", UPLOAD + address, content=piece, headers={"Content-Range": said})

    assert (foreign.status_code, own.status_code) == (404, status)


@pytest.mark.parametrize(
    ("path", "kind", "size"),
    [
        (UPLOAD, "application/zip", MAX_IN_ONE_REQUEST + 1),
        ("/upload/gmail/v1/users/me/messages/send", "message/rfc822", MAX_IN_ONE_REQUEST + 1),
        ("/upload/gmail/v1/users/me/messages/send", "application/pdf", 10),
        ("/gmail/v1/users/me/messages/send", "application/json", 10 * 1024 * 1024 + 1),
    ],
)
async def test_the_sandbox_refuses_what_is_too_large_or_no_mail(
    gmail: GmailSandbox, path: str, kind: str, size: int
) -> None:
    """The sandbox refuses more than 5 MB in one request or 10 MiB in JSON, and mails of another type."""
    token = (await gmail.browser.sign_in(ADA, OWN_FILES, SEND))["access_token"]
    params = {"uploadType": "media"} if path.startswith("/upload") else {}
    response = await gmail.browser.call(
        token, "POST", path, params=params, content=b"x" * size, headers={"Content-Type": kind}
    )

    assert response.status_code == 400, response.text
