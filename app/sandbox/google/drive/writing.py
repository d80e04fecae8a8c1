"""Files made, copied, changed and shared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.sandbox.google.api import ApiError, ApiRequest, Handler
from app.sandbox.google.drive.file import FOLDER, ROLES, DriveFile, permission
from app.sandbox.google.drive.store import DriveStore

_ADDRESS = re.compile(r"[^\s@<>,]+@[^\s@<>,]+\.[^\s@<>,]+")
_SETTABLE = {"name", "mimeType", "parents", "trashed"}


class FileWriting:
    """The handlers that change files. Lives with the sandbox."""

    def __init__(self, store: DriveStore) -> None:
        self._store = store
        self.handlers: Mapping[str, Handler] = {
            "drive.files.create": self._create,
            "drive.files.copy": self._copy,
            "drive.files.update": self._update,
            "drive.permissions.create": self._share,
        }

    def _create(self, request: ApiRequest) -> Mapping[str, Any]:
        body, media = request.body, request.media
        _check_fields(body)
        kind = body.get("mimeType") or (media.mime_type if media else "application/octet-stream")
        made = DriveFile(
            file_id=self._store.new_id(),
            name=body.get("name") or "Untitled",
            mime_type=kind,
            owner=request.person.email,
            parent=self._parent(request, request.body.get("parents", ["root"])),
            created=self._store.now(),
            modified=self._store.now(),
            content=media.content if media else b"",
            made_by_app=True,
        )
        return self._shown(self._store.put(made), request)

    def _copy(self, request: ApiRequest) -> Mapping[str, Any]:
        file = self._store.find(request, content=True)
        _check_fields(request.body)
        if file.mime_type == FOLDER:
            raise ApiError(403, "This file cannot be copied by the user.", "cannotCopyFile")
        parent = self._parent(request, request.body["parents"]) if "parents" in request.body else file.parent
        copy = DriveFile(
            file_id=self._store.new_id(),
            name=request.body.get("name") or f"Copy of {file.name}",
            mime_type=file.mime_type,
            owner=request.person.email,
            parent=parent,
            created=self._store.now(),
            modified=self._store.now(),
            content=file.content,
            made_by_app=True,
        )
        return self._shown(self._store.put(copy), request)

    def _update(self, request: ApiRequest) -> Mapping[str, Any]:
        body = request.body
        file = self._store.find(request, "owner" if "trashed" in body and self._is_own_drive(request) else "writer")
        _check_fields(body)
        if "parents" in body:
            raise ApiError(403, "The parents field is not directly writable.", "fieldNotWritable")
        changes = {name: body[key] for key, name in (("name", "name"), ("trashed", "trashed")) if key in body}
        if "addParents" in request.parameters:
            changes["parent"] = self._parent(request, request.parameters["addParents"].split(","))
        if request.media:
            changes["content"] = request.media.content
        return self._shown(self._store.change(file, **changes), request)

    def _share(self, request: ApiRequest) -> Mapping[str, Any]:
        file, body = self._store.find(request, "writer"), request.body
        if body.get("type") != "user":
            raise ApiError(501, "The sandbox shares with people only.", "notImplemented")
        email, role = body.get("emailAddress", "").lower(), body.get("role")
        if not _ADDRESS.fullmatch(email):
            raise ApiError(400, "The emailAddress field is required.", "invalidSharingRequest")
        if role not in ROLES:
            raise ApiError(400, "The specified role is invalid.", "invalid")
        if len(request.parameters.get("emailMessage", "")) > 0 and not request.parameters.get(
            "sendNotificationEmail", True
        ):
            raise ApiError(400, "emailMessage needs sendNotificationEmail.", "invalid")
        self._store.change(file, roles={**file.roles, email: role})
        if request.parameters.get("sendNotificationEmail", True):
            self._store.notified.append((email, file.file_id))
        return permission(email, role)

    def _is_own_drive(self, request: ApiRequest) -> bool:
        file = self._store.files.get(request.parameters["fileId"])
        return file is None or file.drive_id is None

    def _parent(self, request: ApiRequest, parents: Sequence[str]) -> str:
        """Return the folder that a file goes into.

        Raises:
            ApiError: There are several, or the person may not write into it.
        """
        if len(parents) != 1:
            raise ApiError(400, "A file has exactly one parent.", "multiparentNotSupported")
        root = self._store.root(request.person)
        if parents[0] in ("root", root):
            return root
        within = {**request.parameters, "fileId": parents[0]}
        folder = self._store.find(ApiRequest(request.person, request.scopes, within, {}), "writer")
        if folder.mime_type != FOLDER:
            raise ApiError(403, "The specified parent is not a folder.", "parentNotAFolder")
        return folder.file_id

    def _shown(self, file: DriveFile, request: ApiRequest) -> dict[str, Any]:
        shown = file.json(request.person.email, shares=True)
        return (
            shown
            if "fields" in request.parameters
            else {name: shown[name] for name in ("kind", "id", "name", "mimeType")}
        )


def _check_fields(body: Mapping[str, Any]) -> None:
    if unknown := body.keys() - _SETTABLE:
        raise ApiError(501, f"The sandbox cannot set {', '.join(sorted(unknown))} yet.", "notImplemented")
