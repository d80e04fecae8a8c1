"""The person's Drive read: lists of files, one file, and its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_ai import ToolReturn

from app.errors import GoogleError, ToolError
from app.google.client import GoogleClient
from app.sent_files import MAX_FILE_BYTES
from app.sizes import in_units
from app.toolkits.arguments import Limit, ListPage, TextPage
from app.toolkits.charsets import decoded, looks_binary
from app.toolkits.drive.arguments import FileId, FolderId
from app.toolkits.drive.contents import TOO_LARGE_TO_EXPORT, contents, file_with, resolved, sent_as, stated_size
from app.toolkits.drive.file import (
    LISTED,
    MAX_NAME,
    READ_AS,
    in_full,
    kind,
    may_be_text,
    summary,
)
from app.toolkits.drive.oauth_scopes import READ_FILES, SEE_FILES
from app.toolkits.drive.phrases import FILE_ID, FILES
from app.toolkits.pages import pages
from app.toolkits.phrases import ASK, END, TEXT_PAGE
from app.toolkits.promised import promised
from app.toolkits.shapes import number, objects, text
from app.toolkits.toolkit import Toolkit, tool
from app.toolkits.untrusted import Quotes
from app.toolkits.zones import PersonZone

MAX_BYTES = 5_000_000  # of a file whose text is read
_EVERYWHERE = {"supportsAllDrives": True, "includeItemsFromAllDrives": True, "corpora": "allDrives"}


class DriveReading(Toolkit):
    """Finds and reads files, those in shared drives too. Lives for one request.

    Args:
        google: Google's APIs as that person.
        zone: Their time zone, in which days are shown.
    """

    name = "drive"

    def __init__(self, google: GoogleClient, zone: PersonZone) -> None:
        self._google = google
        self._zone = zone

    @tool(
        oauth_scopes=(SEE_FILES,),
        doing="searching your files",
        phrases=(
            rf"(?:search|find|look for) (?:in )?(?:my |the )?(?:drive|{FILES})(?: for| about| with| named| called)? "
            rf"(?P<words>.+?){END}",
        ),
    )
    async def search(self, words: str, limit: Limit = 10, page: ListPage = None) -> dict[str, Any]:
        """Find files by words in their name or their text, the best first.

        Args:
            words: The words; a file has all of them.
            limit: How many files at most.
            page: `next_page` of an earlier result.
        """
        if not words.strip():
            raise ToolError("say what to look for")
        return await self._list(limit, page, q=f"fullText contains {quoted(words)} and trashed = false")

    @tool(
        oauth_scopes=(SEE_FILES,),
        doing="looking at your latest files",
        phrases=(rf"{ASK}(?:last |latest |recent |newest )?(?:(?P<limit>\d{{1,2}}) )?{FILES}{END}|(?:my )?drive",),
    )
    async def recent(self, limit: Limit = 10, page: ListPage = None) -> dict[str, Any]:
        """List the files that were changed last."""
        return await self._list(limit, page, q="trashed = false", orderBy="modifiedTime desc")

    @tool(
        oauth_scopes=(SEE_FILES,),
        doing="looking into a folder",
        phrases=(rf"(?:list|show|open)(?: me)? (?:the )?folder (?P<folder>(?=[\w-]*\d)[\w-]{{6,128}}){END}",),
    )
    async def folder(self, folder: FolderId = "root", limit: Limit = 25, page: ListPage = None) -> dict[str, Any]:
        """List what is in a folder or in a shared drive: folders first, then files by name.

        Args:
            folder: Which folder.
            limit: How many files at most.
            page: `next_page` of an earlier result.
        """
        query = f"{quoted(folder)} in parents and trashed = false"
        return await self._list(limit, page, q=query, orderBy="folder,name")

    @tool(oauth_scopes=(READ_FILES,), doing="looking at your shared drives", phrases=(rf"{ASK}shared drives{END}",))
    async def shared_drives(self, page: ListPage = None) -> dict[str, Any]:
        """List the shared drives that the person is a member of; drive_folder lists what is in one."""
        drives = self._google.resource("drive", "v3", "drives")
        listed = await self._google.execute(
            drives.list(pageSize=50, pageToken=page, fields="drives(id,name),nextPageToken")
        )
        quotes = Quotes()
        found = [
            {"id": text(each, "id"), "name": quotes.quote(text(each, "name"))} for each in objects(listed, "drives")
        ]
        return {**(quotes.note if found else {}), "drives": found, **_more(listed)}

    @tool(
        oauth_scopes=(SEE_FILES,),
        doing="looking at a file",
        phrases=(rf"(?:show|get)(?: me)?(?: the)? {FILE_ID}{END}",),
    )
    async def get(self, file_id: FileId) -> dict[str, Any]:
        """Look at one file: its kind, who owns it, and whom it is shared with, as far as the person may see that."""
        fields = f"{LISTED},webViewLink,trashed,permissions(emailAddress,domain,type,role)"
        file = await file_with(self._google, file_id, fields)
        quotes = Quotes()
        return {**quotes.note, **in_full(file, quotes, await self._zone.get())}

    @tool(
        oauth_scopes=(READ_FILES,),
        doing="reading a file",
        phrases=(rf"(?:read|open)(?: me)?(?: the)? {FILE_ID}{TEXT_PAGE}{END}",),
    )
    async def read(self, file_id: FileId, page: TextPage = 1) -> dict[str, Any]:
        """Read a file's text: a document, a table as CSV, the text of a presentation, or a text file.

        Args:
            file_id: The file.
            page: Which page of a long text.
        """
        file = await resolved(self._google, file_id)
        found = await self._google.to_thread(decoded, await self._content(file))
        if looks_binary(found):
            raise ToolError("this file is no text, so it cannot be read here")
        parts = pages(found.replace("\r\n", "\n").strip())
        if page > len(parts):
            raise ToolError(f"the text has {len(parts)} pages")
        quotes = Quotes()
        place = {"page": page, "pages": len(parts)} if len(parts) > 1 else {}
        return {
            **quotes.note,
            **summary(file, quotes, await self._zone.get()),
            **place,
            "body": quotes.quote(parts[page - 1]),
        }

    @tool(
        oauth_scopes=(READ_FILES,),
        doing="getting a file",
        phrases=(rf"(?:send|give|download)(?: me)?(?: the)? {FILE_ID}{END}",),
    )
    async def download(self, file_id: FileId) -> ToolReturn[Any]:
        """Give the person a file in the chat, together with your answer: Google's own kinds as PDF. You do not see it.

        Args:
            file_id: The file.
        """
        file = await resolved(self._google, file_id)
        name, kind_sent = sent_as(file)
        size = stated_size(file)
        if size is not None and size > MAX_FILE_BYTES:
            raise ToolError(f"this file has {in_units(size)}; I send up to {in_units(MAX_FILE_BYTES)}")
        quotes = Quotes()
        shown = {**quotes.note, "name": quotes.quote(text(file, "name")[:MAX_NAME]), "sent_with_the_answer": True}
        return promised(shown, text(file, "id"), name, kind_sent, size)

    async def read_file(self, reference: str) -> bytes:
        """Return the contents of a file, by its id."""
        return await contents(self._google, await resolved(self._google, reference), limit=MAX_FILE_BYTES)

    async def _content(self, file: Mapping[str, Any]) -> bytes:
        """Return a file's bytes, or one of Google's own kinds exported as text.

        Raises:
            ToolError: It has no text, or is too large to be read here.
        """
        files = self._google.resource("drive", "v3", "files")
        file_id, media_type = text(file, "id"), text(file, "mimeType")
        try:
            if media_type in READ_AS:
                content = await self._google.execute(files.export(fileId=file_id, mimeType=READ_AS[media_type]))
            elif not may_be_text(file):
                raise ToolError(f"this file is a {kind(file)}, which cannot be read here")
            elif number(file, "size") > MAX_BYTES:
                raise ToolError(f"this file has {number(file, 'size')} bytes; up to {MAX_BYTES} can be read here")
            else:
                content = await self._google.execute(files.get_media(fileId=file_id, supportsAllDrives=True))
        except GoogleError as error:
            if error.reason == "exportSizeLimitExceeded":
                raise ToolError(TOO_LARGE_TO_EXPORT) from error
            raise
        return content if isinstance(content, bytes) else b""

    async def _list(self, limit: int, page: str | None, **selection: Any) -> dict[str, Any]:
        files = self._google.resource("drive", "v3", "files")
        fields = f"files({LISTED}),nextPageToken,incompleteSearch"
        listed = await self._google.execute(
            files.list(pageSize=limit, pageToken=page, fields=fields, **_EVERYWHERE, **selection)
        )
        quotes, zone = Quotes(), await self._zone.get()
        found = [summary(each, quotes, zone) for each in objects(listed, "files")]
        partly = {"note": "Google did not search all shared drives."} if listed.get("incompleteSearch") is True else {}
        return {**(quotes.note if found else {}), "files": found, **partly, **_more(listed)}


def quoted(words: str) -> str:
    """Return a text as a value of Drive's search language, so that nothing in it is read as a term of its own.

    https://developers.google.com/workspace/drive/api/guides/search-files#query_string_examples
    """
    escaped = words.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _more(listed: Any) -> dict[str, str]:
    more = text(listed, "nextPageToken")
    return {"next_page": more} if more else {}
