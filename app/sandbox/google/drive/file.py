"""One file or folder, and who may do what with it.

https://developers.google.com/workspace/drive/api/reference/rest/v3/files
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

FOLDER = "application/vnd.google-apps.folder"
DOCUMENT = "application/vnd.google-apps.document"
SPREADSHEET = "application/vnd.google-apps.spreadsheet"
PRESENTATION = "application/vnd.google-apps.presentation"
DRAWING = "application/vnd.google-apps.drawing"
SHORTCUT = "application/vnd.google-apps.shortcut"
PDF = "application/pdf"
# What each of Google's own kinds can be exported to, as far as the sandbox can:
# https://developers.google.com/workspace/drive/api/guides/ref-export-formats
EXPORTS: Mapping[str, frozenset[str]] = {
    DOCUMENT: frozenset({"text/plain", "text/markdown", PDF}),
    SPREADSHEET: frozenset({"text/csv", "text/tab-separated-values", PDF}),
    PRESENTATION: frozenset({"text/plain", PDF}),
    DRAWING: frozenset({PDF}),
}
ROLES = ("reader", "commenter", "writer")


@dataclass(frozen=True, slots=True)
class DriveFile:
    """A file, a folder, or one of Google's own documents, whose content is kept as text.

    Attributes:
        owner: The owner's address, or None in a shared drive.
        parent: The id of the folder, of the person's root, or of the shared drive that it is in.
        drive_id: The id of its shared drive, or None.
        roles: The role of each person whom it is shared with, by address.
        target: The file that a shortcut leads to, by its id and its type.
        made_by_app: Whether an application made it, so that the scope ``drive.file`` reaches it.
    """

    file_id: str
    name: str
    mime_type: str
    owner: str | None
    parent: str
    created: datetime
    modified: datetime
    content: bytes = field(default=b"", repr=False)
    drive_id: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    made_by_app: bool = False
    trashed: bool = False
    target: tuple[str, str] | None = None

    @property
    def is_googles(self) -> bool:
        """Return whether it is one of Google's own kinds, which have no bytes to download."""
        return self.mime_type.startswith("application/vnd.google-apps.")

    def json(self, viewer: str, *, shares: bool) -> dict[str, Any]:
        """Return the file as a person sees it.

        Args:
            viewer: The person's address.
            shares: Whether they may see whom it is shared with.
        """
        shown: dict[str, Any] = {
            "kind": "drive#file",
            "id": self.file_id,
            "name": self.name,
            "mimeType": self.mime_type,
            "parents": [self.parent],
            "createdTime": _stamp(self.created),
            "modifiedTime": _stamp(self.modified),
            "trashed": self.trashed,
            "shared": bool(self.roles) or self.drive_id is not None,
            "ownedByMe": self.owner == viewer,
            "webViewLink": f"https://drive.google.com/file/d/{self.file_id}/view",
        }
        if self.owner is not None:
            shown["owners"] = [{"kind": "drive#user", "emailAddress": self.owner, "me": self.owner == viewer}]
        if self.drive_id is not None:
            shown["driveId"] = self.drive_id
        if self.target is not None:
            shown["shortcutDetails"] = {"targetId": self.target[0], "targetMimeType": self.target[1]}
        if not self.is_googles:
            digest = md5(self.content, usedforsecurity=False).hexdigest()
            shown |= {"size": str(len(self.content)), "md5Checksum": digest, "originalFilename": self.name}
        if shares and self.drive_id is None:  # Google leaves this out for files in shared drives
            shown["permissions"] = [permission(email, role) for email, role in self.access().items()]
        return shown

    def access(self) -> dict[str, str]:
        """Return the role of everybody who can see it, by address; the owner's first."""
        return ({self.owner: "owner"} if self.owner else {}) | dict(self.roles)


def permission(email: str, role: str) -> dict[str, Any]:
    """Return what one person may do, as a ``Permission``."""
    digits = int.from_bytes(md5(email.encode(), usedforsecurity=False).digest()) % 10**20
    return {"kind": "drive#permission", "id": f"{digits:020d}", "type": "user", "role": role, "emailAddress": email}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
