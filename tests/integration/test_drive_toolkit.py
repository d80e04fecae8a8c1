"""Tests of two people's Drive toolkits against the sandbox Google, and of what that sandbox refuses as Google does."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_ai.messages import ModelRequest, ToolCallPart, UserPromptPart

from app.errors import GoogleError, ToolError
from app.google.scopes import permitted_by
from app.llm.offline import reply
from app.sandbox.google.drive.file import DOCUMENT, DRAWING, PRESENTATION, SHORTCUT, SPREADSHEET, DriveFile
from app.sent_files import MAX_FILE_BYTES
from app.toolkits.drive import ALL_FILES, OWN_FILES, READ_FILES, SEE_FILES, DriveToolkit
from app.toolkits.drive.contents import fetch_file
from app.toolkits.drive.reading import MAX_BYTES, quoted
from app.toolkits.input_file import InputFile
from app.toolkits.toolkit import Effect
from app.toolkits.untrusted import unquoted
from tests.fakes.drive_sandbox import drive_of
from tests.fakes.gmail_sandbox import GmailSandbox, open_gmail_sandbox
from tests.fakes.sandbox import ADA, GRACE

MARKER = re.compile(r"mk[0-9a-f]{10}")
TOOLS = DriveToolkit.tools()
DEFINITIONS = [spec.definition for spec in TOOLS.values()]
FILES = "/drive/v3/files"
# These scopes reach an application's own folder, recordings, photos or scripts, and no other file of the person.
OF_OTHER_USE = {
    f"https://www.googleapis.com/auth/drive.{name}"
    for name in ("appdata", "meet.readonly", "photos.readonly", "scripts")
}


@pytest.fixture
async def google() -> AsyncIterator[GmailSandbox]:
    """Yield a sandbox for this test only."""
    async with open_gmail_sandbox() as google:
        yield google


def named(google: GmailSandbox, email: str, **attributes: Any) -> DriveFile:
    """Return the first file of a person with these attributes."""
    files = google.google.drive.files(email)
    return next(each for each in files if all(getattr(each, name) == value for name, value in attributes.items()))


def private(google: GmailSandbox, email: str) -> DriveFile:
    """Return a document of a person that is shared with nobody."""
    return named(google, email, mime_type=DOCUMENT, roles={})


async def test_two_people_see_their_own_files_at_once(google: GmailSandbox) -> None:
    """Interleaved lists and reads return a person's own files, those shared with them and those of the shared drive."""
    people = {email: await drive_of(google, email) for email in (ADA, GRACE)}
    lists = await asyncio.gather(*(people[email].recent(limit=50) for email in (ADA, GRACE) * 10))
    texts = await asyncio.gather(*(people[email].read(private(google, email).file_id) for email in (ADA, GRACE) * 10))

    for number, (listed, read) in enumerate(zip(lists, texts, strict=True)):
        email, other = ((ADA, GRACE), (GRACE, ADA))[number % 2]
        own = {each.name for each in google.google.drive.files(email)}
        shared = {each.name for each in google.google.drive.files(other) if each.roles}
        found = {each["name"] for each in unquoted(listed)["files"]}
        assert found - own - shared == {name for name in found if name.startswith("Team handbook")}
        assert own <= found
        assert shared <= found
        assert unquoted(read)["body"] == private(google, email).content.decode().strip()
        assert read["body"].startswith("⟦")


async def test_a_file_of_somebody_else_is_not_there(google: GmailSandbox) -> None:
    """Another person's file id is not found by any tool, and nothing about the file is revealed."""
    ada, file_id = await drive_of(google, ADA), private(google, GRACE).file_id
    calls = (
        ada.get(file_id),
        ada.read(file_id),
        ada.copy(file_id, name="x"),
        ada.share(file_id, people="x@example.com"),
    )
    for call in calls:
        with pytest.raises(GoogleError) as refused:
            await call
        assert refused.value.status == 404
    trashed = await ada.trash([file_id])

    assert trashed["trashed"] == []
    assert not MARKER.search(json.dumps(trashed))
    assert private(google, GRACE).trashed is False


async def test_a_search_finds_names_and_texts_and_takes_its_words_literally(google: GmailSandbox) -> None:
    """Quotes and operators in the searched words are taken as words."""
    ada = await drive_of(google, ADA)
    document = private(google, ADA)
    inside = MARKER.findall(document.content.decode())[0]
    found = unquoted(await ada.search(inside))["files"]
    hostile = await ada.search("x' or trashed = true or name contains '")
    backslash = await ada.search("\\' or name contains 'a")

    assert [each["id"] for each in found] == [document.file_id]
    assert (hostile["files"], backslash["files"]) == ([], [])
    assert quoted("it's a \\") == r"'it\'s a \\'"


async def test_a_folder_lists_what_is_in_it_and_pages_hold_each_file_once(google: GmailSandbox) -> None:
    """Folders come first, the root is listed by default, and a shared drive is listed by its id."""
    ada = await drive_of(google, ADA)
    seen, page = list[dict[str, Any]](), None
    while True:
        listed = unquoted(await ada.folder(limit=2, page=page))
        seen += listed["files"]
        if (page := listed.get("next_page")) is None:
            break
    folder = seen[0]
    inside = unquoted(await ada.folder(folder["id"]))["files"]
    drives = unquoted(await ada.shared_drives())["drives"]
    team = unquoted(await ada.folder(drives[0]["id"]))["files"]
    read = unquoted(await ada.read(team[0]["id"]))

    assert folder["kind"] == "folder"
    assert len({each["id"] for each in seen}) == len(seen) == 6
    assert len(inside) == 1
    assert drives[0]["name"] == "Team"
    assert team[0]["owner"] == "a shared drive"
    assert "Team handbook" in read["body"]


async def test_a_file_was_changed_on_the_persons_own_day(google: GmailSandbox) -> None:
    """The day of a change is that of the person's time zone: late evening in London is the next day in Tokyo."""
    file = put(google, private(google, ADA), modified=datetime(2026, 7, 1, 22, 30, tzinfo=UTC))
    for zone, day in (("Europe/London", "2026-07-01"), ("Asia/Tokyo", "2026-07-02"), ("UTC", "2026-07-01")):
        ada = await drive_of(google, ADA, zone=zone)
        listed = next(each for each in (await ada.recent(limit=50))["files"] if each["id"] == file.file_id)

        assert listed["modified"] == (await ada.get(file.file_id))["modified"] == day


async def test_what_has_a_text_is_read_and_what_has_none_is_named(google: GmailSandbox) -> None:
    """Documents, tables and text files can be read; pictures, folders and files that only claim to be text cannot."""
    ada = await drive_of(google, ADA)
    table = named(google, ADA, mime_type="application/vnd.google-apps.spreadsheet")
    plain = named(google, ADA, mime_type="text/plain")
    picture = named(google, ADA, mime_type="image/png")
    folder = named(google, ADA, mime_type="application/vnd.google-apps.folder")

    assert unquoted(await ada.read(table.file_id))["body"].startswith("item,amount,note\n")
    assert unquoted(await ada.read(plain.file_id))["body"] == plain.content.decode().strip()
    for file in (picture, folder):
        with pytest.raises(ToolError, match="cannot be read here"):
            await ada.read(file.file_id)
    google.google.drive._store.put(replace(plain, content=picture.content * 10))
    with pytest.raises(ToolError, match="is no text"):
        await ada.read(plain.file_id)
    google.google.drive._store.put(replace(plain, content=b"x" * (MAX_BYTES + 1)))
    with pytest.raises(ToolError, match="up to 5000000"):
        await ada.read(plain.file_id)


def put(google: GmailSandbox, like: DriveFile, **attributes: Any) -> DriveFile:
    """Store another file like this one, with these attributes."""
    store = google.google.drive._store
    return store.put(replace(like, file_id=store.new_id(), **attributes))


async def test_a_file_is_given_as_it_is_and_googles_own_as_pdf(google: GmailSandbox) -> None:
    """A download gives a person the bytes of a picture, and a PDF of Google's own kinds, also from a shared drive."""
    people = {email: await drive_of(google, email) for email in (ADA, GRACE)}
    team = next(each for each in google.google.drive._store.files.values() if each.drive_id and each.is_googles)
    for email, drive in people.items():
        picture = named(google, email, mime_type="image/png")
        given = [
            put(google, private(google, email), mime_type=kind, content=b"Plan (1)", name="Plan")
            for kind in (DOCUMENT, SPREADSHEET, PRESENTATION, DRAWING)
        ]
        promised = [await drive.download(each.file_id) for each in (picture, *given, team)]
        files = [each.metadata["files"][0] for each in promised]
        read = [await drive.read_file(each["reference"]) for each in files]

        assert read[0] == picture.content
        assert (files[0]["mime_type"], files[0]["size"]) == ("image/png", len(picture.content))
        assert {(each["name"], each["mime_type"]) for each in files[1:5]} == {("Plan.pdf", "application/pdf")}
        assert all(each.startswith(b"%PDF-1.4") and rb"(Plan \(1\))" in each for each in read[1:5])
        assert files[5]["name"].startswith("Team handbook")
    ada = people[ADA]
    with pytest.raises(GoogleError):  # somebody else's file
        await ada.read_file(private(google, GRACE).file_id)


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"mime_type": "application/vnd.google-apps.folder"}, "a folder has no contents of its own"),
        ({"mime_type": "application/vnd.google-apps.form"}, "Google gives no PDF of this kind of file"),
        ({"mime_type": "video/mp4", "content": b"x" * (MAX_FILE_BYTES + 1)}, "this file has 20 MB; I send up to 20 MB"),
        ({"mime_type": "application/vnd.google-apps.shortcut"}, "this shortcut leads nowhere"),
    ],
)
async def test_what_cannot_be_given_is_said_before_it_is_promised(
    google: GmailSandbox, attributes: dict[str, Any], told: str
) -> None:
    """A file that cannot be sent is refused before it is promised, and to tools that would use it."""
    ada, file = await drive_of(google, ADA), put(google, private(google, ADA), **attributes)
    with pytest.raises(ToolError, match=told):
        await ada.download(file.file_id)
    with pytest.raises(ToolError, match=told if "20 MB" not in told else "is too large"):
        await fetch_file(ada._google, file.file_id, limit=MAX_FILE_BYTES)


async def test_a_document_that_is_too_large_to_export_is_told_in_words(google: GmailSandbox) -> None:
    """A document above Google's export limit of 10 MB is refused in words, as is a file that grew since its promise."""
    ada = await drive_of(google, ADA)
    document = put(google, private(google, ADA), content=b"x" * 10_000_001)
    picture = named(google, ADA, mime_type="image/png")
    [file] = (await ada.download(picture.file_id)).metadata["files"]
    google.google.drive._store.put(replace(picture, content=b"x" * (MAX_FILE_BYTES + 1)))
    with pytest.raises(ToolError, match="too large for Google to export"):
        await ada.read_file(document.file_id)
    with pytest.raises(ToolError, match="is too large"):
        await ada.read_file(file["reference"])


async def test_a_shortcut_stands_for_what_it_leads_to(google: GmailSandbox) -> None:
    """A shortcut is read, sent, copied and shared as its target but trashed as itself, and its target is shown."""
    ada, grace = await drive_of(google, ADA), await drive_of(google, GRACE)
    document = private(google, ADA)
    about = {"mime_type": SHORTCUT, "name": "Way", "content": b"", "target": (document.file_id, DOCUMENT)}
    way = put(google, document, **about)
    astray = put(google, document, **{**about, "target": (private(google, GRACE).file_id, DOCUMENT)})
    listed = next(each for each in (await ada.recent(limit=50))["files"] if each["id"] == way.file_id)
    asked = await ada.approval_details("drive_share", {"file_id": way.file_id})
    read = unquoted(await ada.read(way.file_id))
    [given] = (await ada.download(way.file_id)).metadata["files"]
    copied = await ada.copy(way.file_id, name="Copy")
    await ada.share(way.file_id, people=GRACE)
    theirs = unquoted(await grace.read(document.file_id))
    await ada.trash([way.file_id])

    assert (listed["kind"], listed["leads_to"]) == ("shortcut", document.file_id)
    assert asked == [f"{way.file_id}: shortcut: Way, yours, leads to document: {document.name}, yours"]
    assert read["body"] == theirs["body"] == document.content.decode().strip()
    assert given["reference"] == document.file_id
    assert named(google, ADA, file_id=copied["id"]).content == document.content
    assert named(google, ADA, file_id=way.file_id).trashed
    assert not named(google, ADA, file_id=document.file_id).trashed
    for call in (ada.read(astray.file_id), ada.download(astray.file_id), ada.share(astray.file_id, people=GRACE)):
        with pytest.raises(GoogleError) as refused:  # it leads to somebody else's file
            await call
        assert refused.value.status == 404


async def test_a_long_text_comes_in_pages(google: GmailSandbox) -> None:
    """The pages of a long text add up to all of it, and a missing page is answered with the number of pages."""
    ada, document = await drive_of(google, ADA), private(google, ADA)
    long = "\n".join(f"line {number}" for number in range(4_000))
    google.google.drive._store.put(replace(document, content=long.encode()))
    first = unquoted(await ada.read(document.file_id))
    texts = [unquoted(await ada.read(document.file_id, page=page + 1))["body"] for page in range(first["pages"])]

    assert "\n".join(texts) == long
    with pytest.raises(ToolError, match=f"the text has {first['pages']} pages"):
        await ada.read(document.file_id, page=99)
    google.google.drive._store.put(replace(document, content=b"x" * 10_000_001))
    with pytest.raises(ToolError, match="too large for Google to export"):
        await ada.read(document.file_id)


async def test_what_is_made_is_the_persons_alone_until_it_is_shared(google: GmailSandbox) -> None:
    """A new file and a copy are hidden from others; once Ada shares hers, Grace can read it and not change it."""
    ada, grace = await drive_of(google, ADA), await drive_of(google, GRACE)
    made = await ada.upload(name="plan.md", content="# Plan\n\nfirst")
    shared_by_grace = next(each for each in google.google.drive.files(GRACE) if each.roles)
    copied = await ada.copy(shared_by_grace.file_id, name="My copy")
    for hidden in (made["id"], copied["id"]):
        with pytest.raises(GoogleError):
            await grace.get(hidden)
    result = await ada.share(made["id"], people=f"{GRACE}, rosa@example.com", note="Have a look")
    read = unquoted(await grace.read(made["id"]))
    with pytest.raises(GoogleError) as refused:
        await grace.share(made["id"], people="x@example.com")
    looked = unquoted(await ada.get(made["id"]))

    assert named(google, ADA, name="plan.md").mime_type == "text/markdown"
    assert result == {"shared_with": [GRACE, "rosa@example.com"], "role": "reader"}
    assert google.google.drive.notified == [(GRACE, made["id"]), ("rosa@example.com", made["id"])]
    assert read["body"] == "# Plan\n\nfirst"
    assert read["owner"] == ADA
    assert refused.value.status == 403
    assert looked["shared_with"] == [
        {"who": ADA, "may": "own it"},
        {"who": GRACE, "may": "read it"},
        {"who": "rosa@example.com", "may": "read it"},
    ]


async def test_the_trash_takes_ones_own_files_and_says_what_it_did_not(google: GmailSandbox) -> None:
    """A file that is only shared with the person is not trashed, and the result and the question say whose it is."""
    ada = await drive_of(google, ADA)
    own = private(google, ADA)
    foreign = next(each for each in google.google.drive.files(GRACE) if each.roles)
    asked = await ada.approval_details("drive_trash", {"file_ids": [own.file_id, foreign.file_id, "nosuchfile1"]})
    result = await ada.trash([own.file_id, foreign.file_id])
    listed = {each["id"] for each in (await ada.recent(limit=50))["files"]}

    assert asked == [
        f"{own.file_id}: document: {own.name}, yours",
        f"{foreign.file_id}: document: {foreign.name}, owned by {GRACE}",
        "nosuchfile1: this file could not be looked up",
    ]
    assert result["trashed"] == [own.file_id]
    assert "403" in result["problems"][0]["problem"]
    assert own.file_id not in listed
    assert foreign.file_id in listed


async def test_a_share_that_is_interrupted_says_who_was_reached(google: GmailSandbox) -> None:
    """A refusal for one address does not stop the others, and the result names the one that failed."""
    ada, own = await drive_of(google, ADA), private(google, ADA)
    share = ada._google.execute

    async def refusing(request: Any, **options: Any) -> Any:
        if b"second@" in str(request.body).encode():
            raise GoogleError("refused", status=403, reason="sharingRateLimit")
        return await share(request, **options)

    ada._google.execute = refusing  # type: ignore[method-assign]
    result = await ada.share(own.file_id, people="first@example.com, second@example.com, third@example.com")

    assert result["shared_with"] == ["first@example.com", "third@example.com"]
    assert [each["who"] for each in result["problems"]] == ["second@example.com"]


@pytest.mark.parametrize(
    ("verb", "path", "options", "status", "reason"),
    [
        ("GET", FILES, {"params": {"q": "fullText contains 'a'", "orderBy": "name"}}, 403, "forbidden"),
        ("GET", FILES, {"params": {"q": "name like 'a'"}}, 400, "invalid"),
        ("GET", FILES, {"params": {"q": "trashed = false and "}}, 400, "invalid"),
        ("GET", FILES, {"params": {"corpora": "allDrives"}}, 403, "teamDrivesParameterRequired"),
        ("GET", FILES, {"params": {"pageToken": "2"}}, 400, "invalid"),
        ("GET", FILES, {"params": {"pageSize": 1001}}, 400, "invalidArgument"),
        ("GET", f"{FILES}/DOCUMENT", {"params": {"alt": "media"}}, 403, "fileNotDownloadable"),
        ("GET", f"{FILES}/DOCUMENT/export", {"params": {"mimeType": "image/png"}}, 400, "badRequest"),
        ("GET", f"{FILES}/TEXT/export", {"params": {"mimeType": "text/plain"}}, 403, "fileNotExportable"),
        ("PATCH", f"{FILES}/TEXT", {"json": {"parents": ["root"]}}, 403, "fieldNotWritable"),
        ("POST", f"{FILES}/FOLDER/copy", {"json": {}}, 403, "cannotCopyFile"),
        (
            "POST",
            f"{FILES}/TEXT/permissions",
            {"json": {"type": "user", "role": "reader"}},
            400,
            "invalidSharingRequest",
        ),
        ("POST", f"{FILES}/TEXT/permissions", {"json": {"type": "anyone", "role": "reader"}}, 501, "notImplemented"),
        ("POST", FILES, {"json": {"name": "x", "parents": ["root", "other"]}}, 400, "multiparentNotSupported"),
    ],
)
async def test_the_sandbox_refuses_what_google_refuses(
    google: GmailSandbox, verb: str, path: str, options: dict[str, Any], status: int, reason: str
) -> None:
    """The sandbox answers with Google's status and reason."""
    ids = {
        "DOCUMENT": private(google, ADA).file_id,
        "TEXT": named(google, ADA, mime_type="text/plain").file_id,
        "FOLDER": named(google, ADA, mime_type="application/vnd.google-apps.folder").file_id,
    }
    for name, file_id in ids.items():
        path = path.replace(name, file_id)
    token = (await google.browser.sign_in(ADA, ALL_FILES))["access_token"]
    response = await google.browser.call(token, verb, path, **options)

    assert response.status_code == status, response.text
    assert response.json()["error"]["errors"][0]["reason"] == reason


async def test_the_narrow_scope_reaches_only_what_the_application_made(google: GmailSandbox) -> None:
    """The narrow scope finds no file that another application made; without `fields` Google returns four fields."""
    token = (await google.browser.sign_in(ADA, OWN_FILES))["access_token"]
    other = await google.browser.call(token, "GET", f"{FILES}/{private(google, ADA).file_id}")
    made = await google.browser.call(token, "POST", FILES, json={"name": "x"})
    own = await google.browser.call(token, "GET", f"{FILES}/{made.json()['id']}")

    assert other.status_code == 404
    assert own.json().keys() == {"kind", "id", "name", "mimeType"}


@pytest.mark.parametrize("method", [spec.method for spec in TOOLS.values()])
async def test_the_declared_scopes_are_enough_and_the_least(google: GmailSandbox, method: str) -> None:
    """Each tool works with only the scopes that it declares, and Google has no lesser scope that is enough."""
    (scope,) = TOOLS[f"drive_{method}"].oauth_scopes
    file_id = private(google, ADA).file_id
    given: dict[str, dict[str, Any]] = {
        "search": {"words": "a"},
        "get": {"file_id": file_id},
        "read": {"file_id": file_id},
        "download": {"file_id": file_id},
        "upload": {"name": "x.txt", "content": "x"},
        "upload_file": {"file": InputFile("r", "x.zip", "application/zip", b"x")},
        "copy": {"file_id": file_id, "name": "x"},
        "share": {"file_id": file_id, "people": GRACE},
        "trash": {"file_ids": [file_id]},
    }
    ada = await drive_of(google, ADA, scope)
    google.google.calls.clear()
    google.unmasked.clear()
    await getattr(ada, method)(**given.get(method, {}))
    called = {call.method_id for call in google.google.calls}

    assert google.unmasked == []  # Google is asked for no field that nobody reads
    assert {call.status // 100 for call in google.google.calls} == {2}
    enough = frozenset.intersection(*(google.apis.method_scopes(method_id) for method_id in called)) - OF_OTHER_USE
    less = {other for other in enough - {scope} if other in permitted_by(frozenset({scope}))}
    assert scope in enough
    if scope == ALL_FILES:  # these change files that other applications made
        less -= {OWN_FILES, "https://www.googleapis.com/auth/drive.metadata"}
    if method in ("read", "download"):  # they look at a file first and read its content afterwards
        less -= {SEE_FILES}
    assert less == set()


def test_what_others_notice_asks_first() -> None:
    """Sharing and trashing act, so they ask first; uploading and copying organise, because others see nothing."""
    by_effect = {effect: {spec.method for spec in TOOLS.values() if spec.effect is effect} for effect in Effect}

    assert by_effect[Effect.ACT] == {"share", "trash"}
    assert by_effect[Effect.ORGANISE] == {"upload", "upload_file", "copy"}
    assert all(spec.asks for spec in TOOLS.values() if spec.effect is not Effect.READ)
    assert {each for spec in TOOLS.values() for each in spec.oauth_scopes} == {
        *(SEE_FILES, READ_FILES, OWN_FILES, ALL_FILES)
    }


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("upload", {"name": "x\ny", "content": "x"}),
        ("upload", {"name": "x", "content": " "}),
        ("upload_file", {"file": "../secret"}),
        ("share", {"file_id": "../secret", "people": ADA}),
        ("share", {"file_id": "abc", "people": "ada"}),
        ("share", {"file_id": "abc", "people": ADA, "role": "owner"}),
        ("trash", {"file_ids": []}),
        ("trash", {"file_ids": [str(number) for number in range(11)]}),
    ],
)
def test_arguments_that_google_should_never_see_are_refused(tool: str, arguments: dict[str, Any]) -> None:
    """Invalid arguments are refused before anybody is asked to approve them."""
    with pytest.raises(ValidationError):
        TOOLS[f"drive_{tool}"].validator.validate_python(arguments)


@pytest.mark.parametrize(
    ("typed", "tool", "arguments"),
    [
        ("my drive", "recent", {}),
        ("show my files", "recent", {}),
        ("last 5 documents", "recent", {"limit": 5}),
        ("find documents about the budget", "search", {"words": "the budget"}),
        ("open folder 1a2b3c4d5e", "folder", {"folder": "1a2b3c4d5e"}),
        ("list shared drives", "shared_drives", {}),
        ("read file 1a2b3c4d5e page 2", "read", {"file_id": "1a2b3c4d5e", "page": 2}),
        ("show me the file 1a2b3c4d5e", "get", {"file_id": "1a2b3c4d5e"}),
        ("save file plan.md: # Plan", "upload", {"name": "plan.md", "content": "# Plan"}),
        ("save file-0123456789ab-1 to my drive", "upload_file", {"file": "file-0123456789ab-1"}),
        (
            "put file-0123456789ab-1 in Drive as offer.pdf",
            "upload_file",
            {"file": "file-0123456789ab-1", "name": "offer.pdf"},
        ),
        ("copy file 1a2b3c4d5e as Plan B", "copy", {"file_id": "1a2b3c4d5e", "name": "Plan B"}),
        (f"share file 1a2b3c4d5e with {GRACE}", "share", {"file_id": "1a2b3c4d5e", "people": GRACE}),
        ("trash files 1a2b3c4d5e", "trash", {"file_ids": ["1a2b3c4d5e"]}),
    ],
)
def test_a_phrase_calls_its_tool(typed: str, tool: str, arguments: dict[str, Any]) -> None:
    """A phrase calls its tool, with arguments that fit the tool's schema."""
    call = reply([ModelRequest(parts=[UserPromptPart(typed)])], DEFINITIONS)

    assert isinstance(call, ToolCallPart)
    assert (call.tool_name, call.args) == (f"drive_{tool}", arguments)
    assert set(arguments) <= set(TOOLS[call.tool_name].validator.validate_python(call.args))
