"""All of the sandbox's Google Drive put together.

https://developers.google.com/workspace/drive/api/reference/rest/v3
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.sandbox.google.api import Handler
from app.sandbox.google.drive.file import DriveFile
from app.sandbox.google.drive.reading import FileReading
from app.sandbox.google.drive.shelf import shelf, team_files
from app.sandbox.google.drive.store import DriveStore
from app.sandbox.google.drive.writing import FileWriting
from app.sandbox.people import SandboxPeople


class GoogleDrive:
    """Everybody's files. Lives with the sandbox.

    Args:
        people: The owners of the files.
        now: The clock, in seconds since the epoch.
        marked: Whether each file holds markers.

    Attributes:
        handlers: The handler of each method, by the method's id.
    """

    def __init__(self, people: SandboxPeople, now: Callable[[], float], *, marked: bool) -> None:
        self._people = people
        self._store = DriveStore(now)
        for person in people.values():
            for file in shelf(self._store, person, tuple(people.values()), marked=marked):
                self._store.put(file)
        for file in team_files(self._store, marked=marked):
            self._store.put(file)
        self.handlers: Mapping[str, Handler] = {
            **FileReading(self._store).handlers,
            **FileWriting(self._store).handlers,
        }

    def files(self, email: str) -> list[DriveFile]:
        """Return a person's own files by name, those in the trash included.

        Raises:
            KeyError: Nobody has this address.
        """
        owner = self._people[email].email
        return sorted((file for file in self._store.files.values() if file.owner == owner), key=lambda file: file.name)

    @property
    def notified(self) -> list[tuple[str, str]]:
        """The address and the file's id of each mail about a share; oldest first."""
        return self._store.notified
