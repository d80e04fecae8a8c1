"""Files listed, looked at, downloaded and exported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.sandbox.google.api import ApiError, ApiRequest, Handler
from app.sandbox.google.drive.file import EXPORTS, PDF, DriveFile, permission
from app.sandbox.google.drive.pdf import pdf_of
from app.sandbox.google.drive.query import is_full_text, read_query
from app.sandbox.google.drive.store import DriveStore

_BY_DEFAULT = ("kind", "id", "name", "mimeType")  # all that v3 answers where no fields are asked for
_MOST_EXPORTED = 10_000_000  # bytes: https://developers.google.com/workspace/drive/api/reference/rest/v3/files/export
_ORDERS = ("folder", "name", "modifiedTime", "createdTime", "viewedByMeTime", "recency")


class FileReading:
    """The handlers that change nothing. Lives with the sandbox."""

    def __init__(self, store: DriveStore) -> None:
        self._store = store
        self.handlers: Mapping[str, Handler] = {
            "drive.files.list": self._list,
            "drive.files.get": self._get,
            "drive.files.export": self._export,
            "drive.permissions.list": self._permissions,
            "drive.drives.list": self._drives,
        }

    def _list(self, request: ApiRequest) -> Mapping[str, Any]:
        asked = request.parameters
        size, query = asked["pageSize"], asked.get("q", "")
        shared = asked["includeItemsFromAllDrives"]
        if (shared or asked.get("corpora") in ("allDrives", "drive")) and not (shared and asked["supportsAllDrives"]):
            raise ApiError(403, "The supportsAllDrives parameter must be set.", "teamDrivesParameterRequired")
        order = asked.get("orderBy", "")
        if order and is_full_text(query):
            raise ApiError(403, "Sorting is not supported for queries with fullText terms.", "forbidden")
        fits = read_query(query, self._store.root(request.person))
        found = [file for file in self._store.visible(request) if fits(file) and (shared or file.drive_id is None)]
        _sort(found, order)
        first = _place(asked.get("pageToken"))
        page = found[first : first + size]
        more = {"nextPageToken": f"~p{first + size}"} if first + size < len(found) else {}
        return {
            "kind": "drive#fileList",
            "incompleteSearch": False,
            "files": [self._shown(file, request) for file in page],
            **more,
        }

    def _get(self, request: ApiRequest) -> Mapping[str, Any] | bytes:
        media = request.parameters["alt"] == "media"
        file = self._store.find(request, content=media)
        if not media:
            return self._shown(file, request)
        if file.is_googles:
            raise ApiError(403, "Only files with binary content can be downloaded. Use Export.", "fileNotDownloadable")
        return file.content

    def _export(self, request: ApiRequest) -> bytes:
        allowed = {**request.parameters, "supportsAllDrives": True}
        file = self._store.find(ApiRequest(request.person, request.scopes, allowed, request.body), content=True)
        if file.mime_type not in EXPORTS:
            raise ApiError(403, "Export only supports Docs Editors files.", "fileNotExportable")
        if request.parameters["mimeType"] not in EXPORTS[file.mime_type]:
            raise ApiError(400, "The requested conversion is not supported.", "badRequest")
        if len(file.content) > _MOST_EXPORTED:
            raise ApiError(403, "This file is too large to be exported.", "exportSizeLimitExceeded")
        if request.parameters["mimeType"] == PDF:
            return pdf_of(file.content.decode("utf-8", "replace"))
        mark = b"\xef\xbb\xbf" if request.parameters["mimeType"] == "text/plain" else b""  # as Google does
        return mark + file.content

    def _permissions(self, request: ApiRequest) -> Mapping[str, Any]:
        file = self._store.find(request)
        return {
            "kind": "drive#permissionList",
            "permissions": [permission(email, role) for email, role in file.access().items()],
        }

    def _drives(self, request: ApiRequest) -> Mapping[str, Any]:
        return {"kind": "drive#driveList", "drives": [{"kind": "drive#drive", "id": self._store.team, "name": "Team"}]}

    def _shown(self, file: DriveFile, request: ApiRequest) -> dict[str, Any]:
        role = self._store.role(file, request.person.email)
        shown = file.json(request.person.email, shares=role in ("owner", "writer"))
        return shown if "fields" in request.parameters else {name: shown[name] for name in _BY_DEFAULT}


def _sort(files: list[DriveFile], order: str) -> None:
    """Sort files in place by a list of keys, such as ``folder,name`` or ``modifiedTime desc``."""
    keys = [each.strip().split() for each in order.split(",") if each.strip()] or [["modifiedTime", "desc"]]
    for name, *descending in reversed(keys):
        if name not in _ORDERS or descending not in ([], ["desc"]):
            raise ApiError(400, "Invalid Value", "invalid")
        if name == "folder":
            files.sort(key=lambda file: not file.mime_type.endswith(".folder"), reverse=bool(descending))
        elif name == "name":
            files.sort(key=lambda file: file.name.casefold(), reverse=bool(descending))
        else:
            files.sort(key=lambda file: (file.modified, file.file_id), reverse=bool(descending))


def _place(token: str | None) -> int:
    if token is None:
        return 0
    if not (token.startswith("~p") and token[2:].isascii() and token[2:].isdecimal()):
        raise ApiError(400, "Invalid Value", "invalid")
    return int(token[2:])
