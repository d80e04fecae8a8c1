"""Everybody's files, and who may reach them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from app.sandbox.google.api import ApiError, ApiRequest
from app.sandbox.google.drive.file import DriveFile
from app.sandbox.people import Person

_AUTH = "https://www.googleapis.com/auth/"
_WHOLE = frozenset(
    {f"{_AUTH}drive", f"{_AUTH}drive.readonly", f"{_AUTH}drive.metadata", f"{_AUTH}drive.metadata.readonly"}
)
_CONTENT = frozenset({f"{_AUTH}drive", f"{_AUTH}drive.readonly", f"{_AUTH}drive.file"})
_RANKS = {"reader": 1, "commenter": 2, "writer": 3, "owner": 4}


class DriveStore:
    """The files of all people. Lives with the sandbox.

    Attributes:
        files: The files by id, those in the trash included.
        team: The id of the shared drive that everybody is a member of.
        notified: The address and the file's id of each mail about a share; oldest first.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.files: dict[str, DriveFile] = {}
        self.team = f"0A{secrets.token_hex(8)}PVA"
        self.notified: list[tuple[str, str]] = []
        self._now = now

    def now(self) -> datetime:
        """Return the current time."""
        return datetime.fromtimestamp(self._now(), UTC)

    @staticmethod
    def root(person: Person) -> str:
        """Return the id of somebody's root folder, the same at every start."""
        return f"0A{sha256(person.email.encode()).hexdigest()[:16]}PVA"

    @staticmethod
    def new_id() -> str:
        """Return the id of a new file."""
        return f"1{secrets.token_urlsafe(24)}"

    def put(self, file: DriveFile) -> DriveFile:
        """Keep a file in place of its earlier version, and return it."""
        self.files[file.file_id] = file
        return file

    def change(self, file: DriveFile, **fields: object) -> DriveFile:
        """Keep a file with changed attributes, modified now."""
        return self.put(replace(file, modified=self.now(), **fields))  # type: ignore[arg-type]

    def visible(self, request: ApiRequest) -> Iterator[DriveFile]:
        """Yield the files that a call's person and its token reach."""
        for file in self.files.values():
            if self._reaches(request, file) and self.role(file, request.person.email):
                yield file

    def find(self, request: ApiRequest, role: str = "reader", *, content: bool = False) -> DriveFile:
        """Return the file that a call names.

        Args:
            request: The call; without ``supportsAllDrives`` it does not reach shared drives.
            role: The least role that it takes.
            content: Whether the file's content is read.

        Raises:
            ApiError: The person or the token does not reach it, or the role is not enough.
        """
        file_id = request.parameters["fileId"]
        file = self.files.get(file_id)
        own = self.role(file, request.person.email) if file else None
        hidden = file is not None and file.drive_id is not None and not request.parameters.get("supportsAllDrives")
        if file is None or own is None or hidden or not self._reaches(request, file):
            raise ApiError(404, f"File not found: {file_id}.", "notFound")
        if content and not request.scopes & _CONTENT:
            raise ApiError(
                403, "The granted scopes do not give access to all of the requested files.", "appNotAuthorizedToFile"
            )
        if _RANKS[own] < _RANKS[role]:
            raise ApiError(
                403, "The user does not have sufficient permissions for this file.", "insufficientFilePermissions"
            )
        return file

    def role(self, file: DriveFile, email: str) -> str | None:
        """Return a person's role for a file; what a folder is shared for counts for everything in it."""
        best: str | None = "writer" if file.drive_id is not None else None
        current: DriveFile | None = file
        while current is not None:
            role = current.access().get(email)
            if role and (best is None or _RANKS[role] > _RANKS[best]):
                best = role
            current = self.files.get(current.parent)
        return best

    def _reaches(self, request: ApiRequest, file: DriveFile) -> bool:
        return bool(request.scopes & _WHOLE) or file.made_by_app
