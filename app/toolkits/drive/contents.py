"""The contents of the person's files in Drive: bytes as they are, and Google's own kinds as PDF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors import GoogleError, ToolError
from app.google.client import GoogleClient
from app.toolkits.drive.file import FOLDER, LISTED, PDF, SHORTCUT, WITH_PDF, is_googles, target
from app.toolkits.input_file import FileTooLargeError, InputFile, cleaned_name, cleaned_type
from app.toolkits.shapes import number, text

NO_FILE = "a folder has no contents of its own; take its files one by one"
NO_PDF = "Google gives no PDF of this kind of file; the person can open it in Drive"
TOO_LARGE_TO_EXPORT = "this document is too large for Google to export it; it can be read in Drive"


async def file_with(google: GoogleClient, file_id: str, fields: str) -> Mapping[str, Any]:
    """Return these fields of a file."""
    files = google.resource("drive", "v3", "files")
    found = await google.execute(files.get(fileId=file_id, fields=fields, supportsAllDrives=True))
    return found if isinstance(found, Mapping) else {}


async def resolved(google: GoogleClient, file_id: str) -> Mapping[str, Any]:
    """Return a file as lists have it, or the one that a shortcut leads to.

    Raises:
        ToolError: It is a shortcut that leads nowhere.
    """
    file = await file_with(google, file_id, LISTED)
    if text(file, "mimeType") != SHORTCUT:
        return file
    if not target(file):
        raise ToolError("this shortcut leads nowhere")
    return await file_with(google, target(file), LISTED)


def sent_as(file: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name and the type under which a file's contents are given.

    Raises:
        ToolError: It is a folder, or of a kind of Google's that has no contents to give.
    """
    if text(file, "mimeType") == FOLDER:
        raise ToolError(NO_FILE)
    if is_googles(file) and text(file, "mimeType") not in WITH_PDF:
        raise ToolError(NO_PDF)
    return (f"{text(file, 'name')}.pdf", PDF) if is_googles(file) else (text(file, "name"), text(file, "mimeType"))


def stated_size(file: Mapping[str, Any]) -> int | None:
    """Return a file's bytes; None for Google's own kinds, which have none before they are exported."""
    return number(file, "size") if "size" in file and not is_googles(file) else None


async def contents(google: GoogleClient, file: Mapping[str, Any], *, limit: int) -> bytes:
    """Return the bytes of a file that `resolved` gave.

    Raises:
        ToolError: It has none, is larger than the limit, or is too large for Google to export.
    """
    sent_as(file)
    if (size := stated_size(file)) is not None and size > limit:
        raise FileTooLargeError(text(file, "name"))
    files = google.resource("drive", "v3", "files")
    if not is_googles(file):
        found = await google.execute(files.get_media(fileId=text(file, "id"), supportsAllDrives=True))
    else:
        try:
            found = await google.execute(files.export(fileId=text(file, "id"), mimeType=PDF))
        except GoogleError as error:
            if error.reason == "exportSizeLimitExceeded":
                raise ToolError(TOO_LARGE_TO_EXPORT) from error
            raise
    read = found if isinstance(found, bytes) else b""
    if len(read) > limit:
        raise FileTooLargeError(text(file, "name"))
    return read


async def fetch_file(google: GoogleClient, file_id: str, *, limit: int) -> InputFile:
    """Return a file as a tool uses it.

    Raises:
        ToolError: It has no contents, or more bytes than the limit.
        ProviderError, CredentialsError: Google did not give it.
    """
    file = await resolved(google, file_id)
    name, kind = sent_as(file)
    return InputFile(file_id, cleaned_name(name), cleaned_type(kind), await contents(google, file, limit=limit))
